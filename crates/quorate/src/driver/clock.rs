//! The only place that reads a clock.
//!
//! ```text
//!   Time (timeouts, leases)   CLOCK_BOOTTIME: goes on while the machine is suspended
//!     coarse reading          CLOCK_MONOTONIC_COARSE + offset: a few ns instead of 20 to 40, late
//!                             by up to one scheduler tick (1 to 10 ms) and never ahead; the lease
//!                             allows for it, and a refusal by it is looked at again (`decide.rs`)
//!   wall (steers group time)  CLOCK_REALTIME
//! ```
//!
//! The offset between the two monotonic clocks changes only when the machine was suspended; the
//! event loop refreshes it at every turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::id::{GroupTime, Now, Time, nanos};

/// How much a coarse reading may lag, at most: the lease is published with this margin.
const MAX_COARSE_LAG: Duration = Duration::from_millis(8);
/// And no more than this part of the failure timeout.
const COARSE_LAG_DIVISOR: u32 = 50;
/// A timer is set for no later than this: nothing waits so long, and far dates overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A source of [`Time`] and wall time.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The machine's clocks.
    System(SystemClock),
    /// Tokio's clock, which tests can pause and advance.
    Tokio(TokioClock),
}

/// A coarse reading may lag by so many times what its clock resolves: ticks come late.
const LATE_TICKS: u32 = 2;

impl Clock {
    pub(crate) fn system(failure_timeout: Duration) -> Self {
        Self::System(SystemClock::new(failure_timeout))
    }

    /// Tokio's clock, whose coarse readings move on once in each `tick`; always, if that is zero.
    pub(crate) fn tokio(tick: Duration) -> Self {
        Self::Tokio(TokioClock { start: Instant::now(), wall: read_wall(), tick: nanos(tick) })
    }

    /// An exact reading.
    pub(crate) fn time(&self) -> Time {
        match self {
            Self::System(clock) => clock.time(),
            Self::Tokio(clock) => clock.time(),
        }
    }

    /// A cheap reading, late by no more than the lease allows for.
    #[inline]
    pub(crate) fn coarse(&self) -> Time {
        match self {
            Self::System(clock) => clock.coarse(),
            Self::Tokio(clock) => clock.coarse(),
        }
    }

    /// By how much a coarse reading may lag behind an exact one; zero if there is no difference.
    pub(crate) fn coarse_lag(&self) -> Duration {
        match self {
            Self::System(clock) => clock.coarse_lag(),
            Self::Tokio(clock) => Duration::from_nanos(clock.tick),
        }
    }

    /// Both clocks, for the machine.
    pub(crate) fn now(&self) -> Now {
        match self {
            Self::System(clock) => Now { time: clock.time(), wall: read_wall() },
            Self::Tokio(clock) => {
                let time = clock.time();
                Now { time, wall: clock.wall.after(Duration::from_nanos(time.0 - START.0)) }
            }
        }
    }

    /// Wall time in milliseconds since the Unix epoch, for people.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.now().wall.as_millis()
    }

    /// When a timer for `time` is to fire.
    pub(crate) fn instant_of(&self, time: Time) -> Instant {
        Instant::now() + time.since(self.time()).min(LONGEST_WAIT)
    }

    /// Follows a suspension of the machine.
    pub(crate) fn refresh(&self) {
        if let Self::System(clock) = self {
            clock.refresh();
        }
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    /// Boot time minus monotonic time.
    offset: AtomicU64,
    /// What the coarse clock resolves, if it is good enough.
    resolution: Option<Duration>,
}

/// How far the offset may be from what it is: below this the difference between two readings of it
/// is the time between their two clocks, above it the machine slept.
const OFFSET_SLACK: Duration = Duration::from_millis(1);

