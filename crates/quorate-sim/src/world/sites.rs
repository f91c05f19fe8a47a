//! Two sites: the last peers of the plan stand at the one that follows, and an operator says which
//! decides.

use std::collections::BTreeSet;

use quorate::internal::protocol::io::Input;
use quorate::internal::protocol::message::Arrangement;
use quorate::internal::state::Membership;
use quorate::{Ballot, Position, Sequence, Site};

use crate::world::World;
use crate::world::event::Event;

impl World {
    /// Returns true if a peer stands at the site that follows.
    pub(crate) fn is_standby(&self, peer: usize) -> bool {
        self.plan.is_standby(peer)
    }

    /// Returns true if two peers stand at two sites.
    pub(crate) fn are_at_two_sites(&self, one: usize, other: usize) -> bool {
        let is_member = |peer| !self.is_client(peer);
        is_member(one) && is_member(other) && self.is_standby(one) != self.is_standby(other)
    }

    /// Returns true if a peer stands at the site that follows, by this list.
    pub(crate) fn follows_by(&self, peer: usize, list: &Membership) -> bool {
        let own = self.plan.site(peer);
        let standby = list.site.as_ref().map(|site| site.standby.as_str());
        own.is_some() && own.as_ref().map(Site::name) == standby
    }

    /// An operator looks whether there is a group, and tells a peer of the first site to decide if
    /// there is none. Where nobody decides for long he promotes somebody: without a loss if that
    /// can be, and by force otherwise.
    pub(crate) fn on_operator(&mut self) {
        match self.newest_membership() {
            None => {
                let peer = self.fault_random.index(self.plan.founders);
                // Whose turn it is to found is not for him to know.
                let all = 0..self.plan.founders;
                let told = all.filter(|one| *one == peer || !self.are_faults_active);
                told.collect::<Vec<_>>().into_iter().for_each(|peer| self.activate(peer));
            }
            Some(list) if self.plan.moves_sites => self.look_after_sites(&list),
            Some(_) => {}
        }
        self.at(self.plan.timeout(), Event::Operator);
    }

    fn look_after_sites(&mut self, list: &Membership) {
        let raised = self.raised();
        if self.primary().is_some() && raised.is_empty() {
            self.undecided = 0;
            return;
        }
        self.undecided += 1;
        // A failover, and the rounds that it may take, are no reason to act.
        let patience = if self.are_faults_active { 6 } else { 2 };
        if self.undecided < patience {
            return;
        }
        if self.primary().is_some() {
            // A promotion that has come to nothing is ended by another one.
            let peer = self.fault_random.pick(&raised);
            return self.promote(peer, true);
        }
        let size = self.plan.peers();
        let first = self.fault_random.index(size);
        let around = (0..size).map(|step| (first + step) % size);
        let ready: Vec<usize> = around
            .filter(|peer| self.process(*peer).is_some_and(|p| !p.position.is_blank()))
            .collect();
        let is_sealed = list.is_sealed();
        let turn = self.undecided - patience;
        let follower = ready.iter().copied().find(|peer| self.follows_by(*peer, list));
        let decider = ready.iter().copied().find(|peer| !self.follows_by(*peer, list));
        match turn % 3 {
            0 if is_sealed => follower.into_iter().for_each(|peer| self.promote(peer, false)),
            1 if is_sealed => decider.into_iter().for_each(|peer| self.promote(peer, false)),
            2 => follower.or(decider).into_iter().for_each(|peer| self.promote(peer, true)),
            _ => {}
        }
    }

    /// Peers whose site was to be promoted, and was not: they follow nobody.
    fn raised(&self) -> Vec<usize> {
        let peers = 0..self.plan.peers();
        let is_raised = |peer: &usize| {
            self.process(*peer).is_some_and(|process| {
                let epoch = process.machine.ballot().generation.site_epoch();
                !process.position.is_blank() && epoch > process.machine.site_epoch()
            })
        };
        peers.filter(is_raised).collect()
    }

    /// An operator has the sites change places, or gives one of them up, or promotes the other one.
    pub(crate) fn fault_sites(&mut self, peer: usize) {
        if !self.plan.moves_sites {
            return;
        }
        match self.fault_random.index(12) {
            0..=5 => self.switch_sites(peer),
            6..=7 => self.demote(peer),
            8..=10 => self.promote(peer, false),
            _ => self.promote(peer, true),
        }
    }

    fn epoch_decided_in(&self, peer: usize) -> Option<u64> {
        self.process(peer).map(|process| process.machine.deciding_epoch())
    }

