//! A wall clock beside the clock that leases are measured by (docs/protocol.md, section 5).

use std::time::Duration;

use crate::base::id::{GroupTime, Now, Time};

/// A wall clock, as seen beside the clock that leases are measured by.
///
/// It is compared with how far it was ahead one to two failure timeouts ago, so that many short
/// stops within one lease add up to a long one.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct WallWatch {
    /// How far it was ahead, in nanoseconds, in the period before this one.
    before: i128,
    /// How far it is ahead, in nanoseconds, in this period so far.
    lead: i128,
    /// When this period began.
    since: Time,
    /// When the clock was last seen.
    seen: Time,
}

/// Which of the leads of a period counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Baseline {
    /// The smallest: the clock is read here, so whatever it gains on that is a gain.
    Least,
    /// The largest: what another peer says of its clock is late by its way, now more and now less.
    Most,
}

impl WallWatch {
    pub(in crate::protocol) fn new(time: Time, wall: GroupTime) -> Self {
        let lead = lead(time, wall);
        Self { before: lead, lead, since: time, seen: time }
    }

    /// The gain of the clock, if it is more than `bound`, which is told once.
    pub(in crate::protocol) fn gain(
        &mut self,
        reading: Now,
        baseline: Baseline,
        period: Duration,
        bound: Duration,
    ) -> Option<Duration> {
        let Now { time, wall } = reading;
        let of = match baseline {
            Baseline::Least => i128::min,
            Baseline::Most => i128::max,
        };
        let lead = lead(time, wall);
        if baseline == Baseline::Most && time.since(self.seen) >= period * 2 {
            // Clocks drift apart while nothing is heard.
            *self = Self::new(time, wall);
        }
        let gain = lead - of(self.before, self.lead);
        self.seen = time;
        let bound = i128::try_from(bound.as_nanos()).unwrap_or(i128::MAX);
        if gain > bound {
            *self = Self::new(time, wall);
            return Some(Duration::from_nanos(u64::try_from(gain).unwrap_or(u64::MAX)));
        }
        if time.since(self.since) >= period {
            self.before = std::mem::replace(&mut self.lead, lead);
            self.since = time;
        }
        self.lead = of(self.lead, lead);
        if baseline == Baseline::Least {
            // A clock that was set back gains from there.
            self.before = self.before.min(lead);
        }
        None
    }
}

fn lead(time: Time, wall: GroupTime) -> i128 {
    i128::from(wall.0) - i128::from(time.0)
}
