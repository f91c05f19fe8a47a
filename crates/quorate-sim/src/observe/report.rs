//! The end of a run, in figures.

use std::time::Duration;

use crate::observe::counters::Counters;
use crate::observe::trace::Trace;
use crate::words::seen::Failure;

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) failure: Option<Failure>,
    pub(crate) counters: Counters,
    pub(crate) simulated: Duration,
    /// The time from the healing until the group was whole, in failure timeouts times 100.
    pub(crate) recovery: u64,
    pub(crate) trace: Trace,
}
