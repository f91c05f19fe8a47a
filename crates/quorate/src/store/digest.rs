//! A digest of all cells: equal at equal positions.

use std::hash::Hasher;

use parking_lot::MutexGuard;
use siphasher::sip::SipHasher13;

use super::Store;
use super::shard::Shard;
use crate::id::{GroupTime, Position};
use crate::model::Value;

/// Slots digested under one hold of a shard's lock; few in tests, to have operations in between.
const MAX_STEP: usize = if cfg!(test) { 16 } else { 2048 };

/// What a peer holds, in one number.
///
/// Two peers with the same position have the same digest, in whatever order and however coalesced
/// the changes came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
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
        let mut upkeep = self.upkeep.lock();
        // Does not clear the note of changes: the sender has still to be told of them.
        let opened = self.open_cut(&mut upkeep, self.authority.clock());
        let mut digest = Digest::default();
        let mut units: u64 = 0;
        for lane in &self.shards {
            let mut from = 0;
            loop {
                let mut shard = lane.0.lock();
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
                    units = units.saturating_add(shard.units_at(opened.number));
                    add_images(&mut digest, &shard, opened.number, opened.group_time);
                    shard.close(opened.number);
                    break;
                }
                // Whoever waits for the shard goes first.
                MutexGuard::unlock_fair(shard);
            }
        }
        self.close_cut(&mut upkeep, &opened, units);
        digest.position = self.position();
        digest
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
