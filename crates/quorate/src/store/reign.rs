//! Beginning and ending a reign, and what a majority holds of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::past_cuts::PastCut;
use super::sequence_word::boundary_above;
use super::{Store, Units};
use crate::base::bug;
use crate::base::id::{Ballot, GroupTime, Lead, Position, Sequence, Time, nanos};
use crate::state::{MAX_HISTORY, Reign};

impl Store {
    /// Makes this peer ready to decide under `ballot`; it gets no authority yet.
    ///
    /// Everything held so far belongs to a cut at the next epoch boundary, and the reign is the
    /// first change after it: the next cut has a position under the new ballot even if nothing is
    /// decided. Until then the position held stays what it was. Group time is not before
    /// `group_time` by the steady clock.
    pub fn begin_reign(&self, ballot: Ballot, group_time: GroupTime) {
        self.end_reign();
        let mut maintenance = self.maintenance.lock();
        let mut held = self.last_cut.lock();
        assert!(
            ballot > held.position.ballot || bug::is_any(),
            "a reign begins above every position held: two states would have the same name"
        );
        let boundary = boundary_above(held.position.sequence.0);
        self.authority.set_ballot(ballot);
        self.authority.set_clock(held.group_time.max(group_time));
        for lane in &self.shards {
            lane.0.lock().begin_reign();
        }
        *self.commitment.units.lock() = Units::default();
        self.sequence_word.set_outstanding(self.max_unpublished());
        self.sequence_word.begin(boundary);

        // What is shared with other histories ends where this state was adopted, not at the
        // boundary: an older primary may have gone on alone up to there and further.
        let after = held.position.sequence;
        let history = &mut held.meta.history;
        history.push(Reign { ballot, after });
        let excess = history.len().saturating_sub(MAX_HISTORY);
        history.drain(..excess);

        maintenance.is_reigning = true;
        // Of what the followers were told before nothing is known here.
        maintenance.sweep.note_told(GroupTime(0));
        self.authority.set_reigning(true);
        maintenance.last_end = boundary;
        let mut past_cuts = self.past_cuts.lock();
        let units = past_cuts.begin_reign();
        past_cuts.push(PastCut { sequence: after.0, units, group_time: held.group_time });
    }

    /// Sets how far the calendar is ahead of the steady clock from now on: no less than before. For
    /// a peer that reigns.
    pub fn put_forward(&self, lead: Lead) {
        self.authority.set_lead(lead);
    }

    /// Gives authority until `lease_until`, or more of it; steady group time is the caller's clock
    /// plus `group_offset`. Ends a hold. Does nothing where this peer does not reign.
    pub fn grant(&self, lease_until: Time, group_offset: i64) {
        self.authority.open(lease_until, group_offset);
    }

    /// Says how much time has passed in all that the caller's clock does not show: steady group
    /// time goes on by it. For tests, where nothing happens for long.
    #[doc(hidden)]
    pub fn set_skipped(&self, skipped: Duration) {
        self.authority.set_skipped(nanos(skipped));
    }

    /// The time that was last given to [`Store::set_skipped`].
    pub(crate) fn skipped(&self) -> Duration {
        Duration::from_nanos(self.authority.skipped())
    }

    /// Refuses every operation that starts from now on, for a hand-over; the lease goes on.
    pub fn hold(&self) {
        self.authority.hold();
    }

    /// Holds every operation that starts from now on, and lets none be answered that was written,
    /// until a lease is granted again. Nothing where none was.
    pub fn suspend(&self) {
        self.authority.suspend();
    }

    /// Returns true if operations are held at present as [`Store::suspend`] does.
    pub fn is_suspended(&self) -> bool {
        self.authority.is_suspended()
    }

    /// Takes the authority away. Every operation under way has ended when this returns.
    pub fn revoke(&self) {
        self.authority.close();
        self.settle();
    }

    /// Takes the authority away for good: none is given here any more.
    pub fn retire(&self) {
        self.authority.retire();
        self.settle();
    }

    /// Waits for every operation under way; those that start after a hold see it.
    pub fn settle(&self) {
        for lane in &self.shards {
            drop(lane.0.lock());
        }
    }

    /// Ends the reign; the position returned covers everything decided here.
    pub fn end_reign(&self) -> Position {
        self.revoke();
        let mut maintenance = self.maintenance.lock();
        if maintenance.is_reigning {
            self.sequence_word.clear_changed();
            let units = self.advance(&mut maintenance);
            self.commitment.units.lock().ended = units;
            maintenance.is_reigning = false;
            self.authority.set_reigning(false);
        }
        drop(maintenance);
        self.position()
    }

    /// Returns true if an operation of `ballot` that has been written may be answered at `time`:
    /// the second look at the lease.
    pub fn is_authorized(&self, time: Time, ballot: Ballot) -> bool {
        self.authority.is_valid(time, ballot)
    }

    /// The position that a majority holds.
    pub fn committed(&self) -> Position {
        *self.commitment.position.lock()
    }

    /// Up to where callers that wait may be answered: what a majority holds, or, where that is
    /// enough, what lasts here.
    pub fn answerable(&self) -> Position {
        *self.commitment.answerable.lock()
    }

    /// Notes up to where callers that wait may be answered; returns true if that is news.
    pub fn set_answerable(&self, position: Position) -> bool {
        let mut answerable = self.commitment.answerable.lock();
        std::mem::replace(&mut *answerable, position) != position
    }

