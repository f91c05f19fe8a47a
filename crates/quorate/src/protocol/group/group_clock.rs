//! Group time: monotone over failovers, by two clocks (docs/protocol.md, section 9).
//!
//! ```text
//!   calendar   ────────╱▔▔▔▔  jumps, and runs up to a tenth fast, to where a majority's clocks are
//!                 lead │
//!   steady     ────────╱────  the primary's own clock, or up to a tenth slower
//! ```
//!
//! What is put forward goes to the lead, and what is held back slows both: so the lead never
//! shrinks, and the steady clock never shows more time than has passed.

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, Lead, Time, nanos};

/// Behind the majority's clocks by more than this, the calendar jumps; below, it is steered, so
/// that between two jumps the lead grows by a tenth of the time at most.
const JUMP: Duration = Duration::from_millis(100);
/// Ahead of them by no more than this it is left alone: what is known of other clocks is late by
/// the way of a heartbeat, now more and now less, and whoever was told to wait for a time would be
/// early by what it is slowed meanwhile.
const SLACK: Duration = Duration::from_millis(10);
/// Steering changes the speed of a clock by a tenth at most.
const STEER_DIVISOR: u64 = 10;

/// The primary's view of group time: an offset to its monotonic clock, and the lead.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct GroupClock {
    /// What is added to the monotonic clock for steady time.
    offset: i64,
    /// How far the calendar is ahead of that.
    lead: Lead,
    steered: Time,
    /// Whether the clocks may part: every member knows of both.
    may_part: bool,
}

impl GroupClock {
    /// Starts where the steady clock shows `steady`, which must not lie before any stamp of the
    /// adopted state, and the calendar is ahead by its `lead`, or has reached `target`.
    pub(in crate::protocol) fn start(
        now: Time,
        steady: GroupTime,
        lead: Lead,
        target: GroupTime,
        may_part: bool,
    ) -> Self {
        let offset = steady.0.wrapping_sub(now.0) as i64;
        let mut clock = Self { offset, lead, steered: now, may_part };
        let ahead = target.0.saturating_sub(clock.calendar(now).0);
        if ahead > nanos(JUMP) {
            clock.jump(now, ahead);
        }
        clock
    }

    /// The nanoseconds that are added to the monotonic clock for steady time.
    pub(in crate::protocol) fn offset(&self) -> i64 {
        self.offset
    }

    /// The lead of the calendar over the steady clock.
    pub(in crate::protocol) fn lead(&self) -> Lead {
        self.lead
    }

    /// Says from now on whether the clocks may part.
    pub(in crate::protocol) fn set_may_part(&mut self, may_part: bool) {
        self.may_part = may_part;
    }

    /// Steady time at `now`.
    pub(in crate::protocol) fn steady(&self, now: Time) -> GroupTime {
        GroupTime(now.0.wrapping_add_signed(self.offset))
    }

    /// The time by the calendar at `now`.
    pub(in crate::protocol) fn calendar(&self, now: Time) -> GroupTime {
        self.lead.by_calendar(self.steady(now))
    }

    /// Steers the calendar towards `target`, which a majority's clocks have reached.
    pub(in crate::protocol) fn steer(&mut self, now: Time, target: GroupTime) {
        let calendar = self.calendar(now);
        let step = nanos(now.since(self.steered)) / STEER_DIVISOR;
        self.steered = now;
        let ahead = target.0.saturating_sub(calendar.0);
        let behind = calendar.0.saturating_sub(target.0);
        if ahead > nanos(JUMP) {
            self.jump(now, ahead);
        } else if ahead > 0 {
            self.put_forward(step.min(ahead));
        } else {
            let slowed = step.min(behind.saturating_sub(nanos(SLACK)));
            self.offset = self.offset.wrapping_sub_unsigned(slowed);
        }
    }

    /// Where a member knows of one clock only, that one is put forward, and what is held lapses by
    /// it.
    fn put_forward(&mut self, by: u64) {
        if self.may_part && !bug::is(Bug::SteadyClockJumps) {
            self.lead.nanos = self.lead.nanos.saturating_add(by);
        } else {
            self.offset = self.offset.wrapping_add_unsigned(by);
        }
    }

