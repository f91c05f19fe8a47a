//! What a sliding window promises, against a list of everything that was ever taken: in no time of
//! its length more than the max, and what it denies too early is bounded.

mod cases;
mod properties;

use std::time::Duration;

use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Key, Limit, Limits, Operation, RateLimitModel};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const START: u64 = 1_753_000_000 * SECOND;

const DENIED: u8 = 0;
const ALLOWED: u8 = 1;

/// Units that remain by an answer: none, if the word for them has what was taken beyond the limit.
fn remaining(answer: &Answer) -> u64 {
    if answer.words[5] >> 62 & 1 == 0 { answer.words[1] } else { 0 }
}

const ACQUIRE: u64 = Operation::Acquire.argument();
const UP_TO: u64 = Operation::AcquireUpTo.argument();
const DEBIT: u64 = Operation::Debit.argument();
const REFUND: u64 = Operation::Refund { window_ms: None }.argument();
const PEEK: u64 = Operation::Peek.argument();
const RESET: u64 = Operation::Reset.argument();

/// One limit and one key, as a store would hold it.
struct OneKey {
    model: RateLimitModel,
    key: Key,
    value: Option<Value>,
}

impl OneKey {
    fn new(limit: Limit) -> Self {
        let limits = Limits::builder().limit("l", limit).build().expect("usable");
        let key = limits.key("l", "k").expect("known");
        Self { model: limits.model(), key, value: None }
    }

    fn cell(&self, now: u64) -> Cell {
        Cell::new(self.value.filter(|value| value.expires > GroupTime(now)))
    }

    /// Decides as the store does: an expired cell is absent, a changed one is written.
    fn ask(&mut self, now: u64, amount: u64, operation: u64) -> Answer {
        let mut cell = self.cell(now);
        let item = Item { key: self.key.as_ref(), args: [amount, operation] };
        let answer = self.model.decide(&[item], std::slice::from_mut(&mut cell), GroupTime(now));
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        answer
    }

    fn take(&mut self, now: u64, amount: u64) -> Answer {
        self.ask(now, amount, ACQUIRE)
    }

    /// The same without an effect.
    fn would(&mut self, now: u64, amount: u64) -> Answer {
        let value = self.value;
        let answer = self.take(now, amount);
        self.value = value;
        answer
    }

    /// A decision of a peer on its own: on `value`, remembered in `delta`.
    fn ask_alone(&mut self, now: u64, amount: u64, operation: u64, delta: &mut Delta) -> Answer {
        let before = self.cell(now).value().copied();
        let value = self.value;
        let answer = self.ask(now, amount, operation);
        if let Some(after) = self.value.filter(|after| Some(*after) != value) {
            let item = Item { key: self.key.as_ref(), args: [amount, operation] };
            self.model.accumulate(&item, before.as_ref(), &after, delta);
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
}

fn sliding(max: u64, length: u64) -> OneKey {
    OneKey::new(Limit::sliding(max, Duration::from_nanos(length)))
}

/// The slices of a length that a max has.
fn slices(max: u64) -> u64 {
    match max {
        0..=7 => 32,
        8..=63 => 16,
        _ => 8,
    }
}

/// Everything that was taken and not given back: when, and how much.
#[derive(Clone, Debug, Default)]
struct Log(Vec<(u64, u64)>);

impl Log {
    fn push(&mut self, at: u64, units: u64) {
        if units > 0 {
            self.0.push((at, units));
        }
    }

    /// Units that were taken in the time before `now`, its beginning left out.
    fn within(&self, now: u64, time: u64) -> u64 {
        self.0.iter().filter(|(at, _)| now - at < time).map(|(_, units)| units).sum()
    }
}

fn share(thousandths: u32, of: u64) -> u64 {
    let part = u128::from(thousandths) * u128::from(of) / 1000;
    u64::try_from(part).expect("a share of a small number")
}