    /// Returns true if as much is decided and not yet held by a majority as may be.
    pub fn is_bound_reached(&self) -> bool {
        let bound = self.commitment.max_unreplicated.load(Ordering::Relaxed);
        self.unreplicated_units() > bound
    }

    /// Notes what a majority holds: a cut of this reign.
    pub fn set_committed(&self, position: Position) {
        let before = std::mem::replace(&mut *self.commitment.position.lock(), position);
        debug_assert!(
            before.ballot != position.ballot || before <= position || bug::is_any(),
            "what a majority holds is not taken back in a reign"
        );
        let mut past_cuts = self.past_cuts.lock();
        let units = past_cuts.units_at(position.sequence);
        past_cuts.note_held(units.unwrap_or_default());
        let units = units.map(|units| units.saturating_sub(past_cuts.units_before()));
        if let Some(group_time) = past_cuts.group_time_at(position.sequence) {
            self.commitment.expired_before.fetch_max(group_time.0, Ordering::Relaxed);
        }
        drop(past_cuts);
        if let Some(units) = units {
            self.settle_units(units);
        }
    }

    /// A majority holds so many units of this reign.
    fn settle_units(&self, units: u128) {
        let mut known = self.commitment.units.lock();
        let more = units.saturating_sub(known.committed);
        known.committed += more;
        if !self.sequence_word.settle(more) {
            self.count_outstanding(known.committed);
        }
    }

    /// Counts anew what is outstanding, where its word could not hold it any more.
    #[cold]
    fn count_outstanding(&self, committed: u128) {
        // All at once, in the order of their numbers: nobody publishes meanwhile.
        let shards: Vec<_> = self.shards.iter().map(|lane| lane.0.lock()).collect();
        let published: u128 = shards.iter().map(|shard| shard.published()).sum();
        let outstanding = (published + self.max_unpublished()).saturating_sub(committed);
        self.sequence_word.set_outstanding(outstanding);
    }

    /// Units decided in this reign, or the last, that a majority does not hold; `u64::MAX` if they
    /// are more.
    pub fn unreplicated_units(&self) -> u64 {
        let committed = self.commitment.units.lock().committed;
        let units = self.decided_units().saturating_sub(committed);
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// Sets the bound on unreplicated units beyond which answers wait; none until then. To be set
    /// before anything is decided.
    pub fn set_max_unreplicated(&self, max_unreplicated: u64) {
        // Shards keep small amounts to themselves; the bound holds whatever they keep.
        let shards = self.shards.len() as u64;
        let max_unpublished = max_unreplicated / 16 / shards;
        self.commitment.max_unpublished.store(max_unpublished, Ordering::Relaxed);
        self.commitment.max_unreplicated.store(max_unreplicated, Ordering::Relaxed);
        self.sequence_word.set_outstanding(self.max_unpublished());
    }

    /// Units that all shards together may keep to themselves.
    fn max_unpublished(&self) -> u128 {
        let of_each = self.commitment.max_unpublished.load(Ordering::Relaxed);
        u128::from(of_each) * self.shards.len() as u128
    }

    /// Returns true if more than half of the units that may be unreplicated are: answers may soon
    /// wait.
    pub fn is_bound_near(&self) -> bool {
        let bound = self.commitment.max_unreplicated.load(Ordering::Relaxed);
        self.sequence_word.outstanding() > bound / 2
    }

    fn decided_units(&self) -> u128 {
        if self.authority.is_reigning() {
            self.shards.iter().map(|lane| lane.0.lock().units()).sum()
        } else {
            self.commitment.units.lock().ended
        }
    }

    /// Has nothing decided at an earlier group time from now on; returns the one that is reached.
    pub(crate) fn reach(&self, group_time: GroupTime) -> GroupTime {
        self.authority.advance_clock(group_time)
    }

    /// Units decided in this reign up to the cut `at`, or fewer, and a group time until which
    /// everything that was decided is in it: nothing is said of a cut that is not remembered.
    pub(crate) fn backed_at(&self, at: Sequence) -> (u128, GroupTime) {
        let past_cuts = self.past_cuts.lock();
        let units = past_cuts.units_at(at).unwrap_or_default();
        let group_time = past_cuts.group_time_at(at).unwrap_or_default();
        (units.saturating_sub(past_cuts.units_before()), group_time)
    }

    /// Units decided in this reign, or the last, beyond so many of them; `u64::MAX` if they are
    /// more.
    pub(crate) fn units_past(&self, units: u128) -> u64 {
        u64::try_from(self.decided_units().saturating_sub(units)).unwrap_or(u64::MAX)
    }

    /// Units decided in this store's own reigns after the cut `at`; `None` if that is no longer
    /// known exactly, or more than can be told.
    pub fn give_up_units(&self, at: Sequence) -> Option<u64> {
        let decided = self.units_of_own_reigns();
        let kept = self.past_cuts.lock().units_at(at)?;
        u64::try_from(decided.saturating_sub(kept)).ok()
    }

    /// Units decided in this store's own reigns that no majority is known to hold: of as many as it
    /// has reigned in a row; `u64::MAX` if they are more.
    pub fn units_in_doubt(&self) -> u64 {
        let decided = self.units_of_own_reigns();
        let held = self.past_cuts.lock().units_held();
        u64::try_from(decided.saturating_sub(held)).unwrap_or(u64::MAX)
    }

    fn units_of_own_reigns(&self) -> u128 {
        let in_reign = self.authority.is_reigning().then(|| self.decided_units());
        let past_cuts = self.past_cuts.lock();
        in_reign.map_or_else(|| past_cuts.units(), |units| past_cuts.units_before() + units)
    }
}
