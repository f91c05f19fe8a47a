//! The contact of every two peers, and since when: what really was, in real time, for checkers
//! that ask what a group could have known.

use std::time::Duration;

use crate::base::clock::Moment;

/// The moments since which pairs of peers have heard each other without a break.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    since: Vec<Vec<Option<Moment>>>,
    /// The moments since which they have met and refused each other.
    refused: Vec<Vec<Option<Moment>>>,
}

impl Contact {
    /// Has room for what is noted of so many peers.
    pub(crate) fn resize(&mut self, size: usize) {
        self.since.resize(size, vec![None; size]);
        self.refused.resize(size, vec![None; size]);
    }

    /// Notes whether two peers are together at this moment, or refuse each other.
    pub(crate) fn note(&mut self, now: Moment, pair: [usize; 2], is_joined: bool, is_met: bool) {
        let [one, other] = pair;
        let since = self.since[one][other].unwrap_or(now);
        self.since[one][other] = is_joined.then_some(since);
        self.since[other][one] = is_joined.then_some(since);
        let refused = self.refused[one][other].unwrap_or(now);
        self.refused[one][other] = is_met.then_some(refused);
        self.refused[other][one] = is_met.then_some(refused);
    }

    /// Returns how long two peers have been together.
    pub(crate) fn length(&self, now: Moment, one: usize, other: usize) -> Duration {
        let since = self.since.get(one).and_then(|row| row[other]);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Returns how long two peers have refused each other for their settings.
    pub(crate) fn refusal(&self, now: Moment, one: usize, other: usize) -> Duration {
        let since = self.refused.get(one).and_then(|row| row[other]);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
