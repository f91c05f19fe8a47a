//! Founding, survivors, and starting anew (docs/protocol.md, section 6).
//!
//! Both are elections of a new generation: whatever incarnations the member names have now pledge
//! themselves, blank ones too, and a majority of the names decides. A peer that reaches no
//! majority waits: it never crowns itself.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{
    Ballot, GroupTime, PeerKind, PeerName, PeerStart, Position, Sequence, Term, Time,
};
use crate::protocol::deadlines::Timer;
use crate::protocol::group::remote::Remote;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Brief, Campaign, VoteRequest};

impl Machine {
    /// Stands for a new generation if nothing less can bring the group back.
    pub(in crate::protocol) fn consider_new_generation(&mut self) {
        let size = self.names().len();
        let mut reached: Vec<(PeerName, Brief)> = Vec::new();
        for (name, remote) in self.fellows() {
            if let Some(brief) = remote.brief().filter(|_| self.is_reachable(remote)) {
                reached.push((name.clone(), brief.clone()));
            }
        }
        // A data holder that can be promoted stands itself; a blank peer waits for it.
        let defers = !bug::is(Bug::BlankIgnoresSurvivor)
            && !self.has_data()
            && reached
                .iter()
                .any(|(_, brief)| brief.has_data() && may_stand_anew(&self.names(), brief));
        // So does everyone while some reachable member has a primary, which will come for us, or
        // can help to elect one.
        let is_led = reached.iter().any(|(_, brief)| brief.is_led());
        if defers || is_led {
            self.watch.hopeful = self.now.time;
        }
        let is_majority = reached.len() + 1 > size / 2 || bug::is(Bug::BlankFoundsAlone);
        let is_ordinary = self.can_elect();
        let barred = self.barred_until(self.store.position()).filter(|_| !self.watch.found_now);
        if let Some(until) = barred {
            self.wake_by(Timer::Founding, until);
        }
        let is_barred = barred.is_some();
        if !is_majority || is_led || is_ordinary || is_barred {
            self.watch.missing.clear();
            self.watch.campaign_at = None;
            return;
        }
        if defers {
            // For want of a member the one with data may have to wait, and this one with it.
            let missing = self.missing_members();
            self.wait_for_members(missing);
            self.watch.campaign_at = None;
            return;
        }
        let is_survived = reached.iter().any(|(_, brief)| brief.has_data())
            && !bug::is(Bug::BlankIgnoresSurvivor);
        if is_survived && self.is_young() && !self.has_data() {
            // As a voter: an earlier start may have promised something to a primary.
            let until = self.started.after(self.group.failure_timeout);
            self.wake_by(Timer::Founding, until);
            return;
        }
        let waited = self.watch.hopeful.after(self.group.failure_timeout);
        let is_complete = reached.len() + 1 == size;
        if !is_complete && !self.watch.found_now && self.now.time < waited {
            self.wake_by(Timer::Founding, waited);
            return;
        }
        let missing = self.missing_members();
        let has_to_wait = !missing.is_empty();
        self.wait_for_members(missing);
        if has_to_wait {
            self.watch.campaign_at = None;
            return;
        }
        let candidates = self.founders(&reached);
        self.stand_in_turn(&candidates, Campaign::NewGeneration);
    }

    /// The peers that may stand, first to last: the freshest that has data; among blank peers the
    /// one that has been up longest.
    fn founders(&self, reached: &[(PeerName, Brief)]) -> Vec<PeerName> {
        let key = |name: &PeerName, position: Position, priority: u8, uptime: Duration| {
            let up = if position.is_blank() { uptime } else { Duration::ZERO };
            (Reverse(position), Reverse(up.as_millis()), priority, name.clone())
        };
        let uptime = self.now.time.since(self.started);
        let me = &self.config.name;
        let mut list = vec![key(me, self.store.position(), self.priority(), uptime)];
        for (name, brief) in reached {
            let Some(remote) = self.remotes.get(name) else {
                continue;
            };
            let since = self.now.time.since(remote.brief_at());
            let uptime = Duration::from_millis(brief.uptime_ms) + since;
            list.push(key(name, brief.position, brief.priority, uptime));
        }
        list.retain(|(_, _, priority, _)| *priority > 0);
        list.sort();
        list.into_iter().map(|(_, _, _, name)| name).collect()
    }

