//! Who may decide, until when, and at which group time: what every operation looks at.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Refused;
use crate::base::bug::{self, Bug};
use crate::base::id::{Ballot, Generation, GroupTime, Lead, Term, Time};
use crate::model::DecideContext;

/// The primary's right to decide, written by the state machine and read under a shard's lock.
///
/// Seldom written, so that all cores keep the line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Authority {
    /// End of the lease while operations are admitted, else 0.
    gate: AtomicU64,
    /// End of the lease, held or not; 0 without authority.
    lease_until: AtomicU64,
    /// What makes steady time of a clock reading.
    offset: AtomicI64,
    /// The newest steady time of any operation or cut: it never goes back.
    clock: AtomicU64,
    /// How far the calendar is ahead of the steady clock, in nanoseconds. A word of its own:
    /// whoever reads it sees the calendar jump, and never the steady clock.
    lead: AtomicU64,
    /// When that last grew by a jump. Written before it, and read after it.
    jumped: AtomicU64,
    generation: AtomicU64,
    term: AtomicU64,
    is_held: AtomicBool,
    is_reigning: AtomicBool,
    /// Time that has passed and that the clock does not show, in nanoseconds: none but in tests.
    skipped: AtomicU64,
    /// Whether this peer never decides again, whatever it is given; locked by who gives and takes.
    is_retired: Mutex<bool>,
}

impl Authority {
    /// Looks at the lease; the caller holds the locks of its shards.
    ///
    /// A lock taken after [`Authority::close`] sees it closed once the closer has taken and
    /// released that lock in between: this is what makes `revoke` a barrier.
    #[inline]
    pub(super) fn admit(&self, time: Time) -> Result<DecideContext, Refused> {
        let gate = self.gate.load(Ordering::Acquire);
        let is_overlooked = (bug::is(Bug::LeaseNotChecked) && gate > 0)
            || (bug::is(Bug::RefusedWrites) && self.is_held());
        if gate <= time.0 && !is_overlooked {
            return Err(self.refusal());
        }
        Ok(self.context(self.stamp(time)))
    }

    /// Both clocks when the steady one shows this.
    #[inline]
    fn context(&self, steady: GroupTime) -> DecideContext {
        DecideContext::new(steady, self.lead())
    }

    /// The lead of the calendar over the steady clock.
    #[inline]
    pub(super) fn lead(&self) -> Lead {
        let nanos = self.lead.load(Ordering::Acquire);
        Lead { nanos, jumped: GroupTime(self.jumped.load(Ordering::Relaxed)) }
    }

    pub(super) fn set_lead(&self, lead: Lead) {
        self.jumped.store(lead.jumped.0, Ordering::Relaxed);
        self.lead.store(lead.nanos, Ordering::Release);
    }

    #[cold]
    fn refusal(&self) -> Refused {
        if self.is_held() { Refused::HandingOver } else { Refused::NoAuthority }
    }

    /// The steady time of an operation: that of its clock, but never behind any other's.
    ///
    /// Published before the operation takes its sequence, so that the time of a cut is not behind
    /// that of any operation in it.
    #[inline]
    fn stamp(&self, time: Time) -> GroupTime {
        let reached = time.0.wrapping_add_signed(self.offset.load(Ordering::Relaxed));
        let clock = self.clock.load(Ordering::Relaxed);
        if reached <= clock {
            return GroupTime(clock);
        }
        GroupTime(self.clock.fetch_max(reached, Ordering::Relaxed).max(reached))
    }

    pub(super) fn clock(&self) -> GroupTime {
        GroupTime(self.clock.load(Ordering::Relaxed))
    }

    /// Moves the clock on; returns where it stands then.
    pub(super) fn advance_clock(&self, to: GroupTime) -> GroupTime {
        GroupTime(self.clock.fetch_max(to.0, Ordering::Relaxed).max(to.0))
    }

    /// Sets the clock to that of an adopted state; nobody decides here meanwhile.
    pub(super) fn set_clock(&self, to: GroupTime) {
        self.clock.store(to.0, Ordering::Relaxed);
    }

    /// The reign; stable while operations are admitted.
    #[inline]
    pub(super) fn ballot(&self) -> Ballot {
        Ballot {
            generation: Generation::from_bits(self.generation.load(Ordering::Relaxed)),
            term: Term(self.term.load(Ordering::Relaxed)),
        }
    }

    /// Sets the reign; nobody decides here meanwhile.
    pub(super) fn set_ballot(&self, ballot: Ballot) {
        self.generation.store(ballot.generation.to_bits(), Ordering::Relaxed);
        self.term.store(ballot.term.0, Ordering::Relaxed);
    }

    pub(super) fn set_reigning(&self, is_reigning: bool) {
        self.is_reigning.store(is_reigning, Ordering::Release);
    }

    pub(super) fn is_reigning(&self) -> bool {
        self.is_reigning.load(Ordering::Acquire)
    }

    pub(super) fn open(&self, lease_until: Time, offset: i64) {
        let is_retired = self.is_retired.lock();
        if *is_retired || !self.is_reigning() {
            return;
        }
        self.offset.store(offset, Ordering::Relaxed);
        self.is_held.store(false, Ordering::Release);
        self.lease_until.store(lease_until.0, Ordering::Release);
        self.gate.store(lease_until.0, Ordering::Release);
    }

    /// Says how much time the clock does not show in all; the steady clock goes on by it.
    pub(super) fn set_skipped(&self, skipped: u64) {
        let before = self.skipped.swap(skipped, Ordering::Relaxed);
        self.offset.fetch_add(skipped.wrapping_sub(before) as i64, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::Release);
        self.gate.store(0, Ordering::Release);
    }

    /// Holds whoever asks, and lets nothing be answered that is written already, until it opens
    /// again or is closed. Nothing where no lease was granted: nobody would do either.
    pub(super) fn suspend(&self) {
        let _is_retired = self.is_retired.lock();
        if self.lease_until.swap(0, Ordering::AcqRel) > 0 {
            self.hold();
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.is_held() && self.lease_until.load(Ordering::Acquire) == 0
    }

    /// Closes it for good.
    pub(super) fn retire(&self) {
        let mut is_retired = self.is_retired.lock();
        *is_retired = true;
        self.shut();
    }

    pub(super) fn close(&self) {
        let _is_retired = self.is_retired.lock();
        self.shut();
    }

    fn shut(&self) {
        self.is_held.store(false, Ordering::Release);
        self.lease_until.store(0, Ordering::Release);
        self.gate.store(0, Ordering::Release);
    }

    pub(super) fn is_valid(&self, time: Time, ballot: Ballot) -> bool {
        let lease_until = self.lease_until.load(Ordering::Acquire);
        let is_in_time = lease_until > time.0 || (bug::is(Bug::LeaseNotChecked) && lease_until > 0);
        is_in_time && self.ballot() == ballot
    }
}
