//! Reservations: units that are taken now, and settled when it is known how many were used.
//!
//! To reserve takes the units from the limit's cell like any acquire, and notes them twice: in a cell of
//! the reservation, and in one cell for all that is reserved of the key, by the time at which it lapses
//! (`slices.rs`). To commit takes the reservation off that, and gives back, or takes, the difference.
//!
//! ```text
//!   limit's cell        12 used, marked  ◀── 5 of these are reserved
//!   holds of the key    [5, 0, 0]            who settles a slice that has lapsed gives its units back
//!   the reservation     5, slice 7
//! ```
//!
//! A reservation whose holder has died lapses. Nobody has to notice at once: the limit's cell is
//! marked, and whoever is denied by a marked cell asks again together with the holds, which settles
//! them. Of a window only what was reserved in it is given back to it.

use quorate::bug::{self, Bug};
use quorate::{Cell, Delta, GroupTime, Value};

use crate::deciding::confirm;
use crate::entry::{Entry, marked};
use crate::operation::{Operation, Order};
use crate::outcome::{Effect, NANOS_PER_MS, Outcome, TAG_SHIFT, Verdict};
use crate::slices::{MAX_UNITS, Slices};

/// How long a reservation lasts if nobody commits or cancels it: between this and one and a half times
/// this, its units are given back.
pub(crate) const TERM_NANOS: u64 = 300_000_000_000;

/// No limit's cell has it; neither has one of the other.
const HOLDS_TAG: u64 = 0x7ff8;
const RESERVATION_TAG: u64 = 0x7ff0;
const SLICES: Slices = Slices::new(TERM_NANOS, HOLDS_TAG);
/// Bits of a reservation's last word below its tag: the start of its window in milliseconds.
const WINDOW_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// What a reservation's cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reservation {
    units: u64,
    /// The slice that the units were taken in; of one that has ended, none.
    slice: Option<u64>,
    /// The window that they were taken in, in milliseconds.
    window_ms: Option<u64>,
}

/// The cells of an operation on a reservation.
pub(crate) struct Cells<'a> {
    pub(crate) limit: &'a mut Cell,
    pub(crate) reservation: &'a mut Cell,
    pub(crate) holds: &'a mut Cell,
}

impl Reservation {
    const ENDED: u64 = u64::MAX;

    fn of(cell: &Cell) -> Option<Self> {
        let [units, slice, last] = cell.value()?.words;
        let window = last & WINDOW_MASK;
        (last >> TAG_SHIFT == RESERVATION_TAG).then_some(Self {
            units,
            slice: (slice != Self::ENDED).then_some(slice),
            window_ms: (window != WINDOW_MASK).then_some(window),
        })
    }

    fn write(self, cell: &mut Cell) {
        let Self { units, slice, window_ms } = self;
        let last = window_ms.unwrap_or(WINDOW_MASK).min(WINDOW_MASK) | RESERVATION_TAG << TAG_SHIFT;
        // One that has ended is remembered for as long as it would have lasted.
        let known = cell.value().map_or(GroupTime(0), |value| value.expires);
        let expires = slice.map_or(known, |slice| GroupTime(SLICES.lapses(slice)));
        cell.set(Value { words: [units, slice.unwrap_or(Self::ENDED), last], expires });
    }
}

/// Gives back what was reserved of a key and has lapsed; decides nothing.
pub(crate) fn settle(entry: &Entry, limit: &mut Cell, holds: &mut Cell, now: GroupTime) {
    let (held, lapsed) = SLICES.roll(holds.value(), now);
    let peek = Order { operation: Operation::Peek, amount: 1 };
    let window = entry.rule.decide(&mut bare(entry, limit, now), peek, now, Effect::Ask).window;
    // Of a slice that began before the window a part may have been taken in an older one.
    let counts = |start: u64| window.is_none_or(|window| start >= window);
    let units: u64 =
        lapsed.iter().filter(|lapsed| counts(lapsed.start)).map(|lapsed| lapsed.units).sum();
    if units > 0 {
        let order = Order { operation: Operation::Refund { window_ms: None }, amount: units };
        change(entry, limit, order, now);
    }
    if lapsed.iter().any(|lapsed| lapsed.units > 0) {
        write_holds(holds, held, limit);
    }
    if held.total() == 0 {
        mark(limit, false);
    }
}

/// Takes units and notes that they are reserved.
pub(crate) fn reserve(
    entry: &Entry,
    cells: &mut Cells<'_>,
    amount: u64,
    now: GroupTime,
    is_alone: bool,
) -> Outcome {
    settle(entry, cells.limit, cells.holds, now);
    let (mut held, _) = SLICES.roll(cells.holds.value(), now);
    if let Some(known) = Reservation::of(cells.reservation) {
        // Asked for again, for the first answer was lost.
        confirm(cells.reservation);
        return Outcome { reset_after: TERM_NANOS, ..repeated(entry, cells.limit, known, now) };
    }
    if held.total().saturating_add(amount) > MAX_UNITS {
        return Outcome { limit: MAX_UNITS, ..Outcome::new(Verdict::Never) };
    }
    let order = Order { operation: Operation::Acquire, amount };
    let mut outcome = match is_alone {
        false => entry.decide(cells.limit, order, now, Effect::Take),
        true => entry.decide_alone(cells.limit, order, now, Effect::Take),
    };
    outcome.marks.is_held = false;
    if !matches!(outcome.verdict, Verdict::Allowed | Verdict::Shadow) {
        return outcome;
    }
    let units = outcome.granted;
    let window_ms = outcome.window.map(|start| start / NANOS_PER_MS);
    Reservation { units, slice: Some(held.number()), window_ms }.write(cells.reservation);
    outcome.reset_after = TERM_NANOS;
    if units > 0 {
        held.add(units);
        write_holds(cells.holds, held, cells.limit);
        mark(cells.limit, true);
    }
    outcome
}

