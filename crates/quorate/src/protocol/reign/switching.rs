//! A planned switch under way: who asked for it, and what it waits for
//! (docs/protocol.md, section 8).

use crate::base::id::{Ballot, PeerStart, Sequence, Time};

/// Who waits for the end of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Asker {
    /// This peer's embedder, by this request; or nobody.
    Own(u64),
    /// Another peer, by this request of its own.
    Other(PeerStart, u64),
}

/// A request that nobody has made.
pub(in crate::protocol) const NOBODY: Asker = Asker::Own(0);

/// A hand-over that waits for the successor to reach the last cut.
#[derive(Debug)]
pub(in crate::protocol) struct HandOver {
    pub(in crate::protocol) asker: Asker,
    pub(in crate::protocol) to: PeerStart,
    pub(in crate::protocol) last: Sequence,
    pub(in crate::protocol) deadline: Time,
}

/// The successor's election, as the peer waits for it that has released its reign.
#[derive(Debug)]
pub(in crate::protocol) struct Switching {
    pub(in crate::protocol) asker: Asker,
    pub(in crate::protocol) to: PeerStart,
    pub(in crate::protocol) ballot: Ballot,
    pub(in crate::protocol) deadline: Time,
}
