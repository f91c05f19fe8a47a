//! Cuts that are met half-way, and cells that expire.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::model::Kind;
use crate::workload::key;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "operations_in_cuts", plan: || plan(&[1, 2, 3]), script: operations_in_cuts },
    Scenario { name: "cells_expire", plan: || plan(&[1, 2, 3]), script: cells_expire },
];

/// Transfers between accounts of all shards, some of them while a cut is open.
fn operations_in_cuts(world: &mut World) {
    world.found();
    for step in 0..40 {
        #[cfg(feature = "bugs")]
        {
            world.is_busy_in_cuts = step % 4 > 0;
        }
        let items = vec![(key(b't', step % 5), 2), (key(b't', (step + 1) % 5), 2)];
        world.issue(FIRST, Kind::Transfer, items, None);
        world.wait(ms(20));
    }
    #[cfg(feature = "bugs")]
    {
        world.is_busy_in_cuts = false;
    }
}

/// A limit is used, and read again a moment before it expires.
fn cells_expire(world: &mut World) {
    world.found();
    for _ in 0..20 {
        world.issue(1, Kind::Acquire, vec![(key(b'l', 0), 1)], None);
        world.wait(ms(1_000));
        world.count(2, 1);
    }
}
