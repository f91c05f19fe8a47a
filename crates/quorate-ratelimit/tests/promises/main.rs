//! What limits promise, against references that are too simple to be wrong: a list of everything
//! that was admitted.

mod answers;
mod merges;
mod rates;
mod windows;

use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Limit, Limits, Operation, RateLimitModel};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_753_000_000 * SECOND;

const DENIED: u8 = 0;
const ALLOWED: u8 = 1;

const UP_TO: u64 = Operation::AcquireUpTo.argument();
const DEBIT: u64 = Operation::Debit.argument();
const REFUND: u64 = Operation::Refund { window_ms: None }.argument();
const PEEK: u64 = Operation::Peek.argument();
const RESET: u64 = Operation::Reset.argument();

/// Units that remain by an answer: none, if the word for them has what was taken beyond the limit.
fn remaining(answer: &Answer) -> u64 {
    if answer.words[5] >> 62 & 1 == 0 { answer.words[1] } else { 0 }
}

fn share(thousandths: u32, of: u64) -> u64 {
    let part = u128::from(thousandths) * u128::from(of) / 1000;
    u64::try_from(part).expect("a share of a small number")
}

/// One limit and one key, as a store would hold it.
struct OneKey {
    model: RateLimitModel,
    key: quorate_ratelimit::Key,
    value: Option<Value>,
}

impl OneKey {
    fn new(limit: Limit) -> Self {
        let limits = Limits::builder().limit("l", limit).build().expect("usable");
        let key = limits.key("l", "k").expect("known");
        Self { model: limits.model(), key, value: None }
    }

    fn item(&self, amount: u64) -> Item<'_> {
        Operation::Acquire.item(self.key.as_ref(), amount)
    }

    /// Decides as the store does: an expired cell is absent, a changed one is written.
    fn take(&mut self, now: u64, amount: u64) -> Answer {
        let mut cell = self.cell(now);
        let answer = self.model.decide(
            &[self.item(amount)],
            std::slice::from_mut(&mut cell),
            GroupTime(now),
        );
        assert_eq!(cell.is_changed(), answer.units > 0, "a denial or a peek changes nothing");
        assert_eq!(answer.units, if answer.code == ALLOWED { amount } else { 0 });
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        answer
    }

    fn cell(&self, now: u64) -> Cell {
        Cell::new(self.value.filter(|value| value.expires > GroupTime(now)))
    }

    /// A decision of a peer on its own: on `value`, remembered in `delta`.
    fn take_alone(&mut self, now: u64, amount: u64, delta: &mut Delta) -> Answer {
        let before = self.cell(now).value().copied();
        let answer = self.take(now, amount);
        if let (Some(after), true) = (&self.value, answer.units > 0) {
            self.model.accumulate(&self.item(amount), before.as_ref(), after, delta);
            delta.units = delta.units.saturating_add(answer.units);
        }
        answer
    }

    fn merge(&mut self, now: u64, delta: &Delta) -> u64 {
        let mut cell = self.cell(now);
        let units = self.model.merge(self.key.as_ref(), delta, &mut cell, GroupTime(now));
        assert_eq!(cell.is_changed(), units > 0);
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        units
    }

    fn ask(&mut self, now: u64, amount: u64, operation: u64) -> Answer {
        let mut cell = self.cell(now);
        let item = Item { key: self.key.as_ref(), args: [amount, operation] };
        let answer = self.model.decide(&[item], std::slice::from_mut(&mut cell), GroupTime(now));
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        answer
    }
}
