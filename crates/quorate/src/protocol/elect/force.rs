//! Force: a primary on an operator's word, where no majority is left (docs/protocol.md,
//! section 6, rule 10).
//!
//! Every member is either in reach and votes, or named as gone for good. So nothing that anybody
//! holds is passed over but what only the gone held, and none of those who are left can go on by
//! the old list.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::error::ForceError;
use crate::base::event::Event;
use crate::base::forced::Forced;
use crate::base::id::{GroupId, GroupTime, PeerName, PeerStart, Position};
use crate::protocol::deadlines::Timer;
use crate::protocol::elect::canvass::Reply;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::{Output, UPKEEP_VERSION};
use crate::protocol::machine::Machine;
use crate::protocol::message::{Campaign, Grant, VoteRequest};
use crate::protocol::role::Role;
use crate::protocol::status::Lost;
use crate::protocol::told::Force;

impl Machine {
    /// Stands for a new generation without `gone`, as an operator says.
    pub(in crate::protocol) fn on_force(&mut self, request: u64, gone: BTreeSet<PeerName>) {
        if let Some(done) = self.forced_before(&gone) {
            return self.end_force(request, Ok(done));
        }
        if self.force.is_some() {
            return self.end_force(request, Err(ForceError::Busy));
        }
        if let Some(error) = self.why_not_force(&gone) {
            return self.end_force(request, Err(error));
        }
        let since = self.now.time;
        let until = since.after(self.group.io_timeout);
        self.force = Some(Force::new(request, gone, since, until));
        // Without a lease it decides nothing, and its reign is over in any case.
        self.step_down();
        self.role = Role::Follower;
        self.watch.rounds = 0;
        self.canvass(Campaign::NewGeneration);
        self.wake_soon();
    }

    /// What came of this wish, once it is met and as long as that generation stands.
    fn forced_before(&self, gone: &BTreeSet<PeerName>) -> Option<Forced> {
        let forced = self.forced.as_ref().filter(|forced| {
            let is_same = forced.gone.iter().eq(gone.iter());
            is_same && Some(forced.group_id) == self.meta.group_id
        })?;
        self.is_established().then(|| forced.clone())
    }

    /// The reason why this peer may not be forced without `gone`, if there is one.
    pub(in crate::protocol) fn why_not_force(
        &self,
        gone: &BTreeSet<PeerName>,
    ) -> Option<ForceError> {
        let me = &self.config.name;
        let names: BTreeSet<PeerName> = self.names().into_iter().cloned().collect();
        if !self.has_data() {
            return Some(ForceError::Blank);
        }
        if self.has_failed() {
            return Some(ForceError::StorageFailed);
        }
        if !names.contains(me) || self.is_removed() || self.is_disowned() || self.is_passive() {
            return Some(ForceError::NotMember { peer: me.clone() });
        }
        let may_be_led = !self.primary_is_absent();
        let has_primary = may_be_led && (self.is_primary() || self.leader.is_some());
        if has_primary || self.can_elect() || self.reaches_a_quorum() {
            let primary = self.leader.as_ref().map(|leader| leader.start.name.clone());
            return Some(ForceError::HasQuorum { primary });
        }
        if may_be_led {
            let why = format!("{me} may be bound by an earlier vote for up to the failure timeout");
            return Some(ForceError::Refused { peer: me.clone(), why });
        }
        if let Some(peer) = gone.iter().find(|peer| !names.contains(*peer)) {
            return Some(ForceError::NotMember { peer: peer.clone() });
        }
        if gone.contains(me) {
            return Some(ForceError::Alive { peer: me.clone(), seen_by: me.clone() });
        }
        if let Some((peer, seen_by)) = self.seen(gone) {
            return Some(ForceError::Alive { peer, seen_by });
        }
        let others = names.iter().filter(|name| !gone.contains(*name));
        let unaccounted = others.filter(|name| !self.reaches_or_is(name));
        let peers: Vec<PeerName> = unaccounted.cloned().collect();
        if !peers.is_empty() && !bug::is(Bug::ForceWithUnaccounted) {
            return Some(ForceError::Unaccounted { peers });
        }
        if gone.is_empty() {
            return Some(ForceError::HasQuorum { primary: None });
        }
        if let Some(old) = names.iter().find(|name| self.speaks_less_than(name, UPKEEP_VERSION)) {
            return Some(ForceError::OldVersion { peer: old.clone() });
        }
        let why = self.why_barred(self.freshest_in_reach())?;
        Some(ForceError::Refused { peer: me.clone(), why })
    }

