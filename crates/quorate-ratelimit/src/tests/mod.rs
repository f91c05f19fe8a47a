//! Operations on permits and reservations, changes of limits, and peers alone, against references
//! that are too simple to be wrong.

mod alone;
mod carried;
mod changes;
mod jumps;
mod large;
mod permits;
mod reservations;
mod sliding;

use std::collections::BTreeMap;

use quorate::{
    Answer, Cell, DecideContext, Delta, GroupTime, Item, Lead, Mode, Model, Policy, Value,
};

use crate::limit::Limit;
use crate::model::RateLimitModel;
use crate::model::answer::{OVERDRAWN, remaining, word};
use crate::model::file::LimitsSpec;
use crate::model::limits::Limits;
use crate::model::policy::{Carry, Change};
use crate::model::side_cell::SideCell;
use crate::rule::operation::{Operation, SideOperation};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_753_000_000 * SECOND;

/// A model and its cells, as a store holds them: expiries by the steady clock.
pub(crate) struct Store {
    pub(crate) model: RateLimitModel,
    pub(crate) cells: BTreeMap<Vec<u8>, Value>,
    /// The time of the calendar.
    pub(crate) now: u64,
    /// The lead of the calendar over the steady clock.
    pub(crate) lead: Lead,
    policy: Policy,
}

/// The answer of an operation, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: u8,
    pub(crate) remaining: u64,
    /// Granted, or of a denial the wait.
    pub(crate) third: u64,
    pub(crate) marks: u64,
    pub(crate) units: u64,
}

impl Store {
    pub(crate) fn new(limits: &[(&str, Limit)]) -> Self {
        let model = set(limits).model();
        let (cells, lead, policy) = (BTreeMap::new(), Lead::default(), Policy::default());
        Self { model, cells, now: START, lead, policy }
    }

    pub(crate) fn context(&self) -> DecideContext {
        DecideContext::new(GroupTime(self.now - self.lead.nanos), self.lead)
    }

    /// The clocks of a majority are put forward.
    pub(crate) fn jump(&mut self, nanos: u64) {
        self.lead = Lead { nanos: self.lead.nanos + nanos, jumped: self.context().steady() };
        self.now += nanos;
    }

    pub(crate) fn seen(&self, key: &[u8]) -> Option<Value> {
        let context = self.context();
        let value = self.cells.get(key).filter(|value| value.expires > context.steady())?;
        Some(Value { expires: context.by_calendar(value.expires), ..*value })
    }

    /// Decides, and writes as a store does: the later expiry is kept.
    pub(crate) fn decide(&mut self, items: &[Item<'_>]) -> Told {
        let mut cells: Vec<Cell> =
            items.iter().map(|item| Cell::new(self.seen(item.key))).collect();
        let answer = self.model.decide_at(self.context(), items, &mut cells);
        for (item, cell) in items.iter().zip(&cells).filter(|(_, cell)| cell.is_changed()) {
            self.write(item.key, cell);
        }
        told(&answer)
    }

    pub(crate) fn write(&mut self, key: &[u8], cell: &Cell) {
        let mut value = *cell.value().expect("a changed cell has a value");
        if value.expires != GroupTime::MAX {
            value.expires.0 = value.expires.0.saturating_sub(self.lead.nanos);
        }
        if let Some(before) = self.cells.get(key) {
            value.expires = value.expires.max(before.expires);
        }
        self.cells.insert(key.to_vec(), value);
    }

    pub(crate) fn one(&mut self, name: &str, operation: Operation, amount: u64) -> Told {
        let key = key(name);
        self.decide(&[operation.item(&key, amount)])
    }

    pub(crate) fn acquire(&mut self, name: &str, amount: u64) -> Told {
        self.one(name, Operation::Acquire, amount)
    }

    pub(crate) fn remaining(&mut self, name: &str) -> u64 {
        self.one(name, Operation::Peek, 1).remaining
    }

    /// An operation on a permit.
    pub(crate) fn permit(
        &mut self,
        name: &str,
        id: u8,
        operation: SideOperation,
        amount: u64,
    ) -> Told {
        let key = key(name);
        let own = SideCell::Permit.key(&[&key, &[id]]);
        self.decide(&[operation.item(&key, amount), own.item()])
    }

    /// An operation on a reservation.
    pub(crate) fn reservation(
        &mut self,
        name: &str,
        id: u8,
        how: SideOperation,
        amount: u64,
    ) -> Told {
        let key = key(name);
        let own = SideCell::Reservation.key(&[&key, &[id]]);
        let reserved = SideCell::Reserved.key(&[&key]);
        self.decide(&[how.item(&key, amount), own.item(), reserved.item()])
    }

    /// An acquire as a limiter makes it: once more with the holds if it is denied by a marked cell.
    pub(crate) fn acquire_or_settle(&mut self, name: &str, amount: u64) -> Told {
        let first = self.acquire(name, amount);
        if first.code != crate::model::answer::code::DENIED || first.marks >> 32 & 1 == 0 {
            return first;
        }
        let key = key(name);
        let reserved = SideCell::Reserved.key(&[&key]);
        self.decide(&[Operation::Acquire.item(&key, amount), reserved.item()])
    }

    pub(crate) fn change(&mut self, limits: &[(&str, Limit)], carry: Carry) -> Result<u64, String> {
        let limits = LimitsSpec::from(&set(limits)).limits;
        let request = serde_json::to_vec(&Change { carry, limits }).expect("it is written");
        let changed = self.model.change_policy(&self.policy, &request, GroupTime(self.now))?;
        if let Some(bytes) = changed {
            self.policy = Policy { revision: self.policy.revision + 1, bytes };
            self.model.set_policy(&self.policy)?;
        }
        Ok(self.policy.revision)
    }
}

/// A peer that decides alone beside a store.
pub(crate) struct Alone<'a> {
    pub(crate) store: &'a Store,
    pub(crate) values: BTreeMap<Vec<u8>, Value>,
    pub(crate) deltas: BTreeMap<Vec<u8>, Delta>,
    pub(crate) now: u64,
}

