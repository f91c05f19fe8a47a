//! Promotion: the peers of one site make one of them primary, in a new site epoch
//! (docs/protocol.md, section 16, rules 11 and 12).
//!
//! It is an election of its own kind. Clean: the other site has given up deciding, and most of
//! those that are listed here hold that, by their ids, so that the freshest of any majority of them
//! holds all that was ever acknowledged. Forced: on an operator's word, by their names.

use std::collections::BTreeSet;

use crate::base::bug::{self, Bug};
use crate::base::error::SiteError;
use crate::base::event::Event;
use crate::base::id::{
    Ballot, Generation, GroupTime, Member, PeerKind, PeerName, PeerStart, Position, Sequence, Term,
};
use crate::protocol::deadlines::Timer;
use crate::protocol::elect::canvass::Reply;
use crate::protocol::elect::founding::seconds_of;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::{Output, SITES_VERSION};
use crate::protocol::machine::Machine;
use crate::protocol::message::{ArrangeOutcome, Campaign, Grant, VoteRequest};
use crate::protocol::role::Role;
use crate::protocol::told::Promotion;
use crate::state::{Promoted, SitePhase};

/// Site epochs by which a candidate may be ahead of a voter.
const MAX_EPOCHS_AHEAD: u64 = 16;

impl Machine {
    /// Stands for a new site epoch, as an operator says.
    pub(in crate::protocol) fn on_promote(
        &mut self,
        request: u64,
        is_forced: bool,
        gone: BTreeSet<PeerName>,
    ) {
        if self.promotion.is_some() {
            return self.end_promotion(request, Err(SiteError::Promoting));
        }
        if let Some(error) = self.why_not_promote(is_forced, &gone) {
            return self.end_promotion(request, Err(error));
        }
        let until = self.now.time.after(self.group.io_timeout);
        self.begin_promotion(Promotion::new(Some(request), is_forced, gone, self.now.time, until));
    }

    /// The primary of the site that has given up deciding has chosen this peer.
    pub(in crate::protocol) fn on_take_over(&mut self, from: &PeerStart, ballot: Ballot) {
        let is_leader = self.leader.as_ref().is_some_and(|leader| leader.start == *from);
        let nobody = BTreeSet::new();
        let is_asked = ballot == self.ballot && is_leader && self.promotion.is_none();
        if !is_asked || self.why_not_promote(false, &nobody).is_some() {
            return;
        }
        let until = self.now.time.after(self.group.failure_timeout / 2);
        self.begin_promotion(Promotion::new(None, false, nobody, self.now.time, until));
    }

    fn begin_promotion(&mut self, promotion: Promotion) {
        // One that comes to nothing is repeated, and the primary was not heard meanwhile.
        let heard = match self.is_primary() {
            true => Some(self.now.time),
            false => self.leader.as_ref().map(|leader| leader.heard),
        };
        self.last_word = heard.or(self.last_word);
        self.promotion = Some(promotion);
        // Whatever it was, or whom it followed, is over if this is won.
        self.end_switch_of_sites(ArrangeOutcome::Sealed);
        self.step_down();
        self.role = Role::Follower;
        self.leader = None;
        self.receiver.clear();
        self.watch.rounds = 0;
        self.watch.campaign_at = None;
        self.canvass(Campaign::Promotion);
        self.wake_soon();
    }

    /// The peers that have a say in it: those of this peer's site.
    pub(in crate::protocol) fn site_names(&self) -> BTreeSet<PeerName> {
        let list = &self.meta.membership;
        match self.is_listed_as_passive() {
            true => list.standby().iter().map(|member| member.name.clone()).collect(),
            false => list.names().into_iter().cloned().collect(),
        }
    }