    /// One of these members that is there, and who is in touch with it: this peer, or one in reach.
    /// Who is refused for a setting that differs is there as well.
    fn seen(&self, gone: &BTreeSet<PeerName>) -> Option<(PeerName, PeerName)> {
        let me = &self.config.name;
        let is_there = |peer: &&PeerName| {
            let remote = self.remotes.get(*peer);
            remote.is_some_and(|remote| remote.is_linked() || self.has_met(remote))
        };
        if let Some(peer) = gone.iter().find(is_there) {
            return Some((peer.clone(), me.clone()));
        }
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let mut briefs = reached.filter_map(|(name, remote)| Some((name, remote.brief()?)));
        briefs.find_map(|(name, brief)| {
            let peer = brief.reaches.iter().find(|peer| gone.contains(*peer))?;
            Some((peer.clone(), name.clone()))
        })
    }

    /// Returns true if a member was there within the failure timeout, although no link came of it.
    fn has_met(&self, remote: &Remote) -> bool {
        let is_lately = |met| self.now.time.since(met) < self.group.failure_timeout;
        remote.met().is_some_and(is_lately) && !bug::is(Bug::ForcePastRefused)
    }

    /// Why nobody is forced past what this peer has met, if it has.
    fn why_barred(&self, position: Position) -> Option<String> {
        let me = &self.config.name;
        let is_barred = self.is_barred(position) && !bug::is(Bug::ForcePastHolder);
        is_barred.then(|| {
            format!(
                "{me} has met a peer that holds a later state, and one of the two refuses the \
                 other (refusals in the status): if for a setting, set it alike; if {me} is no \
                 member there any more, the group has gone on without it, so let it join anew. \
                 What that peer holds is lost if {me} is forced, which is possible a failure \
                 timeout after they last met"
            )
        })
    }

    /// Returns true if one of those that this peer is being forced without has come back, or one
    /// that holds more than it is to begin from: it is not forced then.
    pub(in crate::protocol) fn has_found_a_gone_one(&mut self) -> bool {
        if self.gone.is_empty() {
            return false;
        }
        let me = self.config.name.clone();
        let alive = self.seen(&self.gone);
        let alive = alive.map(|(peer, seen_by)| ForceError::Alive { peer, seen_by });
        let barred = || {
            let why = self.why_barred(self.freshest_in_reach())?;
            Some(ForceError::Refused { peer: me, why })
        };
        let Some(error) = alive.or_else(barred) else { return false };
        self.fail_force(error);
        true
    }

    /// The reason of a voter not to have a candidate forced, if there is one.
    pub(in crate::protocol) fn why_not_forced(
        &self,
        from: &PeerStart,
        request: &VoteRequest,
    ) -> Option<String> {
        let gone: BTreeSet<PeerName> = request.gone.iter().cloned().collect();
        let me = &self.config.name;
        if gone.contains(me) {
            return Some(format!("{me} is named as gone, and is here"));
        }
        if let Some((peer, seen_by)) = self.seen(&gone) {
            return Some(format!("{seen_by} is in touch with {peer}, which is named as gone"));
        }
        let brief = self.remotes.get(&from.name).and_then(Remote::brief);
        let listed = brief.map(|brief| &brief.members[..]).unwrap_or_default();
        let more = self
            .names()
            .into_iter()
            .find(|name| !gone.contains(*name) && !listed.contains(name) && **name != from.name);
        if let Some(more) = more {
            return Some(format!("{me} knows {more} as a member as well"));
        }
        if self.can_elect() {
            return Some(format!("{me} reaches a majority"));
        }
        // What this peer holds itself comes with its vote.
        if let Some(why) = self.why_barred(request.position.max(self.store.position())) {
            return Some(why);
        }
        let may_be_bound = self.may_have_promised(request.position);
        may_be_bound
            .then(|| format!("{me} has just started, and may have promised its vote before"))
    }

    /// A voter has refused for good, as long as things are as they are.
    pub(in crate::protocol) fn note_refusal(&mut self, from: &PeerStart, reply: &Reply) {
        let is_refused = reply.grant != Grant::Vote && !reply.why.is_empty();
        let canvass = self.role.canvass();
        let is_asked = canvass.is_some_and(|canvass| {
            canvass.call().ballot == reply.ballot && canvass.needs(&from.name)
        });
        if self.force.is_some() && is_refused && is_asked {
            let (peer, why) = (from.name.clone(), reply.why.clone());
            self.fail_force(ForceError::Refused { peer, why });
            self.give_up_campaign();
        }
    }

