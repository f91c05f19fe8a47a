//! What peers say to each other: who sends it, who receives it, and the section of
//! [docs/protocol.md] that gives the rule.
//!
//! [docs/protocol.md]: https://github.com/quorate/quorate/blob/main/docs/protocol.md

use std::fmt;

use bytes::Bytes;

use crate::base::id::{Ballot, GroupId, GroupTime, Member, PeerName, PeerStart, Position};
use crate::config::MonitorChange;
use crate::record::Records;
use crate::state::{BatchEnd, Membership, Reign};
use crate::store::Digest;

/// Which connection a message takes: heartbeats and votes never queue behind data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Heartbeats, elections, hand-over.
    Control,
    /// Replication, merges, and calls to a peer of an older version.
    Data,
    /// Calls, and nothing else: no message takes it.
    Calls,
    /// Asks of people and tools, and their answers: no link has it, and no message takes it.
    Admin,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Calls => "calls",
            Self::Admin => "admin",
        })
    }
}

/// What a peer says of itself in every heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// The newest ballot it knows.
    pub ballot: Ballot,
    /// Whether it is the primary of that ballot.
    pub is_primary: bool,
    /// The primary it follows, if any.
    pub primary: Option<PeerStart>,
    /// The state it holds; [`Position::BLANK`] if none.
    pub position: Position,
    /// The group its state belongs to.
    pub group_id: Option<GroupId>,
    /// Whether its incarnation counts as a member, as far as it knows.
    pub is_member: bool,
    /// The ballot whose primary it holds unreachable.
    pub suspects: Option<Ballot>,
    /// Peers it has heard of lately.
    pub reaches: Vec<PeerName>,
    /// Its priority.
    pub priority: u8,
    /// Its wall clock.
    pub wall: GroupTime,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Whether it reaches a majority of the members it knows of that could elect a primary.
    pub has_quorum: bool,
    /// The members that it knows of, by name.
    pub members: Vec<PeerName>,
    /// How many cuts its state was behind the primary's at that one's last heartbeat; none if it
    /// follows nobody, or an older version does not say.
    pub behind: Option<u64>,
    /// What an earlier start of the sender may have acknowledged, if no state that it has held
    /// since contains it: of a peer in memory that remembers.
    pub acknowledged: Option<Position>,
    /// Whether it is about to end: its priority is 0 for that. An older version does not say.
    pub is_stopping: bool,
    /// Whether its storage takes nothing any more: it promises and acknowledges nothing. An older
    /// version does not say.
    pub has_failed: bool,
    /// The newest site epoch that it knows to have begun for sure: a majority of the members of
    /// that holds its first change.
    pub site_epoch: u64,
    /// Whether it is sure that no other site has begun to decide while it was down.
    pub is_confirmed: bool,
}

/// What kind of election a vote is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Campaign {
    /// Within a generation: incarnations of the membership vote.
    Ordinary,
    /// Anew: whatever incarnations the member names have now pledge themselves.
    NewGeneration,
    /// In a new site epoch: the peers of one site vote for one of them to decide from now on.
    Promotion,
}

/// A request for a vote or a pre-vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The ballot that the candidate stands for.
    pub ballot: Ballot,
    /// The kind of election.
    pub campaign: Campaign,
    /// The candidate's position when it asked.
    pub position: Position,
    /// The ballot whose primary has released its reign to this candidate.
    pub released: Option<Ballot>,
    /// Whether somebody has told the candidate to found without waiting, for members with data that
    /// are there and refused either; or, in a promotion, not to wait for a word of the other site.
    pub is_forced: bool,
    /// Members that are gone for good, as an operator has told the candidate: all others have to
    /// vote for it (section 6, rule 10).
    pub gone: Vec<PeerName>,
}

/// What a candidate is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Nothing.
    Nothing,
    /// No vote, for it would not last: the peer's storage takes nothing any more. The candidate may
    /// adopt its state, though.
    State,
    /// The peer's vote, and its state.
    Vote,
}

