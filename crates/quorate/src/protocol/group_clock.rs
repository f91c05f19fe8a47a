//! Group time: monotone over failovers, steered gently, jumping only where a majority's clocks
//! agree (docs/protocol.md, section 9).

use std::time::Duration;

use crate::id::{GroupTime, Time};

/// Behind the majority's clocks by more than this, group time jumps; below, it is steered.
const JUMP: Duration = Duration::from_millis(100);
/// Ahead of them by no more than this it is left alone: what is known of other clocks is late by
/// the way of a heartbeat, now more and now less, and whoever was told to wait for a time would be
/// early by what it is slowed meanwhile.
const LEAD: Duration = Duration::from_millis(10);
/// Steering changes the speed of group time by a tenth at most.
const STEER_DIVISOR: u64 = 10;

/// The primary's view of group time: an offset to its monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupClock {
    offset: i64,
    steered: Time,
}

impl GroupClock {
    /// Starts at `start`, which must not lie before any stamp of the adopted state.
    pub(super) fn start(now: Time, start: GroupTime) -> Self {
        Self { offset: offset(now, start), steered: now }
    }

    /// What is added to the monotonic clock.
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    /// Group time at `now`.
    pub(super) fn read(&self, now: Time) -> GroupTime {
        GroupTime(now.0.wrapping_add_signed(self.offset))
    }

    /// Steers towards `target`, which a majority's clocks have reached.
    pub(super) fn steer(&mut self, now: Time, target: GroupTime) {
        let read = self.read(now);
        let elapsed = now.since(self.steered);
        self.steered = now;
        let step = crate::id::nanos(elapsed) / STEER_DIVISOR;
        if target.0 > read.0.saturating_add(crate::id::nanos(JUMP)) {
            self.offset = offset(now, target);
        } else if target > read {
            self.offset = self.offset.wrapping_add_unsigned(step.min(target.0 - read.0));
        } else {
            let lead = (read.0 - target.0).saturating_sub(crate::id::nanos(LEAD));
            self.offset = self.offset.wrapping_sub_unsigned(step.min(lead));
        }
    }
}

fn offset(now: Time, at: GroupTime) -> i64 {
    at.0.wrapping_sub(now.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn it_never_goes_back_however_far_the_wall_clock_does() {
        let mut clock = GroupClock::start(Time(5 * SECOND), GroupTime(1000 * SECOND));
        let mut last = clock.read(Time(5 * SECOND));
        for tick in 1..100 {
            let now = Time((5 + tick) * SECOND);
            clock.steer(now, GroupTime(10 * SECOND));
            let read = clock.read(now);
            assert!(read > last, "{read:?} after {last:?}");
            last = read;
        }
        // Slowed by a tenth: 99 s of real time are 89.1 s of group time.
        assert_eq!(last.0, 1000 * SECOND + 99 * SECOND / 10 * 9);
    }

    #[test]
    fn it_jumps_ahead_where_the_majority_is_ahead() {
        let mut clock = GroupClock::start(Time(0), GroupTime(1000 * SECOND));
        clock.steer(Time(SECOND), GroupTime(2000 * SECOND));
        assert_eq!(clock.read(Time(SECOND)), GroupTime(2000 * SECOND));
    }

    #[test]
    fn a_target_that_is_late_now_more_and_now_less_slows_nothing() {
        const MS: u64 = 1_000_000;
        let start = 1000 * SECOND;
        let mut clock = GroupClock::start(Time(0), GroupTime(start));
        for tick in 1..200 {
            let now = tick * 50 * MS;
            // What a heartbeat took on its way.
            let late = tick * 7 % 10 * MS;
            clock.steer(Time(now), GroupTime(start + now - late));
            assert_eq!(clock.read(Time(now)), GroupTime(start + now));
        }
    }

    #[test]
    fn small_differences_are_steered_to_the_point() {
        let mut clock = GroupClock::start(Time(0), GroupTime(1000 * SECOND));
        let difference = SECOND / 20;
        let ahead = GroupTime(1001 * SECOND + difference);
        clock.steer(Time(SECOND), ahead);
        assert_eq!(clock.read(Time(SECOND)), ahead);
        // Back as far as the lead that is left.
        clock.steer(Time(2 * SECOND), GroupTime(1002 * SECOND));
        let read = clock.read(Time(2 * SECOND)).0;
        assert_eq!(read, 1002 * SECOND + crate::id::nanos(LEAD));
    }
}