    /// A round is held for what an operator has asked for.
    pub(in crate::protocol) fn note_forced_round(&mut self, is_binding: bool) {
        if let Some(force) = &mut self.force {
            force.note_round(is_binding);
        }
    }

    /// Looks whether a wish to be primary is met, or can be no more.
    pub(in crate::protocol) fn advance_force(&mut self) {
        let now = self.now.time;
        let Some(force) = &self.force else { return };
        let (request, until, waited) = (force.request(), force.until(), force.waited(now));
        let was_binding = force.was_binding();
        let done = self.forced_before(force.gone());
        if done.is_none() && now < until {
            return self.wake_by(Timer::Requests, until);
        }
        self.force = None;
        if done.is_none() && self.role.canvass().is_some_and(|canvass| !canvass.gone().is_empty()) {
            // What has ended for whoever asked is not won any more.
            self.give_up_campaign();
        }
        let late = match was_binding {
            true => ForceError::TimedOut { waited },
            false => ForceError::NoAnswer { waited },
        };
        self.end_force(request, done.ok_or(late));
    }

    /// A peer that follows nobody, and is to be primary by force: stands again, unless that cannot
    /// be any more. Returns true if it does.
    pub(in crate::protocol) fn stand_by_force(&mut self) -> bool {
        let Some(force) = &self.force else { return false };
        if let Some(error) = self.why_not_force(force.gone()) {
            self.fail_force(error);
            return false;
        }
        let now = self.now.time;
        let at = *self.watch.campaign_at.get_or_insert(now);
        if now >= at {
            self.canvass(Campaign::NewGeneration);
        } else {
            self.wake_by(Timer::Turn, at);
        }
        true
    }

    /// Remembers, and tells, that this peer begins a generation by force.
    pub(in crate::protocol) fn note_forced(
        &mut self,
        group_id: GroupId,
        position: Position,
        as_of: GroupTime,
    ) {
        let generation = self.ballot.generation;
        let gone: Vec<PeerName> = self.gone.iter().cloned().collect();
        let as_of_ms = as_of.as_millis();
        self.event(Event::PrimaryForced {
            generation,
            group_id,
            gone: gone.clone(),
            position,
            as_of_ms,
        });
        self.forced = Some(Forced { generation, group_id, position, as_of, gone });
    }

    /// Ends the wish that is under way, if there is one.
    fn fail_force(&mut self, error: ForceError) {
        if let Some(force) = self.force.take() {
            self.end_force(force.request(), Err(error));
        }
    }

    fn end_force(&mut self, request: u64, result: Result<Forced, ForceError>) {
        self.outputs.push_back(Output::Forced { request, result });
    }

    /// What a peer that reaches no majority has to say of that.
    pub(in crate::protocol) fn lost(&self) -> Option<Lost> {
        let names = self.names();
        if !names.contains(&self.config.name) || !self.primary_is_absent() {
            return None;
        }
        let waiting_for: Vec<PeerName> =
            names.iter().filter(|name| !self.reaches_or_is(name)).map(|n| (*n).clone()).collect();
        let has_majority = match self.has_data() {
            true => self.reaches_own_majority() || self.reaches_a_quorum(),
            false => waiting_for.len() < names.len().div_ceil(2),
        };
        if has_majority || waiting_for.is_empty() {
            return None;
        }
        let gone: BTreeSet<PeerName> = waiting_for.iter().cloned().collect();
        let as_of = self.made_at();
        Some(Lost {
            waiting_for,
            best: self.best(),
            as_of: self.has_data().then_some(as_of),
            why_not_force: self.why_not_force(&gone),
        })
    }

    /// Who of those in reach holds the most: by freshness, then by the time that it has been up,
    /// then by name.
    fn best(&self) -> Option<PeerName> {
        let uptime = self.now.time.since(self.started);
        let me = (&self.config.name, self.store.position(), uptime);
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let others = reached.filter_map(|(name, remote)| {
            let brief = remote.brief()?;
            Some((name, brief.position, Duration::from_millis(brief.uptime_ms)))
        });
        let holders = others.chain([me]).filter(|(_, position, _)| !position.is_blank());
        let best = holders
            .min_by_key(|(name, position, uptime)| (Reverse((*position, uptime.as_secs())), *name));
        best.map(|(name, ..)| name.clone())
    }
}
