//! Peers that are clients: they link to the others, hold nothing, have no vote and are counted by
//! nobody, and their calls are decided by the primary that they hear of.
//!
//! A client stands beside one member, its home: what cuts off that member cuts off both, together.

use std::ops::Range;
use std::time::Duration;

use quorate::Mode;
use quorate::internal::protocol::io::Route;

use crate::plan::fault::{Fault, Undo};
use crate::world::World;
use crate::world::event::Event;

/// The faults that strike clients.
const FAULTS: [Fault; 8] = [
    Fault::Crash,
    Fault::Isolate,
    Fault::Kill,
    Fault::OneEnd,
    Fault::OneWay,
    Fault::Pause,
    Fault::Reset,
    Fault::Starve,
];

impl World {
    pub(crate) fn is_client(&self, peer: usize) -> bool {
        peer >= self.plan.peers()
    }

    pub(crate) fn clients(&self) -> Range<usize> {
        self.plan.peers()..self.plan.hosts()
    }

    /// The member that a client stands beside.
    pub(crate) fn home(&self, client: usize) -> usize {
        let peers = self.plan.peers();
        let shift = usize::try_from(self.plan.seed % peers as u64).unwrap_or(0);
        (client + shift) % peers
    }

    /// Returns true if a cut around one peer parts it from another one.
    pub(crate) fn are_apart(&self, peer: usize, other: usize) -> bool {
        let is_beside = self.is_client(other) && (self.is_client(peer) || self.home(other) == peer);
        peer != other && !is_beside
    }

    /// Each client starts soon, before the group is founded or after.
    pub(crate) fn start_client_peers(&mut self) {
        for peer in self.clients() {
            let later = self.client_random.duration(Duration::ZERO, self.plan.timeout());
            self.undo_after(later, Undo::Restart { peer });
        }
    }

    pub(crate) fn start_client_faults(&mut self) {
        if self.plan.client_peers > 0 {
            let wait = self.client_random.around(self.plan.faults.gap);
            self.at(wait, Event::ClientFault);
        }
    }

    pub(crate) fn on_client_fault(&mut self) {
        if !self.are_faults_active {
            return;
        }
        self.start_client_faults();
        let peer = self.plan.peers() + self.client_random.index(self.plan.client_peers);
        let fault = self.client_random.pick(&FAULTS);
        self.counters.add("client faults");
        self.strike(fault, Some(peer));
    }

    /// Returns true if a client that runs follows this primary, and what it decided alone is
    /// merged.
    pub(crate) fn is_served(&self, client: usize, primary: usize) -> bool {
        let (Some(process), Some(leader)) = (self.process(client), self.process(primary)) else {
            return self.process(client).is_none();
        };
        let is_merged = self.plan.group.mode == Mode::Strict || process.overlay.is_empty();
        let Route::There { peer, incarnation, .. } = &process.route else { return false };
        is_merged && self.index_of(peer) == primary && *incarnation == leader.incarnation
    }
}
