//! The only place that reads a clock (`kernel.rs`).
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
//! event loop refreshes it at every turn. Until it has turned, calls find out by themselves: their
//! second look at the lease goes by CLOCK_REALTIME_COARSE, which is as cheap. How far that one is
//! ahead of the monotonic clock changes when the machine was suspended and when the wall clock is
//! set, and by nothing else (both are slewed alike). So where the two looks see different times, an
//! exact reading is taken. What a suspension does not explain is a wall clock that was set ahead:
//! perhaps because all clocks of a virtual machine had stood still. Then the lease is in doubt, and
//! whoever asks is held until the event loop has looked at it.

mod kernel;
mod paced;
mod system;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::paced::PacedClock;
pub use self::paced::TestClock;
use self::system::SystemClock;
use crate::base::id::{Now, Time};
use crate::store::Store;

/// A timer is set for no later than this: nothing waits so long, and far dates overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A source of [`Time`] and wall time.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The machine's clocks.
    System(SystemClock),
    /// Tokio's clock, which tests can pause and advance.
    Paced(PacedClock),
}

impl Clock {
    pub(crate) fn system(failure_timeout: Duration) -> Self {
        Self::System(SystemClock::new(failure_timeout))
    }

    /// Tokio's clock, whose coarse readings move on once in each `tick`; always, if that is zero.
    pub(crate) fn tokio(tick: Duration, clock: TestClock) -> Self {
        Self::Paced(PacedClock::new(clock, tick))
    }

    /// An exact reading.
    pub(crate) fn time(&self) -> Time {
        match self {
            Self::System(clock) => clock.time(),
            Self::Paced(clock) => clock.time(),
        }
    }

    /// A cheap reading, late by no more than the lease allows for.
    #[inline]
    pub(crate) fn coarse(&self) -> Time {
        match self {
            Self::System(clock) => clock.coarse(),
            Self::Paced(clock) => clock.coarse(),
        }
    }

    /// A second reading, for the second look at a lease: as cheap, and late by no more even if the
    /// machine has slept since the event loop last turned, before the first reading or after it.
    #[inline]
    pub(crate) fn later(&self, first: Time) -> Time {
        match self {
            Self::System(clock) => clock.later(first),
            Self::Paced(clock) => clock.coarse(),
        }
    }

    /// The most by which a coarse reading may lag behind an exact one; zero if there is no
    /// difference.
    pub(crate) fn coarse_lag(&self) -> Duration {
        match self {
            Self::System(clock) => clock.coarse_lag(),
            Self::Paced(clock) => Duration::from_nanos(clock.tick()),
        }
    }

    /// Both clocks, for the machine.
    pub(crate) fn now(&self) -> Now {
        match self {
            Self::System(clock) => clock.now(),
            Self::Paced(clock) => clock.now(),
        }
    }

    /// Wall time in milliseconds since the Unix epoch, for people.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.now().wall.after(self.skipped()).as_millis()
    }

    /// Time that has passed and that peers have not seen pass: none but in tests.
    pub(crate) fn skipped(&self) -> Duration {
        match self {
            Self::System(_) => Duration::ZERO,
            Self::Paced(clock) => clock.skipped(),
        }
    }

    /// The reading that this clock would have if nothing had been skipped: group time goes by that,
    /// and so do leases that are no peer's.
    pub(crate) fn skipping_none(&self, time: Time) -> Time {
        match self {
            Self::System(_) => time,
            Self::Paced(clock) => time.after(clock.skipped()),
        }
    }

    /// The instant at which a timer for `time` is to fire.
    pub(crate) fn instant_of(&self, time: Time) -> Instant {
        match self {
            Self::System(_) => Instant::now() + time.since(self.time()).min(LONGEST_WAIT),
            Self::Paced(clock) => clock.instant_of(time),
        }
    }

    /// Sleeps for as long.
    pub(crate) async fn sleep(&self, pause: Duration) {
        match self {
            Self::System(_) => tokio::time::sleep(pause).await,
            Self::Paced(clock) => clock.sleep(pause).await,
        }
    }

    /// Follows a suspension of the machine, and a wall clock that was set. Whether there was
    /// either: the machine is to have a look at the time then.
    #[must_use]
    pub(crate) fn refresh(&self) -> bool {
        match self {
            Self::System(clock) => clock.refresh(),
            Self::Paced(_) => false,
        }
    }

    /// Sets the reaction to clocks that have moved against each other; once.
    pub(crate) fn set_alarm(&self, alarm: Alarm) {
        match self {
            Self::System(clock) => clock.set_alarm(alarm),
            Self::Paced(clock) => clock.set_alarm(alarm),
        }
    }
}

/// The reaction to clocks that have moved against each other.
#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) store: Arc<Store>,
    /// Of the event loop.
    pub(crate) attention: Arc<Notify>,
}

impl Alarm {
    /// The clocks have moved against each other, in a way that no sleep explains if `is_in_doubt`.
    fn raise(&self, is_in_doubt: bool) {
        if is_in_doubt {
            self.store.suspend();
        }
        self.attention.notify_one();
    }
}

/// The first reading of a clock without a zero of its own: nothing may be taken as long ago.
const START: Time = Time(1_000_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokio_time_can_be_advanced() {
        let clock = Clock::tokio(Duration::ZERO, TestClock::starting_at(None));
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        let after = clock.now();
        assert_eq!(after.time.since(before.time), Duration::from_secs(3));
        assert_eq!(after.wall.0 - before.wall.0, 3_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn coarse_tokio_time_moves_on_by_ticks() {
        let tick = Duration::from_millis(10);
        let clock = Clock::tokio(tick, TestClock::starting_at(None));
        for _ in 0..25 {
            tokio::time::advance(Duration::from_millis(3)).await;
            let coarse = clock.coarse();
            let exact = clock.time();
            assert!(coarse <= exact && exact.since(coarse) < clock.coarse_lag());
            assert_eq!(coarse.0 % 10_000_000, 0);
        }
    }
}