    fn jump(&mut self, now: Time, by: u64) {
        self.put_forward(by);
        if self.may_part {
            self.lead.jumped = self.steady(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn started(steady: u64, target: u64) -> GroupClock {
        GroupClock::start(Time(0), GroupTime(steady), Lead::default(), GroupTime(target), true)
    }

    #[test]
    fn it_never_goes_back_however_far_the_wall_clock_does() {
        let now = Time(5 * SECOND);
        let start = (GroupTime(1000 * SECOND), Lead::default());
        let mut clock = GroupClock::start(now, start.0, start.1, GroupTime(10 * SECOND), true);
        let mut last = clock.calendar(now);
        for tick in 1..100 {
            let now = Time((5 + tick) * SECOND);
            clock.steer(now, GroupTime(10 * SECOND));
            let read = clock.calendar(now);
            assert!(read > last, "{read:?} after {last:?}");
            assert_eq!(clock.steady(now), read, "both are slowed");
            last = read;
        }
        // Slowed by a tenth: 99 s of real time are 89.1 s of group time.
        assert_eq!(last.0, 1000 * SECOND + 99 * SECOND / 10 * 9);
    }

    #[test]
    fn the_calendar_jumps_ahead_where_the_majority_is_ahead_and_the_steady_clock_does_not() {
        let mut clock = started(1000 * SECOND, 0);
        clock.steer(Time(SECOND), GroupTime(2000 * SECOND));
        assert_eq!(clock.calendar(Time(SECOND)), GroupTime(2000 * SECOND));
        assert_eq!(clock.steady(Time(SECOND)), GroupTime(1001 * SECOND));
        clock.steer(Time(2 * SECOND), GroupTime(3000 * SECOND));
        assert_eq!(clock.calendar(Time(2 * SECOND)), GroupTime(3000 * SECOND));
        assert_eq!(clock.steady(Time(2 * SECOND)), GroupTime(1002 * SECOND));
        let lead = Lead { nanos: 1998 * SECOND, jumped: GroupTime(1002 * SECOND) };
        assert_eq!(clock.lead(), lead);
    }

    #[test]
    fn a_target_that_is_late_now_more_and_now_less_slows_nothing() {
        const MS: u64 = 1_000_000;
        let start = 1000 * SECOND;
        let mut clock = started(start, 0);
        for tick in 1..200 {
            let now = tick * 50 * MS;
            // What a heartbeat took on its way.
            let late = tick * 7 % 10 * MS;
            clock.steer(Time(now), GroupTime(start + now - late));
            assert_eq!(clock.steady(Time(now)), GroupTime(start + now));
            assert_eq!(clock.lead().nanos, 0);
        }
    }

    #[test]
    fn small_differences_are_steered_to_the_point_and_the_steady_clock_is_never_fast() {
        let mut clock = started(1000 * SECOND, 0);
        let ahead = SECOND / 20;
        clock.steer(Time(SECOND), GroupTime(1001 * SECOND + ahead));
        assert_eq!(clock.calendar(Time(SECOND)), GroupTime(1001 * SECOND + ahead));
        assert_eq!(clock.steady(Time(SECOND)), GroupTime(1001 * SECOND));
        clock.steer(Time(2 * SECOND), GroupTime(1002 * SECOND));
        // Back but for what is left alone.
        let left = nanos(SLACK);
        assert_eq!(clock.calendar(Time(2 * SECOND)), GroupTime(1002 * SECOND + left));
        assert_eq!(clock.steady(Time(2 * SECOND)), GroupTime(1002 * SECOND + left - ahead));
        assert_eq!(clock.lead(), Lead { nanos: ahead, jumped: GroupTime(0) }, "it never shrinks");
    }

    #[test]
    fn a_reign_begins_with_the_lead_of_the_one_before_and_where_the_majority_is() {
        let start = (GroupTime(1000 * SECOND), Lead { nanos: 45 * SECOND, jumped: GroupTime(9) });
        let behind = GroupClock::start(Time(7), start.0, start.1, GroupTime(1001 * SECOND), true);
        assert_eq!(behind.calendar(Time(7)), GroupTime(1045 * SECOND));
        let ahead = GroupClock::start(Time(7), start.0, start.1, GroupTime(1050 * SECOND), true);
        assert_eq!(ahead.calendar(Time(7)), GroupTime(1050 * SECOND));
        let near = GroupClock::start(Time(7), start.0, start.1, GroupTime(1045 * SECOND + 9), true);
        assert_eq!((near.lead(), behind.lead()), (start.1, start.1), "it is steered there");
        assert_eq!(ahead.lead().jumped, GroupTime(1000 * SECOND));
        for clock in [behind, near, ahead] {
            assert_eq!(clock.steady(Time(7)), GroupTime(1000 * SECOND));
        }
    }

    #[test]
    fn while_a_member_knows_one_clock_only_both_are_put_forward() {
        let start = (GroupTime(1000 * SECOND), Lead { nanos: SECOND, jumped: GroupTime(9) });
        let mut clock =
            GroupClock::start(Time(0), start.0, start.1, GroupTime(1011 * SECOND), false);
        assert_eq!(clock.steady(Time(0)), GroupTime(1010 * SECOND));
        clock.steer(Time(SECOND), GroupTime(1112 * SECOND));
        assert_eq!((clock.steady(Time(SECOND)).0, clock.lead()), (1111 * SECOND, start.1));
        clock.set_may_part(true);
        clock.steer(Time(2 * SECOND), GroupTime(1213 * SECOND));
        let lead = clock.lead().nanos;
        assert_eq!((clock.steady(Time(2 * SECOND)).0, lead), (1112 * SECOND, 101 * SECOND));
    }
}