    /// The reason why this peer may not be promoted, if there is one.
    pub(in crate::protocol) fn why_not_promote(
        &self,
        is_forced: bool,
        gone: &BTreeSet<PeerName>,
    ) -> Option<SiteError> {
        let me = &self.config.name;
        let Some(site) = &self.config.site else { return Some(SiteError::NoSite) };
        let not_ready = |why: &str| Some(SiteError::NotReady { why: why.to_owned() });
        if !self.has_data() {
            return not_ready("it holds nothing: ask a peer of this site that follows");
        }
        let Some(known) = &self.meta.membership.site else { return Some(SiteError::NoSite) };
        if self.has_failed() {
            return not_ready("its storage takes nothing any more");
        }
        if self.priority() == 0 {
            return not_ready("it is never promoted: its priority is 0, or it is about to end");
        }
        let is_passive = self.is_passive();
        // Who has voted for the other site since has given that licence up.
        let is_sealed = known.phase == SitePhase::Sealed
            && (!self.is_fenced() || bug::is(Bug::LicenceKeptByCandidate));
        let is_open = !known.is_sealed();
        let names = self.site_names();
        // What has begun and come to nothing is ended by another promotion, of either site.
        let is_begun = self.site_epoch >= self.own_epoch() || !self.primary_is_absent();
        let is_settled = is_begun && !self.is_raised() && !(is_forced && self.meets_raised());
        if !is_passive && is_open && is_settled && (self.is_confirmed() || !is_forced) {
            return Some(match self.is_confirmed() {
                true => SiteError::Already,
                false => SiteError::NeedsForce { site: site.other_name().to_owned() },
            });
        }
        if !is_passive && is_open && !is_forced {
            return not_ready(
                "a promotion of this site has not come to its end: repeat it by force",
            );
        }
        if !names.contains(me) {
            return not_ready("it is not listed yet: ask one that has caught up");
        }
        if !(is_forced || is_sealed) {
            let primary = self.leader.as_ref().filter(|_| !self.primary_is_absent());
            return Some(match primary {
                Some(leader) => SiteError::ActiveReachable { primary: leader.start.name.clone() },
                None => SiteError::NeedsForce { site: site.other_name().to_owned() },
            });
        }
        if let Some(peer) = gone.iter().find(|peer| !names.contains(*peer)) {
            return Some(SiteError::Refused { peer: peer.clone(), why: "it is not listed".into() });
        }
        let alive = gone.iter().find(|peer| *peer == me || self.reaches(peer));
        if let Some(peer) = alive {
            let why = format!("it is named as gone, and is there, as {me} sees");
            return Some(SiteError::Refused { peer: peer.clone(), why });
        }
        if let Some(missing) = self.disagreeing().filter(|_| !is_forced) {
            return Some(SiteError::NoMajority { missing });
        }
        let missing = names.iter().filter(|name| !self.may_vote_here(name, is_forced));
        let missing: Vec<PeerName> =
            missing.filter(|name| !gone.contains(*name)).cloned().collect();
        let is_short = match gone.is_empty() {
            true => missing.len() >= names.len().div_ceil(2),
            false => !missing.is_empty(),
        };
        if is_short {
            return Some(SiteError::NoMajority { missing });
        }
        if names.iter().any(|name| self.speaks_less_than(name, SITES_VERSION)) {
            return Some(SiteError::OldVersion);
        }
        let newest = self.site_epoch.max(self.ballot.generation.site_epoch());
        self.own_epoch_above(newest).is_none().then_some(SiteError::EpochsUsedUp)
    }

    /// Returns true if a peer that is listed of the other site takes part in a promotion that has
    /// not begun: it follows nobody until another one does.
    fn meets_raised(&self) -> bool {
        let begun = self.deciding_epoch();
        self.listed_ballots().any(|ballot| ballot.generation.site_epoch() > begun)
    }

    /// The ballots of peers in reach that are listed of the other site.
    fn listed_ballots(&self) -> impl Iterator<Item = Ballot> {
        let listed = self.meta.membership.standby().iter();
        let remotes = listed.filter_map(|member| self.remotes.get(&member.name));
        let reached = remotes.filter(|remote| self.is_reachable(remote));
        reached.filter_map(|remote| Some(remote.brief()?.ballot))
    }