impl SystemClock {
    fn new(failure_timeout: Duration) -> Self {
        let max_lag = MAX_COARSE_LAG.min(failure_timeout / COARSE_LAG_DIVISOR);
        let clock = Self {
            offset: AtomicU64::new(read::offset()),
            resolution: read::coarse_resolution().filter(|lag| *lag <= max_lag),
        };
        clock.refresh();
        clock
    }

    fn time(&self) -> Time {
        Time(read::boot())
    }

    #[inline]
    fn coarse(&self) -> Time {
        if self.resolution.is_some() {
            Time(read::coarse() + self.offset.load(Ordering::Relaxed))
        } else {
            self.time()
        }
    }

    fn coarse_lag(&self) -> Duration {
        self.resolution.map_or(Duration::ZERO, |tick| tick * LATE_TICKS + OFFSET_SLACK)
    }

    fn refresh(&self) {
        let offset = read::offset();
        if offset.abs_diff(self.offset.load(Ordering::Relaxed)) > nanos(OFFSET_SLACK) {
            // The second reading tells a sleep from a thread that lost its turn between the two.
            let offset = offset.max(read::offset());
            self.offset.store(offset, Ordering::Relaxed);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod read {
    use std::time::Duration;

    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

    pub(super) fn boot() -> u64 {
        nanos(clock_gettime(ClockId::Boottime))
    }

    #[inline]
    pub(super) fn coarse() -> u64 {
        nanos(clock_gettime(ClockId::MonotonicCoarse))
    }

    /// In this order it is too small by the time between the two, and a coarse reading never ahead
    /// of an exact one.
    pub(super) fn offset() -> u64 {
        let boot = boot();
        boot.saturating_sub(nanos(clock_gettime(ClockId::Monotonic)))
    }

    pub(super) fn coarse_resolution() -> Option<Duration> {
        Some(Duration::from_nanos(nanos(clock_getres(ClockId::MonotonicCoarse))))
    }

    #[inline]
    fn nanos(time: Timespec) -> u64 {
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod read {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    static START: OnceLock<Instant> = OnceLock::new();

    #[expect(clippy::disallowed_methods, reason = "this module is where clocks are read")]
    pub(super) fn boot() -> u64 {
        let start = *START.get_or_init(Instant::now);
        super::START.0 + crate::id::nanos(start.elapsed())
    }

    pub(super) fn coarse() -> u64 {
        boot()
    }

    pub(super) fn offset() -> u64 {
        0
    }

    pub(super) fn coarse_resolution() -> Option<Duration> {
        None
    }
}

/// Tokio's clock, which tests can pause and advance.
#[derive(Debug)]
pub(crate) struct TokioClock {
    start: Instant,
    wall: GroupTime,
    /// How often a coarse reading moves on, in nanoseconds; 0 for always.
    tick: u64,
}

/// What a clock without a zero of its own starts at: nothing may be taken as long ago.
const START: Time = Time(1_000_000_000_000);

impl TokioClock {
    fn time(&self) -> Time {
        START.after(self.start.elapsed())
    }

    fn coarse(&self) -> Time {
        let time = self.time();
        Time(time.0 - time.0.checked_rem(self.tick).unwrap_or(0))
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where clocks are read")]
fn read_wall() -> GroupTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    GroupTime(nanos(since))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test(start_paused = true)]
    async fn tokio_time_can_be_advanced() {
        let clock = Clock::tokio(Duration::ZERO);
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        let after = clock.now();
        assert_eq!(after.time.since(before.time), Duration::from_secs(3));
        assert_eq!(after.wall.0 - before.wall.0, 3_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn coarse_tokio_time_moves_on_by_ticks() {
        let tick = Duration::from_millis(10);
        let clock = Clock::tokio(tick);
        for _ in 0..25 {
            tokio::time::advance(Duration::from_millis(3)).await;
            let (coarse, exact) = (clock.coarse(), clock.time());
            assert!(coarse <= exact && exact.since(coarse) < clock.coarse_lag());
            assert_eq!(coarse.0 % 10_000_000, 0);
        }
    }
}
