//! Removing expired cells, a few at a time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Store;
use super::cell::KeyRef;
use crate::bug::{self, Bug};
use crate::id::{GroupTime, Sequence, nanos};

/// Slots looked at under one hold of a shard's lock.
const MAX_STEP: usize = 512;
/// Slots looked at per cell that may be removed.
const LOOKS_PER_CELL: usize = 8;
/// How long a cell stays after its expiry while no majority is known to have seen it expire.
const GRACE: Duration = Duration::from_secs(60);

/// Where sweeping has come to, and what it may have forgotten too early.
///
/// The group time of a cut that a majority does not hold can be taken back: if another history
/// wins, its group time may be earlier, and a cell that has expired here may live there. So a cell
/// is removed once a majority is known to hold a cut at which it had expired, or else after a
/// grace; and in the second case it is remembered that a fork before this needs a full copy.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    shard: usize,
    slot: usize,
    /// The position at which cells were last removed without a majority's word.
    forgotten_at: Sequence,
}

impl Sweep {
    /// Whether cells have been removed that a history which left this one after `since` may hold.
    pub(super) fn has_forgotten_since(&self, since: Sequence) -> bool {
        since < self.forgotten_at
    }

    /// Starts over with another state.
    pub(super) fn reset(&mut self, forgotten_at: Sequence) {
        *self = Self { forgotten_at, ..Self::default() };
    }
}

impl Store {
    /// Removes up to `max` expired cells, looking at a bounded number; returns how many went.
    pub fn sweep(&self, max: usize) -> usize {
        // No cut is open while this lock is held.
        let mut upkeep = self.upkeep.lock();
        let position = self.position();
        let graced = GroupTime(self.group_time().0.saturating_sub(nanos(GRACE)));
        let committed = GroupTime(self.commitment.group_time.load(Ordering::Relaxed));
        let mut horizon = committed.max(graced);
        if bug::is(Bug::ExpiryByOwnClock) {
            // A clock an hour ahead of the group's.
            horizon = self.group_time().after(GRACE * 60);
        }
        let mut removed = 0;
        let mut looks = max.saturating_mul(LOOKS_PER_CELL);
        let mut shards = 0;
        while removed < max && looks > 0 && shards <= self.shards.len() {
            let step = MAX_STEP.min(looks);
            let budget = max - removed;
            let (seen, gone, is_end) = self.sweep_step(&upkeep.sweep, horizon, step, budget);
            removed += gone;
            looks -= seen.min(looks);
            upkeep.sweep.slot += seen;
            if is_end {
                shards += 1;
                upkeep.sweep.slot = 0;
                upkeep.sweep.shard = (upkeep.sweep.shard + 1) % self.shards.len();
            }
        }
        if removed > 0 && graced > committed {
            upkeep.sweep.forgotten_at = position.sequence;
        }
        removed
    }

    /// One step in one shard: slots seen, cells removed, and whether the shard has been seen whole.
    fn sweep_step(
        &self,
        sweep: &Sweep,
        horizon: GroupTime,
        step: usize,
        max: usize,
    ) -> (usize, usize, bool) {
        let mut shard = self.shards[sweep.shard].0.lock();
        let end = (sweep.slot + step).min(shard.slots.len());
        let before = shard.amount();
        let expired: Vec<u32> = shard
            .slots
            .range(sweep.slot, end)
            .filter(|(_, slot)| slot.value.expires <= horizon)
            .map(|(at, _)| at)
            .take(max)
            .collect();
        for &at in &expired {
            if let Some(key) = KeyRef::split(shard.slots.get(at).key.bytes()) {
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
