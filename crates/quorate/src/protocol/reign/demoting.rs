//! A site that is about to give up deciding: who asked for it, and what it waits for
//! (docs/protocol.md, section 16, rule 8).

use crate::base::id::{PeerStart, Sequence, Time};

/// A site that is about to give up deciding.
#[derive(Debug)]
pub(in crate::protocol) struct Demotion {
    from: PeerStart,
    request: u64,
    is_switch: bool,
    /// The cut that is to be held.
    target: Sequence,
    since: Time,
    until: Time,
    /// Nothing is decided any more, unless it comes to nothing.
    is_holding: bool,
}

impl Demotion {
    /// One that `from` has asked for by this request, and that waits for `target` to be held
    /// between the two times. `is_switch` says that the other site is to be promoted then.
    pub(in crate::protocol) fn new(
        from: PeerStart,
        request: u64,
        is_switch: bool,
        target: Sequence,
        (since, until): (Time, Time),
    ) -> Self {
        Self { from, request, is_switch, target, since, until, is_holding: false }
    }

    /// Returns true if nothing is decided meanwhile.
    pub(in crate::protocol) fn is_holding(&self) -> bool {
        self.is_holding
    }

    /// Returns true if the other site is to be promoted then.
    pub(in crate::protocol) fn is_switch(&self) -> bool {
        self.is_switch
    }

    /// The cut that is to be held, by whoever is heard from the first time on, before the second.
    pub(in crate::protocol) fn bounds(&self) -> (Sequence, Time, Time) {
        (self.target, self.since, self.until)
    }

    /// Nothing is decided any more: the last cut is to be held.
    pub(in crate::protocol) fn hold(&mut self, last: Sequence, now: Time, until: Time) {
        (self.target, self.since, self.until) = (last, now, until);
        self.is_holding = true;
    }

    /// The asker, who is told what has come of it.
    pub(in crate::protocol) fn into_asker(self) -> (PeerStart, u64) {
        (self.from, self.request)
    }
}
