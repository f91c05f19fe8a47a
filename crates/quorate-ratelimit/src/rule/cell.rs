//! Parts that the cells of all limits have: the tag of whatever wrote them, and a mark below it.

use quorate::internal::bug::{self, Bug};
use quorate::{Cell, Value};

/// The upper 16 bits of a cell's last word say by which kind of limit, and at which rate or window
/// length, it was written. A limit that was changed does not misread cells of its old form.
pub(crate) const TAG_SHIFT: u32 = 48;
/// The bit below the tag says that units of the key are reserved. Whoever reads a cell takes it
/// off first, and puts it back where it writes.
pub(crate) const RESERVED_MARK: u64 = 1 << (TAG_SHIFT - 1);

/// Returns a value with the mark of reservations, or without.
pub(crate) fn marked(mut value: Value, has_reservations: bool) -> Value {
    let mark = if has_reservations { RESERVED_MARK } else { 0 };
    value.words[2] = value.words[2] & !RESERVED_MARK | mark;
    value
}

/// Writes a cell as it is. So an answer that rests on what an earlier call left there is a change
/// too: under `Acknowledge::Majority` it waits until a majority holds it, and with it what it rests
/// on.
pub(crate) fn confirm(cell: &mut Cell) {
    if let Some(value) = cell.value().copied().filter(|_| !bug::is(Bug::RepeatNotHeld)) {
        cell.set(value);
    }
}
