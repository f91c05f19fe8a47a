//! The clocks of a machine that may sleep, and whose wall clock may be set.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Alarm;
use super::kernel::Kernel;
use crate::bug::{self, Bug};
use crate::config::GroupConfig;
use crate::id::{GroupTime, Now, Time, nanos};

/// How much a coarse reading may lag, at most: the lease is published with this margin.
const MAX_COARSE_LAG: Duration = Duration::from_millis(8);
/// And no more than this part of the failure timeout.
const COARSE_LAG_DIVISOR: u32 = 50;
/// Two clocks are read within this time of each other, if the machine lets it.
const SAME_MOMENT: Duration = Duration::from_micros(50);
/// How often that is tried.
const TRIES: u32 = 4;
/// A coarse reading may lag by so many times what its clock resolves: ticks come late.
const LATE_TICKS: u32 = 2;
/// How far the offset may be from what it is: below this the difference between two readings of it
/// is the time between their two clocks, above it the machine slept.
const OFFSET_SLACK: Duration = Duration::from_millis(1);

/// The clocks of a machine, in nanoseconds.
pub(crate) trait Readings: fmt::Debug + Send + Sync {
    /// Goes on while the machine is suspended.
    fn boot(&self) -> u64;
    /// Stands still then.
    fn monotonic(&self) -> u64;
    /// The same, as of the last tick.
    fn coarse(&self) -> u64;
    /// The wall clock, as of the last tick.
    fn coarse_wall(&self) -> u64;
    /// The wall clock.
    fn wall(&self) -> u64;
    /// What the coarse clocks resolve; `None` if there are none.
    fn coarse_resolution(&self) -> Option<Duration>;
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock<R = Kernel> {
    readings: R,
    /// Boot time minus monotonic time.
    offset: AtomicU64,
    /// Coarse wall time minus coarse monotonic time. Written after the offset, read before it.
    lead: AtomicU64,
    /// What the lead may differ by without a reason: the two were read on both sides of a tick.
    slack: u64,
    /// What the wall clock may gain without an alarm: a little more than the machine lets pass, which
    /// gives the lease back.
    max_gain: u64,
    /// What the coarse clock resolves, if it is good enough.
    resolution: Option<Duration>,
    alarm: OnceLock<Alarm>,
}

impl SystemClock {
    pub(super) fn new(failure_timeout: Duration) -> Self {
        Self::over(Kernel, failure_timeout)
    }
}

impl<R: Readings> SystemClock<R> {
    fn over(readings: R, failure_timeout: Duration) -> Self {
        let max_lag = MAX_COARSE_LAG.min(failure_timeout / COARSE_LAG_DIVISOR);
        let tick = readings.coarse_resolution();
        let slack = tick.unwrap_or_default() + OFFSET_SLACK;
        let clock = Self {
            offset: AtomicU64::new(0),
            lead: AtomicU64::new(0),
            slack: nanos(slack),
            max_gain: nanos(GroupConfig::longest_gain(failure_timeout) + slack),
            resolution: tick.filter(|lag| *lag <= max_lag),
            alarm: OnceLock::new(),
            readings,
        };
        _ = clock.refresh();
        clock
    }

    /// Sets what is done where the lease is in doubt; once.
    pub(super) fn set_alarm(&self, alarm: Alarm) {
        _ = self.alarm.set(alarm);
    }

    pub(super) fn time(&self) -> Time {
        Time(self.readings.boot())
    }

    /// Both clocks, read at one moment as far as the machine lets it: a thread that loses its turn in
    /// between must not look like a clock that stood.
    pub(super) fn now(&self) -> Now {
        let mut now = Now { time: self.time(), wall: GroupTime(self.readings.wall()) };
        for _ in 1..TRIES {
            if self.time().since(now.time) <= SAME_MOMENT {
                break;
            }
            now = Now { time: self.time(), wall: GroupTime(self.readings.wall()) };
        }
        now
    }

    #[inline]
    pub(super) fn coarse(&self) -> Time {
        let coarse = self.readings.coarse();
        if self.resolution.is_some() && self.is_as_before(coarse) {
            return Time(coarse.wrapping_add(self.offset.load(Ordering::Relaxed)));
        }
        self.exact()
    }

    /// Not inlined: the data path is to stay short.
    #[inline(never)]
    pub(super) fn exact(&self) -> Time {
        if !self.is_as_before(self.readings.coarse()) {
            self.look();
        }
        self.time()
    }

    /// Whether the machine has not slept, nor its wall clock been set, since the last refresh.
    ///
    /// The wall clock is read last: a machine that sleeps between the two readings is noticed.
    #[inline]
    fn is_as_before(&self, coarse: u64) -> bool {
        let lead = self.readings.coarse_wall().wrapping_sub(coarse);
        let change = lead.wrapping_sub(self.lead.load(Ordering::Acquire));
        change.wrapping_add(self.slack) <= self.slack * 2 || bug::is(Bug::SleepUnseen)
    }