    fn epoch_known_to(&self, peer: usize) -> Option<u64> {
        self.process(peer).map(|process| process.machine.site_epoch())
    }

    /// Has the sites change places, as far as a peer knows who decides.
    pub(crate) fn switch_sites(&mut self, peer: usize) {
        if let Some(site_epoch) = self.epoch_decided_in(peer) {
            self.arrange_sites(peer, Arrangement::SwitchSites { site_epoch });
        }
    }

    /// Has the site that decides give that up.
    pub(crate) fn demote(&mut self, peer: usize) {
        if let Some(site_epoch) = self.epoch_decided_in(peer) {
            self.arrange_sites(peer, Arrangement::Demote { site_epoch });
        }
    }

    /// Has the site of a peer decide from now on.
    pub(crate) fn promote(&mut self, peer: usize, is_forced: bool) {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[peer].is_running() {
            self.counters.add("promotions asked for");
            let gone = BTreeSet::new();
            self.drive(peer, Input::Promote { request, is_forced, gone });
        }
    }

    /// What came of the last wish about the sites that has ended.
    pub(crate) fn last_sited(&self) -> Option<bool> {
        self.sited.last().map(|(_, is_done)| *is_done)
    }

    fn arrange_sites(&mut self, peer: usize, change: Arrangement) {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[peer].is_running() {
            self.drive(peer, Input::Arrange { request, change });
        }
    }

    /// A peer was made primary of a site epoch by a promotion.
    pub(crate) fn note_promoted(&mut self, peer: usize, epoch: u64) {
        self.promoted.insert((peer, epoch));
    }

    /// Returns true if a peer was made primary of this site epoch by a promotion.
    pub(crate) fn is_promoted_in(&self, peer: usize, epoch: u64) -> bool {
        self.promoted.contains(&(peer, epoch))
    }

    /// A peer has promoted its site by force: the other one may decide until they meet.
    pub(crate) fn note_forced_epoch(&mut self, epoch: u64) {
        self.forced_epochs.insert(epoch);
    }

    /// Returns true if a site epoch that was begun by force led to one of two reigns, and not to
    /// the other: they know nothing of each other.
    pub(crate) fn is_forced_between(&self, one: Ballot, other: Ballot) -> bool {
        let epochs = |ballot: Ballot| -> BTreeSet<u64> {
            let tip = Position { ballot, sequence: Sequence(u64::MAX) };
            let path = self.history.path(tip);
            path.map(|end| end.ballot.generation.site_epoch()).collect()
        };
        let (one, other) = (epochs(one), epochs(other));
        one.symmetric_difference(&other).any(|epoch| self.forced_epochs.contains(epoch))
    }

    /// Returns true if two peers of two sites may decide at a time: one of them was promoted by
    /// force, and the other has not met it yet.
    pub(crate) fn are_forced_apart(&self, one: usize, other: usize) -> bool {
        let reign = |peer: usize| self.process(peer)?.reign;
        let Some((one_reign, other_reign)) = reign(one).zip(reign(other)) else { return false };
        let long = self.plan.group.heartbeat * 4;
        let is_met = self.contact().length(self.now(), one, other) >= long;
        let later = one_reign.max(other_reign).generation.site_epoch();
        let began = self.epochs_begun.get(&later);
        let is_known = began.is_some_and(|began| self.now().since(*began) >= long);
        let may_differ = !is_met || !is_known;
        may_differ && self.is_forced_between(one_reign, other_reign)
    }

    /// Notes when a site epoch is first known to have begun.
    pub(crate) fn note_epoch(&mut self, peer: usize) {
        if let Some(epoch) = self.epoch_known_to(peer) {
            let now = self.now();
            self.epochs_begun.entry(epoch).or_insert(now);
        }
    }

    /// Tells a peer that its site is to decide.
    pub(crate) fn activate(&mut self, peer: usize) {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[peer].is_running() {
            self.activations += 1;
            self.drive(peer, Input::Arrange { request, change: Arrangement::Activate });
        }
    }

    /// How often somebody has said that the first site is to decide.
    pub(crate) fn activations(&self) -> u64 {
        self.activations
    }

    /// Returns true if a peer is listed as one of the site that follows, by its present start.
    pub(crate) fn is_listed(&self, peer: usize) -> bool {
        let Some(list) = self.newest_membership() else { return false };
        let name = self.plan.name(peer);
        self.process(peer).is_some_and(|process| list.lists(&name, process.id))
    }

    /// A cut between the two sites, of all paths.
    pub(crate) fn paths_between_sites(&self) -> Vec<(usize, usize)> {
        self.paths_between(|one, other| self.are_at_two_sites(one, other))
    }
}