    /// Of a site that has given up deciding and takes that back: peers of the other site that
    /// cannot agree, if they are too many.
    fn disagreeing(&self) -> Option<Vec<PeerName>> {
        if self.is_listed_as_passive() || !self.meta.membership.is_sealed() {
            return None;
        }
        let standby = self.meta.membership.standby();
        let may_agree =
            |member: &&Member| member.id.is_some() && self.linked_id(&member.name) == member.id;
        let missing = standby.iter().filter(|member| !may_agree(member));
        let missing: Vec<PeerName> = missing.map(|member| member.name.clone()).collect();
        (missing.len() >= standby.len().div_ceil(2) && !missing.is_empty()).then_some(missing)
    }

    /// Returns true if a peer of this site is in reach, and may have a vote that counts: without
    /// force under the id only that is listed, for another start of it may have lost what it held.
    fn may_vote_here(&self, name: &PeerName, is_forced: bool) -> bool {
        if *name == self.config.name {
            return true;
        }
        let list = &self.meta.membership;
        let is_counted =
            self.linked_id(name).is_some_and(|id| list.lists(name, id) || list.counts(name, id));
        self.reaches(name) && (is_forced || is_counted)
    }

    /// A ballot in a site epoch of this peer's site, above all that it knows of.
    pub(in crate::protocol) fn promotion_ballot(&mut self) -> Option<Ballot> {
        let names = self.site_names();
        let siblings = names.iter().filter_map(|name| self.remotes.get(name)?.brief());
        let mut ballots: Vec<Ballot> =
            siblings.flat_map(|brief| [brief.ballot, brief.position.ballot]).collect();
        ballots.extend(self.listed_ballots());
        ballots.extend([self.ballot, self.store.position().ballot]);
        let epoch_of = |ballot: &Ballot| ballot.generation.site_epoch();
        let begun = self.deciding_epoch();
        // One word alone leads no further than promotions do.
        let most = begun.max(epoch_of(&self.ballot)) + MAX_EPOCHS_AHEAD;
        ballots.retain(|ballot| epoch_of(ballot) <= most);
        let newest = ballots.iter().map(epoch_of).max().unwrap_or(0);
        // One that was stood for and has not begun is stood for again.
        let is_open = newest > begun && self.is_own_epoch(newest);
        let site_epoch = match is_open || bug::is(Bug::EpochOfEitherParity) {
            true => newest.max(begun + 1),
            false => self.own_epoch_above(newest.max(begun))?,
        };
        let of_it = ballots.iter().filter(|ballot| epoch_of(ballot) == site_epoch);
        let first = Generation::first_of(site_epoch);
        let known = of_it.map(|ballot| ballot.generation).fold(first, Generation::max);
        let draw = self.random.next();
        let generation = known.founded(seconds_of(self.now.wall), draw);
        let term = ballots.iter().map(|ballot| ballot.term).max().unwrap_or_default();
        let next = Ballot { generation, term }.next_term();
        next.or_else(|| (generation > known).then_some(Ballot { generation, term: Term(1) }))
    }

    /// Whoever is asked for a vote: the peers of this site, and those of the other one where this
    /// one has given up deciding and takes that back.
    pub(in crate::protocol) fn linked_promoters(&self) -> Vec<PeerStart> {
        let names = self.site_names();
        let is_asked =
            |name: &PeerName| names.contains(name) || self.meta.membership.lists_name(name);
        let linked = self.remotes.iter().filter(|(name, _)| is_asked(name));
        linked
            .filter_map(|(name, remote)| Some(PeerStart::new(name.clone(), remote.linked()?)))
            .collect()
    }

    /// Peers of this site in reach that hold more than this one: their word is waited for.
    pub(in crate::protocol) fn fresher_at_site(&self) -> BTreeSet<PeerName> {
        let own = self.store.position();
        let names = self.site_names().into_iter();
        names
            .filter(|name| {
                let remote = self.remotes.get(name).filter(|remote| self.is_reachable(remote));
                remote.and_then(Remote::brief).is_some_and(|brief| brief.position > own)
            })
            .collect()
    }

