//! The things that a world shows as they happen, and the objection of a checker.

use std::fmt;

use bytes::Bytes;
use quorate::{
    Answer, Ballot, DecideContext, Delta, Event as GroupEvent, GroupTime, Incarnation, Position,
};

use crate::words::call::Done;
use crate::words::merge::{Cells, MergeId};
use crate::words::operation::Outcome;

/// Something worth seeing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// A decision is final for its caller as far as the group is concerned.
    Acknowledged { peer: usize, op: Option<usize>, done: Done, is_majority: bool },
    /// A peer has got the authority to decide.
    Authority { peer: usize },
    /// A peer says that this is the newest ballot that it knows.
    Ballot { peer: usize, ballot: Ballot },
    /// A reign has become part of the history.
    Begun { ballot: Ballot },
    /// A wall clock has been moved, or is about to be.
    Clocks,
    /// A merge is forgotten by its origin.
    Confirmed { id: MergeId },
    /// A primary's own position has moved.
    Cut { peer: usize, from: Position, to: Position, group_time: GroupTime },
    /// A peer without a primary has decided.
    DecidedAlone { peer: usize, op: usize, answer: Answer, context: DecideContext },
    /// A start of a peer has heard that a newer generation of its history has counted it out.
    Disowned { peer: usize, incarnation: Incarnation },
    /// An operation has ended for its caller.
    Ended { op: usize, outcome: Outcome },
    /// A peer has forgotten the batch that it sealed last, or all that it decided alone.
    Forgotten { peer: usize, is_all: bool },
    /// A primary has no room for what an operation needs.
    Full { peer: usize, op: usize },
    /// Nobody has asked for anything for so long that every limit has expired.
    Idled,
    /// The state machine reports something.
    Event { peer: usize, event: &'a GroupEvent },
    /// A decision has been made.
    Executed { op: Option<usize>, done: Done },
    /// A primary has merged this, for the first time.
    Merged {
        id: Option<MergeId>,
        position: Position,
        context: DecideContext,
        entries: &'a [(Bytes, Delta)],
    },
    /// A batch has been applied.
    Moved {
        peer: usize,
        from: Position,
        to: Position,
        group_time: GroupTime,
        cells: &'a Cells,
        expected: &'a Cells,
    },
    /// A primary says that a majority holds a policy.
    PolicyChanged { ballot: Ballot, revision: u64 },
    /// A decision has been refused.
    Refused { peer: usize, op: usize, is_unchanged: bool },
    /// A reign is about to begin with these cells.
    Reign {
        peer: usize,
        ballot: Ballot,
        parent: Option<Position>,
        is_founding: bool,
        group_time: GroupTime,
        cells: &'a Cells,
    },
    /// A primary has given its reign up to a successor of its choice.
    Released { peer: usize, ballot: Ballot, to: usize },
    /// A peer has sealed this, to have it merged.
    Sealed { peer: usize, entries: &'a [(Bytes, Delta)] },
    /// A process has started.
    Started { peer: usize },
    /// A peer is asked to have the primary hand over, by its embedder or by another peer.
    Heard { peer: usize, request: u64 },
    /// Somebody asks for a hand-over, to this peer if one is named.
    Wished { to: Option<usize> },
    /// A vote has been granted.
    Vote { peer: usize, ballot: Ballot, to: usize },
}

/// A checker's objection.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) checker: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}
