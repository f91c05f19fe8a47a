//! One limit and one key, as a store would hold it, for tests that know nothing of groups.

use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Key, Limit, Limits, Operation, RateLimitModel};

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
pub(crate) const START: u64 = 1_753_000_000 * SECOND;

pub(crate) const DENIED: u8 = 0;
pub(crate) const ALLOWED: u8 = 1;

pub(crate) const UP_TO: u64 = Operation::AcquireUpTo.argument();
pub(crate) const DEBIT: u64 = Operation::Debit.argument();
pub(crate) const REFUND: u64 = Operation::Refund { window_ms: None }.argument();
pub(crate) const PEEK: u64 = Operation::Peek.argument();
pub(crate) const RESET: u64 = Operation::Reset.argument();

/// Units that remain by an answer: none, if the word for them has what was taken beyond the limit.
pub(crate) fn remaining(answer: &Answer) -> u64 {
    if answer.words[5] >> 62 & 1 == 0 { answer.words[1] } else { 0 }
}

/// See the module's documentation.
pub(crate) struct OneKey {
    pub(crate) model: RateLimitModel,
    pub(crate) key: Key,
    pub(crate) value: Option<Value>,
}

impl OneKey {
    pub(crate) fn new(limit: Limit) -> Self {
        let limits = Limits::builder().limit("l", limit).build().expect("usable");
        let key = limits.key("l", "k").expect("known");
        Self { model: limits.model(), key, value: None }
    }

    pub(crate) fn cell(&self, now: u64) -> Cell {
        Cell::new(self.value.filter(|value| value.expires > GroupTime(now)))
    }

    /// Decides as the store does: an expired cell is absent, a changed one is written.
    pub(crate) fn ask(&mut self, now: u64, amount: u64, operation: u64) -> Answer {
        let mut cell = self.cell(now);
        let item = Item { key: self.key.as_ref(), args: [amount, operation] };
        let answer = self.model.decide(&[item], std::slice::from_mut(&mut cell), GroupTime(now));
        self.keep(&cell);
        answer
    }

    pub(crate) fn merge(&mut self, now: u64, delta: &Delta) -> u64 {
        let mut cell = self.cell(now);
        let units = self.model.merge(self.key.as_ref(), delta, &mut cell, GroupTime(now));
        assert_eq!(cell.is_changed(), units > 0);
        self.keep(&cell);
        units
    }

    /// Writes a cell that was changed.
    pub(crate) fn keep(&mut self, cell: &Cell) {
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
    }
}
