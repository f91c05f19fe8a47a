//! What a peer waits for, by name, and when it is to look again at the latest.
//!
//! A tick begins with an empty table, and whatever still waits enters itself again: a wait whose
//! cause has gone is taken back by nobody, and none can be forgotten that the next tick needs. What
//! a deadline follows from (a promise, a lease, a round of votes) stands with its type.

use crate::base::id::Time;

/// Something that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The next heartbeats of this peer.
    Heartbeat,
    /// A word of the primary that is followed.
    Primary,
    /// The end of what this peer has promised, or an earlier start of it may have.
    Promise,
    /// A primary, before it is told that no majority is left.
    Majority,
    /// This peer's turn to stand.
    Turn,
    /// Members without which a new generation is not founded yet.
    Founding,
    /// Answers in a round of votes.
    Round,
    /// The freshest state among the voters.
    Adoption,
    /// Promises that the lease, or the end of a doubt, depends on.
    Lease,
    /// Changes that are collected for the next batch.
    Batch,
    /// A successor that holds the last cut.
    HandOver,
    /// The election of a successor.
    Switch,
    /// The primary that callers are held for.
    Route,
    /// Answers to requests of this peer's own.
    Requests,
    /// The rest of what is done a part at a time.
    Rest,
    /// Nothing: something has changed, and is looked at in this instant.
    Now,
}

/// When each of them is due.
#[derive(Debug)]
pub(super) struct Deadlines([Time; Timer::COUNT]);

impl Timer {
    const COUNT: usize = Self::Now as usize + 1;
}

impl Deadlines {
    /// The time of what is not waited for.
    const NEVER: Time = Time(u64::MAX);

    /// A table in which everything is looked at by `now`.
    pub(super) fn new(now: Time) -> Self {
        let mut deadlines = Self([Self::NEVER; Timer::COUNT]);
        deadlines.enter(Timer::Now, now);
        deadlines
    }

    /// Forgets what was waited for.
    pub(super) fn clear(&mut self) {
        self.0.fill(Self::NEVER);
    }

    /// Notes that `timer` is due by `time`; earlier if it was due earlier.
    pub(super) fn enter(&mut self, timer: Timer, time: Time) {
        let entered = &mut self.0[timer as usize];
        *entered = time.min(*entered);
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Time {
        self.0.iter().copied().min().unwrap_or(Self::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_deadline_counts_and_a_later_one_changes_nothing() {
        let mut deadlines = Deadlines::new(Time(9));
        assert_eq!(deadlines.next(), Time(9));
        deadlines.clear();
        assert_eq!(deadlines.next(), Time(u64::MAX), "nothing is waited for");
        deadlines.enter(Timer::Lease, Time(5));
        deadlines.enter(Timer::Lease, Time(7));
        deadlines.enter(Timer::Heartbeat, Time(6));
        assert_eq!(deadlines.next(), Time(5));
    }
}
