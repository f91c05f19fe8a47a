//! Guests: peers at the other end of a connection that have come in, and are no members.
//!
//! What a peer says of itself makes no member of it, and whoever came as a joiner is one from the
//! moment that it is counted in. So the roster is asked whenever it matters, which is at every
//! read: the answer is kept until the roster changes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::id::PeerName;
use crate::driver::links::roster::Roster;

/// The last answer of the roster.
#[derive(Debug)]
pub(in crate::driver) struct Guest {
    /// Its changes until then, and in the lowest bit whether the peer was no member.
    seen: AtomicU64,
}

impl Guest {
    pub(in crate::driver) fn new() -> Self {
        Self { seen: AtomicU64::new(u64::MAX) }
    }

    /// Returns true if a peer that has come in is a guest now. All calls are about the same one.
    #[inline]
    pub(in crate::driver) fn is_one(&self, peer: &PeerName, roster: &Roster) -> bool {
        let changes = roster.changes();
        let seen = self.seen.load(Ordering::Relaxed);
        if seen >> 1 == changes { seen & 1 == 1 } else { self.ask(peer, roster, changes) }
    }

    #[cold]
    fn ask(&self, peer: &PeerName, roster: &Roster, changes: u64) -> bool {
        let is_guest = !roster.is_member(peer);
        self.seen.store(changes << 1 | u64::from(is_guest), Ordering::Relaxed);
        is_guest
    }
}
