//! State that exists while a peer is primary (docs/protocol.md, section 5).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::id::{PeerName, PeerStart, Sequence, Time};
use crate::protocol::group::group_clock::GroupClock;
use crate::protocol::reign::switching::HandOver;

/// State that exists while this peer is primary.
#[derive(Debug)]
pub(in crate::protocol) struct PrimaryState {
    /// The first cut of the reign: the primary serves once a majority holds it.
    pub(in crate::protocol) first: Sequence,
    pub(in crate::protocol) is_established: bool,
    pub(in crate::protocol) clock: GroupClock,
    pub(in crate::protocol) started: Time,
    /// What a majority holds.
    pub(in crate::protocol) committed: Sequence,
    /// Whether the reign is the first of its group, and there was nothing before.
    pub(in crate::protocol) is_first: bool,
    /// When a majority last held more than before, or nothing was waiting for it.
    pub(in crate::protocol) progressed: Time,
    /// When the last batch was begun.
    pub(in crate::protocol) replicated: Time,
    /// When followers last compared their state with this one.
    pub(in crate::protocol) verified: Time,
    pub(in crate::protocol) lease_until: Time,
    pub(in crate::protocol) has_lease: bool,
    /// Whether the lease has ever run: its end is worth an event then.
    pub(in crate::protocol) had_lease: bool,
    /// This peer's clock may have stood: callers are held until a majority answers anew, or the
    /// lease would have ended.
    pub(in crate::protocol) doubted_until: Option<Time>,
    /// When who counts last changed in this reign.
    pub(in crate::protocol) changed: Time,
    /// The send time of the newest pings that a majority has answered.
    pub(in crate::protocol) promised: Time,
    /// Members that are to be counted out.
    pub(in crate::protocol) leaving: BTreeMap<PeerName, Leaving>,
    /// Changes of the policy that may be asked for again.
    pub(in crate::protocol) policy_changes: Vec<Change>,
    /// Where the policy last changed in this reign.
    pub(in crate::protocol) policy_at: Option<Sequence>,
    pub(in crate::protocol) hand_over: Option<HandOver>,
}

impl PrimaryState {
    /// Whether this primary may decide.
    pub(in crate::protocol) fn has_lease(&self) -> bool {
        self.has_lease
    }

    /// Whether it may at this moment, whatever has been noticed so far.
    pub(in crate::protocol) fn has_lease_at(&self, now: Time) -> bool {
        self.has_lease && now < self.lease_until
    }

    /// Whether the lease ends before the next heartbeats are sure to be answered.
    pub(in crate::protocol) fn is_lease_short(&self, now: Time, heartbeat: Duration) -> bool {
        self.lease_until < now.after(heartbeat)
    }

    /// Drops the lease until a majority answers pings that are sent from now on; whether it ran.
    pub(in crate::protocol) fn doubt_lease(&mut self, now: Time) -> bool {
        let did_run = std::mem::replace(&mut self.has_lease, false);
        if did_run {
            self.doubted_until = Some(self.lease_until);
        }
        self.lease_until = self.lease_until.min(now);
        did_run
    }

    pub(in crate::protocol) fn committed(&self) -> Sequence {
        self.committed
    }

    /// Whether there was no group before this reign, and is none yet.
    pub(in crate::protocol) fn is_unborn(&self) -> bool {
        self.is_first && !self.is_established
    }
}

/// As primary: a change that was made, and for whom.
#[derive(Debug)]
pub(in crate::protocol) struct Change {
    pub(in crate::protocol) from: PeerStart,
    pub(in crate::protocol) request: u64,
    /// The policy's revision after it.
    pub(in crate::protocol) revision: u64,
    /// A majority that holds this holds the change.
    pub(in crate::protocol) at: Sequence,
    /// Until then it may be asked for again.
    pub(in crate::protocol) until: Time,
    pub(in crate::protocol) is_told: bool,
}

/// As primary: a member that is to be counted out, as long as it is asked for.
#[derive(Debug)]
pub(in crate::protocol) struct Leaving {
    pub(in crate::protocol) until: Time,
    /// It has asked for it itself.
    pub(in crate::protocol) is_own_wish: bool,
}
