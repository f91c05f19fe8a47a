//! From silence to a candidacy: suspicion, agreement, and whose turn it is
//! (docs/protocol.md, sections 2 and 4).

use std::cmp::Reverse;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{PeerKind, PeerName};
use crate::protocol::deadlines::Timer;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::Route;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Brief, Campaign};
use crate::state::Membership;

impl Machine {
    /// A peer without a primary: suspects, agrees, and stands when it is its turn.
    pub(in crate::protocol) fn follower_tick(&mut self) {
        if self.promotion.is_some() {
            return self.stand_by_promotion();
        }
        if !self.primary_is_absent() {
            self.watch.is_suspecting = false;
            self.watch.has_agreed = false;
            self.watch.campaign_at = None;
            self.watch.lost_at = None;
            self.watch.hopeful = self.now.time;
            if let Some(leader) = &self.leader {
                let deadline = self.leader_deadline(leader);
                self.wake_by(Timer::Primary, deadline);
            }
            // One that promises nothing any more keeps its last promise, which ends at some time.
            let (promised, now) = (self.promise.as_ref().map(|promise| promise.until), self.now);
            let bound = promised.into_iter().chain(self.bound_until());
            for until in bound.filter(|until| *until > now.time) {
                self.wake_by(Timer::Promise, until);
            }
            return;
        }
        if !self.watch.is_suspecting {
            self.suspect();
        }
        if self.force.is_some() && self.stand_by_force() {
            return;
        }
        if !self.may_stand() {
            self.watch.has_agreed = false;
            self.watch.campaign_at = None;
            return;
        }
        self.tell_lost_majority();
        if self.can_elect() || (self.has_data() && self.reaches_a_quorum()) {
            self.consider_election();
        } else {
            self.watch.has_agreed = false;
            self.consider_new_generation();
        }
    }

    /// Says that nothing is decided where that is so and lasts: whoever was no primary would say
    /// nothing of it that stands out.
    fn tell_lost_majority(&mut self) {
        let Some(lost_at) = self.watch.lost_at else { return };
        let due = lost_at.after(self.group.failure_timeout);
        if self.now.time < due {
            return self.wake_by(Timer::Majority, due);
        }
        if self.reaches_own_majority() {
            return;
        }
        self.watch.lost_at = None;
        let names = self.names().into_iter();
        let unreached = names.filter(|name| !self.reaches_or_is(name)).cloned().collect();
        self.event(Event::MajorityLost { ballot: self.ballot, unreached });
    }

    /// Returns true if this peer takes part in elections of its own accord: as a member, as far as
    /// it knows.
    fn may_stand(&self) -> bool {
        let membership = &self.meta.membership;
        match self.config.kind {
            // What was promoted and has not begun goes on by another promotion.
            _ if self.is_disowned() || self.is_passive() || self.is_raised() => false,
            PeerKind::Client => false,
            // Whoever asks to be let in founds nothing.
            PeerKind::Joiner if membership.voters.is_empty() => false,
            _ if membership.voters.is_empty() => self.may_stand_blank(),
            _ => membership.has(&self.config.name) && !self.is_removed(),
        }
    }

    fn suspect(&mut self) {
        self.watch.is_suspecting = true;
        if let Some(leader) = &self.leader {
            let primary = Some(leader.start.name.clone());
            let ballot = self.ballot;
            self.watch.has_lost = true;
            self.watch.lost_at = Some(self.now.time);
            self.event(Event::PrimarySuspected { primary, ballot });
        }
        if !matches!(self.route, Route::HandingOver) {
            self.set_route(Route::Nowhere);
        }
        // The others should know at once: agreement is what an election waits for.
        self.ping_all();
    }

    /// Returns true if this peer and the members it reaches are a majority of the membership. A
    /// member that follows the primary of another group is out of reach.
    ///
    /// Votes would be counted under the newest membership known among the voters: one that a member
    /// in reach has told of counts as well.
    pub(in crate::protocol) fn reaches_own_majority(&self) -> bool {
        let own = &self.meta.membership;
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let newest_told = reached
            .filter_map(|(_, remote)| remote.told().filter(|told| told.stamp > own.stamp))
            .max_by_key(|told| told.stamp);
        self.reaches_majority_of(own)
            && newest_told.is_none_or(|told| self.reaches_majority_of(told))
    }

    fn reaches_majority_of(&self, membership: &Membership) -> bool {
        membership.has_majority(|name, id| {
            if *name == self.config.name {
                return id == self.id;
            }
            let Some(remote) = self.remotes.get(name) else { return false };
            let is_here = remote.brief().is_some_and(|brief| !self.is_ahead_elsewhere(brief));
            remote.id() == Some(id) && self.is_reachable(remote) && is_here
        })
    }

    /// Returns true if this peer reaches a majority, and anyone in it may be promoted.
    pub(in crate::protocol) fn can_elect(&self) -> bool {
        let may_stand = self.priority() > 0
            || self.fellows().filter(|(_, r)| self.is_reachable(r)).any(|(_, remote)| {
                remote.brief().is_some_and(|brief| {
                    brief.priority > 0
                        && !brief.position.is_blank()
                        && brief.group_id == self.meta.group_id
                })
            });
        self.has_data() && !self.is_disowned() && may_stand && self.reaches_own_majority()
    }

