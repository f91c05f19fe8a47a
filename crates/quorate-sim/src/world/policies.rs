//! Changes of what the group decides by: asked for at any peer, now and then.

use bytes::Bytes;
use quorate::Ballot;
use quorate::internal::protocol::io::Input;

use crate::model::real;
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

/// One in so many seeds changes its policy now and then.
const SEEDS: u64 = 5;

impl World {
    /// Begins to change the policy, in some runs: what the others draw stays as it is.
    pub(crate) fn start_policies(&mut self) {
        if self.plan.seed.is_multiple_of(SEEDS) || self.plan.real.is_changing {
            let wait = self.policy_random.around(self.plan.timeout());
            self.at(wait, Event::Policy);
        }
    }

    pub(crate) fn on_policy_timer(&mut self) {
        if !self.are_clients_active {
            return;
        }
        let wait = self.policy_random.around(self.plan.timeout());
        self.at(wait, Event::Policy);
        let peers: Vec<usize> = (0..self.plan.peers()).collect();
        let peer = self.policy_random.pick(&peers);
        self.change_policy(peer);
    }

    /// Asks a peer for another policy than any before.
    pub(crate) fn change_policy(&mut self, peer: usize) {
        if !self.hosts[peer].is_running() {
            return;
        }
        self.switches += 1;
        let request = self.switches;
        self.counters.add("policies asked for");
        let bytes = match self.plan.real.is_changing {
            true => real::change(&self.plan.real, request),
            false => Bytes::copy_from_slice(&request.to_le_bytes()),
        };
        self.drive(peer, Input::ChangePolicy { request, bytes });
    }

    /// A primary says, here or to another peer, that a majority holds a policy.
    pub(crate) fn on_policy_changed(&mut self, peer: usize, revision: u64) {
        let Some(ballot) = self.process(peer).and_then(|process| process.reign) else { return };
        self.counters.add("policies changed");
        self.see(&Seen::PolicyChanged { ballot, revision });
    }

    /// The revision that a peer holds.
    pub(crate) fn policy_of(&self, peer: usize) -> Option<(Ballot, u64)> {
        let process = self.process(peer)?;
        Some((process.reign?, process.store.meta().policy.revision))
    }
}
