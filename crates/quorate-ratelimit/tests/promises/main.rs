//! What limits promise, against references that are too simple to be wrong: a list of everything
//! that was admitted.

mod answers;
mod merges;
#[path = "../one_key/mod.rs"]
mod one_key;
mod rates;
mod windows;

use one_key::{
    ALLOWED, DEBIT, DENIED, MILLISECOND, OneKey, PEEK, REFUND, RESET, SECOND, START, UP_TO,
    remaining,
};
use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Limit, Limits, Operation};

fn share(thousandths: u32, of: u64) -> u64 {
    let part = u128::from(thousandths) * u128::from(of) / 1000;
    u64::try_from(part).expect("a share of a small number")
}

impl OneKey {
    fn item(&self, amount: u64) -> Item<'_> {
        Operation::Acquire.item(self.key.as_ref(), amount)
    }

    /// Takes units, and looks whether the cell was changed as the answer says.
    fn take(&mut self, now: u64, amount: u64) -> Answer {
        let mut cell = self.cell(now);
        let answer = self.model.decide(
            &[self.item(amount)],
            std::slice::from_mut(&mut cell),
            GroupTime(now),
        );
        assert_eq!(cell.is_changed(), answer.units > 0, "a denial or a peek changes nothing");
        assert_eq!(answer.units, if answer.code == ALLOWED { amount } else { 0 });
        self.keep(&cell);
        answer
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
}
