//! State that exists while a peer is primary (docs/protocol.md, section 5).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{Incarnation, PeerName, Sequence, Time};
use crate::protocol::group_clock::GroupClock;
use crate::protocol::switching::HandOver;

/// State that exists while this peer is primary.
#[derive(Debug)]
pub(super) struct PrimaryState {
    /// The first cut of the reign: the primary serves once a majority holds it.
    pub(super) first: Sequence,
    pub(super) is_established: bool,
    pub(super) clock: GroupClock,
    pub(super) started: Time,
    /// What a majority holds.
    pub(super) committed: Sequence,
    /// Whether the reign is the first of its group, and there was nothing before.
    pub(super) is_first: bool,
    /// When a majority last held more than before, or nothing was waiting for it.
    pub(super) progressed: Time,
    /// When the last batch was begun.
    pub(super) replicated: Time,
    /// When followers last compared their state with this one.
    pub(super) verified: Time,
    pub(super) lease_until: Time,
    pub(super) has_lease: bool,
    /// Whether the lease has ever run: its end is worth an event then.
    pub(super) had_lease: bool,
    /// This peer's clock may have stood: callers are held until a majority answers anew, or the
    /// lease would have ended.
    pub(super) doubted_until: Option<Time>,
    /// When who counts last changed in this reign.
    pub(super) changed: Time,
    /// The send time of the newest pings that a majority has answered.
    pub(super) promised: Time,
    /// Members that are to be counted out.
    pub(super) leaving: BTreeMap<PeerName, Leaving>,
    /// Changes of the policy that may be asked for again.
    pub(super) policy_changes: Vec<Change>,
    /// Where the policy last changed in this reign.
    pub(super) policy_at: Option<Sequence>,
    pub(super) hand_over: Option<HandOver>,
}

impl PrimaryState {
    /// Whether this primary may decide.
    pub(super) fn has_lease(&self) -> bool {
        self.has_lease
    }

    /// Whether it may at this moment, whatever has been noticed so far.
    pub(super) fn has_lease_at(&self, now: Time) -> bool {
        self.has_lease && now < self.lease_until
    }

    /// Whether the lease ends before the next heartbeats are sure to be answered.
    pub(super) fn is_lease_short(&self, now: Time, heartbeat: Duration) -> bool {
        self.lease_until < now.after(heartbeat)
    }

    /// Drops the lease until a majority answers pings that are sent from now on; whether it ran.
    pub(super) fn doubt_lease(&mut self, now: Time) -> bool {
        let did_run = std::mem::replace(&mut self.has_lease, false);
        if did_run {
            self.doubted_until = Some(self.lease_until);
        }
        self.lease_until = self.lease_until.min(now);
        did_run
    }

    pub(super) fn committed(&self) -> Sequence {
        self.committed
    }

    /// Whether there was no group before this reign, and is none yet.
    pub(super) fn is_unborn(&self) -> bool {
        self.is_first && !self.is_established
    }
}

/// As primary: a change that was made, and for whom.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) from: (PeerName, Incarnation),
    pub(super) request: u64,
    /// The policy's revision after it.
    pub(super) revision: u64,
    /// A majority that holds this holds the change.
    pub(super) at: Sequence,
    /// Until then it may be asked for again.
    pub(super) until: Time,
    pub(super) is_told: bool,
}

/// As primary: a member that is to be counted out, as long as it is asked for.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) until: Time,
    /// It has asked for it itself.
    pub(super) is_own_wish: bool,
}
