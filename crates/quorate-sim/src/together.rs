//! Who has been together with whom, and since when: what really was, in real time, for checkers
//! that ask what a group could have known.

use std::time::Duration;

use crate::clock::Moment;
use crate::world::World;

/// Since when two peers have heard each other without a break.
#[derive(Debug, Default)]
pub(crate) struct Together {
    since: Vec<Vec<Option<Moment>>>,
    /// Since when they have met and refused each other.
    refused: Vec<Vec<Option<Moment>>>,
}

impl Together {
    /// How long two peers have been together.
    pub(crate) fn length(&self, now: Moment, one: usize, other: usize) -> Duration {
        let since = self.since.get(one).and_then(|row| row[other]);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// How long two peers have refused each other for their settings.
    pub(crate) fn refusal(&self, now: Moment, one: usize, other: usize) -> Duration {
        let since = self.refused.get(one).and_then(|row| row[other]);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

impl World {
    /// Linked both ways, nothing cut, slow or stalled, and nobody frozen.
    fn are_together(&self, one: usize, other: usize) -> bool {
        self.peers[one].is_running()
            && self.peers[other].is_running()
            && self.is_linked(one, other)
            && self.network.is_steady(one, other)
    }

    /// They dial each other, hear each other's hello, and refuse each other for their settings.
    fn have_met(&self, one: usize, other: usize) -> bool {
        self.peers[one].is_running()
            && self.peers[other].is_running()
            && self.network.is_steady(one, other)
            && self.differ(one, other)
    }

    /// To be called when any of that may have changed.
    pub(crate) fn note_together(&mut self) {
        let size = self.plan.peers();
        self.together.since.resize(size, vec![None; size]);
        self.together.refused.resize(size, vec![None; size]);
        for one in 0..size {
            for other in 0..one {
                let are = self.are_together(one, other);
                let since = self.together.since[one][other].unwrap_or(self.now);
                self.together.since[one][other] = are.then_some(since);
                self.together.since[other][one] = are.then_some(since);
                let are_met = self.have_met(one, other);
                let since = self.together.refused[one][other].unwrap_or(self.now);
                self.together.refused[one][other] = are_met.then_some(since);
                self.together.refused[other][one] = are_met.then_some(since);
            }
        }
    }

    /// Whether a majority has been together with this peer for so long.
    pub(crate) fn is_led_by(&self, peer: usize, long: Duration) -> bool {
        let with =
            |other: &usize| *other == peer || self.together.length(self.now, peer, *other) >= long;
        (0..self.plan.peers()).filter(with).count() >= self.plan.majority()
    }

    /// Whether some `count` of `peers` have all been together for so long.
    pub(crate) fn were_together(&self, peers: &[usize], count: usize, long: Duration) -> bool {
        (0_u32..1 << peers.len()).any(|set| {
            let is_in = |index: usize| set >> index & 1 == 1;
            let chosen: Vec<usize> =
                (0..peers.len()).filter(|i| is_in(*i)).map(|i| peers[i]).collect();
            let are = |one: usize, other: usize| {
                one == other || self.together.length(self.now, one, other) >= long
            };
            chosen.len() >= count
                && chosen.iter().all(|one| chosen.iter().all(|other| are(*one, *other)))
        })
    }
}
