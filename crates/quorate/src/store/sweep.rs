//! Removing expired cells, a few at a time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Store;
use super::cell::KeyRef;
use crate::bug::{self, Bug};
use crate::id::{GroupTime, nanos};

/// Slots looked at under one hold of a shard's lock.
const MAX_STEP: usize = 512;
/// Slots looked at per cell that may be removed.
const LOOKS_PER_CELL: usize = 8;
/// How long a cell stays after its expiry while no majority is known to have seen it expire.
const GRACE: Duration = Duration::from_secs(60);

/// Where sweeping has come to, and what may be missing for it.
///
/// The group time of a cut that a majority does not hold can be taken back: if another history
/// wins, its group time may be earlier, and a cell that has expired here may live there. So a cell
/// is removed once a majority is known to hold a cut at which it had expired, or else after a
/// grace. Where even that is taken back, by a founding without those that knew, the cells that went
/// are copied again (docs/protocol.md, section 3.11).
#[derive(Debug, Default)]
pub(super) struct Sweep {
    shard: usize,
    slot: usize,
    /// Every cell that is missing here had expired by then.
    missing_before: GroupTime,
}

impl Sweep {
    /// Every cell that is missing here had expired by then.
    pub(super) fn missing_before(&self) -> GroupTime {
        self.missing_before
    }

    /// Cells that had expired by then may be missing, for they are at the peer that this state comes
    /// from.
    pub(super) fn note_missing(&mut self, before: GroupTime) {
        self.missing_before = self.missing_before.max(before);
    }

    /// Starts over with another state.
    pub(super) fn reset(&mut self, missing_before: GroupTime) {
        *self = Self { missing_before, ..Self::default() };
    }
}

impl Store {
    /// Removes up to `max` expired cells, looking at a bounded number; returns how many went.
    pub fn sweep(&self, max: usize) -> usize {
        // No cut is open while this lock is held.
        let mut upkeep = self.upkeep.lock();
        let expired_before = self.droppable();
        let mut removed = 0;
        let mut looks = max.saturating_mul(LOOKS_PER_CELL);
        let mut shards = 0;
        while removed < max && looks > 0 && shards <= self.shards.len() {
            let step = MAX_STEP.min(looks);
            let budget = max - removed;
            let (seen, gone, is_end) =
                self.sweep_step(&mut upkeep.sweep, expired_before, step, budget);
            removed += gone;
            looks -= seen.min(looks);
            upkeep.sweep.slot += seen;
            if is_end {
                shards += 1;
                upkeep.sweep.slot = 0;
                upkeep.sweep.shard = (upkeep.sweep.shard + 1) % self.shards.len();
            }
        }
        removed
    }

    /// As if cells had been dropped that expired then, for tests.
    #[cfg(test)]
    pub(crate) fn miss_before(&self, time: GroupTime) {
        self.upkeep.lock().sweep.note_missing(time);
    }

    /// Cells that had expired by then may go. Never after the group time of the position held: what has
    /// expired by that is no part of the state, and of no digest.
    fn droppable(&self) -> GroupTime {
        let held = self.group_time();
        let graced = GroupTime(held.0.saturating_sub(nanos(GRACE)));
        let told = GroupTime(self.commitment.expired_before.load(Ordering::Relaxed));
        if bug::is(Bug::ExpiryByOwnClock) {
            // A clock an hour ahead of the group's.
            return held.after(GRACE * 60);
        }
        told.max(graced).min(held)
    }

    /// What a state taken from here says of what it may lack, its group time being this: see
    /// [`BatchEnd::expired_before`](crate::protocol::message::BatchEnd).
    pub(super) fn expired_before(&self, sweep: &Sweep, group_time: GroupTime) -> GroupTime {
        self.droppable().max(sweep.missing_before).min(group_time)
    }

    /// One step in one shard: slots seen, cells removed, and whether the shard has been seen whole.
    fn sweep_step(
        &self,
        sweep: &mut Sweep,
        expired_before: GroupTime,
        step: usize,
        max: usize,
    ) -> (usize, usize, bool) {
        let mut shard = self.shards[sweep.shard].0.lock();
        let end = (sweep.slot + step).min(shard.slots.len());
        let before = shard.amount();
        let expired: Vec<u32> = shard
            .slots
            .range(sweep.slot, end)
            .filter(|(_, slot)| slot.value.expires <= expired_before)
            .map(|(at, _)| at)
            .take(max)
            .collect();
        for &at in &expired {
            let slot = shard.slots.get(at);
            if let Some(key) = KeyRef::split(slot.key.bytes()) {
                sweep.note_missing(slot.value.expires);
                let place = self.place(key);
                shard.remove(place.tag, at);
            }
        }
        self.room.change(before, shard.amount());
        // Stopped early: go on behind the last one removed.
        let next = match expired.last() {
            Some(&last) if expired.len() == max => last as usize + 1,
            _ => end,
        };
        (next.saturating_sub(sweep.slot), expired.len(), next >= shard.slots.len())
    }
}
