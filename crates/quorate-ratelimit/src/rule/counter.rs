//! Plain counters: a number that is added to and subtracted from, and never begins anew.
//!
//! A cell's words: nothing, the count, and the tag. It never expires, and what is subtracted is at
//! most what is there.

use quorate::{Cell, Delta, GroupTime, Value};

use crate::rule::cell::TAG_SHIFT;
use crate::rule::operation::{Effect, Operation, Request};
use crate::rule::verdict::{Ruling, Verdict};
use crate::rule::whole_units;

/// No other kind of cell has it: those of rates have the top bit, those of fixed windows are odd,
/// and those of sliding windows no multiple of 4.
const TAG: u64 = 4;

/// A counter; all are alike but for how often it was begun anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    tag: u64,
}

impl Counter {
    pub(crate) const fn new(salt: u64) -> Self {
        // Below the tags of rates; 4 beyond a multiple of 8 whatever the salt.
        Self { tag: TAG | (salt & 0xfff) << 3 }
    }

    pub(crate) fn tag(self) -> u64 {
        self.tag
    }

    /// Returns the count, which is the same at any time.
    pub(crate) fn used(self, value: &Value, _: u64) -> u64 {
        self.count(Some(value))
    }

    /// Makes a cell with this count.
    pub(crate) fn with(self, units: u64) -> Value {
        self.value(units)
    }

    pub(crate) fn decide(self, cell: &mut Cell, request: Request) -> Ruling {
        let Request { operation, amount, .. } = request;
        let before = self.count(cell.value());
        let (after, granted) = match operation {
            Operation::Acquire | Operation::AcquireUpTo | Operation::Debit => {
                let after = before.saturating_add(amount);
                (after, after - before)
            }
            Operation::Refund { .. } => {
                let granted = amount.min(before);
                (before - granted, granted)
            }
            Operation::Peek => (before, 0),
            Operation::Reset => (0, before),
        };
        if after != before && request.effect == Effect::Take {
            cell.set(self.value(after));
        }
        Ruling {
            limit: u64::MAX,
            remaining: u64::MAX - after,
            granted,
            ..Ruling::new(Verdict::Allowed)
        }
    }

    /// Keeps in `delta` what was added locally, less what was subtracted of that.
    pub(crate) fn accumulate(self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let known = if delta.words[2] == self.tag << TAG_SHIFT { delta.words[1] } else { 0 };
        let moved = whole_units::moved(known, self.count(before), self.count(Some(after)));
        delta.words = self.value(moved).words;
    }

    pub(crate) fn merge(self, value_now: Option<&Value>, delta: &Delta) -> Option<(Value, u64)> {
        let [_, added, tag] = delta.words;
        if tag != self.tag << TAG_SHIFT || added == 0 {
            return None;
        }
        Some((self.value(self.count(value_now).saturating_add(added)), added))
    }
}

impl Counter {
    /// 0 if the cell is of another kind.
    fn count(self, value: Option<&Value>) -> u64 {
        match value {
            Some(value) if value.words[2] == self.tag << TAG_SHIFT => value.words[1],
            _ => 0,
        }
    }

    fn value(self, count: u64) -> Value {
        Value { words: [0, count, self.tag << TAG_SHIFT], expires: GroupTime::MAX }
    }
}
