//! State that exists while a peer is primary (docs/protocol.md, section 5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, PeerName, PeerStart, Sequence, Time};
use crate::protocol::former::Former;
use crate::protocol::group::group_clock::GroupClock;
use crate::protocol::group::request::MAX_REQUESTS;
use crate::protocol::reign::demoting::Demotion;
use crate::protocol::reign::exposure::Exposure;
use crate::protocol::reign::lease::Lease;
use crate::protocol::reign::made_changes::MadeChanges;
use crate::protocol::reign::switching::{Asker, HandOver};

/// State that exists while this peer is primary.
#[derive(Debug)]
pub(in crate::protocol) struct PrimaryState {
    /// The first cut of the reign: the primary serves once a majority holds it.
    first: Sequence,
    is_established: bool,
    clock: GroupClock,
    started: Time,
    /// What a majority holds.
    committed: Sequence,
    /// What it held a quarter of the failure timeout ago.
    committed_before: Former<Sequence>,
    /// Whether the reign is the first of its group, and there was nothing before.
    is_first: bool,
    /// Whether the reign begins a generation anew, from what is left of another.
    is_anew: bool,
    /// When a majority last held more than before, or nothing was waiting for it.
    progressed: Time,
    /// When the last batch was begun.
    replicated: Time,
    /// When followers last compared their state with this one.
    verified: Time,
    /// They are to do so by the next batch.
    is_verification_demanded: bool,
    lease: Lease,
    /// When who counts last changed in this reign.
    changed: Time,
    /// Members that are to be counted out.
    leaving: BTreeMap<PeerName, Leaving>,
    policy_changes: MadeChanges,
    /// Changes of how the members are looked after.
    arranged: MadeChanges,
    /// Members that were told of as stale.
    stale: BTreeSet<PeerName>,
    /// Joiners that are not counted in before a member has gone.
    waiting: BTreeSet<PeerName>,
    hand_over: Option<HandOver>,
    /// The site is about to give up deciding.
    demotion: Option<Demotion>,
    /// The last wish for that which came to nothing.
    refused_demotion: Option<(PeerStart, u64)>,
    /// Who waits for another site to decide.
    site_switchers: Vec<(PeerStart, u64)>,
    /// Until when another site is told to take over, and when it is the next time.
    offers_until: Time,
    offer_at: Time,
    /// What the other site holds.
    exposure: Exposure,
}

/// What a majority has come to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Advance {
    /// It holds more than before.
    pub(in crate::protocol) is_news: bool,
    /// It holds the first cut of the reign, and did not before.
    pub(in crate::protocol) is_first: bool,
}

/// A member that is to be counted out, as long as it is asked for.
#[derive(Debug)]
pub(in crate::protocol) struct Leaving {
    pub(in crate::protocol) until: Time,
    /// It has asked for it itself.
    pub(in crate::protocol) is_own_wish: bool,
}

/// A member that was silent for the grace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Stale {
    pub(in crate::protocol) peer: PeerName,
    pub(in crate::protocol) silence: Duration,
}

impl PrimaryState {
    /// A reign that begins at `now`. `is_first` says that there was no group before it.
    pub(in crate::protocol) fn new(now: Time, clock: GroupClock, is_first: bool) -> Self {
        Self {
            first: Sequence(0),
            is_established: bug::is(Bug::ServeBeforeFirstCommit),
            clock,
            started: now,
            committed: Sequence(0),
            committed_before: Former::new(now, Sequence(0)),
            is_first,
            is_anew: false,
            progressed: now,
            replicated: Time(0),
            verified: now,
            is_verification_demanded: false,
            lease: Lease::new(),
            changed: now,
            leaving: BTreeMap::new(),
            policy_changes: MadeChanges::default(),
            arranged: MadeChanges::default(),
            stale: BTreeSet::new(),
            waiting: BTreeSet::new(),
            hand_over: None,
            demotion: None,
            refused_demotion: None,
            site_switchers: Vec::new(),
            offers_until: Time(0),
            offer_at: Time(0),
            exposure: Exposure::default(),
        }
    }

    // --- the beginning, and what a majority holds

    /// The first cut of the reign.
    pub(in crate::protocol) fn first(&self) -> Sequence {
        self.first
    }

    /// Notes where the first cut of the reign ends.
    pub(in crate::protocol) fn begin_at(&mut self, first: Sequence) {
        self.first = first;
    }

    pub(in crate::protocol) fn started(&self) -> Time {
        self.started
    }

    /// Returns true if a majority holds the first cut.
    pub(in crate::protocol) fn is_established(&self) -> bool {
        self.is_established
    }

    /// Notes that the reign begins a generation anew, from what is left of another.
    pub(in crate::protocol) fn note_anew(&mut self) {
        self.is_anew = true;
    }

