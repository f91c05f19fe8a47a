//! The clocks of a machine that may sleep, and whose wall clock may be set.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Alarm;
use super::kernel::Kernel;
use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, Now, Time, nanos};
use crate::config::GroupConfig;

/// The most that a coarse reading may lag: the lease is published with this margin.
const MAX_COARSE_LAG: Duration = Duration::from_millis(8);
/// The part of the failure timeout that it may lag at most.
const COARSE_LAG_DIVISOR: u32 = 50;
/// Two clocks are read within this time of each other, if the machine lets it.
const SAME_MOMENT: Duration = Duration::from_micros(50);
/// The number of times that this is tried.
const TRIES: u32 = 4;
/// A coarse reading may lag by so many times what its clock resolves: ticks come late.
const LATE_TICKS: u32 = 2;
/// The most that the offset may be from what it is: below this the difference between two readings
/// of it is the time between their two clocks, above it the machine slept.
const OFFSET_SLACK: Duration = Duration::from_millis(1);

/// The clocks of a machine, in nanoseconds.
pub(crate) trait Readings: fmt::Debug + Send + Sync {
    /// Goes on while the machine is suspended.
    fn boot(&self) -> u64;
    /// Stands still then.
    fn monotonic(&self) -> u64;
    /// The clock of leases, as of the last tick.
    fn coarse(&self) -> u64;
    /// The wall clock, as of the last tick.
    fn coarse_wall(&self) -> u64;
    /// The wall clock.
    fn wall(&self) -> u64;
    /// The resolution of the coarse clocks; `None` if there are none.
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
    /// The difference of the lead that needs no reason: the two were read on both sides of a tick.
    slack: u64,
    /// The most that the wall clock may gain without an alarm: a little more than the machine lets
    /// pass, which gives the lease back.
    max_gain: u64,
    /// The resolution of the coarse clock, if it is good enough.
    resolution: Option<Duration>,
    alarm: OnceLock<Alarm>,
    /// Held by who writes offset and lead: the two belong together.
    following: Mutex<()>,
    /// They have moved since the event loop last looked.
    has_moved: AtomicBool,
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
            following: Mutex::new(()),
            has_moved: AtomicBool::new(false),
            readings,
        };
        _ = clock.refresh();
        clock
    }

    /// Sets what is done where they have moved against each other; once.
    pub(super) fn set_alarm(&self, alarm: Alarm) {
        _ = self.alarm.set(alarm);
    }

    pub(super) fn time(&self) -> Time {
        Time(self.readings.boot())
    }

    /// Both clocks, read at one moment as far as the machine lets it: a thread that loses its turn
    /// in between must not look like a clock that stood.
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
        if self.resolution.is_some() {
            let coarse = self.readings.coarse();
            Time(coarse.wrapping_add(self.offset.load(Ordering::Relaxed)))
        } else {
            self.time()
        }
    }

    /// The wall clock says how late it is: where that is another time than the first reading, the
    /// machine has slept, the wall clock was set, or this thread has lost its turn.
    #[inline]
    pub(super) fn later(&self, first: Time) -> Time {
        let lead = self.lead.load(Ordering::Acquire);
        let coarse = self.readings.coarse_wall().wrapping_sub(lead);
        let time = coarse.wrapping_add(self.offset.load(Ordering::Relaxed));
        let is_as_before = time.wrapping_sub(first.0).wrapping_add(self.slack) <= self.slack * 2;
        if self.resolution.is_some() && is_as_before {
            return Time(time.max(first.0));
        }
        self.look()
    }

    #[cold]
    fn look(&self) -> Time {
        if bug::is(Bug::SleepUnseen) {
            return self.coarse();
        }
        self.follow();
        self.time()
    }

    pub(super) fn coarse_lag(&self) -> Duration {
        // The machine may have slept for as long as the slack hides.
        let slack = Duration::from_nanos(self.slack);
        self.resolution.map_or(Duration::ZERO, |tick| tick * LATE_TICKS + slack)
    }

    pub(super) fn refresh(&self) -> bool {
        self.follow();
        self.has_moved.swap(false, Ordering::Relaxed)
    }

    /// Follows the clocks where they have moved against each other: raises the alarm before anybody
    /// can go by what they show now.
    fn follow(&self) {
        let _only = self.following.lock();
        let (lead, mut offset) = self.read_offsets();
        let lead_gain = lead.wrapping_sub(self.lead.load(Ordering::Relaxed));
        let mut slept = offset.wrapping_sub(self.offset.load(Ordering::Relaxed));
        let has_slept = slept.cast_signed().unsigned_abs() > nanos(OFFSET_SLACK);
        if has_slept {
            // The second reading tells a sleep from a thread that lost its turn between the two.
            offset = offset.max(self.read_offset());
            slept = offset.wrapping_sub(self.offset.load(Ordering::Relaxed));
        }
        // What readings on both sides of a tick may differ by is no change.
        let has_moved = lead_gain.wrapping_add(self.slack) > self.slack * 2;
        if !has_slept && !has_moved {
            return;
        }
        let gain = lead_gain.wrapping_sub(slept).cast_signed();
        if let Some(alarm) = self.alarm.get() {
            alarm.raise(gain > self.max_gain.cast_signed());
        }
        self.has_moved.store(true, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
        if has_moved {
            self.lead.store(lead, Ordering::Release);
        }
    }

    /// The lead, and then the offset: a sleep between the two leaves a lead that is too small, and
    /// is noticed by the next reading.
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

    /// The offset, read in an order by which it is too small by the time between the two, and a
    /// coarse reading never ahead of an exact one.
    fn read_offset(&self) -> u64 {
        let boot = self.readings.boot();
        boot.saturating_sub(self.readings.monotonic())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::super::Clock;
    use super::*;
    use crate::base::id::{Ballot, Generation, Term};
    use crate::config::{Acknowledge, Bounds};
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

    /// A second reading is late by a tick and no more, whatever the first was.
    fn check(clock: &SystemClock<Invented>, first: Time, what: &str) {
        let time = clock.later(first);
        assert!(time <= clock.time(), "{what}: {time:?} is ahead");
        assert!(clock.time().since(time) <= TICK, "{what}: {:?}", clock.time().since(time));
        let next = clock.coarse();
        assert!(next <= clock.time(), "{what}: {next:?} is ahead");
        assert!(clock.time().since(next) <= TICK, "{what}: {:?}", clock.time().since(next));
    }

    #[test]
    fn a_machine_that_slept_is_late_by_a_tick_before_the_loop_turns() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        let first = clock.coarse();
        check(&clock, first, "awake");
        clock.readings.sleep(SECOND * 30);
        check(&clock, first, "slept between two readings");
        clock.readings.sleep(SECOND * 30);
        check(&clock, clock.coarse(), "slept before both");
        assert!(clock.refresh(), "the loop is told");
        assert!(!clock.refresh());
        check(&clock, clock.coarse(), "refreshed");
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_reading() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        clock.readings.set_ahead(SECOND * 3_600);
        check(&clock, clock.coarse(), "set ahead");
        clock.readings.set_back(SECOND * 7_200);
        check(&clock, clock.time(), "set back");
        assert!(clock.refresh());
        check(&clock, clock.coarse(), "refreshed");
    }

    #[test]
    fn a_sleep_and_a_wall_clock_that_is_set_are_told_apart() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        clock.readings.sleep(SECOND * 30);
        clock.readings.set_back(SECOND * 7);
        check(&clock, clock.coarse(), "slept, and set back");
        clock.readings.set_ahead(SECOND * 14);
        clock.readings.sleep(SECOND * 30);
        check(&clock, clock.coarse(), "set ahead, and slept");
        assert!(clock.refresh());
        clock.readings.sleep(SECOND * 30);
        check(&clock, clock.coarse(), "slept again");
    }

    #[test]
    fn a_tick_between_two_readings_is_no_sleep() {
        let clock = invented();
        clock.readings.pass(Duration::from_millis(1_003));
        clock.readings.has_ticked.store(true, Ordering::Relaxed);
        let first = clock.coarse();
        assert_eq!(clock.later(first), first.after(TICK));
        assert!(!clock.refresh());
    }

    /// A primary's store, with a lease, and the clock that raises the alarm.
    fn primary() -> (SystemClock<Invented>, Arc<Store>) {
        let clock = invented();
        let store = Arc::new(Store::with_hash_seed(Bounds { shards: 1, ..Bounds::default() }, 7));
        store.begin_reign(
            Ballot { generation: Generation::from_bits(1), term: Term(1) },
            GroupTime(1),
        );
        store.grant(clock.time().after(SECOND * 8), 0);
        let alarm = Alarm { store: store.clone(), attention: Arc::new(Notify::new()) };
        clock.alarm.set(alarm).expect("the first");
        (clock, store)
    }

    /// As the data path does: a look before the write, and another one after it.
    fn decide(clock: &SystemClock<Invented>, store: &Store) -> Result<bool, Refused> {
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
        let first = clock.coarse();
        let decided = store.decide(first, &items, &Nothing, Acknowledge::Primary)?;
        Ok(store.is_authorized(clock.later(first), decided.position.ballot))
    }

    /// A virtual machine was paused: its clocks stood, and then its wall clock is set.
    #[test]
    fn a_gain_that_no_sleep_explains_holds_whoever_asks() {
        let (clock, store) = primary();
        assert_eq!(decide(&clock, &store), Ok(true));
        clock.readings.set_ahead(SECOND * 30);
        assert_eq!(decide(&clock, &store), Ok(false), "not to be answered");
        assert!(store.is_suspended());
        assert_eq!(decide(&clock, &store), Err(Refused::HandingOver));
    }

    #[test]
    fn the_loop_holds_whoever_asks_before_it_goes_by_a_clock_that_gained() {
        let (clock, store) = primary();
        clock.readings.set_ahead(SECOND * 30);
        assert!(clock.refresh());
        assert_eq!(decide(&clock, &store), Err(Refused::HandingOver));
    }

    #[test]
    fn a_sleep_or_a_wall_clock_that_is_set_back_holds_nobody() {
        let (clock, store) = primary();
        clock.readings.sleep(SECOND * 5);
        assert_eq!(decide(&clock, &store), Ok(true));
        clock.readings.set_back(SECOND * 30);
        assert_eq!(decide(&clock, &store), Ok(true));
        clock.readings.sleep(SECOND * 5);
        assert_eq!(decide(&clock, &store), Ok(false), "the lease has ended");
        assert_eq!(decide(&clock, &store), Err(Refused::NoAuthority));
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
