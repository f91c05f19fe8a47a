//! Copies of a state that take longer than a failure timeout, over links that carry little: nobody
//! loses the primary because of them.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::plan::Plan;
use crate::plan::disk::DiskPlan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "copy_over_a_thin_link", plan: many_cells, script: thin_link },
    Scenario { name: "copy_that_all_wait_for", plan: on_disks, script: all_wait_for },
];

const CELLS: usize = 90;

fn many_cells() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.load.keys = CELLS;
    plan.bounds.max_piece_bytes = 200;
    plan
}

fn on_disks() -> Plan {
    let mut plan = many_cells();
    plan.disk = Some(DiskPlan::quiet(&[ms(2); 3]));
    plan
}

fn fill(world: &mut World) {
    for counter in 0..CELLS {
        world.count_at(FIRST, counter, 5);
    }
}

fn expect_reign(world: &mut World, reign: Option<quorate::Ballot>) {
    if world.last_reign() != reign {
        world.fail("links", format!("a copy has cost the primary: {}", world.describe()));
    }
}

/// A replica comes back blank. Its copy takes more than two failure timeouts, heartbeats wait
/// behind it for a whole heartbeat, and the group goes on.
fn thin_link(world: &mut World) {
    world.found();
    fill(world);
    let reign = world.last_reign();
    world.bound_waits(ms(1_000));
    world.make_thin(&[(FIRST, 2)], 250);
    world.restart(2);
    for _ in 0..40 {
        world.count_at(FIRST, 0, 1);
        world.wait(ms(980));
    }
    expect_reign(world, reign);
}

/// One member is gone for good while another is far behind: nothing is acknowledged until its copy
/// is there, and nobody is elected meanwhile.
fn all_wait_for(world: &mut World) {
    world.found();
    world.kill(2, false);
    fill(world);
    let reign = world.last_reign();
    world.bound_waits(ms(1_000));
    world.make_thin(&[(FIRST, 2)], 100);
    world.kill(1, true);
    world.start(2);
    for _ in 0..120 {
        world.count_at(FIRST, 0, 1);
        world.wait(ms(980));
    }
    expect_reign(world, reign);
}