    /// The reason of a voter not to have a candidate promoted, if there is one; in no words where
    /// another round may end otherwise.
    pub(in crate::protocol) fn why_not_promoted(
        &self,
        from: &PeerStart,
        request: &VoteRequest,
    ) -> Option<String> {
        let me = &self.config.name;
        let Some(remote) = self.remotes.get(&from.name) else { return Some(String::new()) };
        let Some(site) = &self.config.site else {
            return Some(format!("{me} stands at no site"));
        };
        let is_across = self.is_across(remote);
        if self.config.kind == PeerKind::Client || remote.kind() == Some(PeerKind::Client) {
            return Some(format!("{me} has no part in that"));
        }
        let epoch = request.ballot.generation.site_epoch();
        let is_theirs = match is_across {
            true => crate::state::is_epoch_of(site.other_name(), site.name(), epoch),
            false => self.is_own_epoch(epoch) || bug::is(Bug::EpochOfEitherParity),
        };
        let own = self.ballot.generation.site_epoch();
        let known = own.max(self.site_epoch);
        if !is_theirs || epoch < known || epoch > known + MAX_EPOCHS_AHEAD {
            return Some(format!("{me} takes part in site epoch {known}, and this is {epoch}"));
        }
        let has_voted_else = self.voted_for.as_ref().is_some_and(|name| *name != from.name);
        let is_past = request.ballot < self.ballot;
        if is_past || (request.ballot == self.ballot && has_voted_else) {
            return Some(String::new());
        }
        // Nobody goes past a reign of that epoch which lives.
        if self.own_epoch() == epoch && !self.primary_is_absent() {
            return Some(format!("{me} hears a primary of site epoch {epoch}"));
        }
        // It goes on by ordinary elections, or was given up.
        let has_begun = self.site_epoch >= epoch
            || (self.own_epoch() == epoch && self.meta.membership.is_sealed());
        if has_begun {
            return Some(format!("site epoch {epoch} has begun, as {me} knows"));
        }
        if let Some(peer) = request.gone.iter().find(|peer| *peer == me || self.reaches(peer)) {
            return Some(format!("{me} sees {peer}, which is named as gone"));
        }
        if request.is_forced {
            return is_across.then(|| format!("{me} is of the other site"));
        }
        self.why_not_clean(request, epoch)
    }

    /// The same of a promotion that is to lose nothing.
    fn why_not_clean(&self, request: &VoteRequest, epoch: u64) -> Option<String> {
        let me = &self.config.name;
        let has_gone_on = self.own_epoch() == epoch;
        let is_sealed = self.meta.membership.site_phase() == SitePhase::Sealed
            && self.own_epoch() == request.position.ballot.generation.site_epoch();
        let is_held = has_gone_on || is_sealed || bug::is(Bug::PromotionByNamesUnforced);
        if !is_held {
            return Some(format!("{me} does not hold that the other site decides no more"));
        }
        // Who has taken part in another's promotion since has given that licence up.
        let taken = self.ballot.generation.site_epoch();
        let is_free =
            taken == self.own_epoch() || taken % 2 == epoch % 2 || bug::is(Bug::LicenceKeptByVoter);
        (!is_free).then(|| format!("{me} has voted for the other site in site epoch {taken}"))
    }

    /// A voter has refused for good.
    pub(in crate::protocol) fn note_promotion_refused(&mut self, from: &PeerStart, reply: &Reply) {
        let is_asked = self.role.canvass().is_some_and(|canvass| {
            let call = canvass.call();
            call.campaign == Campaign::Promotion && call.ballot == reply.ballot
        });
        if !is_asked || reply.grant == Grant::Vote || reply.why.is_empty() {
            return;
        }
        if let Some(promotion) = &mut self.promotion {
            promotion.note_refusal(from.name.clone(), reply.why.clone());
        }
    }

    /// Goes on with a promotion that is under way, as a peer that follows nobody.
    pub(in crate::protocol) fn stand_by_promotion(&mut self) {
        let Some(promotion) = &self.promotion else { return };
        if let Some(error) = self.why_not_promote(promotion.is_forced(), promotion.gone()) {
            return self.fail_promotion(error);
        }
        let now = self.now.time;
        let at = *self.watch.campaign_at.get_or_insert(now);
        match now >= at {
            true => self.canvass(Campaign::Promotion),
            false => self.wake_by(Timer::Turn, at),
        }
    }

