//! The words that scripts are written in. Peers are 0, 1, 2, ..; peer 0 founds the group and is
//! its first primary.

use std::time::Duration;

use crate::model::key::key;
use crate::model::real;
use crate::plan::Plan;
use crate::words::operation::Kind;
use crate::world::World;

/// The peer that founds the group.
pub(super) const FIRST: usize = 0;

/// A quiet plan with these priorities, one peer each.
pub(super) fn plan(priorities: &[u8]) -> Plan {
    Plan { priorities: priorities.to_vec(), ..Plan::quiet(priorities.len()) }
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl World {
    /// Starts the peers, the first one first, and waits until the group is whole.
    pub(super) fn found(&mut self) {
        self.start(FIRST);
        self.wait(ms(1_000));
        for peer in 1..self.plan().founders {
            self.start(peer);
        }
        self.begin_to_dial();
        let bound = self.plan().timeout() * 3;
        if !self.run_while(bound, Self::is_whole) || self.primary() != Some(FIRST) {
            self.fail("scenario", format!("no group to begin with: {}", self.describe()));
        }
        self.wait(ms(100));
    }

    pub(super) fn wait(&mut self, length: Duration) {
        self.run_until(self.now().after(length));
    }

    /// Runs until another peer than this one decides, for some failure timeouts at most.
    pub(super) fn wait_for_other_than(&mut self, peer: usize) {
        let bound = self.plan().timeout() * 4;
        self.run_while(bound, |world| world.primary().is_some_and(|primary| primary != peer));
    }

    /// Runs until another peer than this one decides; it is a failure if none does in time.
    pub(super) fn expect_other_than(&mut self, peer: usize, bound: Duration) {
        let is_elected =
            self.run_while(bound, |world| world.primary().is_some_and(|primary| primary != peer));
        if !is_elected {
            self.fail("liveness", format!("no primary after {bound:?}: {}", self.describe()));
        }
    }

    /// This peer decides within some time, or it is a failure.
    pub(super) fn expect_primary(&mut self, peer: usize, bound: Duration) {
        if !self.run_while(bound, |world| world.primary() == Some(peer)) {
            self.fail("liveness", format!("not primary after {bound:?}: {}", self.describe()));
        }
    }

    /// One primary, and all that are members follow it, or it is a failure.
    pub(super) fn expect_whole(&mut self) {
        if !self.run_while(Duration::from_secs(1), Self::is_whole) {
            self.fail("liveness", format!("not whole: {}", self.describe()));
        }
    }

    /// Units added to a counter at a peer, and a moment for them to travel.
    pub(super) fn count(&mut self, peer: usize, units: u64) {
        self.count_at(peer, 0, units);
    }

    /// Units added to one of the counters at a peer, and a moment for them to travel.
    pub(super) fn count_at(&mut self, peer: usize, counter: usize, units: u64) {
        self.issue(peer, Kind::Count, vec![(key(b'c', counter), units)], None);
        self.wait(ms(20));
    }

    /// An operation on a real limit, and a moment for it to travel.
    pub(super) fn ask(&mut self, peer: usize, number: u8, limit: &str, amount: u64) {
        self.ask_by(peer, number, limit, amount, 1);
    }

    /// An operation on a real limit by the permit or reservation with this id, and a moment to
    /// travel.
    pub(super) fn ask_by(&mut self, peer: usize, number: u8, limit: &str, amount: u64, id: u8) {
        let (kind, items) = real::one(number, limit, amount, id);
        self.issue(peer, kind, items, None);
        self.wait(ms(20));
    }

    /// Cuts every path between the two sides, both ways.
    pub(super) fn part(&mut self, side: &[usize], other: &[usize]) {
        let paths = between(side, other);
        self.cut(&paths);
    }

    /// Heals them.
    pub(super) fn join(&mut self, side: &[usize], other: &[usize]) {
        let paths = between(side, other);
        self.heal(&paths);
    }

    /// A process is killed and starts again at once, blank.
    pub(super) fn restart(&mut self, peer: usize) {
        self.kill(peer, false);
        self.wait(ms(10));
        self.start(peer);
    }
}

fn between(side: &[usize], other: &[usize]) -> Vec<(usize, usize)> {
    side.iter().flat_map(|&a| other.iter().flat_map(move |&b| [(a, b), (b, a)])).collect()
}