    /// Returns true if its state may lack what most of the members held before.
    pub(in crate::protocol) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// Returns true if there was no group before this reign, and is none yet.
    pub(in crate::protocol) fn is_unborn(&self) -> bool {
        self.is_first && !self.is_established
    }

    /// Returns true if a majority holds the first cut, and nothing is being handed over.
    pub(in crate::protocol) fn is_calm(&self) -> bool {
        let is_holding = self.demotion.as_ref().is_some_and(Demotion::is_holding);
        self.is_established && self.hand_over.is_none() && !is_holding
    }

    /// The sequence that a majority holds.
    pub(in crate::protocol) fn committed(&self) -> Sequence {
        self.committed
    }

    /// Returns true if whoever holds this has come up with the others: it holds a cut of this
    /// reign, and what a majority held a quarter of the failure timeout ago. Under load nobody who
    /// is further away than the others ever holds what those hold now.
    pub(in crate::protocol) fn is_caught_up(&self, held: Sequence) -> bool {
        let before = match bug::is(Bug::CaughtUpIsEven) {
            true => self.committed,
            false => self.committed_before.value(),
        };
        held >= before.max(self.first)
    }

    /// Notes what a majority holds at `now`; `is_all` says that there is no more to hold. It counts
    /// as held before after such an `age`.
    pub(in crate::protocol) fn advance(
        &mut self,
        now: Time,
        held: Sequence,
        is_all: bool,
        age: Duration,
    ) -> Advance {
        self.committed_before.note(now, self.committed, age);
        let is_news = held > self.committed;
        if is_news {
            self.committed = held;
        }
        if is_news || is_all {
            self.progressed = now;
        }
        let is_first = !self.is_established && held >= self.first;
        self.is_established |= is_first;
        Advance { is_news, is_first }
    }

    /// Returns true if a majority takes heartbeats and has taken no data for so long.
    pub(in crate::protocol) fn is_stuck(&self, now: Time, patience: Duration) -> bool {
        now.since(self.progressed) > patience
    }

    /// When the last batch was begun.
    pub(in crate::protocol) fn replicated(&self) -> Time {
        self.replicated
    }

    pub(in crate::protocol) fn note_replicated(&mut self, now: Time) {
        self.replicated = now;
    }

    /// Returns true if followers are to compare their state now, as they do every `interval`.
    pub(in crate::protocol) fn is_verification_due(&self, now: Time, interval: Duration) -> bool {
        let is_due = self.is_calm() && now.since(self.verified) >= interval;
        !interval.is_zero() && (is_due || self.is_verification_demanded)
    }

    /// Has the followers compare their state with this one by the next batch.
    pub(in crate::protocol) fn demand_verification(&mut self) {
        self.is_verification_demanded = true;
    }

    pub(in crate::protocol) fn note_verified(&mut self, now: Time) {
        self.verified = now;
        self.is_verification_demanded = false;
    }

    // --- the clock and the lease

    pub(in crate::protocol) fn clock(&self) -> &GroupClock {
        &self.clock
    }

    /// Steers the clock to where a majority's clocks are.
    pub(in crate::protocol) fn steer(&mut self, now: Time, target: GroupTime, may_part: bool) {
        self.clock.set_may_part(may_part);
        self.clock.steer(now, target);
    }

    pub(in crate::protocol) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(in crate::protocol) fn lease_mut(&mut self) -> &mut Lease {
        &mut self.lease
    }

    /// Returns true if this primary may decide.
    pub(in crate::protocol) fn has_lease(&self) -> bool {
        self.lease.is_running()
    }

    // --- members, and the policy

    /// Notes that who counts has changed.
    pub(in crate::protocol) fn note_members_changed(&mut self, now: Time) {
        self.changed = now;
    }

    /// Returns true if a majority has promised something since who counts last changed.
    pub(in crate::protocol) fn is_promised_since_change(&self) -> bool {
        self.lease.promised() >= self.changed
    }

    /// Notes that a member is to be counted out; returns true if that is news.
    pub(in crate::protocol) fn let_leave(&mut self, peer: PeerName, leaving: Leaving) -> bool {
        self.leaving.insert(peer, leaving).is_none()
    }

    /// Drops the wish to count a member out.
    pub(in crate::protocol) fn let_stay(&mut self, peer: &PeerName) {
        self.leaving.remove(peer);
    }

    /// Members that are to be counted out.
    pub(in crate::protocol) fn leaving(&self) -> impl Iterator<Item = (&PeerName, &Leaving)> {
        self.leaving.iter()
    }

