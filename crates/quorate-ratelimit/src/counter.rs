//! Plain counters: a number that is added to and subtracted from, and never begins anew.
//!
//! A cell's words: nothing, the count, and the tag. It never expires, and what is subtracted is at
//! most what is there.

use quorate::{Cell, Delta, GroupTime, Value};

use crate::counting;
use crate::operation::{Operation, Order};
use crate::outcome::{Effect, Outcome, TAG_SHIFT, Verdict};

/// No other kind of cell has it: those of rates have the top bit, those of fixed windows are odd, and
/// those of sliding windows no multiple of 4.
const TAG: u64 = 4;

/// A counter; all are alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter;

impl Counter {
    pub(crate) fn decide(
        self,
        cell: &mut Cell,
        Order { operation, amount }: Order,
        effect: Effect,
    ) -> Outcome {
        let before = count(cell.value());
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
        if after != before && effect == Effect::Take {
            cell.set(value(after));
        }
        Outcome {
            verdict: Verdict::Allowed,
            limit: u64::MAX,
            remaining: u64::MAX - after,
            granted,
            retry_after: 0,
            reset_after: 0,
            window: None,
        }
    }

    /// Keeps in `delta` what was added locally, less what was subtracted of that.
    pub(crate) fn accumulate(self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let (before, after) = (count(before), count(Some(after)));
        let known = if delta.words[2] == TAG << TAG_SHIFT { delta.words[1] } else { 0 };
        delta.words = value(counting::moved(known, before, after)).words;
    }

    pub(crate) fn merge(self, value_now: Option<&Value>, delta: &Delta) -> Option<(Value, u64)> {
        let [_, added, tag] = delta.words;
        if tag != TAG << TAG_SHIFT || added == 0 {
            return None;
        }
        Some((value(count(value_now).saturating_add(added)), added))
    }
}

/// 0 if the cell is of another kind.
fn count(value: Option<&Value>) -> u64 {
    value.filter(|value| value.words[2] == TAG << TAG_SHIFT).map_or(0, |value| value.words[1])
}

fn value(count: u64) -> Value {
    Value { words: [0, count, TAG << TAG_SHIFT], expires: GroupTime::MAX }
}
