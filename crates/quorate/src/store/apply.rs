//! Adopting a cut of another peer, whole.

use std::sync::atomic::Ordering;

use super::capacity::Amount;
use super::past_cuts::PastCut;
use super::shard::{Place, Shard, Stamp};
use super::{LastCut, Loading, Maintenance, Store, Units};
use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, Lead, Position, Sequence};
use crate::model::Value;
use crate::record::Records;
use crate::state::{BatchEnd, History};
use crate::store::shard::PlacedRecord;

/// A batch with all of its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The position it starts from; `None` if it replaces everything.
    pub from: Option<Position>,
    /// Cells; a later record of the same key replaces an earlier one.
    pub records: Vec<Records>,
    /// What the state becomes.
    pub end: BatchEnd,
}

/// Why a batch was not applied. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// This peer reigns: it decides and takes no other state.
    #[error("this peer is the primary")]
    Reigning,
    /// The batch starts from another position than the one held.
    #[error("the batch starts from {from}, the position held is {held}")]
    From {
        /// Where the batch starts.
        from: Position,
        /// The position held.
        held: Position,
    },
    /// The batch builds on what is held, and would bring group time back to before the expiry of
    /// cells that have been dropped here: they may live there. Only one that replaces everything
    /// can be applied.
    #[error("the batch ends at group time {group_time}, cells up to {missing_before} have gone")]
    Missing {
        /// Group time of its end, in nanoseconds.
        group_time: u64,
        /// Cells that had expired by then have gone, in nanoseconds of group time.
        missing_before: u64,
    },
    /// A key is empty or too long.
    #[error("a key of {bytes} bytes is not usable")]
    Key {
        /// Its length with the namespace.
        bytes: usize,
    },
    /// The position is out of range.
    #[error("the position {0} is out of range")]
    Position(Position),
}

/// Records and where they go, by shard; of one shard, in the order of the batch.
struct Shares<'a> {
    entries: Vec<PlacedRecord<'a>>,
    /// Numbers of the entries, in the order of their shards.
    order: Vec<u32>,
    /// Where each shard's part of the order ends.
    ends: Vec<u32>,
}

impl<'a> Shares<'a> {
    /// Orders entries by counting: only their numbers move.
    fn new(entries: Vec<PlacedRecord<'a>>, shards: usize) -> Self {
        let mut ends = vec![0; shards];
        for entry in &entries {
            ends[entry.place.shard as usize] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            // Where the shard's part begins, until its entries are in.
            sum += std::mem::replace(end, sum);
        }
        let mut order = vec![0; entries.len()];
        for (number, entry) in (0..).zip(&entries) {
            let end = &mut ends[entry.place.shard as usize];
            order[*end as usize] = number;
            *end += 1;
        }
        Self { entries, order, ends }
    }

    /// The entries of a shard.
    fn of(&self, shard: usize) -> impl ExactSizeIterator<Item = &PlacedRecord<'a>> {
        let start = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        let numbers = &self.order[start as usize..self.ends[shard] as usize];
        numbers.iter().map(|&number| &self.entries[number as usize])
    }
}

impl Store {
    /// Adopts the state at the end of a batch, all at once.
    ///
    /// # Errors
    ///
    /// See [`ApplyError`]; nothing was written.
    pub fn apply(&self, batch: Staged) -> Result<(), ApplyError> {
        self.adopt_batch(batch, |maintenance, batch| {
            let group_time = batch.end.group_time.0;
            let missing_before = maintenance.sweep.missing_before().0;
            if batch.from.is_some() && group_time < missing_before {
                return Err(ApplyError::Missing { group_time, missing_before });
            }
            Ok(())
        })
    }

    /// Adopts the state at the end of a batch that this peer had applied before and kept: that
    /// nothing was missing for it has been seen then.
    ///
    /// # Errors
    ///
    /// See [`ApplyError`]; nothing was written.
    pub fn restore(&self, batch: Staged) -> Result<(), ApplyError> {
        self.adopt_batch(batch, |_, _| Ok(()))
    }

