//! Members that come and go: who is started as what, who lets whom in, and the faults that change
//! the group.
//!
//! The world does here what operators and the driver do: a peer that was counted out comes back as
//! a joiner with nothing on its disk, lists of members are kept in step, and strangers are refused.

use std::time::Duration;

use quorate::internal::protocol::Applicant;
use quorate::internal::protocol::io::Input;
use quorate::internal::state::Membership;
use quorate::{GroupConfig, PeerKind, Site};

use crate::host::disk::HostDisk;
use crate::host::process::Process;
use crate::world::World;

impl World {
    /// The newest membership that any process holds.
    pub(crate) fn newest_membership(&self) -> Option<Membership> {
        let peers = 0..self.plan.peers();
        let held = peers.filter_map(|peer| {
            let store = &self.process(peer)?.store;
            Some((store.position(), store.meta().membership))
        });
        // The newest state says who the members are, however long ago that was set.
        held.filter(|(_, membership)| !membership.voters.is_empty())
            .max_by_key(|(position, membership)| (*position, membership.stamp))
            .map(|(_, membership)| membership)
    }

    /// Returns how many members are a majority, by what any process knows.
    pub(crate) fn majority(&self) -> usize {
        let founders = self.plan.founders / 2 + 1;
        self.newest_membership().map_or(founders, |membership| majority_of(&membership))
    }

    /// Returns true if a process is one of the members, by the newest membership.
    pub(crate) fn is_counted(&self, peer: usize) -> bool {
        let Some(membership) = self.newest_membership() else { return false };
        let name = &self.plan.group.members[peer];
        self.process(peer).is_some_and(|process| membership.counts(name, process.id))
    }

    /// Returns true if a running process was counted out, or is nobody's: it is not let in any
    /// more.
    pub(crate) fn is_out(&self, peer: usize, membership: &Membership) -> bool {
        let name = &self.plan.group.members[peer];
        let Some(process) = self.process(peer) else { return false };
        let is_stranger =
            self.hosts[peer].config.kind == PeerKind::Member && !self.follows_by(peer, membership);
        membership.has_removed(name, process.id) || (is_stranger && !membership.has(name))
    }

    /// The settings that a peer is started with, and what it is: whoever is no member any more, or
    /// has never been one, asks to join.
    pub(crate) fn enlist(&mut self, peer: usize) -> GroupConfig {
        let mut group = self.plan.group.clone();
        if self.is_client(peer) {
            // Whom it dials first; it need not be all that are members.
            group.members.truncate(self.plan.founders);
            return group;
        }
        let name = group.members[peer].clone();
        if self.plan.has_sites() {
            let is_standby = self.is_standby(peer);
            let here = (0..self.plan.peers()).filter(|other| self.is_standby(*other) == is_standby);
            group.members = here.map(|other| self.plan.name(other)).collect();
            self.hosts[peer].list = group.members.iter().cloned().collect();
            return group;
        }
        let membership = self.newest_membership();
        let is_removed = membership.as_ref().is_some_and(|m| !m.has(&name));
        let is_founder = peer < self.plan.founders;
        if is_removed && self.hosts[peer].disk.is_some() {
            // What was removed does not come back under its old id.
            self.hosts[peer].disk = Some(HostDisk::new(self.disk_random.next()));
        }
        if !is_founder || is_removed {
            self.hosts[peer].config.kind = PeerKind::Joiner;
            group.members = vec![name];
            return group;
        }
        group.members = match membership {
            Some(membership) => membership.names().into_iter().cloned().collect(),
            None => group.members[..self.plan.founders].to_vec(),
        };
        self.hosts[peer].list = group.members.iter().cloned().collect();
        group
    }

    /// Returns true if a peer lets another one in, as the driver's handshake decides.
    pub(crate) fn admits(&self, peer: usize, from: usize) -> bool {
        let (Some(here), Some(there)) = (self.process(peer), self.process(from)) else {
            return false;
        };
        let name = &self.plan.name(from);
        let ours = &self.hosts[peer];
        let theirs = &self.hosts[from];
        let (own, meta) = here.standing();
        let (standing, other_meta) = there.standing();
        let kind = theirs.config.kind;
        let id = there.id;
        let site = theirs.config.site.as_ref().map(Site::name).unwrap_or_default();
        let applicant = Applicant { peer: name, id, kind, standing: &standing, site };
        if meta.membership.objection(&own, &applicant).is_some() {
            return false;
        }
        let is_founding =
            meta.membership.voters.is_empty() && other_meta.membership.voters.is_empty();
        let are_members = ours.config.kind == PeerKind::Member && kind == PeerKind::Member;
        let is_compared = is_founding && are_members && !self.are_at_two_sites(peer, from);
        !is_compared || ours.list == theirs.list
    }

    /// A peer that is not there starts: a joiner if it is no member.
    pub(crate) fn fault_join(&mut self) {
        let down = (0..self.plan.peers()).filter(|p| self.hosts[*p].process.is_none());
        let strangers: Vec<usize> = down.filter(|peer| !self.is_named(*peer)).collect();
        let out: Vec<usize> = match self.newest_membership() {
            Some(m) => (0..self.plan.peers()).filter(|peer| self.is_out(*peer, &m)).collect(),
            None => Vec::new(),
        };
        let all: Vec<usize> = strangers.into_iter().chain(out).collect();
        if all.is_empty() {
            return;
        }
        let peer = self.fault_random.pick(&all);
        self.counters.add("peers that ask to join");
        self.kill(peer, false);
        self.start(peer);
    }

    /// A member asks to be counted out; a primary hands over first.
    pub(crate) fn fault_leave(&mut self, peer: usize) {
        if !self.may_shrink() || !self.is_counted(peer) || !self.may_lose(peer) {
            return;
        }
        if self.process(peer).is_some_and(Process::is_primary) {
            self.switch(peer, None);
            return;
        }
        self.remove(peer, peer);
    }

    /// A member ends for good, and another one is told to forget it.
    pub(crate) fn fault_forget(&mut self, peer: usize, other: usize, length: Duration) {
        if !self.may_shrink() || !self.is_counted(peer) || !self.may_lose(peer) {
            return;
        }
        self.kill_for(peer, false, length);
        if self.process(peer).is_none() {
            self.remove(other, peer);
        }
    }

    /// Changes the priority of a peer: who stands first.
    pub(crate) fn fault_priority(&mut self, peer: usize) {
        let priority = self.fault_random.pick(&[1, 2, 3, 100]);
        self.hosts[peer].config.priority = priority;
        if self.hosts[peer].is_running() {
            self.counters.add("priorities set");
            self.drive(peer, Input::SetPriority(priority));
        }
    }

    /// Asks a peer for a removal.
    pub(crate) fn remove(&mut self, at: usize, peer: usize) {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[at].is_running() {
            self.counters.add("removals asked for");
            let peer = self.plan.group.members[peer].clone();
            self.drive(at, Input::Remove { request, peer });
        }
    }

    fn is_named(&self, peer: usize) -> bool {
        let name = &self.plan.group.members[peer];
        match self.newest_membership() {
            Some(membership) => membership.has(name),
            None => peer < self.plan.founders,
        }
    }

    fn may_shrink(&self) -> bool {
        self.newest_membership().is_some_and(|m| m.next.is_none() && m.voters.len() > 2)
    }
}

/// Returns how many of the members are a majority; of the larger list while one is changed into
/// another.
pub(crate) fn majority_of(membership: &Membership) -> usize {
    let next = membership.next.as_ref().map_or(0, Vec::len);
    membership.voters.len().max(next) / 2 + 1
}