    /// Forgets wishes that were not repeated, and those of whoever is no member any more.
    pub(in crate::protocol) fn forget_wishes(
        &mut self,
        now: Time,
        is_member: impl Fn(&PeerName) -> bool,
    ) {
        self.leaving.retain(|name, leaving| now <= leaving.until && is_member(name));
    }

    pub(in crate::protocol) fn policy_changes(&self) -> &MadeChanges {
        &self.policy_changes
    }

    pub(in crate::protocol) fn policy_changes_mut(&mut self) -> &mut MadeChanges {
        &mut self.policy_changes
    }

    // --- upkeep

    pub(in crate::protocol) fn arranged(&self) -> &MadeChanges {
        &self.arranged
    }

    pub(in crate::protocol) fn arranged_mut(&mut self) -> &mut MadeChanges {
        &mut self.arranged
    }

    /// Notes who is stale; returns who was not before.
    pub(in crate::protocol) fn note_stale(&mut self, stale: &[Stale]) -> Vec<Stale> {
        let known = std::mem::take(&mut self.stale);
        self.stale.extend(stale.iter().map(|stale| stale.peer.clone()));
        stale.iter().filter(|stale| !known.contains(&stale.peer)).cloned().collect()
    }

    /// Joiners that are not counted in before a member has gone.
    pub(in crate::protocol) fn waiting(&self) -> &BTreeSet<PeerName> {
        &self.waiting
    }

    /// Notes which joiners wait; returns those that did not before.
    pub(in crate::protocol) fn note_waiting(
        &mut self,
        waiting: BTreeSet<PeerName>,
    ) -> Vec<PeerName> {
        let known = std::mem::replace(&mut self.waiting, waiting);
        self.waiting.difference(&known).cloned().collect()
    }

    // --- the end

    pub(in crate::protocol) fn hand_over(&self) -> Option<&HandOver> {
        self.hand_over.as_ref()
    }

    pub(in crate::protocol) fn is_handing_over(&self) -> bool {
        self.hand_over.is_some()
    }

    /// Returns true if the reign is being handed over because `asker` has asked for it.
    pub(in crate::protocol) fn is_handing_over_for(&self, asker: &Asker) -> bool {
        self.hand_over.as_ref().is_some_and(|hand_over| hand_over.is_for(asker))
    }

    pub(in crate::protocol) fn begin_hand_over(&mut self, hand_over: HandOver) {
        self.hand_over = Some(hand_over);
    }

    pub(in crate::protocol) fn take_hand_over(&mut self) -> Option<HandOver> {
        self.hand_over.take()
    }

    // --- giving up to decide

    pub(in crate::protocol) fn demotion(&self) -> Option<&Demotion> {
        self.demotion.as_ref()
    }

    pub(in crate::protocol) fn demotion_mut(&mut self) -> Option<&mut Demotion> {
        self.demotion.as_mut()
    }

    pub(in crate::protocol) fn begin_demotion(&mut self, demotion: Demotion) {
        self.demotion = Some(demotion);
    }

    pub(in crate::protocol) fn take_demotion(&mut self) -> Option<Demotion> {
        self.demotion.take()
    }

    /// Notes that a wish to give up deciding came to nothing: it may be asked for once more.
    pub(in crate::protocol) fn note_demotion_refused(&mut self, from: PeerStart, request: u64) {
        self.refused_demotion = Some((from, request));
    }

    pub(in crate::protocol) fn has_refused_demotion(&self, from: &PeerStart, request: u64) -> bool {
        self.refused_demotion.as_ref().is_some_and(|(of, number)| of == from && *number == request)
    }

    /// Notes that another site is to take over, and who waits for that.
    pub(in crate::protocol) fn switch_sites(&mut self, from: PeerStart, request: u64, until: Time) {
        let is_known = self.site_switchers.iter().any(|(of, n)| *of == from && *n == request);
        if is_known {
            return;
        }
        if self.site_switchers.len() >= MAX_REQUESTS {
            self.site_switchers.remove(0);
        }
        self.site_switchers.push((from, request));
        self.offers_until = self.offers_until.max(until);
    }

    pub(in crate::protocol) fn take_site_switchers(&mut self) -> Vec<(PeerStart, u64)> {
        std::mem::take(&mut self.site_switchers)
    }

    /// Returns true if another site is to be told now that it takes over.
    pub(in crate::protocol) fn is_offer_due(&self, now: Time) -> bool {
        now < self.offers_until && now >= self.offer_at
    }

    pub(in crate::protocol) fn note_offered(&mut self, again: Time) {
        self.offer_at = again;
    }

    pub(in crate::protocol) fn exposure(&self) -> &Exposure {
        &self.exposure
    }

    pub(in crate::protocol) fn exposure_mut(&mut self) -> &mut Exposure {
        &mut self.exposure
    }
}
