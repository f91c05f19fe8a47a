//! Records of operations with an idempotency key: the answer, in a cell of its own, changed
//! together with the cells that were charged. A retry finds it and gets the same answer, whichever
//! peer is primary by then.
//!
//! A record's key is the id 0, which no limit has, and a hash of the idempotency key and of all
//! that was asked: the same key for another request is another request. Only what was admitted is
//! recorded, for a denial charges nothing.
//!
//! ```text
//!   word 0   repeats 8 │ index of the item that the answer speaks of 8 │ start of its window 48
//!   word 1   units that remained        word 2   units that were granted
//! ```
//!
//! Starts are in milliseconds.

use std::time::Duration;

use quorate::internal::bug::{self, Bug};
use quorate::{Cell, Delta, GroupTime, Item, Value};

use crate::model::answer::NO_WINDOW;
use crate::model::side_cell::{SideCell, SideKey};

/// The time that an answer is kept for a retry, whatever clocks do.
pub const IDEMPOTENCY_TIME: Duration = Duration::from_secs(600);

/// The number of times that the answer to a call that took units is given again; after that the
/// same call is denied for the rest of [`IDEMPOTENCY_TIME`].
pub const MAX_REPEATS: u32 = 16;

const KEPT_NANOS: u64 = IDEMPOTENCY_TIME.as_secs() * 1_000_000_000;
/// Bits of the first word below the index.
const WINDOW_BITS: u32 = 48;
/// Bits of the index, below the repeats.
const INDEX_BITS: u32 = 8;
const NO_START: u64 = (1 << WINDOW_BITS) - 1;

/// Returns the key of the record of an operation.
pub(crate) fn key(id: &[u8], items: &[Item<'_>]) -> SideKey {
    let arguments: Vec<_> = items.iter().map(|item| item.args.map(u64::to_le_bytes)).collect();
    let asked = items.iter().zip(&arguments);
    let parts = asked.flat_map(|(item, [one, two])| [item.key, &one[..], &two[..]]);
    SideCell::Record.key(&[id].into_iter().chain(parts).collect::<Vec<_>>())
}

/// The answer to an operation that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) index: usize,
    /// The start of its window in milliseconds, or [`NO_WINDOW`].
    pub(crate) window_ms: u64,
    pub(crate) remaining: u64,
    pub(crate) granted: u64,
    /// The number of times that it was given again.
    pub(crate) repeats: u32,
}

impl Record {
    pub(crate) fn of(cell: &Cell) -> Option<Self> {
        let [first, remaining, granted] = cell.value()?.words;
        let start = first & NO_START;
        let window_ms = if start == NO_START { NO_WINDOW } else { start };
        let index = (first >> WINDOW_BITS) & ((1 << INDEX_BITS) - 1);
        let repeats = (first >> (WINDOW_BITS + INDEX_BITS)) as u32;
        Some(Self { index: index as usize, window_ms, remaining, granted, repeats })
    }

    pub(crate) fn write(self, cell: &mut Cell, now: GroupTime) {
        let expires = GroupTime(now.0.saturating_add(KEPT_NANOS));
        cell.set(Value { words: self.words(), expires });
    }

    /// Counts that it is given again. That is a change, so that it is not given before a majority
    /// holds what it was given for.
    pub(crate) fn count(self, cell: &mut Cell) {
        if let Some(Value { expires, .. }) = cell.value().copied()
            && !bug::is(Bug::RepeatNotHeld)
        {
            let repeats = self.repeats.saturating_add(1);
            cell.set(Value { words: Self { repeats, ..self }.words(), expires });
        }
    }

    /// Returns true if it was given again as often as may be.
    pub(crate) fn is_used_up(self) -> bool {
        self.repeats >= MAX_REPEATS
    }

    fn words(self) -> [u64; 3] {
        let start = self.window_ms.min(NO_START);
        let repeats = u64::from(self.repeats.min(u8::MAX.into()));
        let above = repeats << INDEX_BITS | self.index as u64 & ((1 << INDEX_BITS) - 1);
        [above << WINDOW_BITS | start, self.remaining, self.granted]
    }
}

/// Keeps the answer for retries at other peers, unless the group has answered the same request.
pub(crate) fn merge(delta: &Delta, cell: &mut Cell, now: GroupTime) {
    if cell.value().is_none() {
        let expires = GroupTime(now.0.saturating_add(KEPT_NANOS));
        cell.set(Value { words: delta.words, expires });
    }
}
