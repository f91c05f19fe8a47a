//! The memory of a peer without storage: its ballot and its vote, and how far it may have
//! acknowledged (docs/protocol.md, section 13.9).

use quorate::internal::protocol::io::{HardState, Kept};

use crate::world::World;
use crate::world::event::Event;

impl World {
    /// Returns what a start remembers, in a group in memory that does.
    pub(super) fn recall(&mut self, peer: usize) -> Option<Kept> {
        let is_client = self.is_client(peer);
        self.plan.remembers.filter(|_| !is_client)?;
        let memory = &mut self.hosts[peer].memory;
        memory.saving.clear();
        Some(Kept { hard: memory.saved.clone(), is_restart: false, is_state_only: true })
    }

    /// Saves it after a while.
    pub(super) fn remember(&mut self, peer: usize, hard: HardState) {
        let Some(delay) = self.plan.remembers else { return };
        let Some(incarnation) = self.process(peer).map(|process| process.incarnation) else {
            return;
        };
        self.hosts[peer].memory.saving.push_back(hard);
        let length = self.disk_random.around(delay);
        self.at(length, Event::Disk { peer, incarnation });
    }

    /// It is saved; whether there was anything to save.
    pub(super) fn has_remembered(&mut self, peer: usize) -> bool {
        let memory = &mut self.hosts[peer].memory;
        let Some(hard) = memory.saving.pop_front() else { return false };
        memory.saved = hard;
        true
    }
}
