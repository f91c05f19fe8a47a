//! The system's clocks: nothing else reads one.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::id::{GroupTime, nanos};

/// The clocks of the machine that this runs on.
#[derive(Debug)]
pub(crate) struct Kernel;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::time::Duration;

    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

    use super::super::system::Readings;
    use super::Kernel;

    impl Readings for Kernel {
        fn boot(&self) -> u64 {
            nanos(clock_gettime(ClockId::Boottime))
        }

        fn monotonic(&self) -> u64 {
            nanos(clock_gettime(ClockId::Monotonic))
        }

        #[inline]
        fn coarse(&self) -> u64 {
            nanos(clock_gettime(ClockId::MonotonicCoarse))
        }

        #[inline]
        fn coarse_wall(&self) -> u64 {
            nanos(clock_gettime(ClockId::RealtimeCoarse))
        }

        fn wall(&self) -> u64 {
            super::read_wall().0
        }

        fn coarse_resolution(&self) -> Option<Duration> {
            Some(Duration::from_nanos(nanos(clock_getres(ClockId::MonotonicCoarse))))
        }
    }

    #[inline]
    fn nanos(time: Timespec) -> u64 {
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod other {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use super::super::system::Readings;
    use super::Kernel;

    static START: OnceLock<Instant> = OnceLock::new();

    /// May stand still while the machine is suspended: the wall clock shows it then, to the event
    /// loop.
    impl Readings for Kernel {
        #[expect(clippy::disallowed_methods, reason = "this module is where clocks are read")]
        fn boot(&self) -> u64 {
            let start = *START.get_or_init(Instant::now);
            super::super::START.0 + crate::base::id::nanos(start.elapsed())
        }

        fn monotonic(&self) -> u64 {
            self.boot()
        }

        fn coarse(&self) -> u64 {
            0
        }

        fn coarse_wall(&self) -> u64 {
            0
        }

        fn wall(&self) -> u64 {
            super::read_wall().0
        }

        fn coarse_resolution(&self) -> Option<Duration> {
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where clocks are read")]
pub(super) fn read_wall() -> GroupTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    GroupTime(nanos(since))
}
