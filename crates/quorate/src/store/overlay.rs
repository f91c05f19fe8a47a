//! What a peer decides alone: kept apart from the replicated cells until it is merged or dropped.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Store;
use super::cell::MODEL;
use super::decide::{change_of, check, seen};
use crate::base::error::Bounded;
use crate::base::id::GroupTime;
use crate::model::{Answer, Cell, DecideContext, Delta, Item, MAX_ITEMS, Model, Value};
use crate::store::refused::Refused;

/// Local decisions of one incarnation.
///
/// Decisions gather in open entries; a batch of them is sealed under a number to be merged, and
/// forgotten only when a majority holds the merge. At most one batch is sealed at a time.
#[derive(Debug)]
pub struct Overlay {
    max_keys: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Number of the last batch sealed.
    number: u64,
    /// When it was.
    sealed_at: GroupTime,
    open: Entries,
    sealed: Entries,
}

type Entries = BTreeMap<Bytes, Local>;

/// A cell as this peer sees it, and what it did to it.
#[derive(Clone, Copy, Debug, Default)]
struct Local {
    value: Value,
    delta: Delta,
}

/// A batch of local decisions that is ready to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Grows with every batch of an incarnation.
    pub number: u64,
    /// When it was sealed, in group time as far as could be told.
    pub at: GroupTime,
    /// What was decided, by key, in the order of keys.
    pub entries: Vec<(Bytes, Delta)>,
    /// Units of all entries.
    pub units: u64,
}

impl Overlay {
    /// An empty overlay for at most `max_keys` keys.
    pub fn new(max_keys: usize) -> Self {
        Self { max_keys, inner: Mutex::default() }
    }

    /// Decides one operation locally at this moment of group time, on what this peer knows.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`] and [`Refused::Full`]; nothing was written.
    pub fn decide(
        &self,
        store: &Store,
        context: DecideContext,
        items: &[Item<'_>],
        model: &dyn Model,
    ) -> Result<Answer, Refused> {
        check(items)?;
        let mut inner = self.inner.lock();
        let mut before = [None; MAX_ITEMS];
        let mut cells = [Cell::default(); MAX_ITEMS];
        for (index, item) in items.iter().enumerate() {
            let value = inner.value(item.key).or_else(|| store.read(MODEL, item.key));
            cells[index] = seen(value, context);
            before[index] = cells[index].value().copied();
        }
        let cells = &mut cells[..items.len()];
        let answer = model.decide_alone_at(context, items, cells);
        let changed = cells.iter().filter(|cell| cell.is_changed()).count() as u64;
        let Some(share) = answer.units.checked_div(changed) else {
            let asked = items.iter().zip(&*cells).filter(|(_, cell)| cell.asked() > 0);
            let made = asked.map(|(item, cell)| {
                usize::from(cell.asked()) - usize::from(inner.open.contains_key(item.key))
            });
            let made: usize = made.sum();
            if made > 0 && inner.len() + made > self.max_keys {
                return Err(self.full());
            }
            return Ok(answer);
        };
        let made = items
            .iter()
            .zip(&*cells)
            .filter(|(item, cell)| cell.is_changed() && !inner.open.contains_key(item.key));
        if inner.len() + made.count() > self.max_keys {
            return Err(self.full());
        }
        // The remainder goes to the first.
        let mut units = share + answer.units % changed;
        for ((item, cell), before) in items.iter().zip(&*cells).zip(&before) {
            let (Some(after), Some(kept)) = (cell.value(), change_of(cell, context)) else {
                continue;
            };
            let local = inner.entry(item.key);
            model.accumulate(item, before.as_ref(), after, &mut local.delta);
            local.delta.units = local.delta.units.saturating_add(units);
            local.value = kept;
            units = share;
        }
        Ok(answer)
    }

    fn full(&self) -> Refused {
        Refused::Full { what: Bounded::OverlayKeys, bound: self.max_keys as u64 }
    }

    /// Seals up to `max_keys` open entries at `now` under the next number, or returns the sealed
    /// batch that has not been confirmed yet; `None` if there is nothing to merge.
    ///
    /// An entry gathers all operations on its key, so a bound may put the keys of one operation
    /// into two batches, of which the first may be merged and the second lost with this peer. That
    /// breaks no promise: deltas are merged key by key, in any order; each batch is counted once;
    /// and what a relaxed peer decided alone is lost with it anyhow. Whole operations cannot be
    /// sealed: those that share keys would chain into a batch without bound.
    pub fn seal(&self, max_keys: usize, now: GroupTime) -> Option<Sealed> {
        let mut inner = self.inner.lock();
        if inner.sealed.is_empty() {
            let rest = inner.open.keys().nth(max_keys.max(1)).cloned();
            let rest = rest.map(|key| inner.open.split_off(&key)).unwrap_or_default();
            inner.sealed = std::mem::replace(&mut inner.open, rest);
            if inner.sealed.is_empty() {
                return None;
            }
            inner.number += 1;
            inner.sealed_at = now;
        }
        Some(Sealed {
            number: inner.number,
            at: inner.sealed_at,
            entries: inner.sealed.iter().map(|(key, local)| (key.clone(), local.delta)).collect(),
            units: units(&inner.sealed),
        })
    }

    /// Forgets the sealed batch `number`: a majority holds its merge, or it will never be merged.
    /// Returns its units.
    pub fn confirm(&self, number: u64) -> u64 {
        let mut inner = self.inner.lock();
        if inner.number != number {
            return 0;
        }
        units(&std::mem::take(&mut inner.sealed))
    }

    /// Drops everything; returns the units dropped.
    pub fn discard(&self) -> u64 {
        let mut inner = self.inner.lock();
        let units = inner.units();
        inner.open.clear();
        inner.sealed.clear();
        units
    }

    /// Units decided locally and not yet merged or dropped.
    pub fn units(&self) -> u64 {
        self.inner.lock().units()
    }

    /// Returns true if there is nothing to merge.
    pub fn is_empty(&self) -> bool {
        self.inner.lock().len() == 0
    }
}

impl Inner {
    /// The newest local value of a key.
    fn value(&self, key: &[u8]) -> Option<Value> {
        self.open.get(key).or_else(|| self.sealed.get(key)).map(|local| local.value)
    }

    /// The open entry of a key, made if it is not there.
    fn entry(&mut self, key: &[u8]) -> &mut Local {
        if !self.open.contains_key(key) {
            self.open.insert(Bytes::copy_from_slice(key), Local::default());
        }
        self.open.get_mut(key).expect("it was there or has been made")
    }

    fn len(&self) -> usize {
        self.open.len() + self.sealed.len()
    }

    fn units(&self) -> u64 {
        units(&self.open).saturating_add(units(&self.sealed))
    }
}

/// Units of entries; `u64::MAX` if they are more.
fn units(entries: &Entries) -> u64 {
    entries.values().fold(0, |sum, local| sum.saturating_add(local.delta.units))
}
