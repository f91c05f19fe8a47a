//! A planned switch under way: who asked for it, and what it waits for
//! (docs/protocol.md, section 8).

use crate::base::error::SwitchError;
use crate::base::id::{Ballot, PeerName, PeerStart, Position, Sequence, Time};

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
    asker: Asker,
    to: PeerStart,
    /// The last cut of the reign.
    last: Sequence,
    deadline: Time,
}

impl HandOver {
    pub(in crate::protocol) fn new(
        asker: Asker,
        to: PeerStart,
        last: Sequence,
        deadline: Time,
    ) -> Self {
        Self { asker, to, last, deadline }
    }

    /// Returns true if this is what `asker` has asked for.
    pub(in crate::protocol) fn is_for(&self, asker: &Asker) -> bool {
        self.asker == *asker
    }

    /// The successor.
    pub(in crate::protocol) fn to(&self) -> &PeerStart {
        &self.to
    }

    /// The last cut of the reign.
    pub(in crate::protocol) fn last(&self) -> Sequence {
        self.last
    }

    /// When it is given up at the latest.
    pub(in crate::protocol) fn deadline(&self) -> Time {
        self.deadline
    }

    /// Returns true if a majority holds the last cut of the reign `ballot`, and so does the
    /// successor, which holds `held`.
    pub(in crate::protocol) fn is_held(
        &self,
        ballot: Ballot,
        committed: Sequence,
        held: Option<Position>,
    ) -> bool {
        let last = Position { ballot, sequence: self.last };
        committed >= self.last && held.is_some_and(|held| held >= last)
    }

    /// The successor's election, which whoever asked for the switch waits for until `deadline`.
    pub(in crate::protocol) fn release(self, ballot: Ballot, deadline: Time) -> Switching {
        Switching { asker: self.asker, to: self.to, ballot, deadline }
    }

    /// The asker, who is told that nothing has come of it.
    pub(in crate::protocol) fn into_asker(self) -> Asker {
        self.asker
    }
}

/// The successor's election, as the peer waits for it that has released its reign.
#[derive(Debug)]
pub(in crate::protocol) struct Switching {
    asker: Asker,
    to: PeerStart,
    /// The reign that was released.
    ballot: Ballot,
    deadline: Time,
}

impl Switching {
    /// The successor.
    pub(in crate::protocol) fn to(&self) -> &PeerStart {
        &self.to
    }

    /// When it is over at the latest.
    pub(in crate::protocol) fn deadline(&self) -> Time {
        self.deadline
    }

    /// The outcome at `now`, in `ballot`, where `leader` is followed; `None` while the successor
    /// may still be elected. `is_over` says that it will not be.
    pub(in crate::protocol) fn outcome(
        &self,
        now: Time,
        ballot: Ballot,
        leader: Option<&PeerName>,
        is_over: bool,
    ) -> Option<Result<PeerName, SwitchError>> {
        let to = &self.to.name;
        if ballot > self.ballot && leader == Some(to) {
            return Some(Ok(to.clone()));
        }
        let is_failed = is_over || leader.is_some() || now >= self.deadline;
        is_failed.then(|| Err(SwitchError::Aborted { to: to.clone() }))
    }

    /// The asker, who is told what has come of it.
    pub(in crate::protocol) fn into_asker(self) -> Asker {
        self.asker
    }
}