/// What came of asking the primary to hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchOutcome {
    /// The successor is primary.
    Switched,
    /// Whoever asks is no member, and the primary lets such peers ask for nothing.
    NotAllowed,
    /// There is no member of that name.
    NotMember,
    /// It is never promoted.
    PriorityZero,
    /// It is not up to date, or not yet counted.
    NotReady,
    /// Another switch is under way.
    Busy,
    /// It did not take over in time.
    Aborted,
    /// It is not connected to the primary.
    NotConnected,
    /// The primary has lost its majority, and hands over to nobody before it has one again.
    LeaseEnded,
}

/// What came of asking the primary to remove a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// Whoever asks is no member, and may not.
    NotAllowed,
    /// A member in reach runs an older version, which cannot follow the change.
    OldVersion,
    /// It is no member, and a majority knows.
    Removed,
    /// There is no member of that name.
    NotMember,
    /// It is connected: only it itself may ask to leave.
    Alive,
    /// It is the only member.
    LastMember,
    /// It is the primary.
    Primary,
}

/// What came of asking the primary to change the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOutcome {
    /// A majority holds it, or it was so already.
    Changed {
        /// The policy's revision after the change.
        revision: u64,
    },
    /// The model does not take it. Nothing was changed.
    Refused {
        /// Why, as the model says it.
        reason: String,
    },
    /// Whoever asks is no member, and may not. Nothing was changed.
    NotAllowed,
    /// A member in reach runs an older version, which knows of no policies. Nothing was changed.
    OldVersion,
}

/// What a primary is asked to arrange for the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// Look after the members in another way (section 15).
    Monitor(MonitorChange),
    /// Be the site that decides, of two (section 16).
    Activate,
    /// Give up to decide, so that the other site can be promoted: in the site epoch that was known
    /// to whoever asks, and in none after it.
    Demote {
        /// That site epoch.
        site_epoch: u64,
    },
    /// The same, and have the other site promoted.
    SwitchSites {
        /// That site epoch.
        site_epoch: u64,
    },
}

impl From<MonitorChange> for Arrangement {
    fn from(change: MonitorChange) -> Self {
        Self::Monitor(change)
    }
}

/// What came of asking the primary to arrange something for the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrangeOutcome {
    /// A majority holds it, or it was so already.
    Arranged {
        /// Its revision.
        revision: u64,
    },
    /// Whoever asks is no member, and may not. Nothing was changed.
    NotAllowed,
    /// A member in reach runs an older version, which does not know of it. Nothing was changed.
    OldVersion,
    /// No site is set at the primary, or at a member in reach. Nothing was changed.
    NoSite,
    /// The other site decides. Nothing was changed.
    OtherDecides,
    /// The other site holds data, and this one none. Nothing was changed.
    OtherHolds,
    /// Not enough peers of the other site are listed and hold what was decided. Nothing was
    /// changed.
    NotVerified,
    /// Nobody decides in this site epoch any more.
    Sealed,
}