    /// Returns true if a peer belongs to another group and will not help to elect a primary of this
    /// one: it follows a primary there, or its group is the newer.
    fn is_ahead_elsewhere(&self, brief: &Brief) -> bool {
        let is_led = brief.primary.is_some() && brief.suspects.is_none();
        let is_newer = brief.position.ballot.generation > self.store.position().ballot.generation;
        let is_elsewhere = brief.group_id.is_some() && brief.group_id != self.meta.group_id;
        is_elsewhere && (is_led || is_newer)
    }

    /// Returns true if a member of this group, which may know a newer membership, reaches a
    /// majority of it.
    pub(in crate::protocol) fn reaches_a_quorum(&self) -> bool {
        let known = self.remotes.iter().filter(|(name, _)| self.knows(name)).map(|(_, r)| r);
        let briefs = known.filter(|r| self.is_reachable(r)).filter_map(Remote::brief);
        briefs.filter(|brief| brief.group_id == self.meta.group_id).any(|brief| brief.has_quorum)
    }

    /// Members, this peer included, that hold the primary of this ballot unreachable.
    fn agreeing(&self) -> Vec<PeerName> {
        let mut agreeing = vec![self.config.name.clone()];
        for (name, remote) in &self.remotes {
            let Some(id) = remote.id() else {
                continue;
            };
            let is_counted = self.meta.membership.counts(name, id);
            let agrees = remote.brief().is_some_and(|brief| {
                // One that follows nobody has nothing to withdraw, whatever ballot it knows; and
                // one of an older ballot hears no primary of this one. It may stay in its own: a
                // blank peer in its pledge, one that has not heard that this peer's reign is over.
                let is_lost = |ballot| ballot <= self.ballot || brief.primary.is_none();
                brief.suspects.is_some_and(is_lost)
            });
            if is_counted && self.is_reachable(remote) && agrees {
                agreeing.push(name.clone());
            }
        }
        agreeing
    }

    /// The number of members that must agree: as many as the settings say, and no more than a
    /// majority, which may be smaller than it was when they were made. With more than that a group
    /// that has lost a minority, its primary among it, would never have another.
    fn needed_agreement(&self) -> usize {
        let membership = &self.meta.membership;
        let voters = membership.voters.len();
        let size = membership.next.as_ref().map_or(voters, |next| next.len().min(voters));
        self.group.agreement.min(size / 2 + 1)
    }

    fn consider_election(&mut self) {
        let agreeing = self.agreeing();
        if agreeing.len() < self.needed_agreement() {
            self.watch.has_agreed = false;
            self.watch.campaign_at = None;
            return;
        }
        if !self.watch.has_agreed {
            self.watch.has_agreed = true;
            if self.watch.has_lost && !std::mem::replace(&mut self.watch.has_announced, true) {
                self.event(Event::FailureAgreed { agreeing, ballot: self.ballot });
            }
        }
        let candidates = self.candidates();
        self.stand_in_turn(&candidates, Campaign::Ordinary);
    }

    /// The members that may stand, first to last: lowest priority number, then freshest, then
    /// lowest name; before all that is on its way out, whoever stays.
    fn candidates(&self) -> Vec<PeerName> {
        let leaves = |name: &PeerName| !self.meta.membership.keeps(name);
        let me = &self.config.name;
        let me = (leaves(me), self.priority(), Reverse(self.store.position()), me.clone());
        let mut list = vec![me];
        for (name, remote) in &self.remotes {
            let Some(brief) = remote.brief().filter(|_| self.is_reachable(remote)) else {
                continue;
            };
            let is_counted = remote.id().is_some_and(|id| self.meta.membership.counts(name, id));
            // One that reaches no majority is not waited for: in a star only the hub can win.
            if is_counted && (brief.has_quorum || bug::is(Bug::LeafWaitedFor)) {
                let position = Reverse(brief.position);
                list.push((leaves(name), brief.priority, position, name.clone()));
            }
        }
        list.retain(|(_, priority, _, _)| *priority > 0);
        list.sort();
        list.into_iter().map(|(_, _, _, name)| name).collect()
    }

    /// Stands when nobody better placed has done so in time. The delay is drawn anew each time:
    /// a fixed one can tie for ever.
    pub(in crate::protocol) fn stand_in_turn(
        &mut self,
        candidates: &[PeerName],
        campaign: Campaign,
    ) {
        let Some(rank) = candidates.iter().position(|name| *name == self.config.name) else {
            return;
        };
        let at = match self.watch.campaign_at {
            Some(at) => at.max(self.watch.way_until),
            None => {
                let delay = self.turn_delay(rank) + self.random.below(self.patience() / 5);
                let at = self.now.time.after(delay).max(self.watch.way_until);
                *self.watch.campaign_at.insert(at)
            }
        };
        if self.now.time >= at {
            self.canvass(campaign);
        } else {
            self.wake_by(Timer::Turn, at);
        }
    }
}
