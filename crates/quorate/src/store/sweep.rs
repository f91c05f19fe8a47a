//! Removing expired cells, a few at a time.
//!
//! ```text
//!  a cut ──▶ a majority holds it ──▶ what had expired at its group time may go
//!    ▲                                                     │
//!    │      followers are told with the next cut ◀─────────┘
//!    └── made although nothing was decided, where cells have expired since the last
//! ```

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cell::KeyRef;
use super::{Maintenance, Store};
use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, Time, nanos};

/// Slots looked at under one hold of a shard's lock.
const MAX_STEP: usize = 512;
/// Slots looked at per cell that may be removed.
const LOOKS_PER_CELL: usize = 8;
/// How long a cell stays after its expiry while no majority is known to have seen it expire.
const GRACE: Duration = Duration::from_secs(60);
/// Cells removed at most by an operation that has found no room.
const ROOM_CELLS: usize = 64;
/// After an operation has found nothing to remove, no other looks for so long.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// When the first of some cells expires, at the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Soonest(GroupTime);

impl Default for Soonest {
    /// A sweep over no cells.
    fn default() -> Self {
        Self(GroupTime::MAX)
    }
}

impl Soonest {
    /// One more cell.
    #[inline]
    pub(super) fn note(&mut self, expires: GroupTime) {
        self.0 = self.0.min(expires);
    }
}

/// Where sweeping has come to, and what may be missing for it.
///
/// The group time of a cut that a majority does not hold can be taken back: if another history
/// wins, its group time may be earlier, and a cell that has expired here may live there. So a cell
/// is removed once a majority is known to hold a cut at which it had expired, or else after a
/// grace. Where even that is taken back, by a founding without those that knew, the cells that went
/// are copied again (docs/protocol.md, section 3.12).
#[derive(Debug, Default)]
pub(super) struct Sweep {
    shard: usize,
    slot: usize,
    /// When the first cell expired of the shard under way, before it was begun.
    before: Soonest,
    /// Every cell that is missing here had expired by then.
    missing_before: GroupTime,
    /// What followers are told of that with the last cut.
    told: GroupTime,
    /// Operations that find no room do not look before.
    next_look: GroupTime,
}

impl Sweep {
    /// Every cell that is missing here had expired by then.
    pub(super) fn missing_before(&self) -> GroupTime {
        self.missing_before
    }

    /// Cells that had expired by then may be missing, for they are at the peer that this state
    /// comes from.
    pub(super) fn note_missing(&mut self, before: GroupTime) {
        self.missing_before = self.missing_before.max(before);
    }

    /// A cut that followers are sent says this.
    pub(super) fn note_told(&mut self, expired_before: GroupTime) {
        self.told = expired_before;
    }

    /// Starts over with another state.
    pub(super) fn reset(&mut self, missing_before: GroupTime) {
        *self = Self { missing_before, ..Self::default() };
    }

    fn begin_shard(&mut self, number: usize) {
        self.shard = number;
        self.slot = 0;
        self.before = Soonest::default();
    }
}

impl Store {
    /// Removes up to `max` expired cells, looking at a bounded number; returns how many went.
    pub fn sweep(&self, max: usize) -> usize {
        self.remove_expired(&mut self.maintenance.lock(), max)
    }

    /// Removes expired cells under the maintenance's lock: no cut is open while it is held.
    fn remove_expired(&self, maintenance: &mut Maintenance, max: usize) -> usize {
        let expired_before = self.droppable();
        let mut removed = 0;
        let mut looks = max.saturating_mul(LOOKS_PER_CELL);
        let mut shards = 0;
        while removed < max && looks > 0 && shards <= self.shards.len() {
            let sweep = &mut maintenance.sweep;
            let step = MAX_STEP.min(looks);
            let (seen, gone, is_end) = self.sweep_step(sweep, expired_before, step, max - removed);
            removed += gone;
            looks -= seen.min(looks);
            sweep.slot += seen;
            if is_end {
                shards += 1;
                sweep.begin_shard((sweep.shard + 1) % self.shards.len());
            }
        }
        removed
    }

