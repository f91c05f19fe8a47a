//! The model of the simulated groups: limits in fixed windows, accounts with a constant sum, and
//! plain counters. Small on purpose: a checker can say what every cell must be.

pub(crate) mod key;
pub(crate) mod operation;
pub(crate) mod real;
pub(crate) mod reference;

use std::time::Duration;

use bytes::Bytes;
use quorate::{Answer, Cell, DecideContext, Delta, GroupTime, Item, Mode, Model, Policy, Value};
use quorate_ratelimit::RateLimitModel;

use crate::base::clock::nanos;
use crate::model::key::{Family, family};
use crate::plan::Plan;
use crate::words::operation::{DENIED, DONE, Kind};

/// Most that one account may owe.
const CREDIT: i64 = 1_000;

/// The model: one limit for all limit keys, and the real limits for theirs.
#[derive(Clone)]
pub(crate) struct SimModel {
    pub(crate) limit: u64,
    pub(crate) window: Duration,
    pub(crate) real: RateLimitModel,
    /// Policies are the real limits.
    pub(crate) is_changing: bool,
}

impl std::fmt::Debug for SimModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimModel").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl SimModel {
    /// Returns what a peer starts with.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            limit: plan.load.limit,
            window: plan.load.window,
            real: real::limits(&plan.real).model(),
            is_changing: plan.real.is_changing,
        }
    }

    /// Most units of a window of this key, by the real limits as they are at present.
    pub(crate) fn max(&self, key: &[u8]) -> u64 {
        let ask = [Item { key: real::bare(key), args: [1, u64::from(operation::ACQUIRE)] }];
        self.real.decide(&ask, &mut [Cell::new(None)], GroupTime(0)).words[0]
    }

    /// The window that a limit is in, and what is used of it.
    fn usage(&self, value: Option<&Value>, now: GroupTime) -> (u64, u64) {
        let window = now.0 / nanos(self.window);
        match value {
            Some(value) if value.words[0] >= window => (value.words[0], value.words[1]),
            _ => (window, 0),
        }
    }

    /// Kept for one window after its own, so that cells expire while the run goes on.
    fn limit_value(&self, window: u64, used: u64) -> Value {
        let expires = GroupTime((window + 2) * nanos(self.window));
        Value { words: [window, used, 0], expires }
    }

    fn acquire(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        let fits = items.iter().zip(&*cells).all(|(item, cell)| {
            let (_, used) = self.usage(cell.value(), now);
            used + item.args[0] <= self.limit
        });
        let mut answer = Answer { code: DENIED, ..Answer::default() };
        for (item, cell) in items.iter().zip(cells) {
            let (window, used) = self.usage(cell.value(), now);
            answer.words = [window, used, self.limit, 0, 0, 0];
            if fits {
                cell.set(self.limit_value(window, used + item.args[0]));
                answer.code = DONE;
                answer.units += item.args[0];
            }
        }
        answer
    }

    fn refund(&self, item: &Item<'_>, cell: &mut Cell, now: GroupTime) -> Answer {
        let (window, used) = self.usage(cell.value(), now);
        let given = used.min(item.args[0]);
        let code = if given > 0 { DONE } else { DENIED };
        if given > 0 {
            cell.set(self.limit_value(window, used - given));
        }
        Answer { code, units: 0, words: [window, used, self.limit, given, 0, 0] }
    }
}

