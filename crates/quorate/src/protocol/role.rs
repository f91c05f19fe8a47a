//! What a peer is doing: its role, the primary it follows, and what it has noticed without one.

use crate::base::id::{Ballot, PeerName, PeerStart, Position, Time};
use crate::protocol::elect::canvass::Canvass;
use crate::protocol::message::Campaign;
use crate::protocol::reign::primary_state::PrimaryState;
use crate::protocol::reign::sender::Sender;

/// The primary that this peer follows.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pub(super) start: PeerStart,
    pub(super) heard: Time,
    /// From then on it decides nothing any more: it has ended, or its lease has by then.
    pub(super) ends: Option<Time>,
    /// How many cuts this peer's state was behind its at its last heartbeat.
    pub(super) behind: Option<u64>,
    /// Whether this peer has come up with it, and was never cut off from it since.
    pub(super) is_kept_up_with: bool,
}

impl Leader {
    /// Whether it decides nothing any more, whatever was last heard of it.
    pub(super) fn has_ended(&self, now: Time) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }
}

/// The state of this peer, on its way to a winner that has asked for it.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) to: PeerStart,
    pub(super) sender: Sender,
}

/// No vote for anyone else until then, unless the primary dies or gives its reign up.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) to: PeerStart,
    pub(super) ballot: Ballot,
    /// When the last heartbeat was answered.
    pub(super) made: Time,
    pub(super) until: Time,
}

/// What this peer is doing. State that exists in one role only lives in the role.
#[derive(Debug)]
pub(super) enum Role {
    /// Following a primary, or waiting for one.
    Follower,
    /// Asking whether it would be voted for.
    PreCandidate(Canvass),
    /// Asking for votes.
    Candidate(Canvass),
    /// Elected, and adopting the freshest state among its voters.
    Winner(Winner),
    /// Primary.
    Primary(Box<PrimaryState>),
}

/// An elected peer that is not yet as fresh as its freshest voter.
#[derive(Debug)]
pub(super) struct Winner {
    pub(super) campaign: Campaign,
    pub(super) source: PeerStart,
    pub(super) target: Position,
    pub(super) deadline: Time,
    pub(super) asked: Time,
    pub(super) was_released: bool,
}

/// What a peer without a primary has noticed so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) is_suspecting: bool,
    /// A primary was followed and lost, rather than handed over.
    pub(super) has_lost: bool,
    /// When that was, until it is told that no majority is left, or there is a primary.
    pub(super) lost_at: Option<Time>,
    /// The agreement about it has been announced.
    pub(super) has_announced: bool,
    pub(super) has_agreed: bool,
    pub(super) campaign_at: Option<Time>,
    /// This peer has asked too early: it was not refused for good, and tries again when another
    /// member comes to hold the primary unreachable.
    pub(super) was_early: bool,
    /// Before this the successor of a hand-over goes first, whatever has been agreed meanwhile.
    pub(super) way_until: Time,
    /// When this peer last had a primary, or saw a member with data that might become one.
    pub(super) hopeful: Time,
    pub(super) found_now: bool,
    /// Members that hold data and cannot be linked with.
    pub(super) met: Met,
    /// Members that a new generation waits for.
    pub(super) missing: Vec<PeerName>,
    /// Elections since there last was a primary.
    pub(super) rounds: u32,
}

/// Members that were met lately, hold data or may hold some, and cannot be linked with.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Until then they count as there.
    pub(super) until: Time,
    /// The latest state that one of them is known to hold.
    pub(super) position: Position,
}