    /// The lead has changed: raises the alarm where no suspension explains it.
    #[cold]
    fn look(&self) {
        let (lead, offset) = self.read_offsets();
        let lead_gain = lead.wrapping_sub(self.lead.load(Ordering::Acquire)).cast_signed();
        let slept = offset.wrapping_sub(self.offset.load(Ordering::Relaxed)).cast_signed();
        let gain = lead_gain.saturating_sub(slept);
        if gain > self.max_gain.cast_signed()
            && let Some(alarm) = self.alarm.get()
        {
            alarm.raise();
        }
    }

    pub(super) fn coarse_lag(&self) -> Duration {
        // The machine may have slept for as long as the slack hides.
        let slack = Duration::from_nanos(self.slack);
        self.resolution.map_or(Duration::ZERO, |tick| tick * LATE_TICKS + slack)
    }

    pub(super) fn refresh(&self) -> bool {
        let (lead, offset) = self.read_offsets();
        let known = self.offset.load(Ordering::Relaxed);
        let is_other = offset.abs_diff(known) > nanos(OFFSET_SLACK);
        if is_other {
            // The second reading tells a sleep from a thread that lost its turn between the two.
            let offset = offset.max(self.read_offset());
            self.offset.store(offset, Ordering::Relaxed);
        }
        // What readings on both sides of a tick may differ by is no change.
        let change = lead.wrapping_sub(self.lead.load(Ordering::Relaxed));
        let has_moved = change.wrapping_add(self.slack) > self.slack * 2;
        if has_moved {
            self.lead.store(lead, Ordering::Release);
        }
        is_other || has_moved
    }

    /// The lead, and then the offset: a sleep between the two leaves a lead that is too small, and is
    /// noticed by the next reading.
    fn read_offsets(&self) -> (u64, u64) {
        let readings = &self.readings;
        let mut coarse = readings.coarse();
        let mut lead = readings.coarse_wall().wrapping_sub(coarse);
        for _ in 1..TRIES {
            let again = readings.coarse();
            if again == coarse {
                break;
            }
            coarse = again;
            lead = readings.coarse_wall().wrapping_sub(coarse);
        }
        (lead, self.read_offset())
    }

    /// In this order it is too small by the time between the two, and a coarse reading never ahead
    /// of an exact one.
    fn read_offset(&self) -> u64 {
        let boot = self.readings.boot();
        boot.saturating_sub(self.readings.monotonic())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use tokio::sync::Notify;

    use super::super::Clock;
    use super::*;
    use crate::config::{Acknowledge, Bounds};
    use crate::id::{Ballot, Generation, Term};
    use crate::model::{Answer, Cell, Delta, Item, Model, Value};
    use crate::store::{Refused, Store};

    const SECOND: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_millis(4);

    /// Clocks that show what they are told to.
    #[derive(Debug, Default)]
    struct Invented {
        boot: AtomicU64,
        monotonic: AtomicU64,
        wall: AtomicU64,
        has_ticked: AtomicBool,
    }

    impl Invented {
        /// A machine that has been up for an hour, some of it asleep.
        fn up() -> Self {
            let clocks = Self::default();
            clocks.boot.store(nanos(SECOND * 3_600), Ordering::Relaxed);
            clocks.monotonic.store(nanos(SECOND * 3_000), Ordering::Relaxed);
            clocks.wall.store(nanos(SECOND * 1_790_000_000), Ordering::Relaxed);
            clocks
        }

        fn pass(&self, time: Duration) {
            self.monotonic.fetch_add(nanos(time), Ordering::Relaxed);
            self.sleep(time);
        }

        fn sleep(&self, time: Duration) {
            self.boot.fetch_add(nanos(time), Ordering::Relaxed);
            self.set_ahead(time);
        }

        fn set_ahead(&self, time: Duration) {
            self.wall.fetch_add(nanos(time), Ordering::Relaxed);
        }

        fn set_back(&self, time: Duration) {
            self.wall.fetch_sub(nanos(time), Ordering::Relaxed);
        }

        /// As of the last tick.
        fn floor(of: u64) -> u64 {
            of - of % nanos(TICK)
        }
    }

    impl Readings for Invented {
        fn boot(&self) -> u64 {
            self.boot.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> u64 {
            self.monotonic.load(Ordering::Relaxed)
        }

        fn coarse(&self) -> u64 {
            Self::floor(self.monotonic())
        }

        fn coarse_wall(&self) -> u64 {
            // As of the same tick as the coarse monotonic clock, or of the next one.
            let behind = self.monotonic() - self.coarse();
            let wall = self.wall() - behind;
            let is_next = self.has_ticked.load(Ordering::Relaxed);
            if is_next { wall + nanos(TICK) } else { wall }
        }

        fn wall(&self) -> u64 {
            self.wall.load(Ordering::Relaxed)
        }

        fn coarse_resolution(&self) -> Option<Duration> {
            Some(TICK)
        }
    }

    fn invented() -> SystemClock<Invented> {
        SystemClock::over(Invented::up(), SECOND * 10)
    }

    /// A reading is late by a tick and no more.
    fn check(clock: &SystemClock<Invented>, what: &str) {
        for time in [clock.coarse(), clock.exact()] {
            assert!(time <= clock.time(), "{what}: {time:?} is ahead");
            assert!(clock.time().since(time) <= TICK, "{what}: {:?}", clock.time().since(time));
        }
    }

    fn is_coarse(clock: &SystemClock<Invented>) -> bool {
        clock.coarse() != clock.time()
    }

    #[test]
    fn a_machine_that_slept_is_late_by_no_more_than_a_tick_before_the_loop_turns() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        check(&clock, "awake");
        assert!(is_coarse(&clock));
        clock.readings.sleep(SECOND * 30);
        check(&clock, "slept");
        assert!(clock.refresh());
        check(&clock, "refreshed");
        assert!(is_coarse(&clock), "cheap again");
        assert!(!clock.refresh());
    }

    #[test]
    fn a_wall_clock_that_is_set_costs_exact_readings_until_the_loop_turns() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        clock.readings.set_ahead(SECOND * 3_600);
        check(&clock, "set ahead");
        assert!(!is_coarse(&clock));
        clock.readings.set_back(SECOND * 7_200);
        check(&clock, "set back");
        assert!(!is_coarse(&clock));
        assert!(clock.refresh());
        check(&clock, "refreshed");
        assert!(is_coarse(&clock));
    }