    /// One step in one shard: slots seen, cells removed, and whether the shard has been seen whole.
    /// One of which nothing has expired is not looked through.
    fn sweep_step(
        &self,
        sweep: &mut Sweep,
        expired_before: GroupTime,
        step: usize,
        max: usize,
    ) -> (usize, usize, bool) {
        let mut shard = self.shards[sweep.shard].0.lock();
        let shard = &mut *shard;
        if sweep.slot == 0 {
            if shard.soonest.0 > expired_before {
                return (0, 0, true);
            }
            // Found anew: of what is seen, and of what comes meanwhile.
            sweep.before = std::mem::take(&mut shard.soonest);
        }
        let before = shard.amount();
        let mut next = (sweep.slot + step).min(shard.slots.len());
        let mut expired = Vec::new();
        for (at, slot) in shard.slots.range(sweep.slot, next) {
            if slot.value.expires > expired_before {
                shard.soonest.note(slot.value.expires);
            } else if expired.len() < max {
                expired.push(at);
            } else {
                next = at as usize;
                break;
            }
        }
        for &at in &expired {
            let slot = shard.slots.get(at);
            if let Some(key) = KeyRef::split(slot.key.bytes()) {
                sweep.note_missing(slot.value.expires);
                let place = self.place(key);
                shard.remove(place.tag, at);
            }
        }
        self.capacity.change(before, shard.amount());
        (next.saturating_sub(sweep.slot), expired.len(), next >= shard.slots.len())
    }
}

impl Store {
    /// As if cells had been dropped that expired then, for tests.
    #[cfg(test)]
    pub(crate) fn miss_before(&self, time: GroupTime) {
        self.maintenance.lock().sweep.note_missing(time);
    }

    /// Cells that had expired by then may go. Never after the group time of the position held: what
    /// has expired by that is no part of the state, and of no digest.
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
    /// [`BatchEnd::expired_before`](crate::state::BatchEnd).
    pub(super) fn expired_before(&self, sweep: &Sweep, group_time: GroupTime) -> GroupTime {
        self.droppable().max(sweep.missing_before).min(group_time)
    }

    /// Returns true if group time has to go on at `now`, although nothing was decided since the
    /// last cut: cells have expired that go only when a majority holds a later one, or some have
    /// gone, or may go, of which followers were not told.
    pub fn is_time_due(&self, now: GroupTime) -> bool {
        self.is_due(&self.maintenance.lock(), now)
    }

    /// Makes the next cut one of its own, so that its group time is held and told; returns true if
    /// that is the first change since the last cut. Where this peer does not reign nothing is done.
    pub fn pass_time(&self) -> bool {
        self.begin_cut(&self.maintenance.lock())
    }

    fn is_due(&self, maintenance: &Maintenance, now: GroupTime) -> bool {
        if !maintenance.is_reigning || self.sequence_word.is_changed() {
            return false;
        }
        let sweep = &maintenance.sweep;
        let shards = self.shards.iter().map(|lane| lane.0.lock().soonest);
        let Soonest(soonest) = shards.fold(sweep.before, Soonest::min);
        let is_waited_for = soonest <= now && self.group_time() < soonest;
        let is_untold = sweep.told < soonest && soonest <= self.droppable();
        is_waited_for || is_untold || sweep.missing_before > sweep.told
    }

    fn begin_cut(&self, maintenance: &Maintenance) -> bool {
        if !maintenance.is_reigning {
            return false;
        }
        self.sequence_word.take();
        self.sequence_word.note_change()
    }

    /// Removes expired cells for an operation that has found no room; returns true if any went. If
    /// none can yet, group time is made to go on: see [`Store::take_wake`].
    ///
    /// The caller holds no lock. The work is bounded, and of many that find nothing only one in a
    /// while looks.
    #[cold]
    pub(super) fn make_room(&self, time: Time) -> bool {
        let Ok(context) = self.authority.admit(time) else { return false };
        let now = context.steady();
        // Whoever has it makes a cut, or removes cells already.
        let Some(mut maintenance) = self.maintenance.try_lock() else { return false };
        if now < maintenance.sweep.next_look {
            return false;
        }
        let is_made = self.remove_expired(&mut maintenance, ROOM_CELLS) > 0;
        if !is_made {
            maintenance.sweep.next_look = now.after(LOOK_PAUSE);
            if self.is_due(&maintenance, now) {
                // Whoever ends the authority passes through every lock: after that no sequence is
                // taken.
                let _barrier = self.lock(0);
                if self.authority.admit(time).is_ok() && self.begin_cut(&maintenance) {
                    self.capacity.ask_to_wake();
                }
            }
        }
        is_made
    }

    /// Returns true if the state machine must be told of a change, because an operation has found
    /// no room and cells would go if group time went on. To be asked after
    /// [`Refused::Full`](super::Refused::Full).
    pub fn take_wake(&self) -> bool {
        self.capacity.take_wake()
    }
}
