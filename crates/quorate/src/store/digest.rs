//! A digest of all cells: equal at equal positions.

use std::hash::Hasher;

use parking_lot::MutexGuard;
use siphasher::sip::SipHasher13;

use super::Store;
use super::cut::{Cut, Opened};
use super::gather::Gather;
use super::shard::Shard;
use crate::base::id::{GroupTime, Position, Sequence};
use crate::model::Value;

/// Slots digested under one hold of a shard's lock; few in tests, to have operations in between.
const MAX_STEP: usize = if cfg!(test) { 16 } else { 2048 };

/// What a peer holds, in one number.
///
/// Two peers with the same position have the same digest, in whatever order and however coalesced
/// the changes came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Digest {
    /// The cut.
    pub position: Position,
    /// Unexpired cells at the cut.
    pub cells: u64,
    /// Sum of the hashes of those cells.
    pub digest: u64,
}

impl Digest {
    fn add(&mut self, key: &[u8], value: &Value, now: GroupTime) {
        if value.expires <= now {
            return;
        }
        let mut hasher = SipHasher13::new_with_keys(0x71_75_6f_72_61_74_65, 0x64_69_67_65_73_74);
        hasher.write(key);
        for word in value.words {
            hasher.write(&word.to_le_bytes());
        }
        hasher.write(&value.expires.0.to_le_bytes());
        self.cells += 1;
        self.digest = self.digest.wrapping_add(hasher.finish());
    }
}

impl Store {
    /// The digest of a fresh exact cut, while operations go on.
    ///
    /// For operators and tests: the next cut waits for it, some 40 ms for a million cells.
    pub fn digest(&self) -> Digest {
        let mut maintenance = self.maintenance.lock();
        // Does not clear the note of changes: the sender has still to be told of them.
        let opened = self.open_cut(&mut maintenance, self.authority.clock());
        let mut digest = Digest::default();
        let units = self.digest_shards(&opened, &mut digest, |_| {});
        self.close_cut(&mut maintenance, &opened, units);
        digest.position = self.position();
        digest
    }

    /// What [`Store::cut`] takes without repairs, and the digest of the same cut.
    pub fn cut_with_digest(
        &self,
        group_time: GroupTime,
        since: Sequence,
        max_bytes: usize,
    ) -> (Cut, Digest) {
        let mut maintenance = self.maintenance.lock();
        if maintenance.is_reigning {
            self.sequence_word.clear_changed();
        }
        let opened = self.open_cut(&mut maintenance, group_time);
        let mut gather = Gather::new(since.0, opened.end, max_bytes);
        let mut digest = Digest::default();
        let gather_all = |shard: &Shard| gather.take(shard, opened.number, &[]);
        let units = self.digest_shards(&opened, &mut digest, gather_all);
        self.close_cut(&mut maintenance, &opened, units);
        let cut = self.end_cut(&maintenance, &opened, units, gather);
        digest.position = cut.end;
        (cut, digest)
    }

    /// Digests shard after shard, `first` having looked at each; returns the units at the cut.
    fn digest_shards(
        &self,
        opened: &Opened,
        digest: &mut Digest,
        mut first: impl FnMut(&Shard),
    ) -> u128 {
        let mut units = 0;
        for lane in &self.shards {
            let mut from = 0;
            loop {
                let mut shard = lane.0.lock();
                if from == 0 {
                    first(&shard);
                }
                let to = (from + MAX_STEP).min(shard.slots.len());
                for (_, slot) in shard.slots.range(from, to) {
                    if slot.sequence <= opened.end {
                        digest.add(slot.key.bytes(), &slot.value, opened.group_time);
                    }
                }
                // Operations save only what has not been digested yet.
                shard.frozen.collected = to as u32;
                from = to;
                if to == shard.slots.len() {
                    units += shard.units_at(opened.number);
                    add_images(digest, &shard, opened.number, opened.group_time);
                    shard.close(opened.number);
                    break;
                }
                // Whoever waits for the shard goes first.
                MutexGuard::unlock_fair(shard);
            }
        }
        units
    }
}

fn add_images(digest: &mut Digest, shard: &Shard, number: u64, now: GroupTime) {
    if number == 0 || shard.frozen.cut != number {
        return;
    }
    for image in &shard.frozen.images {
        digest.add(shard.slots.get(image.at).key.bytes(), &image.value, now);
    }
}
