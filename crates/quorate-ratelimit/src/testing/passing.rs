//! The passing of time for a group of a test: fast where nothing happens.
//!
//! A group that is left alone says that it is there, once in each heartbeat, and does nothing else.
//! While it is left alone its peers see time pass more slowly ([`TestClock`]), so that a month has
//! no more heartbeats than a minute; for limits, calendars, what is held, and the service under
//! test it passes as it is told to.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use quorate::internal::TestClock;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::TestGroup;

/// Failure timeouts after which a group has become what it becomes by what was done to it.
const SETTLED_TIMEOUTS: u32 = 3;
/// Heartbeats in a time that passes fast, and as many after it.
const HEARTBEATS: u32 = 2;

/// The moment at which something was last done to a group that it has to find out.
pub(super) struct Disturbance {
    last: Mutex<Instant>,
    happened: Notify,
}

impl Disturbance {
    pub(super) fn new() -> Self {
        Self { last: Mutex::new(Instant::now()), happened: Notify::new() }
    }

    pub(super) fn note(&self) {
        *self.last.lock() = Instant::now();
        self.happened.notify_waiters();
    }
}

/// Has time pass fast until this is dropped.
struct Fast<'a>(&'a TestClock);

impl Drop for Fast<'_> {
    fn drop(&mut self) {
        self.0.slow_down(1);
    }
}

impl TestGroup {
    /// Lets time pass; the group goes on meanwhile, and so does whatever waits for tokio's clock.
    ///
    /// It takes a few milliseconds however long it is, once the group has found out what was done
    /// to it, which it does at its usual pace within three failure timeouts. Tasks of the test that
    /// call the group meanwhile are answered as ever; but of what happens to peers only the methods
    /// of this group are known to it: let a moment pass, [`TestGroup::primary`], after a switch of
    /// the primary.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped less time has passed.
    pub async fn pass(&self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let (heartbeat, failure_timeout) = self.clock.timeouts();
            let settled = *self.disturbance.last.lock() + failure_timeout * SETTLED_TIMEOUTS;
            let unsettled = settled.saturating_duration_since(Instant::now());
            // At its usual pace at the end: what is under way arrives before this returns.
            let fast = left.saturating_sub(heartbeat * HEARTBEATS);
            let divisor = fast.as_nanos() / (heartbeat * HEARTBEATS).as_nanos().max(1);
            if divisor <= 1 {
                return sleep_until(end).await;
            }
            if !unsettled.is_zero() {
                sleep(unsettled.min(left)).await;
            } else if !self.is_calm() {
                sleep(heartbeat.min(left)).await;
            } else {
                let happened = self.disturbance.happened.notified();
                self.clock.slow_down(u32::try_from(divisor).unwrap_or(u32::MAX));
                let _fast = Fast(&self.clock);
                tokio::select! {
                    () = sleep(fast) => {}
                    () = happened => {}
                }
            }
        }
    }

    /// Lets time pass until the group's calendar shows this date; no time, if it is past.
    ///
    /// # Panics
    ///
    /// If no peer runs.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped less time has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::testing::{TestGroup, utc};
    ///
    /// async fn new_year(group: &TestGroup) {
    ///     group.pass_until(utc("2027-01-01T00:00:00Z")).await;
    /// }
    /// ```
    pub async fn pass_until(&self, date: SystemTime) {
        while let Ok(left) = date.duration_since(self.now())
            && !left.is_zero()
        {
            self.pass(left).await;
        }
    }

    /// Returns true if there is nothing that the group has yet to agree on: there is a primary, or
    /// too few reach each other for one.
    fn is_calm(&self) -> bool {
        self.agreed().is_some()
            || self.running.values().all(|limiter| !limiter.peer().status().quorum)
    }
}