    /// Returns true if this peer pledges itself to a candidate.
    ///
    /// Not while anyone in reach can still be elected within the generation, nor past a fresher
    /// state whose holder can stand itself, or which the candidate has not in reach: blank peers
    /// must not found a group beside a member with data.
    pub(in crate::protocol) fn would_pledge(
        &self,
        from: &PeerStart,
        request: &VoteRequest,
    ) -> bool {
        let position = request.position;
        if bug::is(Bug::BlankIgnoresSurvivor) {
            return true;
        }
        if (self.is_barred(position) && !request.is_forced)
            || self.can_elect()
            || self.may_have_promised(position)
            || self.must_be_complete(from, request)
            || !(self.reaches_most_names(&from.name) || self.is_older_than(position))
        {
            return false;
        }
        if self.priority() > 0 && self.store.position() > position && self.reaches_enough() {
            return false;
        }
        let brief = self.remotes.get(&from.name).and_then(Remote::brief);
        let listed = brief.map(|brief| brief.members.iter().collect()).unwrap_or_default();
        // Whoever knows no members listens to all that may be some, and goes by the candidate's
        // list.
        let (others, names): (Vec<_>, BTreeSet<&PeerName>) = match self.has_list() {
            true => (self.fellows().collect(), self.names()),
            false => (self.possible_members().collect(), listed),
        };
        let reached = others.into_iter().filter(|(_, remote)| self.is_reachable(remote));
        !reached.filter_map(|(name, r)| Some((name, r.brief()?))).any(|(name, brief)| {
            let is_waited_for = self.hears_of(&from.name, name) && !may_stand_anew(&names, brief);
            let is_fresher = brief.priority > 0 && brief.position > position && !is_waited_for;
            brief.is_led() || is_fresher
        })
    }

    /// All others that are no clients.
    pub(in crate::protocol) fn possible_members(
        &self,
    ) -> impl Iterator<Item = (&PeerName, &Remote)> {
        self.remotes.iter().filter(|(_, remote)| remote.kind() != Some(PeerKind::Client))
    }

