//! What a peer has been told by those who are no part of the protocol: operators, and whoever has
//! refused it, or was refused, at the door.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::id::{PeerName, Position, Time};

/// A wish to be primary without members that are gone, which is under way.
#[derive(Debug)]
pub(super) struct Force {
    request: u64,
    gone: BTreeSet<PeerName>,
    since: Time,
    until: Time,
    /// A round was held that binds whoever took part in it.
    was_binding: bool,
}

impl Force {
    /// The wish that was made at `since` by this request, and ends at `until`.
    pub(super) fn new(request: u64, gone: BTreeSet<PeerName>, since: Time, until: Time) -> Self {
        Self { request, gone, since, until, was_binding: false }
    }

    /// The request of the embedder.
    pub(super) fn request(&self) -> u64 {
        self.request
    }

    /// Members that are named as gone.
    pub(super) fn gone(&self) -> &BTreeSet<PeerName> {
        &self.gone
    }

    /// When it is given up.
    pub(super) fn until(&self) -> Time {
        self.until
    }

    /// How long it has been under way.
    pub(super) fn waited(&self, now: Time) -> Duration {
        now.since(self.since)
    }

    /// Notes that a round is held for it; one that binds may have an effect.
    pub(super) fn note_round(&mut self, is_binding: bool) {
        self.was_binding |= is_binding;
    }

    /// Returns true if a round was held that binds whoever took part in it.
    pub(super) fn was_binding(&self) -> bool {
        self.was_binding
    }
}

/// The members that refuse this peer as none, and hold a later state of its generation than it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spurned {
    /// Its own state, while they say so.
    pub(super) at: Position,
    pub(super) by: BTreeSet<PeerName>,
}

/// Somebody of this group is there and is refused: something that must be equal is being changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unrest {
    peer: PeerName,
    field: String,
    since: Time,
}

impl Unrest {
    /// This peer was refused for this field.
    pub(super) fn new(peer: PeerName, field: String, since: Time) -> Self {
        Self { peer, field, since }
    }

    /// Who was refused, and for what.
    pub(super) fn what(&self) -> (PeerName, String) {
        (self.peer.clone(), self.field.clone())
    }

    /// How long ago that was.
    pub(super) fn age(&self, now: Time) -> Duration {
        now.since(self.since)
    }
}
