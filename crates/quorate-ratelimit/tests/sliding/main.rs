//! What a sliding window promises, against a list of everything that was ever taken: in no time of
//! its length more than the max, and what it denies too early is bounded.

mod cases;
#[path = "../one_key/mod.rs"]
mod one_key;
mod properties;

use std::time::Duration;

use one_key::{
    ALLOWED, DEBIT, DENIED, MILLISECOND, OneKey, PEEK, REFUND, RESET, SECOND, START, UP_TO,
    remaining,
};
use quorate::{Answer, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Limit, Operation};

const ACQUIRE: u64 = Operation::Acquire.argument();

impl OneKey {
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
