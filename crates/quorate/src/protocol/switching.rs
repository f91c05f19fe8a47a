//! A planned switch under way: who asked for it, and what it waits for
//! (docs/protocol.md, section 8).

use crate::id::{Ballot, Incarnation, PeerName, Sequence, Time};

/// Who waits for the end of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// This peer's embedder, by this request; or nobody.
    Own(u64),
    /// Another peer, by this request of its own.
    Other((PeerName, Incarnation), u64),
}

/// A request that nobody has made.
pub(super) const NOBODY: Asker = Asker::Own(0);

/// A hand-over that waits for the successor to reach the last cut.
#[derive(Debug)]
pub(super) struct HandOver {
    pub(super) asker: Asker,
    pub(super) to: (PeerName, Incarnation),
    pub(super) last: Sequence,
    pub(super) deadline: Time,
}

/// The successor's election, as the peer waits for it that has released its reign.
#[derive(Debug)]
pub(super) struct Switching {
    pub(super) asker: Asker,
    pub(super) to: (PeerName, Incarnation),
    pub(super) ballot: Ballot,
    pub(super) deadline: Time,
}