    /// Returns true if this peer reaches so many of the names that a new generation could begin
    /// with it.
    fn reaches_enough(&self) -> bool {
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote)).count();
        reached + 1 > self.names().len() / 2
    }

    /// Returns true if a peer says that it reaches another.
    pub(in crate::protocol) fn hears_of(&self, peer: &PeerName, other: &PeerName) -> bool {
        let brief = self.remotes.get(peer).and_then(Remote::brief);
        peer == other || brief.is_some_and(|brief| brief.reaches.contains(other))
    }

    /// The latest state that this peer or one in reach holds.
    pub(in crate::protocol) fn freshest_in_reach(&self) -> Position {
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let positions = reached.filter_map(|(_, remote)| Some(remote.brief()?.position));
        positions.fold(self.store.position(), Position::max)
    }

    /// Members in reach that hold a later state than this peer: as a candidate it waits for their
    /// votes, so that it can adopt it.
    pub(in crate::protocol) fn fresher_in_reach(&self) -> BTreeSet<PeerName> {
        let own = self.store.position();
        if bug::is(Bug::BlankIgnoresSurvivor) {
            return BTreeSet::new();
        }
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let fresher =
            reached.filter(|(_, remote)| remote.brief().is_some_and(|brief| brief.position > own));
        fresher.map(|(name, _)| name.clone()).collect()
    }

    /// Returns true if this peer holds a state, and the candidate one of a newer generation: the
    /// candidate has missed nothing that this peer knows, and goes by the newer list.
    fn is_older_than(&self, position: Position) -> bool {
        self.has_data() && self.is_of_newer_generation(position)
    }

    /// A member that holds data is there, and no link with it comes about. Whoever refuses whom,
    /// and why, the group lives: blank peers must not found another one beside it, nor anybody go
    /// on from an older state than it holds.
    pub(in crate::protocol) fn on_holder_met(&mut self, position: Option<Position>) {
        let now = self.now.time;
        let until = now.after(self.group.failure_timeout);
        self.watch.met.note(position.unwrap_or_default(), now, until);
        self.wake_soon();
    }

    /// Returns true if a peer that holds data was met lately which a founding from `position` would
    /// pass over.
    pub(in crate::protocol) fn is_barred(&self, position: Position) -> bool {
        self.barred_until(position).is_some()
    }

    fn barred_until(&self, position: Position) -> Option<Time> {
        let until = self.watch.met.bars_until(position, self.now.time);
        until.filter(|_| !bug::is(Bug::RefusedHolderIgnored))
    }

    /// Returns true if this peer, or a candidate, reaches a majority of the names that this one
    /// knows itself. A candidate that has missed who came to the group since must not found another
    /// one with those who know.
    fn reaches_most_names(&self, candidate: &PeerName) -> bool {
        let names = self.names();
        let there = names
            .iter()
            .filter(|name| self.reaches_or_is(name) || self.hears_of(candidate, name))
            .count();
        // A blank joiner knows of none.
        names.is_empty() || there > names.len() / 2
    }

    /// Returns true if an earlier incarnation of this peer may have given a promise that still
    /// runs. Nobody is left to remember it.
    ///
    /// Where the candidate has data there was a group, whose primary may live on, cut off, although
    /// another process answers under its name. Where nobody has any, and all members answer, there
    /// is most likely none: a group that begins is not to wait for that.
    pub(in crate::protocol) fn may_have_promised(&self, candidate: Position) -> bool {
        let is_beginning = candidate.is_blank() || bug::is(Bug::ClosedIsDead);
        self.is_young() && !(is_beginning && self.reaches_all_known(|_| true))
    }

    /// Returns true if this peer has started less than a failure timeout ago.
    fn is_young(&self) -> bool {
        self.now.time < self.started.after(self.group.failure_timeout)
    }

    /// A ballot of a generation above all known ones; `None` if there is none, which no honest
    /// peer comes to.
    pub(in crate::protocol) fn new_generation(&mut self) -> Option<Ballot> {
        let known = self.remotes.iter().filter(|(name, _)| self.knows(name));
        let briefs = known.filter_map(|(_, remote)| remote.brief());
        let own = [self.ballot, self.store.position().ballot];
        let ballots = briefs.flat_map(|brief| [brief.ballot, brief.position.ballot]).chain(own);
        let newest = ballots.fold(Ballot::NONE, |newest, ballot| Ballot {
            generation: ballot.generation.max(newest.generation),
            term: ballot.term.max(newest.term),
        });
        let draw = self.random.next();
        let generation = newest.generation.founded(seconds_of(self.now.wall), draw);
        // Terms count on, and begin anew where they have come to an end.
        let first =
            (generation > newest.generation).then_some(Ballot { generation, term: Term(1) });
        Ballot { generation, ..newest }.next_term().or(first)
    }

    /// Sets the members of a new generation: every name, under the incarnation that is linked.
    ///
    /// The state that it begins from was made at `as_of`, by the calendar.
    pub(in crate::protocol) fn found_generation(&mut self, first: Sequence, as_of: GroupTime) {
        let mut unreached = Vec::new();
        let mut voters = Vec::new();
        let names = self.names().into_iter();
        for name in names.filter(|name| !self.gone.contains(*name)) {
            let member = self.met_member(name);
            if member.id.is_none() {
                unreached.push(name.clone());
            }
            voters.push(member);
        }
        voters.sort();
        let stamp = Position { ballot: self.ballot, sequence: first };
        let was_blank = self.meta.group_id.is_none();
        let loss = self.loss(&self.meta.membership);
        let position = self.store.position();
        // A new id, whether there were data or not: what was answered under the old one may be
        // lost.
        let group_id = self.random_group_id();
        self.meta.group_id = Some(group_id);
        self.meta.membership = self.meta.membership.founded_anew(stamp, voters);
        if was_blank {
            let mut sites = self.first_sites();
            if let Some(sites) = &mut sites {
                sites.note_generation(stamp.ballot.generation);
            }
            self.meta.membership.site = sites.map(Box::new);
        }
        self.store.set_meta(self.meta.clone());
        self.meta_version += 1;
        self.follow_names();
        let generation = self.ballot.generation;
        self.event(if was_blank {
            let lost = Some(self.newest_remembered()).filter(|lost| !lost.is_blank());
            Event::Founded { group_id, unreached, lost }
        } else {
            let as_of_ms = as_of.as_millis();
            Event::NewGeneration { generation, unreached, position, as_of_ms, loss }
        });
        if !self.gone.is_empty() {
            self.note_forced(group_id, position, as_of);
        }
    }
}

/// Returns true if another member could stand for a new generation: it may be promoted, and reaches
/// most of the names. In a star only the hub does.
fn may_stand_anew(names: &BTreeSet<&PeerName>, brief: &Brief) -> bool {
    let reached = brief.reaches.iter().filter(|name| names.contains(name)).count();
    let reaches_enough = reached + 1 > names.len() / 2 || bug::is(Bug::HubDefers);
    brief.priority > 0 && reaches_enough
}

impl Brief {
    /// Returns true if its sender has a primary, or can help to elect one.
    pub(in crate::protocol) fn is_led(&self) -> bool {
        self.has_quorum || (self.primary.is_some() && self.suspects.is_none())
    }

    /// Returns true if its sender holds a state.
    fn has_data(&self) -> bool {
        !self.position.is_blank()
    }
}

/// Whole seconds since the Unix epoch.
pub(in crate::protocol) fn seconds_of(wall: GroupTime) -> u64 {
    wall.as_millis() / 1000
}