/// One piece of a batch. Pieces of one transfer are numbered from 0 and applied together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The sender's ballot.
    pub ballot: Ballot,
    /// Number of the transfer, growing per sender and receiver.
    pub transfer: u64,
    /// Number of this piece within the transfer.
    pub index: u32,
    /// The position that the batch starts from; `None` if it replaces everything.
    pub from: Option<Position>,
    /// Cells; a later record of the same key replaces an earlier one.
    pub records: Records,
    /// Set on the last piece.
    pub end: Option<BatchEnd>,
    /// Cells that the transfer carries, as far as they can be told at its beginning.
    pub total: u64,
    /// Of the whole state at the end, where the receiver is to compare it (section 3.9).
    pub digest: Option<Digest>,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    // --- control lane
    /// All to all, every heartbeat: liveness, suspicion, and the primary's claim (section 2).
    Ping {
        /// Grows with every ping of the sender.
        number: u64,
        /// What the sender says of itself.
        brief: Brief,
    },
    /// Answer to a ping, at once: the round trip that leases are made of (section 5).
    Pong {
        /// The ping's number.
        number: u64,
        /// The ping's ballot: the promise is made to the primary of this ballot only.
        promise: Option<Ballot>,
        /// What the sender says of itself.
        brief: Brief,
    },
    /// Candidate to all: would you vote (section 4)?
    PreVote(VoteRequest),
    /// Answer to a pre-vote.
    PreVoteReply {
        /// The ballot asked for.
        ballot: Ballot,
        /// What the sender would give.
        grant: Grant,
        /// The newest ballot the sender knows.
        known: Ballot,
        /// Its membership: the newest among the voters says who is asked.
        membership: Membership,
        /// Why nothing is given, for people; empty if there is nothing to say.
        why: String,
    },
    /// Candidate to all: vote (section 4).
    Vote(VoteRequest),
    /// Answer to a vote request, given after the voter raised its ballot.
    VoteReply {
        /// The ballot asked for.
        ballot: Ballot,
        /// What is given.
        grant: Grant,
        /// The newest ballot the sender knows.
        known: Ballot,
        /// The voter's position: freshness decides what.
        position: Position,
        /// The voter's membership: votes are counted under the newest.
        membership: Membership,
        /// Why nothing is given, for people; empty if there is nothing to say.
        why: String,
    },
    /// Primary to all: this reign is over by my own will, and `to` stands next (section 8).
    Release {
        /// The reign that ends.
        ballot: Ballot,
        /// The successor.
        to: PeerName,
    },
    /// Winner that could not adopt the freshest state to its source: stand yourself (section 4).
    StandNow {
        /// The ballot of the winner, which it gives up.
        ballot: Ballot,
    },
    /// Primary of a site that decides no more to a peer of the other one: be promoted (section 16).
    TakeOver {
        /// The last reign of the site epoch.
        ballot: Ballot,
    },
    /// Any peer to the primary: count this member out (section 7). Sent again until it is answered.
    Remove {
        /// Names the request of the sender.
        request: u64,
        /// Who is to go; the sender itself, or one that is gone for good.
        peer: PeerName,
    },
    /// Answer to [`Message::Remove`]; none while the change is under way.
    Removed {
        /// The request.
        request: u64,
        /// What came of it.
        outcome: RemoveOutcome,
    },
    /// Any peer to the primary: change the policy (section 14). Sent again until it is answered.
    ChangePolicy {
        /// Names the request of the sender.
        request: u64,
        /// The change, in the model's own bytes.
        bytes: Bytes,
    },
    /// Answer to [`Message::ChangePolicy`]; none while the change is under way.
    PolicyChanged {
        /// The request.
        request: u64,
        /// What came of it.
        outcome: PolicyOutcome,
    },
    /// Any peer to the primary: arrange this for the group (sections 15 and 16). Sent again
    /// until it is answered.
    Arrange {
        /// Names the request of the sender.
        request: u64,
        /// What is to be changed.
        change: Arrangement,
    },
    /// Answer to [`Message::Arrange`]; none while the change is under way.
    Arranged {
        /// The request.
        request: u64,
        /// What came of it.
        outcome: ArrangeOutcome,
    },
    /// Any peer to the primary: hand over to this member (section 8). Sent again until it is
    /// answered.
    SwitchPrimary {
        /// Names the request of the sender.
        request: u64,
        /// Who is to take over.
        to: PeerName,
        /// The reign that is to end: no other is meant.
        ballot: Ballot,
    },
    /// Answer to [`Message::SwitchPrimary`]; none while the switch is under way.
    Switched {
        /// The request.
        request: u64,
        /// What came of it.
        outcome: SwitchOutcome,
    },
    /// Member to a joiner or client: where the members are reached, as far as it knows (section 7).
    Peers {
        /// The membership that they are from.
        stamp: Position,
        /// The members.
        members: Vec<Member>,
    },
    // --- data lane
    /// Primary to a peer: follow me; tell me where you are (section 3).
    Follow {
        /// The reign.
        ballot: Ballot,
        /// The group.
        group_id: Option<GroupId>,
        /// Whether a majority holds the first change of this reign.
        is_established: bool,
    },
    /// Answer to [`Message::Follow`], and a winner's request to its source (section 4).
    Position {
        /// The ballot of the peer that will send.
        ballot: Ballot,
        /// What the receiver of the data holds.
        position: Position,
        /// Its history.
        history: Vec<Reign>,
        /// Set by a winner that asks a voter for its state.
        pull: bool,
    },
    /// Sender to a peer with changes past the fork: name them (section 3).
    Fork {
        /// The sender's ballot.
        ballot: Ballot,
        /// The last position common to both histories.
        at: Position,
    },
    /// Answer to [`Message::Fork`].
    Tail {
        /// The sender's ballot.
        ballot: Ballot,
        /// The fork.
        at: Position,
        /// Keys stamped past it; `None` if they are too many to name.
        keys: Option<Vec<Bytes>>,
    },
    /// Cells (section 3).
    Piece(Piece),
    /// A piece has been staged: room for the next one.
    PieceStaged {
        /// The sender's ballot.
        ballot: Ballot,
        /// The transfer.
        transfer: u64,
        /// The piece.
        index: u32,
    },
    /// A batch has been applied whole: the receiver holds `position`.
    Held {
        /// The ballot under which it was received.
        ballot: Ballot,
        /// The cut.
        position: Position,
    },
    /// The receiver could not use a batch: start over with [`Message::Follow`].
    Lost {
        /// The ballot of the sender.
        ballot: Ballot,
    },
    /// Old primary to the new one: what it gave up of its tail (section 3).
    GaveUp {
        /// The ballot now followed.
        ballot: Ballot,
        /// Units given up.
        units: u64,
        /// Whether that is a bound, for the sender cannot tell from where on it gave up. An older
        /// version does not say.
        is_at_most: bool,
    },
}

