//! Contact between peers, noted whenever it may have changed.

use std::time::Duration;

use crate::observe::contact::Meeting;
use crate::world::World;

impl World {
    /// Linked both ways, nothing cut, slow or stalled, and nobody frozen.
    fn are_together(&self, one: usize, other: usize) -> bool {
        self.hosts[one].is_running()
            && self.hosts[other].is_running()
            && self.is_linked(one, other)
            && self.network.is_steady(one, other)
    }

    /// They dial each other, hear each other's hello, and refuse each other for their settings.
    fn have_met(&self, one: usize, other: usize) -> bool {
        self.hosts[one].is_running()
            && self.hosts[other].is_running()
            && self.network.is_steady(one, other)
            && self.differ(one, other)
    }

    /// To be called when any of that may have changed.
    pub(crate) fn note_contact(&mut self) {
        let size = self.plan.peers();
        self.contact.resize(size);
        for one in 0..size {
            for other in 0..one {
                let meeting = Meeting {
                    is_joined: self.are_together(one, other),
                    is_met: self.have_met(one, other),
                    is_linked: self.is_linked(one, other),
                };
                self.contact.note(self.now, [one, other], meeting);
            }
        }
    }

    /// Returns true if a majority has been together with this peer for so long.
    pub(crate) fn is_led_by(&self, peer: usize, long: Duration) -> bool {
        let with_it = (0..self.plan.peers()).filter(|other| self.were_pair(peer, *other, long));
        with_it.count() >= self.plan.majority()
    }

    /// Returns true if some `count` of `peers` have all been together for so long.
    pub(crate) fn were_together(&self, peers: &[usize], count: usize, long: Duration) -> bool {
        (0_u32..1 << peers.len()).any(|set| {
            let chosen: Vec<usize> = (0..peers.len())
                .filter(|index| set >> index & 1 == 1)
                .map(|index| peers[index])
                .collect();
            chosen.len() >= count
                && chosen
                    .iter()
                    .all(|one| chosen.iter().all(|other| self.were_pair(*one, *other, long)))
        })
    }

    /// Returns true if two peers are one, or have been together for so long.
    fn were_pair(&self, one: usize, other: usize, long: Duration) -> bool {
        one == other || self.contact.length(self.now, one, other) >= long
    }
}
