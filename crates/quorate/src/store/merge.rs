//! Merging what a peer decided alone, once and in one change.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::Store;
use super::capacity::Amount;
use super::cell::{KeyRef, MERGES};
use super::decide::{change_of, check_key, seen};
use super::shard::{Place, Shard};
use crate::base::bug::{self, Bug};
use crate::base::error::Bounded;
use crate::base::id::{GroupTime, Incarnation, PeerName, Position, Time};
use crate::model::{DecideContext, Delta, Model, Value};
use crate::store::capacity::MAX_MERGE_RECORDS_OF_PEER;
use crate::store::refused::Refused;

/// How long it is remembered, in group time, that a batch of local decisions was merged. One that
/// was sealed longer ago is not merged: it may have been.
pub const MERGE_MEMORY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a peer decided alone, on its way into the group's cells.
#[derive(Clone, Copy, Debug)]
pub struct SealedBatch<'a> {
    /// Who decided it.
    pub origin: &'a PeerName,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// Grows with every batch of an incarnation.
    pub number: u64,
    /// When it was sealed, in group time as far as its origin could tell; the same however often it
    /// comes. 0 if its origin does not say.
    pub sealed_at: GroupTime,
    /// The model's keys and what was decided about each.
    pub entries: &'a [(Bytes, Delta)],
}

impl SealedBatch<'_> {
    /// Returns true if this may be a repeat of a merge that nobody remembers any more.
    fn is_forgotten(&self, now: GroupTime) -> bool {
        self.sealed_at != GroupTime(0) && self.sealed_at.after(MERGE_MEMORY) <= now
    }

    /// Returns true if its repeats would be taken for longer than any merge is remembered.
    fn is_ahead(&self, now: GroupTime) -> bool {
        self.sealed_at > now.after(MERGE_MEMORY)
    }

    /// Until when its merge is to be remembered: for as long as a repeat is taken.
    fn remembered_until(&self, now: GroupTime) -> GroupTime {
        self.sealed_at.max(now).after(MERGE_MEMORY)
    }

    /// The key of the record of a start of this origin, one of [`MAX_MERGE_RECORDS_OF_PEER`].
    fn record_key(&self, number: usize) -> Vec<u8> {
        // No name has such a byte.
        [self.origin.as_str().as_bytes(), &[number as u8]].concat()
    }
}

/// What came of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Units counted.
    pub units: u64,
    /// Units that the model did not count: of windows that had closed, or beyond a limit.
    pub dropped: u64,
    /// Whether it had been merged before: nothing was changed now.
    pub already: bool,
    /// Whether it has changed any cell, and is remembered for that. What changes nothing need not
    /// be: a repeat may as well.
    pub is_recorded: bool,
    /// Answer only when [`Store::committed`] covers this.
    pub position: Position,
    /// The group time of the merge, by both clocks.
    pub context: DecideContext,
    /// Whether this is the first change since the last cut: the state machine must be told.
    pub wake: bool,
}

impl Merged {
    fn already(position: Position, context: DecideContext) -> Self {
        Self {
            units: 0,
            dropped: 0,
            already: true,
            is_recorded: true,
            position,
            context,
            wake: false,
        }
    }
}

/// A cell of a merge: where it is and what becomes of it.
struct Target<'a> {
    key: KeyRef<'a>,
    place: Place,
    found: Option<u32>,
    change: Option<Value>,
}

impl Store {
    /// Applies what a peer decided alone, as one change together with the record that it was.
    ///
    /// A batch with a number not above the last one of the same incarnation has been merged
    /// already: nothing is changed.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; nothing was written.
    pub fn merge(
        &self,
        time: Time,
        batch: &SealedBatch<'_>,
        model: &dyn Model,
    ) -> Result<Merged, Refused> {
        let mut merged = self.merge_once(time, batch, model);
        if matches!(merged, Err(Refused::Full { .. })) && self.make_room(time) {
            merged = self.merge_once(time, batch, model);
        }
        if matches!(merged, Err(Refused::Full { .. })) {
            self.capacity.note_refused();
        }
        merged
    }

    /// Other starts of the same peer may take the record that was found for this one, each once.
    fn merge_once(
        &self,
        time: Time,
        batch: &SealedBatch<'_>,
        model: &dyn Model,
    ) -> Result<Merged, Refused> {
        for _ in 0..MAX_MERGE_RECORDS_OF_PEER {
            if let Some(merged) = self.try_merge(time, batch, model)? {
                return Ok(merged);
            }
        }
        Err(too_many_starts())
    }