impl Message {
    /// The reign and the group that a message of a primary names.
    pub fn named_reign(&self) -> Option<(Ballot, GroupId)> {
        match self {
            Self::Ping { brief, .. } | Self::Pong { brief, .. } if brief.is_primary => {
                Some((brief.ballot, brief.group_id?))
            }
            Self::Follow { ballot, group_id, .. } => Some((*ballot, (*group_id)?)),
            _ => None,
        }
    }

    /// Returns true if the message binds its sender to a ballot, and to a vote in it.
    pub(in crate::protocol) fn is_binding(&self) -> bool {
        match self {
            Self::Vote(_) => true,
            Self::VoteReply { grant, .. } => *grant == Grant::Vote,
            _ => false,
        }
    }

    /// The lane this message takes.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Ping { .. }
            | Self::Pong { .. }
            | Self::PreVote(_)
            | Self::PreVoteReply { .. }
            | Self::Vote(_)
            | Self::VoteReply { .. }
            | Self::Release { .. }
            | Self::StandNow { .. }
            | Self::TakeOver { .. }
            | Self::Remove { .. }
            | Self::Removed { .. }
            | Self::ChangePolicy { .. }
            | Self::PolicyChanged { .. }
            | Self::Arrange { .. }
            | Self::Arranged { .. }
            | Self::SwitchPrimary { .. }
            | Self::Switched { .. }
            | Self::Peers { .. } => Lane::Control,
            Self::Follow { .. }
            | Self::Position { .. }
            | Self::Fork { .. }
            | Self::Tail { .. }
            | Self::Piece(_)
            | Self::PieceStaged { .. }
            | Self::Held { .. }
            | Self::Lost { .. }
            | Self::GaveUp { .. } => Lane::Data,
        }
    }
}
