//! Tokio's time, which tests can pause, as several peers see it: they may be made to think that it
//! passes more slowly.
//!
//! ```text
//!   tokio's time     ────────────────────────────  calendars, windows, leases of permits
//!   time of a peer   ──────╲____________╱────────  heartbeats, timeouts, the primary's lease
//!                             skipped: what it has not seen pass
//! ```
//!
//! A group that is left alone does nothing but say that it is there. What a heartbeat costs is the
//! same however much time lies between two of them, and so a peer whose time passes slowly has
//! fewer of them, while group time goes on as before. All peers go by one clock: none of them sees
//! another one silent for longer than it is itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::kernel::read_wall;
use super::{Alarm, LONGEST_WAIT, START};
use crate::base::id::{GroupTime, Now, Time, nanos};

/// The clock of all peers of a test, on tokio's time.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct TestClock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The time when this clock was made, and what the calendar showed then.
    start: Instant,
    wall: GroupTime,
    pace: Mutex<Pace>,
    /// Counts changes of the pace, for whoever sleeps.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Pace {
    /// Since when it has been this one, and what peers had seen pass until then.
    since: Instant,
    seen: Duration,
    /// The factor by which time passes more slowly for peers.
    divisor: u32,
    /// The event loops, which have set timers by the pace.
    loops: Vec<Weak<Notify>>,
    /// The longest heartbeat, and the longest failure timeout, of any peer that goes by this clock.
    heartbeat: Duration,
    failure_timeout: Duration,
}

impl Pace {
    /// The time that peers have seen pass at `now`.
    fn seen(&self, now: Instant) -> Duration {
        self.seen + now.saturating_duration_since(self.since) / self.divisor
    }
}

impl TestClock {
    /// A clock whose calendar shows `wall` now; what the machine's shows, if it is not given.
    pub fn starting_at(wall: Option<GroupTime>) -> Self {
        let start = Instant::now();
        let pace = Pace {
            since: start,
            seen: Duration::ZERO,
            divisor: 1,
            loops: Vec::new(),
            heartbeat: Duration::ZERO,
            failure_timeout: Duration::ZERO,
        };
        let wall = wall.unwrap_or_else(read_wall);
        let pace = Mutex::new(pace);
        let changes = watch::Sender::new(0);
        Self { inner: Arc::new(Inner { start, wall, pace, changes }) }
    }

    /// Has time pass so many times more slowly for peers, from now on; as it does for everybody
    /// else, if that is 1.
    pub fn slow_down(&self, divisor: u32) {
        let now = Instant::now();
        let mut pace = self.inner.pace.lock();
        (pace.seen, pace.since, pace.divisor) = (pace.seen(now), now, divisor.max(1));
        pace.loops.retain(|attention| attention.strong_count() > 0);
        let loops = pace.loops.clone();
        drop(pace);
        // Their timers are set by the pace that was.
        loops.iter().filter_map(Weak::upgrade).for_each(|attention| attention.notify_one());
        self.inner.changes.send_modify(|changes| *changes += 1);
    }

    /// The longest heartbeat, and the longest failure timeout, of the peers that go by this clock.
    pub fn timeouts(&self) -> (Duration, Duration) {
        let pace = self.inner.pace.lock();
        (pace.heartbeat, pace.failure_timeout)
    }

    /// A peer goes by this clock.
    pub(crate) fn take_in(&self, heartbeat: Duration, failure_timeout: Duration) {
        let mut pace = self.inner.pace.lock();
        pace.heartbeat = pace.heartbeat.max(heartbeat);
        pace.failure_timeout = pace.failure_timeout.max(failure_timeout);
    }

    /// The time that peers have seen pass, and what has passed besides that they have not.
    fn read(&self) -> (Duration, Duration) {
        let now = Instant::now();
        let seen = self.inner.pace.lock().seen(now);
        (seen, now.saturating_duration_since(self.inner.start).saturating_sub(seen))
    }
}

/// One peer's view of a [`TestClock`].
#[derive(Debug)]
pub(crate) struct PacedClock {
    clock: TestClock,
    /// The interval at which a coarse reading moves on, in nanoseconds; 0 for always.
    tick: u64,
    alarm: OnceLock<Alarm>,
    /// Time that this peer's store knows to have been skipped, in nanoseconds.
    told: AtomicU64,
}

