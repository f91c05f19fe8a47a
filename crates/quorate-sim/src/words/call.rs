//! A call on its way: to the primary, through its store, and back.

use quorate::{Answer, DecideContext, Incarnation, Position, Time};

/// One start of a peer: its index, and the incarnation that it runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerStart {
    pub(crate) peer: usize,
    pub(crate) incarnation: Incarnation,
}

/// A call that is forwarded to the primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) op: usize,
}

/// The answer of a primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) op: usize,
    pub(crate) result: Result<Done, NotDone>,
}

/// A decision and its place in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) answer: Answer,
    pub(crate) position: Position,
    pub(crate) context: DecideContext,
    /// The reading of its decider's clock before.
    pub(crate) read: Time,
}

/// The reason why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// The primary has changed: ask that one.
    Moved,
    /// Nothing was written.
    Refused,
    /// It may have been written.
    Unknown,
}

/// The one that an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call made on this peer.
    Here { op: usize },
    /// A call forwarded by another.
    There { op: usize, peer: usize, incarnation: Incarnation },
    /// A merge of what a relaxed peer decided alone.
    Merge { peer: usize, incarnation: Incarnation, number: u64, is_merged: bool },
}

impl Origin {
    pub(crate) fn op(self) -> Option<usize> {
        match self {
            Self::Here { op } | Self::There { op, .. } => Some(op),
            Self::Merge { .. } => None,
        }
    }
}

/// A decision that waits until a majority holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) origin: Origin,
    pub(crate) done: Done,
}