impl Model for SimModel {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        match Kind::from_code(items[0].args[1]) {
            Kind::Acquire => self.acquire(items, cells, now),
            Kind::Refund => self.refund(&items[0], &mut cells[0], now),
            Kind::Transfer => transfer(items, cells),
            Kind::Count => count(items, cells),
            Kind::Real(operation) => self.real.decide(&real::items(items, operation), cells, now),
        }
    }

    fn decide_at(&self, context: DecideContext, items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
        match Kind::from_code(items[0].args[1]) {
            Kind::Real(number) => self.real.decide_at(context, &real::items(items, number), cells),
            _ => self.decide(items, cells, context.now()),
        }
    }

    fn accumulate(
        &self,
        item: &Item<'_>,
        before: Option<&Value>,
        after: &Value,
        delta: &mut Delta,
    ) {
        match family(item.key) {
            Family::Real => {
                let item = Item { key: real::bare(item.key), args: item.args };
                self.real.accumulate(&item, before, after, delta);
            }
            Family::Account | Family::Counter => {
                let change = after.words[0].wrapping_sub(word(before));
                delta.words[0] = delta.words[0].wrapping_add(change);
            }
            Family::Limit => {
                let window = after.words[0];
                if delta.words[0] != window {
                    delta.words = [window, 0, 0];
                }
                let used = before.filter(|b| b.words[0] == window).map_or(0, |b| b.words[1]);
                let change = after.words[1].wrapping_sub(used);
                delta.words[1] = delta.words[1].wrapping_add(change);
            }
        }
    }

    /// A policy is whatever was asked for last, and nothing is decided by it, but in runs that
    /// change the real limits.
    fn change_policy(
        &self,
        policy: &Policy,
        request: &[u8],
        now: GroupTime,
    ) -> Result<Option<Bytes>, String> {
        if self.is_changing {
            return self.real.change_policy(policy, request, now);
        }
        Ok((policy.bytes != request).then(|| Bytes::copy_from_slice(request)))
    }

    fn set_policy(&self, policy: &Policy) -> Result<(), String> {
        if self.is_changing { self.real.set_policy(policy) } else { Ok(()) }
    }

    fn mode_of(&self, items: &[Item<'_>], mode: Mode) -> Mode {
        match Kind::from_code(items[0].args[1]) {
            Kind::Real(number) => self.real.mode_of(&real::items(items, number), mode),
            _ => mode,
        }
    }

    fn decide_alone_at(
        &self,
        context: DecideContext,
        items: &[Item<'_>],
        cells: &mut [Cell],
    ) -> Answer {
        match Kind::from_code(items[0].args[1]) {
            Kind::Real(number) => {
                self.real.decide_alone_at(context, &real::items(items, number), cells)
            }
            _ => self.decide_at(context, items, cells),
        }
    }

    fn merge_at(&self, context: DecideContext, key: &[u8], delta: &Delta, cell: &mut Cell) -> u64 {
        match family(key) {
            Family::Real => self.real.merge_at(context, real::bare(key), delta, cell),
            _ => self.merge(key, delta, cell, context.now()),
        }
    }

    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64 {
        if family(key) == Family::Real {
            return self.real.merge(real::bare(key), delta, cell, now);
        }
        if family(key) != Family::Limit {
            let merged = word(cell.value()).wrapping_add(delta.words[0]);
            cell.set(plain(merged));
            return delta.units;
        }
        let (window, used) = self.usage(cell.value(), now);
        if delta.words[0] != window {
            return 0;
        }
        let change = delta.words[1].cast_signed();
        cell.set(self.limit_value(window, used.saturating_add_signed(change)));
        u64::try_from(change).unwrap_or(0).min(delta.units)
    }
}

fn plain(word: u64) -> Value {
    Value { words: [word, 0, 0], expires: GroupTime::MAX }
}

fn word(value: Option<&Value>) -> u64 {
    value.map_or(0, |value| value.words[0])
}

fn transfer(items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
    let amount = items[0].args[0];
    let left = word(cells[0].value()).wrapping_sub(amount);
    if left.cast_signed() < -CREDIT {
        return Answer { code: DENIED, ..Answer::default() };
    }
    cells[0].set(plain(left));
    let more = word(cells[1].value()).wrapping_add(amount);
    cells[1].set(plain(more));
    Answer { code: DONE, units: amount, ..Answer::default() }
}

fn count(items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
    let mut answer = Answer { code: DONE, ..Answer::default() };
    for (item, cell) in items.iter().zip(cells) {
        // As large as can be: a counter goes round, and says so by no word of its own.
        cell.set(plain(word(cell.value()).wrapping_add(item.args[0])));
        answer.units = answer.units.saturating_add(item.args[0]);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> SimModel {
        let mut plan = Plan::quiet(3);
        plan.load.limit = 10;
        plan.load.window = Duration::from_secs(10);
        SimModel::of(&plan)
    }

    fn item(key: &'static str, amount: u64, kind: Kind) -> Item<'static> {
        Item { key: key.as_bytes(), args: [amount, kind.code()] }
    }

    #[test]
    fn a_limit_admits_up_to_itself_and_starts_anew_in_the_next_window() {
        let mut cells = [Cell::new(None)];
        let now = GroupTime(nanos(Duration::from_secs(35)));
        let ask = [item("l000", 7, Kind::Acquire)];
        assert_eq!(model().decide(&ask, &mut cells, now).units, 7);
        assert_eq!(model().decide(&ask, &mut cells, now).code, DENIED);
        let next = now.after(Duration::from_secs(10));
        assert_eq!(model().decide(&ask, &mut cells, next).words[0], 4);
    }

    #[test]
    fn a_transfer_conserves_the_sum_and_a_merge_of_it_too() {
        let mut cells = [Cell::new(None), Cell::new(None)];
        let ask = [item("t000", 5, Kind::Transfer), item("t001", 5, Kind::Transfer)];
        assert_eq!(model().decide(&ask, &mut cells, GroupTime(0)).code, DONE);
        let sum = |cells: &[Cell; 2]| word(cells[0].value()).wrapping_add(word(cells[1].value()));
        assert_eq!(sum(&cells), 0);
        for index in 0..2 {
            let after = *cells[index].value().expect("a transfer sets both");
            let mut delta = Delta::default();
            model().accumulate(&ask[index], None, &after, &mut delta);
            model().merge(ask[index].key, &delta, &mut cells[index], GroupTime(0));
        }
        assert_eq!(cells[0].value().map(|v| v.words[0].cast_signed()), Some(-10));
        assert_eq!(sum(&cells), 0);
    }
}
