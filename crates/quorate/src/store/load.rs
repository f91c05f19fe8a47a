//! Cells on their way to take the place of all that a store holds: put into tables of their own as
//! they come, and exchanged for what is there when all have come.
//!
//! What they are as of is known at the end only. So none of them is stamped: a shard that is
//! exchanged takes all its cells for changed there, those that change later by themselves.

use super::apply::ApplyError;
use super::capacity::Amount;
use super::cell::KeyRef;
use super::shard::Shard;
use super::{Lane, Store};
use crate::base::id::Sequence;
use crate::model::MAX_KEY_BYTES;
use crate::record::{Record, Records};
use crate::store::shard::PlacedRecord;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Loading {
    shards: Vec<Shard>,
}

/// Shards whose cells count for nothing any more, and whose memory is yet to be given back: that
/// takes a while, and is done a shard at a time.
#[derive(Debug, Default)]
pub(super) struct Discarded(Vec<Shard>);

impl Loading {
    /// Memory of its tables, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.shards.iter().map(Shard::allocated_bytes).sum()
    }
}

impl Store {
    /// Puts records into tables beside those in use, from the front, until about `max` cells have
    /// been moved or there is none left; how many have been moved. That may be more by those of a
    /// shard, whose table has grown.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Key`]; the tables are of no use then.
    pub fn load(
        &self,
        loading: &mut Loading,
        records: &mut Records,
        max: usize,
    ) -> Result<usize, ApplyError> {
        if loading.shards.is_empty() {
            loading.shards = (0..self.shards.len()).map(|_| Shard::default()).collect();
        }
        let mut moved = 0;
        let mut count = 0;
        let mut bytes = 0;
        for record in records.iter() {
            if moved >= max {
                break;
            }
            let entry = self.entry(record)?;
            moved += loading.shards[entry.place.shard as usize].load(&entry);
            (count, bytes) = (count + 1, bytes + record.packed_bytes());
        }
        records.leave_out(count, bytes);
        Ok(moved)
    }

    /// A record and where it goes.
    pub(super) fn entry<'a>(&self, record: Record<'a>) -> Result<PlacedRecord<'a>, ApplyError> {
        let Record { key: bytes, value } = record;
        let key = KeyRef::split(bytes)
            .filter(|key| (1..=MAX_KEY_BYTES).contains(&key.rest.len()))
            .ok_or(ApplyError::Key { bytes: bytes.len() })?;
        Ok(PlacedRecord { place: self.place(key), key, value })
    }

    /// Exchanges what is held for what was loaded, as of `sequence`.
    pub(super) fn exchange(&self, loading: Loading, sequence: Sequence) {
        let mut all = Amount::default();
        let mut loaded = loading.shards.into_iter();
        let mut discarded = self.discarded.lock();
        for Lane(lane) in &self.shards {
            let mut shard = loaded.next().unwrap_or_default();
            shard.take_for_changed(sequence);
            let Amount { cells, bytes, records } = shard.amount();
            all.cells += cells;
            all.bytes += bytes;
            all.records += records;
            std::mem::swap(&mut *lane.lock(), &mut shard);
            discarded.0.push(shard);
        }
        self.capacity.set(all);
    }

    /// Gives up what was loaded.
    pub fn discard(&self, loading: Loading) {
        self.discarded.lock().0.extend(loading.shards);
    }

    /// Gives back the memory of one shard that is out of use; returns true if there are more.
    pub fn drop_discarded(&self) -> bool {
        let mut discarded = self.discarded.lock();
        let shard = discarded.0.pop();
        let has_more = !discarded.0.is_empty();
        if !has_more {
            *discarded = Discarded::default();
        }
        drop(discarded);
        drop(shard);
        has_more
    }

    /// Memory that is out of use and not given back yet, in bytes.
    pub fn discarded_bytes(&self) -> usize {
        self.discarded.lock().0.iter().map(Shard::allocated_bytes).sum()
    }
}