/// Settles a reservation by what was used of it; 0 to cancel it.
pub(crate) fn commit(entry: &Entry, cells: &mut Cells<'_>, actual: u64, now: GroupTime) -> Outcome {
    settle(entry, cells.limit, cells.holds, now);
    let (mut held, _) = SLICES.roll(cells.holds.value(), now);
    let Some(known) = Reservation::of(cells.reservation) else {
        return Outcome::new(Verdict::Ended);
    };
    let twice = Some(held.number()).filter(|_| bug::is(Bug::CommitTwice));
    let mut outcome = match known.slice.or(twice) {
        // Asked for again, for the first answer was lost.
        None => {
            confirm(cells.reservation);
            return repeated(entry, cells.limit, known, now);
        }
        Some(slice) if known.units > 0 && !held.counts(slice) => {
            return Outcome::new(Verdict::Ended);
        }
        Some(slice) => {
            held.remove(slice, known.units);
            let (operation, amount) = if actual < known.units {
                let window_ms = known.window_ms;
                (Operation::Refund { window_ms }, known.units - actual)
            } else {
                (Operation::Debit, actual - known.units)
            };
            entry.decide(cells.limit, Order { operation, amount }, now, Effect::Take)
        }
    };
    write_holds(cells.holds, held, cells.limit);
    mark(cells.limit, held.total() > 0);
    let units = if twice.is_some() { known.units } else { actual };
    Reservation { units, slice: None, window_ms: known.window_ms }.write(cells.reservation);
    outcome.granted = actual;
    outcome.marks.is_held = false;
    outcome
}

/// The answer once more that an earlier call got.
fn repeated(entry: &Entry, limit: &Cell, known: Reservation, now: GroupTime) -> Outcome {
    let order = Order { operation: Operation::Peek, amount: 1 };
    let outcome = entry.decide(&mut limit.clone(), order, now, Effect::Ask);
    let (verdict, granted) = (Verdict::Allowed, known.units);
    Outcome { verdict, granted, ..outcome }.repeated()
}

fn bare(entry: &Entry, limit: &Cell, now: GroupTime) -> Cell {
    Cell::new(entry.present(limit.value(), now).0)
}

fn change(entry: &Entry, limit: &mut Cell, order: Order, now: GroupTime) {
    entry.decide(limit, order, now, Effect::Take);
}

/// Marks a limit's cell, or takes the mark off; one that is absent holds nothing.
fn mark(limit: &mut Cell, is_held: bool) {
    if let Some(value) = limit.value().copied() {
        let wanted = marked(value, is_held);
        if wanted != value {
            limit.set(wanted);
        }
    }
}

/// Kept for as long as the limit's cell counts: what lapses may be given back until then.
fn write_holds(holds: &mut Cell, held: crate::slices::Held, limit: &Cell) {
    let mut value = SLICES.value(held);
    let until = limit.value().map_or(GroupTime(0), |value| value.expires);
    value.expires = value.expires.max(until);
    holds.set(value);
}

/// Keeps in `delta` what a local decision made of holds.
pub(crate) fn accumulate_holds(before: Option<&Value>, after: &Value, delta: &mut Delta) {
    let Some(after) = SLICES.read(Some(after)) else { return };
    let at = GroupTime(after.number().saturating_mul(SLICES.length()));
    let (before, _) = SLICES.roll(before, at);
    let known = Value { words: delta.words, expires: GroupTime::MAX };
    let (mut known, _) = SLICES.roll(Some(&known), at);
    known.move_on(&before, &after);
    delta.words = SLICES.value(known).words;
}

/// Counts what a peer alone holds reserved. What lapses of it is given back by whoever settles it, if
/// the limit's cell comes to be marked; else it stays taken.
pub(crate) fn merge_holds(delta: &Delta, cell: &mut Cell, now: GroupTime) {
    let local = Value { words: delta.words, expires: GroupTime::MAX };
    let Some(local) = SLICES.read(Some(&local)) else { return };
    let (mut held, _) = SLICES.roll(cell.value(), now);
    if held.merge(&local, MAX_UNITS) > 0 {
        cell.set(SLICES.value(held));
    }
}

/// A reservation that a peer made or ended alone; of two that ended it alone the larger count stands.
pub(crate) fn merge_reservation(delta: &Delta, cell: &mut Cell, now: GroupTime) {
    let local = Value { words: delta.words, expires: GroupTime::MAX };
    let Some(mut local) = Reservation::of(&Cell::new(Some(local))) else { return };
    // One of a peer whose clock is ahead counts in the present slice, as its units do.
    let present = SLICES.none(now).number();
    local.slice = local.slice.map(|slice| slice.min(present));
    let newness = |Reservation { units, slice, .. }: Reservation| (slice.is_none(), slice, units);
    match Reservation::of(cell) {
        Some(known) if newness(local) > newness(known) => local.write(cell),
        Some(_) => {}
        // One that has ended says nothing of when, and one that has lapsed is over: nothing is left of it.
        None => match local.slice {
            Some(slice) if SLICES.lapses(slice) > now.0 => local.write(cell),
            Some(_) | None => {}
        },
    }
}