    /// `None` if another start has taken the record since it was looked for.
    fn try_merge(
        &self,
        time: Time,
        batch: &SealedBatch<'_>,
        model: &dyn Model,
    ) -> Result<Option<Merged>, Refused> {
        let SealedBatch { incarnation, number, entries, .. } = *batch;
        check_entries(entries)?;
        let record_key = self.record_of(time, batch)?;
        check_key(&record_key)?;
        let record_key = KeyRef { namespace: MERGES, rest: &record_key };
        let record_place = self.place(record_key);
        let places: Vec<Place> = entries
            .iter()
            .map(|(key, _)| self.place(KeyRef::model(key)))
            .chain([record_place])
            .collect();
        let mut locks = self.lock_all(&places);
        let context = self.authority.admit(time)?;
        let now = context.steady();
        if batch.is_forgotten(now) {
            return Err(Refused::Forgotten { memory: MERGE_MEMORY });
        }
        if batch.is_ahead(now) {
            return Err(Refused::Ahead { most: MERGE_MEMORY });
        }

        let shard = lock_of(&mut locks, record_place);
        let record = shard.find(record_place.tag, record_key);
        let known = record.map(|at| shard.slots.get(at)).filter(|slot| slot.value.expires > now);
        if let Some(slot) = known {
            if slot.value.words[1] != incarnation.0 {
                return Ok(None);
            }
            if slot.value.words[0] >= number && !bug::is(Bug::OverlayMergedTwice) {
                let position = self.position_of(shard.changed_at(slot));
                return Ok(Some(Merged::already(position, context)));
            }
        }

        let mut units: u64 = 0;
        let mut targets = Vec::with_capacity(places.len());
        for ((key, delta), &place) in entries.iter().zip(&places) {
            let shard = lock_of(&mut locks, place);
            let target = KeyRef::model(key);
            let found = shard.find(place.tag, target);
            let mut cell = seen(found.map(|at| shard.slots.get(at).value), context);
            units = units.saturating_add(model.merge_at(context, key, delta, &mut cell));
            let change = change_of(&cell, context);
            targets.push(Target { key: target, place, found, change });
        }
        let is_recorded = targets.iter().any(|target| target.change.is_some());
        if is_recorded {
            let expires = batch.remembered_until(now);
            let change = Some(Value { words: [number, incarnation.0, 0], expires });
            targets.push(Target { key: record_key, place: record_place, found: record, change });
        }
        let mut new = Amount::default();
        let made =
            targets.iter().filter(|target| target.change.is_some() && target.found.is_none());
        made.for_each(|target| new.add(target.key));
        self.capacity.reserve(new)?;

        let sequence = self.write_all(&mut locks, &targets);
        self.account(lock_of(&mut locks, record_place), units);
        let taken: u64 = entries.iter().fold(0, |sum, (_, delta)| sum.saturating_add(delta.units));
        Ok(Some(Merged {
            units,
            dropped: taken.saturating_sub(units),
            already: false,
            is_recorded,
            position: self.position_of(sequence),
            context,
            wake: self.sequence_word.note_change(),
        }))
    }

    /// The key of the record of a batch's origin: the one that it has, else one that is free.
    fn record_of(&self, time: Time, batch: &SealedBatch<'_>) -> Result<Vec<u8>, Refused> {
        let now = self.authority.admit(time)?.steady();
        let mut free = None;
        for number in 0..MAX_MERGE_RECORDS_OF_PEER {
            let key = batch.record_key(number);
            let record = self.read(MERGES, &key);
            if record.is_some_and(|record| record.words[1] == batch.incarnation.0) {
                return Ok(key);
            }
            if record.is_none_or(|record| record.expires <= now) {
                free.get_or_insert(key);
            }
        }
        free.ok_or_else(too_many_starts)
    }

    fn write_all(&self, locks: &mut Guards<'_>, targets: &[Target<'_>]) -> u64 {
        let sequence = self.sequence_word.take();
        let stamp = self.stamp(sequence);
        for Target { key, place, found, change } in targets {
            let shard = lock_of(locks, *place);
            let stamp = shard.prepare(stamp);
            if let Some(value) = *change {
                shard.put(place.tag, *key, *found, value, stamp);
            }
        }
        sequence
    }

    /// Locks each shard once, in the order of their numbers.
    fn lock_all(&self, places: &[Place]) -> Guards<'_> {
        let mut numbers: Vec<u32> = places.iter().map(|place| place.shard).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| (number, self.lock(number))).collect()
    }
}

fn too_many_starts() -> Refused {
    Refused::Full { what: Bounded::MergeRecords, bound: MAX_MERGE_RECORDS_OF_PEER as u64 }
}

/// Locks by shard number.
type Guards<'a> = BTreeMap<u32, MutexGuard<'a, Shard>>;

fn lock_of<'g>(locks: &'g mut Guards<'_>, place: Place) -> &'g mut Shard {
    locks.get_mut(&place.shard).expect("every target's shard is locked")
}

fn check_entries(entries: &[(Bytes, Delta)]) -> Result<(), Refused> {
    if entries.is_empty() {
        return Err(Refused::Invalid { what: "entries that a merge has at least:", bound: 1 });
    }
    let mut keys: Vec<&Bytes> = entries.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    for key in &keys {
        check_key(key)?;
    }
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refused::Invalid { what: "times that one key may be in a merge:", bound: 1 });
    }
    Ok(())
}
