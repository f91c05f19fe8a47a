//! One seed from its start to its end: faults, then rest.

use std::time::Duration;

use crate::observe::counters::Counters;
use crate::observe::trace::Trace;
use crate::plan::Plan;
use crate::words::seen::Failure;
use crate::world::World;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) failure: Option<Failure>,
    pub(crate) counters: Counters,
    pub(crate) simulated: Duration,
    /// How long after the healing the group was whole, in failure timeouts times 100.
    pub(crate) recovery: u64,
    pub(crate) trace: Trace,
}

/// Runs a plan to its end.
pub(crate) fn run(plan: Plan, trace: Trace) -> Report {
    let mut world = World::new(plan, trace);
    world.live();
    world.end()
}

impl World {
    /// Heals everything, comes to rest and reports.
    pub(crate) fn end(mut self) -> Report {
        let recovery = if self.failure.is_none() { self.recover() } else { 0 };
        self.counters.add_many("waits behind data", self.network.waits);
        let simulated = Duration::from_nanos(self.now.0);
        let Self { failure, counters, trace, .. } = self;
        Report { failure, counters, simulated, recovery, trace }
    }
}
