//! The time that the event loop takes for one turn: nothing else is done at this peer meanwhile
//! that keeps it in its group.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::base::id::{Time, nanos};

/// The longest turn of the last one to two of these is told.
const PERIOD: Duration = Duration::from_secs(60);

/// The longest turns of the event loop. Between two turns it answers no heartbeat and sends none:
/// one that comes near the failure timeout ends the lease of a primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Turns {
    /// Since this start of the peer, in microseconds; one that has not ended yet counts as well.
    pub longest_us: u64,
    /// The longest turn of the last one to two minutes.
    pub recent_longest_us: u64,
}

/// Measures turns; written by the event loop alone.
#[derive(Debug, Default)]
pub(in crate::driver) struct TurnWatch {
    /// The time when the turn began that has not ended; 0 between two.
    begun: AtomicU64,
    longest: AtomicU64,
    /// The longest of this period, and of the one before it.
    lately: AtomicU64,
    before: AtomicU64,
    /// The time when this period began.
    since: AtomicU64,
}

impl TurnWatch {
    pub(in crate::driver) fn begin(&self, now: Time) {
        let since = Time(self.since.load(Ordering::Relaxed));
        if now.since(since) >= PERIOD {
            let lately = self.lately.swap(0, Ordering::Relaxed);
            let is_next = now.since(since) < PERIOD * 2;
            self.before.store(if is_next { lately } else { 0 }, Ordering::Relaxed);
            self.since.store(now.0, Ordering::Relaxed);
        }
        self.begun.store(now.0, Ordering::Relaxed);
    }

    pub(in crate::driver) fn end(&self, now: Time) {
        let begun = Time(self.begun.swap(0, Ordering::Relaxed));
        if begun == Time(0) {
            return;
        }
        let length = nanos(now.since(begun));
        self.longest.fetch_max(length, Ordering::Relaxed);
        self.lately.fetch_max(length, Ordering::Relaxed);
    }

    pub(in crate::driver) fn turns(&self, now: Time) -> Turns {
        let begun = self.begun.load(Ordering::Relaxed);
        let current = if begun == 0 { 0 } else { nanos(now.since(Time(begun))) };
        let longest = self.longest.load(Ordering::Relaxed).max(current);
        let before = self.before.load(Ordering::Relaxed);
        let recent = self.lately.load(Ordering::Relaxed).max(before).max(current);
        Turns { longest_us: longest / 1_000, recent_longest_us: recent / 1_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn turn(watch: &TurnWatch, at: Time, length: Duration) {
        watch.begin(at);
        watch.end(at.after(length));
    }

    #[test]
    fn a_long_turn_is_remembered_for_good_and_told_as_recent_for_a_while() {
        let watch = TurnWatch::default();
        let start = Time(1_000_000_000_000);
        let at = |seconds: u64| start.after(Duration::from_secs(seconds));
        turn(&watch, at(0), Duration::from_micros(300));
        turn(&watch, at(59), SECOND);
        turn(&watch, at(100), Duration::from_micros(2));
        let longest_us = 1_000_000;
        let recent_longest_us = 1_000_000;
        assert_eq!(watch.turns(at(100)), Turns { longest_us, recent_longest_us });
        turn(&watch, at(161), Duration::from_micros(5));
        assert_eq!(watch.turns(at(161)), Turns { longest_us, recent_longest_us: 5 });
        // A pause of the loop of several periods.
        turn(&watch, at(600), Duration::from_micros(3));
        assert_eq!(watch.turns(at(600)), Turns { longest_us, recent_longest_us: 3 });
    }

    #[test]
    fn a_turn_that_does_not_end_is_seen_while_it_lasts() {
        let watch = TurnWatch::default();
        let start = Time(1_000_000_000_000);
        watch.begin(start);
        let seen = watch.turns(start.after(SECOND * 7));
        assert_eq!((seen.longest_us, seen.recent_longest_us), (7_000_000, 7_000_000));
        watch.end(start.after(SECOND * 8));
        assert_eq!(watch.turns(start.after(SECOND * 20)).longest_us, 8_000_000);
    }
}
