//! The clocks of one machine: a monotonic one that runs a little fast or slow, and a wall clock
//! that may be anywhere and may step.

use std::time::Duration;

use quorate::{GroupTime, Now, Time};

/// A moment of the simulation, in nanoseconds since its start: what a perfect clock would show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) const END: Self = Self(u64::MAX);

    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The time that all wall clocks would show at the start if they were right: a day of 2026.
pub(crate) const WALL_START: u64 = 1_790_000_000_000_000_000;

/// The clocks of one machine.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    anchor: Moment,
    local: u64,
    /// Local nanoseconds per million of real ones.
    rate: u64,
    /// The lead of the wall clock over the local one.
    wall: u64,
    /// It has stood since then.
    stopped: Option<Moment>,
    has_stood: bool,
}

const MILLION: u64 = 1_000_000;

impl Clock {
    /// Stands still.
    pub(crate) fn stop(&mut self, at: Moment) {
        if !self.is_stopped() {
            self.local = self.time(at).0;
            self.stopped = Some(at);
            self.has_stood = true;
            // Of every moment it shows the same.
            self.anchor = Moment::END;
        }
    }

    /// Goes on from where it stands, and returns for how long it stood.
    pub(crate) fn go_on(&mut self, at: Moment) -> Duration {
        let Some(stopped) = self.stopped.take() else { return Duration::ZERO };
        self.anchor = at;
        at.since(stopped)
    }

    /// Returns true if it has ever stood still.
    pub(crate) fn has_stood(&self) -> bool {
        self.has_stood
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// A clock that started `uptime` before the simulation and gains `drift` parts per million.
    pub(crate) fn new(uptime: Duration, drift: i64, wall_offset: i64) -> Self {
        let local = nanos(uptime);
        let wall = (WALL_START - local).wrapping_add_signed(wall_offset);
        let rate = MILLION.saturating_add_signed(drift);
        Self { anchor: Moment(0), local, rate, wall, stopped: None, has_stood: false }
    }

    /// Returns what it shows at `at`; of a moment before its speed changed last, what it showed
    /// then.
    pub(crate) fn time(&self, at: Moment) -> Time {
        Time(self.local + scale(nanos(at.since(self.anchor)), self.rate, MILLION))
    }

    pub(crate) fn now(&self, at: Moment) -> Now {
        let time = self.time(at);
        Now { time, wall: GroupTime(time.0.wrapping_add(self.wall)) }
    }

    /// The first moment at which this clock shows `time`.
    pub(crate) fn moment(&self, time: Time) -> Moment {
        if time.0 == u64::MAX {
            return Moment::END;
        }
        let elapsed = time.0.saturating_sub(self.local);
        Moment(self.anchor.0.saturating_add(scale(elapsed, MILLION, self.rate) + 1))
    }

    /// The real length of a duration that this clock measures.
    pub(crate) fn real(&self, local: Duration) -> Duration {
        Duration::from_nanos(scale(nanos(local), MILLION, self.rate))
    }

    /// Moves the wall clock.
    pub(crate) fn step(&mut self, by: i64) {
        self.wall = self.wall.wrapping_add_signed(by);
    }

    /// Runs faster or slower from now on.
    pub(crate) fn drift(&mut self, at: Moment, drift: i64) {
        if !self.is_stopped() {
            self.local = self.time(at).0;
            self.anchor = at;
        }
        self.rate = MILLION.saturating_add_signed(drift);
    }
}

fn scale(value: u64, by: u64, of: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(by) / u128::from(of);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Nanoseconds of a duration, saturating.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_computed_from_a_time_is_the_first_that_shows_it() {
        for drift in [-20_000, -1, 0, 1, 20_000] {
            let mut clock = Clock::new(Duration::from_secs(5), drift, 0);
            clock.drift(Moment(77), drift / 2);
            for time in [5_000_000_100, 5_123_456_789, 99_000_000_001] {
                let moment = clock.moment(Time(time));
                assert!(clock.time(moment) >= Time(time), "{drift} {time}");
                assert!(clock.time(Moment(moment.0 - 3)) < Time(time), "{drift} {time}");
            }
        }
    }

    /// A process that was frozen before its host's clock drifted may go by its last reading.
    #[test]
    fn a_reading_from_before_a_drift_is_not_after_it() {
        let mut clock = Clock::new(Duration::from_secs(5), 0, 0);
        clock.drift(Moment(1_000), 20_000);
        assert_eq!(clock.time(Moment(400)), clock.time(Moment(1_000)));
    }

    #[test]
    fn a_clock_that_stands_goes_on_from_where_it_stood() {
        let mut clock = Clock::new(Duration::from_secs(5), 0, 0);
        clock.stop(Moment(1_000));
        clock.drift(Moment(1_500), 0);
        let stood = clock.now(Moment(9_000));
        assert_eq!(
            (stood.time, clock.moment(Time(u64::MAX - 1))),
            (Time(5_000_001_000), Moment::END)
        );
        assert_eq!(clock.go_on(Moment(9_000)), Duration::from_nanos(8_000));
        assert_eq!(clock.time(Moment(9_007)), Time(5_000_001_007));
        assert_eq!(clock.go_on(Moment(9_010)), Duration::ZERO);
    }

    #[test]
    fn a_fast_clock_gains_two_percent() {
        let clock = Clock::new(Duration::ZERO, 20_000, 0);
        assert_eq!(clock.time(Moment(100 * MILLION)), Time(102 * MILLION));
        assert_eq!(clock.now(Moment(0)).wall, GroupTime(WALL_START));
    }
}