impl PacedClock {
    pub(super) fn new(clock: TestClock, tick: Duration) -> Self {
        let told = AtomicU64::new(0);
        Self { clock, tick: nanos(tick), alarm: OnceLock::new(), told }
    }

    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    pub(super) fn set_alarm(&self, alarm: Alarm) {
        self.clock.inner.pace.lock().loops.push(Arc::downgrade(&alarm.attention));
        // Once, as a peer is started.
        let _ = self.alarm.set(alarm);
        self.time();
    }

    /// An exact reading; group time has gone on by what was skipped before anything goes by it.
    pub(super) fn time(&self) -> Time {
        let (seen, skipped) = self.clock.read();
        let skipped = nanos(skipped);
        if let Some(alarm) = self.alarm.get()
            && self.told.swap(skipped, Ordering::Relaxed) != skipped
        {
            alarm.store.set_skipped(Duration::from_nanos(skipped));
        }
        START.after(seen)
    }

    pub(super) fn coarse(&self) -> Time {
        let time = self.time();
        Time(time.0 - time.0.checked_rem(self.tick).unwrap_or(0))
    }

    /// The time that has passed and that peers have not seen.
    pub(super) fn skipped(&self) -> Duration {
        self.clock.read().1
    }

    /// Both clocks, as peers see them: the calendar does not gain on the other one either.
    pub(super) fn now(&self) -> Now {
        let time = self.time();
        Now { time, wall: self.clock.inner.wall.after(time.since(START)) }
    }

    pub(super) fn instant_of(&self, time: Time) -> Instant {
        let divisor = self.clock.inner.pace.lock().divisor;
        Instant::now() + time.since(self.time()).min(LONGEST_WAIT) * divisor
    }

    /// Sleeps until a peer has seen so much time pass.
    pub(super) async fn sleep(&self, pause: Duration) {
        let until = self.time().after(pause);
        let mut changes = self.clock.inner.changes.subscribe();
        while self.time() < until {
            tokio::select! {
                () = sleep_until(self.instant_of(until)) => {}
                // The sender lives as long as the clock.
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clock;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock(of: &TestClock) -> Clock {
        Clock::Paced(PacedClock::new(of.clone(), Duration::ZERO))
    }

    #[tokio::test(start_paused = true)]
    async fn what_peers_do_not_see_pass_is_skipped() {
        let tests = TestClock::starting_at(Some(GroupTime(7)));
        let one = clock(&tests);
        let other = clock(&tests);
        let before = (one.time(), one.now().wall);
        tests.slow_down(100);
        tokio::time::sleep(SECOND * 50).await;
        assert_eq!(one.time().since(before.0), SECOND / 2);
        assert_eq!(one.skipped(), SECOND * 50 - SECOND / 2);
        assert_eq!(one.now().wall, before.1.after(SECOND / 2), "both clocks are slow");
        assert_eq!(one.wall_ms(), 50_000, "and people see what has passed");
        assert_eq!(one.skipping_none(one.time()), before.0.after(SECOND * 50));
        tests.slow_down(1);
        tokio::time::sleep(SECOND * 3).await;
        assert_eq!(other.time().since(before.0), SECOND * 7 / 2, "there is one clock for all");
        assert_eq!(other.skipped(), SECOND * 50 - SECOND / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_set_at_another_pace_fires_when_it_is_due() {
        let tests = TestClock::starting_at(None);
        let one = clock(&tests);
        let start = Instant::now();
        tests.slow_down(100);
        let slept = {
            let tests = tests.clone();
            tokio::spawn(async move { clock(&tests).sleep(SECOND).await })
        };
        tokio::time::sleep(SECOND * 50).await;
        tests.slow_down(1);
        slept.await.expect("it does not panic");
        let passed = start.elapsed();
        assert!(passed >= SECOND * 50 + SECOND / 2 && passed < SECOND * 51, "{passed:?}");
        let before = Instant::now();
        one.sleep(SECOND).await;
        assert!(before.elapsed() < SECOND + SECOND / 100, "{:?}", before.elapsed());
    }
}
