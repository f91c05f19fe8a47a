//! What a cut takes from a shard.

use bytes::Bytes;

use super::cell::KeyRef;
use super::shard::{Image, Place, Shard};
use crate::base::bug::{self, Bug};
use crate::base::id::Sequence;
use crate::model::Value;
use crate::record::{Packer, Records};

/// The records of a cut.
pub(super) struct Gather {
    since: u64,
    end: u64,
    max_bytes: usize,
    records: Option<Packer>,
}

impl Gather {
    pub(super) fn new(since: u64, end: u64, max_bytes: usize) -> Self {
        Self { since, end, max_bytes, records: Some(Packer::default()) }
    }

    /// Takes a shard as it was at the end of cut `number`, under its lock.
    ///
    /// Cells that have expired by then travel like others: a follower of another history may hold
    /// an older value of the same cell, and must learn that it changed.
    pub(super) fn take(&mut self, shard: &Shard, number: u64, repair: &[(Place, &Bytes)]) {
        let Some(records) = &mut self.records else {
            return;
        };
        let images: &[Image] =
            if number != 0 && shard.frozen.cut == number { &shard.frozen.images } else { &[] };
        for at in shard.since(self.since) {
            let slot = shard.slots.get(at);
            if slot.sequence <= self.end || bug::is(Bug::LooseCut) {
                records.push(slot.key.bytes(), Some(&slot.value));
                if records.bytes() > self.max_bytes {
                    break;
                }
            }
        }
        for image in images.iter().filter(|image| image.sequence > self.since) {
            if bug::is(Bug::LooseCut) {
                break;
            }
            records.push(shard.slots.get(image.at).key.bytes(), Some(&image.value));
        }
        for (place, key) in repair {
            records.push(key, value_at(shard, self.end, images, place, key).as_ref());
        }
        if records.bytes() > self.max_bytes {
            self.records = None;
        }
    }

    pub(super) fn finish(self) -> Option<Records> {
        self.records.map(Packer::finish)
    }
}

/// The value of a key at the end of a cut.
fn value_at(shard: &Shard, end: u64, images: &[Image], place: &Place, key: &[u8]) -> Option<Value> {
    let at = shard.find(place.tag, KeyRef::split(key)?)?;
    let slot = shard.slots.get(at);
    if slot.sequence <= end {
        return Some(slot.value);
    }
    images.iter().find(|image| image.at == at).map(|image| image.value)
}

impl super::Store {
    /// The keys, with their namespace, of all cells that this peer stamped after `since`: what a
    /// peer with changes past a fork names to be repaired.
    ///
    /// `None` if they are more than `max`: then everything must be copied anew.
    pub fn keys_since(&self, since: Sequence, max: usize) -> Option<Vec<Bytes>> {
        // No cell comes or goes meanwhile.
        let maintenance = self.maintenance.lock();
        let mut keys = Packer::default();
        for lane in &self.shards {
            let shard = lane.0.lock();
            for at in shard.since(since.0) {
                if keys.len() == max {
                    return None;
                }
                keys.push(shard.slots.get(at).key.bytes(), None);
            }
        }
        drop(maintenance);
        Some(keys.finish().keys().collect())
    }
}