    #[test]
    fn a_sleep_and_a_wall_clock_that_is_set_are_told_apart() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        clock.readings.sleep(SECOND * 30);
        clock.readings.set_back(SECOND * 7);
        check(&clock, "slept, and set back");
        clock.readings.set_ahead(SECOND * 14);
        check(&clock, "and ahead");
        assert!(clock.refresh());
        clock.readings.sleep(SECOND * 30);
        check(&clock, "slept again");
    }

    #[test]
    fn a_tick_between_two_readings_is_no_sleep() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        clock.readings.has_ticked.store(true, Ordering::Relaxed);
        assert!(is_coarse(&clock));
        assert!(!clock.refresh());
    }

    /// A primary's store, with a lease, and the clock that raises the alarm.
    fn primary() -> (SystemClock<Invented>, Arc<Store>) {
        let clock = invented();
        let store = Arc::new(Store::with_hash_seed(Bounds { shards: 1, ..Bounds::default() }, 7));
        store.begin_reign(Ballot { generation: Generation(1), term: Term(1) }, GroupTime(1));
        store.grant(clock.time().after(SECOND * 8), 0);
        let alarm = Alarm { store: store.clone(), attention: Arc::new(Notify::new()) };
        clock.alarm.set(alarm).expect("the first");
        (clock, store)
    }

    fn decide(clock: &SystemClock<Invented>, store: &Store) -> Result<(), Refused> {
        struct Nothing;
        impl Model for Nothing {
            fn decide(&self, _: &[Item<'_>], _: &mut [Cell], _: GroupTime) -> Answer {
                Answer { code: 1, units: 0, words: [0; 6] }
            }

            fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

            fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
                0
            }
        }
        let items = [Item { key: b"k", args: [0, 0] }];
        store.decide(clock.coarse(), &items, &Nothing, Acknowledge::Primary).map(|_| ())
    }

    /// A virtual machine was paused: its clocks stood, and then its wall clock is set.
    #[test]
    fn a_gain_that_no_sleep_explains_holds_whoever_asks() {
        let (clock, store) = primary();
        assert_eq!(decide(&clock, &store), Ok(()));
        clock.readings.set_ahead(SECOND * 30);
        assert_eq!(decide(&clock, &store), Err(Refused::Held));
    }

    #[test]
    fn a_sleep_or_a_wall_clock_that_is_set_back_holds_nobody() {
        let (clock, store) = primary();
        clock.readings.sleep(SECOND * 5);
        assert_eq!(decide(&clock, &store), Ok(()));
        clock.readings.set_back(SECOND * 30);
        assert_eq!(decide(&clock, &store), Ok(()));
        assert!(clock.refresh());
        clock.readings.sleep(SECOND * 5);
        assert_eq!(decide(&clock, &store), Err(Refused::NoAuthority), "the lease has ended");
    }

    #[test]
    fn a_coarse_reading_is_never_ahead_and_lags_within_its_margin() {
        let clock = Clock::system(Duration::from_secs(10));
        let before = clock.time();
        let coarse = clock.coarse();
        let after = clock.time();
        assert!(coarse <= after, "{coarse:?} {after:?}");
        assert!(coarse.after(MAX_COARSE_LAG * 2) >= before, "{coarse:?} {before:?}");
    }

    #[test]
    fn a_short_failure_timeout_is_kept_with_exact_readings() {
        let clock = Clock::system(Duration::from_millis(20));
        let before = clock.time();
        assert!(clock.coarse() >= before);
    }
}