    /// Adopts a state that was loaded, all at once. It takes the place of whatever is held.
    ///
    /// # Errors
    ///
    /// See [`ApplyError`]; nothing was written.
    pub fn apply_loaded(&self, loading: Loading, end: &BatchEnd) -> Result<(), ApplyError> {
        let mut maintenance = self.maintenance.lock();
        if let Err(error) = self.check(&maintenance, None, end) {
            self.discard(loading);
            return Err(error);
        }
        self.replace(&mut maintenance, loading, end);
        Ok(())
    }

    fn adopt_batch(
        &self,
        batch: Staged,
        check: impl FnOnce(&Maintenance, &Staged) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let mut maintenance = self.maintenance.lock();
        let Staged { from, end, .. } = &batch;
        self.check(&maintenance, *from, end)?;
        check(&maintenance, &batch)?;
        if from.is_none() {
            let mut loading = Loading::default();
            for mut records in batch.records {
                self.load(&mut loading, &mut records, usize::MAX)?;
            }
            self.replace(&mut maintenance, loading, &batch.end);
            while self.drop_discarded() {}
            return Ok(());
        }
        // Nothing is written unless all of it can be.
        for record in batch.records.iter().flatten() {
            self.entry(record)?;
        }
        let sequence = end.position.sequence;
        let told = told(end);
        maintenance.sweep.note_missing(told);
        // What a majority had seen before may have been taken back.
        let known = self.commitment.expired_before.load(Ordering::Relaxed);
        let known = known.min(end.group_time.0).max(told.0);
        self.commitment.expired_before.store(known, Ordering::Relaxed);
        // Within a reign sequences only grow, except in what no peer writes.
        let held = self.position();
        if held.ballot != end.position.ballot || sequence < held.sequence {
            self.rewind(sequence);
        }
        // One piece at a time: what it takes to order them is no more than for one.
        for records in &batch.records {
            self.change_all(&self.share(records)?, sequence);
        }
        self.adopt(end);
        Ok(())
    }

    /// Takes up a state that was loaded, instead of the one held.
    fn replace(&self, maintenance: &mut Maintenance, loading: Loading, end: &BatchEnd) {
        let told = told(end);
        self.exchange(loading, end.position.sequence);
        // Whoever does not say what it lacks lacks nothing that lives.
        let missing_before = if told == GroupTime(0) { end.group_time } else { told };
        maintenance.sweep.reset(missing_before);
        self.commitment.expired_before.store(told.0, Ordering::Relaxed);
        self.adopt(end);
    }

    /// Becomes blank.
    pub fn clear(&self) {
        self.revoke();
        let mut maintenance = self.maintenance.lock();
        for lane in &self.shards {
            let old = std::mem::take(&mut *lane.0.lock());
            drop(old);
        }
        self.capacity.set(Amount::default());
        self.sequence_word.clear_changed();
        *self.commitment.units.lock() = Units::default();
        self.commitment.expired_before.store(0, Ordering::Relaxed);
        *self.commitment.position.lock() = Position::BLANK;
        *self.commitment.answerable.lock() = Position::BLANK;
        self.authority.set_reigning(false);
        self.past_cuts.lock().clear();
        self.authority.set_clock(GroupTime(0));
        self.authority.set_lead(Lead::default());
        // Numbers of cuts are never used again, whatever else is forgotten.
        *maintenance = Maintenance { cuts: maintenance.cuts, ..Maintenance::default() };
        *self.last_cut.lock() = LastCut::default();
    }

    fn check(
        &self,
        maintenance: &Maintenance,
        from: Option<Position>,
        end: &BatchEnd,
    ) -> Result<(), ApplyError> {
        const MAX_SEQUENCE: Sequence = Sequence(1 << 62);
        if maintenance.is_reigning {
            return Err(ApplyError::Reigning);
        }
        let held = self.position();
        if let Some(from) = from.filter(|from| *from != held) {
            return Err(ApplyError::From { from, held });
        }
        if end.position.sequence > MAX_SEQUENCE {
            return Err(ApplyError::Position(end.position));
        }
        Ok(())
    }