impl<'a> Alone<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, values: BTreeMap::new(), deltas: BTreeMap::new(), now: store.now }
    }

    pub(crate) fn decide(&mut self, items: &[Item<'_>]) -> Told {
        let value =
            |key: &[u8]| self.values.get(key).or_else(|| self.store.cells.get(key)).copied();
        let seen =
            |item: &Item<'_>| Cell::new(value(item.key).filter(|value| value.expires.0 > self.now));
        let mut cells: Vec<Cell> = items.iter().map(seen).collect();
        let before = cells.clone();
        let model = &self.store.model;
        assert_eq!(model.mode_of(items, Mode::Relaxed), Mode::Relaxed);
        let answer = model.decide_alone(items, &mut cells, GroupTime(self.now));
        for ((item, cell), before) in items.iter().zip(&cells).zip(&before) {
            if let Some(after) = cell.value().filter(|_| cell.is_changed()) {
                let delta = self.deltas.entry(item.key.to_vec()).or_default();
                model.accumulate(item, before.value(), after, delta);
                self.values.insert(item.key.to_vec(), *after);
            }
        }
        told(&answer)
    }

    pub(crate) fn acquire(&mut self, name: &str, amount: u64) -> Told {
        let key = key(name);
        self.decide(&[Operation::Acquire.item(&key, amount)])
    }
}

/// Merges what a peer has decided alone; the units counted.
pub(crate) fn merge(store: &mut Store, deltas: &BTreeMap<Vec<u8>, Delta>) -> u64 {
    let mut units = 0;
    for (key, delta) in deltas {
        let mut cell = Cell::new(store.seen(key));
        units += store.model.merge_at(store.context(), key, delta, &mut cell);
        if cell.is_changed() {
            store.write(key, &cell);
        }
    }
    units
}

pub(crate) fn set(limits: &[(&str, Limit)]) -> Limits {
    let builder = Limits::builder();
    let add =
        |builder: crate::LimitsBuilder, (name, limit): &(&str, Limit)| builder.limit(*name, *limit);
    limits.iter().fold(builder, add).build().expect("usable")
}

/// The key of everybody under a limit.
pub(crate) fn key(name: &str) -> Vec<u8> {
    [&crate::rule::hash::limit_id(name).to_le_bytes()[..], b"k"].concat()
}

fn told(answer: &Answer) -> Told {
    let words = answer.words;
    Told {
        code: answer.code,
        remaining: remaining(answer).0,
        third: words[word::GRANTED],
        marks: (words[word::INDEX] & !OVERDRAWN) >> 8,
        units: answer.units,
    }
}