    /// Looks whether a promotion has come to its end.
    pub(in crate::protocol) fn advance_promotion(&mut self) {
        let now = self.now.time;
        let Some(promotion) = &self.promotion else { return };
        let until = promotion.until();
        let is_done = self.is_established() && !promotion.is_before(self.ballot);
        if is_done {
            self.promoted =
                Some(promotion.report(now, self.calendar(), self.own_epoch(), self.last_word));
            return self.close_promotion(Ok(()));
        }
        if promotion.is_overtaken_by(self.site_epoch) && !self.is_own_epoch(self.site_epoch) {
            // The other site was quicker.
            return self.fail_promotion(SiteError::OtherDecides);
        }
        if now < until {
            return self.wake_by(Timer::Requests, until);
        }
        let waited = promotion.waited(now);
        let error = match promotion.refusal() {
            _ if promotion.was_binding() => SiteError::TimedOut { waited },
            Some((peer, why)) => SiteError::Refused { peer: peer.clone(), why: why.clone() },
            None => SiteError::TimedOut { waited },
        };
        self.fail_promotion(error);
    }

    fn fail_promotion(&mut self, error: SiteError) {
        let is_standing = self
            .role
            .canvass()
            .is_some_and(|canvass| canvass.call().campaign == Campaign::Promotion);
        if is_standing {
            self.role = Role::Follower;
        }
        self.close_promotion(Err(error));
    }

    fn close_promotion(&mut self, result: Result<(), SiteError>) {
        let Some(promotion) = self.promotion.take() else { return };
        if let Some(request) = promotion.request() {
            self.end_promotion(request, result);
        }
        self.wake_soon();
    }

    fn end_promotion(&mut self, request: u64, result: Result<(), SiteError>) {
        self.outputs.push_back(Output::SiteArranged { request, result });
    }

    /// Begins the site epoch that this peer was elected for, with a state that was made at `as_of`.
    pub(in crate::protocol) fn begin_site_epoch(&mut self, first: Sequence, as_of: GroupTime) {
        let Some(site) = self.config.site.clone() else { return };
        let is_forced = self.is_forced_win;
        let names = self.site_names();
        let voters = names.iter().filter(|name| !self.gone.contains(*name));
        let mut voters: Vec<Member> = voters.map(|name| self.met_member(name)).collect();
        voters.sort();
        let stamp = Position { ballot: self.ballot, sequence: first };
        let promoted = Promoted { is_forced, as_of };
        let position = self.store.position();
        let list = &self.meta.membership;
        let Some(membership) = list.promoting(site.name(), voters, promoted, stamp) else { return };
        if is_forced {
            // What was answered under the old one may be lost: nothing is built on it elsewhere.
            self.meta.group_id = Some(self.random_group_id());
        }
        self.meta.membership = membership;
        self.store.set_meta(self.meta.clone());
        self.meta_version += 1;
        self.confirmed_in = Some(self.ballot.generation);
        self.follow_names();
        let epoch = self.ballot.generation.site_epoch();
        let as_of_ms = as_of.as_millis();
        let site = site.name().to_owned();
        self.event(Event::SitePromoted { site, epoch, forced: is_forced, position, as_of_ms });
        self.tell_sites();
    }

    /// A peer of this site as a member, under the id by which it is linked.
    pub(in crate::protocol) fn met_member(&self, name: &PeerName) -> Member {
        let (id, address) = if *name == self.config.name {
            (Some(self.id), self.config.address.clone())
        } else {
            let end = self.remotes.get(name).and_then(|r| r.last().zip(r.linked()));
            end.map_or_else(Default::default, |(end, _)| (Some(end.id), end.address.clone()))
        };
        Member { name: name.clone(), id, address }
    }

    /// A round is held for what an operator has asked for.
    pub(in crate::protocol) fn note_promotion_round(&mut self, is_binding: bool, ballot: Ballot) {
        if let Some(promotion) = &mut self.promotion {
            promotion.note_round(is_binding, ballot);
        }
    }
}
