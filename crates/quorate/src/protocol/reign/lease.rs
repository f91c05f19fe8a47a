//! The lease of a reign: until when this primary may decide (docs/protocol.md, section 5).

use std::time::Duration;

use crate::base::id::Time;

/// The lease of a reign.
#[derive(Debug)]
pub(in crate::protocol) struct Lease {
    until: Time,
    is_running: bool,
    /// Whether it has ever run: its end is worth an event then.
    has_run: bool,
    /// This peer's clock may have stood: callers are held until a majority answers anew, or the
    /// lease would have ended.
    doubted_until: Option<Time>,
    /// The send time of the newest pings that a majority has answered.
    promised: Time,
}

/// What a lease that begins to run is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum LeaseBegin {
    /// Nothing: it is the first of the reign.
    First,
    /// A doubt that has not come true.
    Confirmed,
    /// The end of an earlier one.
    Regained,
}

impl Lease {
    /// A lease that nothing has been promised for.
    pub(in crate::protocol) fn new() -> Self {
        let nothing = Time(0);
        Self {
            until: nothing,
            is_running: false,
            has_run: false,
            doubted_until: None,
            promised: nothing,
        }
    }

    /// Returns true if this primary may decide, as far as has been noticed.
    pub(in crate::protocol) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Returns true if it may at this moment, whatever has been noticed so far.
    pub(in crate::protocol) fn is_running_at(&self, now: Time) -> bool {
        self.is_running && now < self.until
    }

    /// Returns true if it ends before the next heartbeats are sure to be answered.
    pub(in crate::protocol) fn is_short(&self, now: Time, heartbeat: Duration) -> bool {
        self.until < now.after(heartbeat)
    }

    pub(in crate::protocol) fn until(&self) -> Time {
        self.until
    }

    /// The send time of the newest pings that a majority has answered.
    pub(in crate::protocol) fn promised(&self) -> Time {
        self.promised
    }

    /// Notes when pings were sent that a majority has answered.
    pub(in crate::protocol) fn promise(&mut self, sent: Time) {
        self.promised = self.promised.max(sent);
    }

    /// Extends the lease, which never gets shorter by a promise.
    pub(in crate::protocol) fn extend(&mut self, until: Time) {
        self.until = self.until.max(until);
    }

    /// Runs from now on; `None` if it did already.
    pub(in crate::protocol) fn run(&mut self) -> Option<LeaseBegin> {
        if self.is_running {
            return None;
        }
        self.is_running = true;
        let was_doubted = self.doubted_until.take().is_some();
        let had_run = std::mem::replace(&mut self.has_run, true);
        Some(match (was_doubted, had_run) {
            (true, _) => LeaseBegin::Confirmed,
            (false, true) => LeaseBegin::Regained,
            (false, false) => LeaseBegin::First,
        })
    }

    /// When it is over, or a doubt comes true, if no majority answers; `None` if it does not run.
    pub(in crate::protocol) fn end(&self) -> Option<Time> {
        let running_until = self.is_running.then_some(self.until);
        self.doubted_until.or(running_until)
    }

    /// Ends the lease; returns true if it was in doubt.
    pub(in crate::protocol) fn stop(&mut self) -> bool {
        self.is_running = false;
        self.doubted_until.take().is_some()
    }

    /// Stops the lease until a majority answers pings that are sent from now on; returns true if
    /// it ran.
    pub(in crate::protocol) fn doubt(&mut self, now: Time) -> bool {
        let did_run = std::mem::replace(&mut self.is_running, false);
        if did_run {
            self.doubted_until = Some(self.until);
        }
        self.until = self.until.min(now);
        did_run
    }
}
