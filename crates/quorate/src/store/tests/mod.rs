//! The store against a model, alone and under threads.

mod concurrency;
mod cuts;
mod data_path;
mod equivalence;
mod expiry;
mod loading;
mod merging;
mod reigns;

use super::{ApplyError, CELL_BYTES, CopyCursor, Cut, Decided, Refused, Staged, Store, cell_bytes};
use crate::base::id::{Ballot, Generation, GroupTime, Position, Sequence, Term, Time};
use crate::config::{Acknowledge, Bounds};
use crate::model::{Answer, Cell, Delta, Item, Model, Value};
use crate::record::{Record, Records};
use crate::state::BatchEnd;

/// Accounts: `args[0]` is added to the balance, which may not become negative; `args[1]` is the
/// expiry, 0 for never. Units are what was added.
pub(super) struct Bank;

impl Model for Bank {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], _: GroupTime) -> Answer {
        let balances = |cell: &Cell| cell.value().map_or(0, |value| value.words[0]) as i64;
        let after = |(item, cell): (&Item<'_>, &Cell)| balances(cell) + item.args[0] as i64;
        if items.iter().zip(&*cells).any(|pair| after(pair) < 0) {
            return Answer::default();
        }
        let mut units = 0;
        for (item, cell) in items.iter().zip(cells) {
            if item.args[0] != 0 {
                let expires = if item.args[1] == 0 { u64::MAX } else { item.args[1] };
                let words = [after((item, cell)) as u64, 7, 0];
                cell.set(Value { words, expires: GroupTime(expires) });
                units += u64::try_from(item.args[0] as i64).unwrap_or(0);
            }
        }
        Answer { code: 1, units, ..Answer::default() }
    }

    fn accumulate(&self, _: &Item<'_>, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let before = before.map_or(0, |value| value.words[0]);
        delta.words[0] = delta.words[0].wrapping_add(after.words[0].wrapping_sub(before));
    }

    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, _: GroupTime) -> u64 {
        if key.starts_with(b"closed") {
            return 0;
        }
        let balance = cell.value().map_or(0, |value| value.words[0]);
        let words = [balance.wrapping_add(delta.words[0]), 7, 0];
        cell.set(Value { words, expires: GroupTime::MAX });
        delta.units
    }
}

/// Takes as many units as the first argument says.
pub(super) struct Meter;

impl Model for Meter {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], _: GroupTime) -> Answer {
        let units = items[0].args[0];
        cells[0].set(Value { words: [units, 0, 0], expires: GroupTime::MAX });
        Answer { code: 1, units, ..Answer::default() }
    }

    fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

    fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
        0
    }
}

pub(super) fn bounds() -> Bounds {
    Bounds { shards: 4, max_cells: 10_000, ..Bounds::default() }
}

pub(super) fn ballot(term: u64) -> Ballot {
    Ballot { generation: Generation::from_bits(1), term: Term(term) }
}

/// A store that reigns and may decide for ever, its group time being the time.
pub(super) fn primary() -> Store {
    let store = Store::with_hash_seed(bounds(), 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    store
}

pub(super) fn follower() -> Store {
    Store::with_hash_seed(bounds(), 2)
}

pub(super) fn item(key: &[u8], amount: i64) -> Item<'_> {
    Item { key, args: [amount as u64, 0] }
}

pub(super) fn add(store: &Store, key: &str, amount: i64) -> Decided {
    try_add(store, key, amount).expect("the store may decide")
}

/// Adds one to each of the keys.
pub(super) fn add_all(store: &Store, keys: impl IntoIterator<Item = impl ToString>) {
    for key in keys {
        add(store, &key.to_string(), 1);
    }
}

pub(super) fn try_add(store: &Store, key: &str, amount: i64) -> Result<Decided, Refused> {
    let items = [item(key.as_bytes(), amount)];
    store.decide(Time(1_000), &items, &Bank, Acknowledge::Primary)
}

/// Adds to a cell that expires; decided at `time`.
pub(super) fn add_until(store: &Store, time: u64, key: &str, expires: u64) -> Decided {
    let items = [Item { key: key.as_bytes(), args: [1, expires] }];
    store.decide(Time(time), &items, &Bank, Acknowledge::Primary).expect("the store may decide")
}

pub(super) fn balance(store: &Store, key: &str) -> Option<u64> {
    store.read(super::MODEL, key.as_bytes()).map(|value| value.words[0])
}

/// A cut of everything since a sequence.
pub(super) fn cut_since(store: &Store, since: Sequence) -> Cut {
    store.cut(GroupTime(0), since, &[], usize::MAX)
}

/// Records, sorted by their keys.
pub(super) fn sorted(records: &Records) -> Vec<Record<'_>> {
    let mut records: Vec<_> = records.iter().collect();
    records.sort_by_key(|record| record.key);
    records
}

/// A batch that brings a follower to a cut.
pub(super) fn staged(store: &Store, from: Option<Position>, cut: Cut) -> Staged {
    let end = cut.batch_end(Some(store.meta()));
    let records = cut.records.expect("the cut is within its bound");
    Staged { from, records: vec![records], end }
}

/// Brings a follower of the same history up to date.
pub(super) fn follow(primary: &Store, follower: &Store) -> Cut {
    let from = follower.position();
    let cut = cut_since(primary, from.sequence);
    follower.apply(staged(primary, Some(from), cut.clone())).expect("the follower holds `from`");
    cut
}

/// Copies everything, a few bytes at a time.
pub(super) fn copy_all(store: &Store, max_bytes: usize) -> Vec<Records> {
    let mut cursor = CopyCursor::since(Sequence(0));
    let mut records = Vec::new();
    while !cursor.is_done() {
        records.push(store.copy(&mut cursor, max_bytes));
    }
    records
}
