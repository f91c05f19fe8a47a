//! What a peer is doing: its role, the primary it follows, and what it has noticed without one.

use std::time::Duration;

use crate::base::id::{Ballot, PeerName, PeerStart, Position, Time};
use crate::protocol::elect::canvass::{Call, Canvass};
use crate::protocol::elect::met::Met;
use crate::protocol::former::Former;
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
    /// The last of its heartbeats at which that was none.
    pub(super) in_step: Option<Time>,
    /// What it held a quarter of the failure timeout ago.
    pub(super) before: Former<Position>,
    /// Whether this peer has come up with it, and was never cut off from it since.
    pub(super) is_kept_up_with: bool,
}

impl Leader {
    /// Returns true if it decides nothing any more, whatever was last heard of it.
    pub(super) fn has_ended(&self, now: Time) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }

    /// Returns true if a position covers what it held before: under load, and where the way is
    /// long, nobody holds what it holds now.
    pub(super) fn is_come_up_with(&self, position: Position) -> bool {
        let before = self.before.value();
        let is_of_it = position.ballot == before.ballot && !position.is_blank();
        is_of_it && position.sequence >= before.sequence
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

impl Role {
    /// The round of votes that is being held.
    pub(super) fn canvass(&self) -> Option<&Canvass> {
        match self {
            Self::PreCandidate(canvass) | Self::Candidate(canvass) => Some(canvass),
            Self::Follower | Self::Winner(_) | Self::Primary(_) => None,
        }
    }

    /// Returns true if this peer stands for election, or was elected and does not decide yet.
    pub(super) fn is_standing(&self) -> bool {
        matches!(self, Self::PreCandidate(_) | Self::Candidate(_) | Self::Winner(_))
    }
}

/// An elected peer that is not yet as fresh as its freshest voter.
#[derive(Debug)]
pub(super) struct Winner {
    campaign: Campaign,
    /// The last reign was released to this peer.
    was_released: bool,
    /// The voter with the freshest state, and the position of that.
    source: PeerStart,
    target: Position,
    deadline: Time,
    /// When the source was last asked, or last sent something.
    asked: Time,
}

impl Winner {
    /// The winner of the election `call` that adopts the state of `source` before `deadline`.
    pub(super) fn new(call: Call, source: PeerStart, target: Position, deadline: Time) -> Self {
        Self {
            campaign: call.campaign,
            was_released: call.released.is_some(),
            source,
            target,
            deadline,
            asked: Time(0),
        }
    }

    pub(super) fn campaign(&self) -> Campaign {
        self.campaign
    }

    pub(super) fn was_released(&self) -> bool {
        self.was_released
    }

    /// The peer whose state is adopted.
    pub(super) fn source(&self) -> &PeerStart {
        &self.source
    }

    /// Returns true if a state at this position is as fresh as that of the freshest voter.
    pub(super) fn is_reached(&self, position: Position) -> bool {
        position >= self.target
    }

    /// When another is asked to stand, unless the state has been adopted or more of it has come.
    pub(super) fn deadline(&self) -> Time {
        self.deadline
    }

    /// When the source is asked again if it has sent nothing since.
    pub(super) fn ask_again_at(&self, retry: Duration) -> Time {
        self.asked.after(retry)
    }

    /// Notes that the source is asked, or has sent something.
    pub(super) fn note_asked(&mut self, now: Time) {
        self.asked = now;
    }

    /// Gives the source more time.
    pub(super) fn extend(&mut self, deadline: Time) {
        self.deadline = deadline;
    }
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
    /// Peers that hold data and cannot be linked with.
    pub(super) met: Met,
    /// Members that a new generation waits for.
    pub(super) missing: Vec<PeerName>,
    /// Elections since there last was a primary.
    pub(super) rounds: u32,
}
