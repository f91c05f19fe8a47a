//! One seed from its start to its end: faults, then rest.

use crate::check::Checks;
use crate::observe::report::Report;
use crate::observe::trace::Trace;
use crate::plan::Plan;
use crate::world::World;

/// Runs a plan to its end.
pub(crate) fn run(plan: Plan, trace: Trace) -> Report {
    let mut world = begin(plan, trace);
    world.live();
    world.end()
}

/// A world in which nothing has started yet, and every checker looks on.
pub(crate) fn begin(plan: Plan, trace: Trace) -> World {
    World::new(plan, trace, Box::new(Checks::all()))
}