    /// Puts records into the order of their shards.
    fn share<'a>(&self, records: &'a Records) -> Result<Shares<'a>, ApplyError> {
        let entries: Result<_, _> = records.iter().map(|record| self.entry(record)).collect();
        Ok(Shares::new(entries?, self.shards.len()))
    }

    /// Brings the feeds back behind `sequence` where a shorter history has won: its records
    /// replace all that is stamped past it.
    fn rewind(&self, sequence: Sequence) {
        for lane in &self.shards {
            let mut shard = lane.0.lock();
            if shard.last_change() >> super::EPOCH_BITS > sequence.0 >> super::EPOCH_BITS {
                shard.rewind(sequence.0);
            }
        }
    }

    fn change_all(&self, shares: &Shares<'_>, sequence: Sequence) {
        for (number, lane) in self.shards.iter().enumerate() {
            let share = shares.of(number);
            if share.len() == 0 {
                continue;
            }
            let mut shard = lane.0.lock();
            let before = shard.amount();
            share.for_each(|entry| shard.adopt(entry, sequence));
            let after = shard.amount();
            drop(shard);
            self.capacity.change(before, after);
        }
    }

    /// Takes over everything but the cells.
    fn adopt(&self, end: &BatchEnd) {
        let mut held = self.last_cut.lock();
        self.mark_adoption(&held, end);
        held.position = end.position;
        held.group_time = end.group_time;
        held.lead = end.lead;
        if let Some(meta) = &end.meta {
            held.meta.clone_from(meta);
        }
        self.authority.set_clock(end.group_time);
        self.authority.set_lead(end.lead);
        self.sequence_word.clear_changed();
        *self.commitment.units.lock() = Units::default();
    }
}

impl Store {
    /// Remembers the cut adopted, and of this store's own reigns only what it contains.
    fn mark_adoption(&self, held: &LastCut, end: &BatchEnd) {
        let sequence = end.position.sequence;
        let kept = match &end.meta {
            Some(meta) => {
                let ours = History::new(&held.meta.history, held.position);
                let theirs = History::new(&meta.history, end.position);
                ours.common_position(&theirs).map(|common| common.sequence)
            }
            None => (held.position.sequence <= sequence).then_some(held.position.sequence),
        };
        let mut past_cuts = self.past_cuts.lock();
        let kept = kept.and_then(|kept| {
            let group_time = past_cuts.group_time_at(kept)?;
            Some(PastCut { sequence: kept.0, units: past_cuts.units_at(kept)?, group_time })
        });
        match kept {
            Some(kept) => past_cuts.push(kept),
            None => past_cuts.clear(),
        }
        let units = past_cuts.units();
        past_cuts.push(PastCut { sequence: sequence.0, units, group_time: end.group_time });
    }
}

impl Shard {
    fn adopt(&mut self, entry: &PlacedRecord<'_>, sequence: Sequence) {
        let PlacedRecord { place: Place { tag, .. }, key, value } = *entry;
        match (value, self.find(tag, key)) {
            (Some(value), Some(at)) => self.overwrite(at, value, sequence.0),
            (Some(value), None) => self.insert(tag, key, value, sequence.0),
            (None, Some(at)) => self.remove(tag, at),
            (None, None) => {}
        }
    }

    /// Takes a value as it is, expiry included: it is another peer's, exactly.
    fn overwrite(&mut self, at: u32, value: Value, sequence: u64) {
        self.slots.get_mut(at).value.expires = GroupTime(0);
        self.soonest.note(value.expires);
        self.change(at, value, Stamp { sequence, saving: None });
    }
}

/// Up to which expiry cells may be missing, as the end of a batch says.
fn told(end: &BatchEnd) -> GroupTime {
    let is_untold = bug::is(Bug::ExpiryUntold);
    if is_untold { GroupTime(0) } else { end.expired_before.min(end.group_time) }
}
