//! What a peer has been told by those who are no part of the protocol: operators, and whoever has
//! refused it, or was refused, at the door.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::id::{Ballot, GroupTime, PeerName, Position, Time};

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

/// A promotion of this peer's site that is under way.
#[derive(Debug)]
pub(super) struct Promotion {
    /// The request of the embedder; `None` if the other site has asked for it.
    request: Option<u64>,
    is_forced: bool,
    gone: BTreeSet<PeerName>,
    since: Time,
    until: Time,
    /// A round was held that binds whoever took part in it.
    was_binding: bool,
    /// The ballot of the first round.
    ballot: Ballot,
    /// Who has refused last, and why.
    refusal: Option<(PeerName, String)>,
}

/// What is known of a promotion at the peer that it has made primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromotionReport {
    /// The site epoch that began.
    pub epoch: u64,
    /// When this peer might decide in it, by the calendar.
    pub at: GroupTime,
    /// From the operator's word until it might decide.
    pub took: Duration,
    /// From the last word of the primary before it until then; `None` if none was known.
    pub outage: Option<Duration>,
    /// Units that former primaries have told to be given up since; `None` if none has told.
    pub lost: Option<LostUnits>,
}

/// Units that were decided and do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostUnits {
    /// How many.
    pub units: u64,
    /// Whether they are at most so many.
    pub is_at_most: bool,
}

impl PromotionReport {
    /// Counts what a former primary of the other site has told in this epoch.
    pub(super) fn note_lost(&mut self, units: u64, is_at_most: bool) {
        let lost = self.lost.get_or_insert_default();
        lost.units = lost.units.saturating_add(units);
        lost.is_at_most |= is_at_most;
    }
}

impl Promotion {
    /// A promotion that begins at `since`, and is given up at `until`.
    pub(super) fn new(
        request: Option<u64>,
        is_forced: bool,
        gone: BTreeSet<PeerName>,
        since: Time,
        until: Time,
    ) -> Self {
        let (ballot, refusal) = (Ballot::NONE, None);
        Self { request, is_forced, gone, since, until, was_binding: false, ballot, refusal }
    }

    /// What there is to tell of it at its end, in the epoch that began by it; the primary before it
    /// was last heard at `last_word`.
    pub(super) fn report(
        &self,
        now: Time,
        at: GroupTime,
        epoch: u64,
        last_word: Option<Time>,
    ) -> PromotionReport {
        let outage = last_word.map(|heard| now.since(heard));
        PromotionReport { epoch, at, took: self.waited(now), outage, lost: None }
    }

    pub(super) fn request(&self) -> Option<u64> {
        self.request
    }

    /// Whether the other site need not have given up deciding.
    pub(super) fn is_forced(&self) -> bool {
        self.is_forced
    }

    /// Peers of this site that are named as gone for good.
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

    /// Notes that a round is held for it, for this ballot; one that binds may have an effect.
    pub(super) fn note_round(&mut self, is_binding: bool, ballot: Ballot) {
        self.was_binding |= is_binding;
        if self.ballot == Ballot::NONE {
            self.ballot = ballot;
        }
    }

    /// Returns true if a round was held that binds whoever took part in it.
    pub(super) fn was_binding(&self) -> bool {
        self.was_binding
    }

    /// Returns true if a ballot is older than the first that was stood for.
    pub(super) fn is_before(&self, ballot: Ballot) -> bool {
        ballot < self.ballot
    }

    /// Returns true if a site epoch has begun that is no earlier than the one that was stood for.
    pub(super) fn is_overtaken_by(&self, site_epoch: u64) -> bool {
        self.ballot != Ballot::NONE && site_epoch >= self.ballot.generation.site_epoch()
    }

    /// Notes who has refused, and why.
    pub(super) fn note_refusal(&mut self, peer: PeerName, why: String) {
        self.refusal = Some((peer, why));
    }

    pub(super) fn refusal(&self) -> Option<&(PeerName, String)> {
        self.refusal.as_ref()
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
