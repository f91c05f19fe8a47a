//! Changes of a machine that its process has not noticed.

use std::time::Duration;

use crate::base::clock::Moment;

/// Changes of a machine that its process has not noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unnoticed {
    /// The length of its sleep.
    slept: Duration,
    /// Its clock has stood, and nothing has shown it: until then a lease that has ended seems to
    /// run.
    until: Option<Moment>,
    /// The lead of the wall clock over the other when the event loop last turned.
    lead: Option<i128>,
}

impl Unnoticed {
    /// Returns true if its clock has stood for too long, and nothing has shown it.
    pub(crate) fn is_excused(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Returns how long it slept, until that is noticed.
    pub(crate) fn slept(&self) -> Duration {
        self.slept
    }

    /// Notes that it slept.
    pub(crate) fn sleep(&mut self, slept: Duration) {
        self.slept = slept;
    }

    /// Notes that its clock has stood, and until when that excuses it.
    pub(crate) fn stand(&mut self, until: Option<Moment>) {
        self.until = until;
    }

    /// A sleep is noticed by whoever reads the clock anew.
    pub(crate) fn notice_sleep(&mut self) {
        self.slept = Duration::ZERO;
    }

    /// A standstill is shown by the wall clock.
    pub(crate) fn notice_standstill(&mut self) {
        self.until = None;
    }

    /// The event loop turns while the wall clock is so far ahead of the other.
    pub(crate) fn turn(&mut self, lead: i128) {
        self.lead = Some(lead);
        self.notice_sleep();
    }

    /// Returns what the wall clock, which is so far ahead, has gained since the event loop turned
    /// last.
    pub(crate) fn gain(&self, lead: i128) -> i128 {
        self.lead.map_or(0, |before| lead - before)
    }
}
