//! Cuts that are met half-way, and batches that lack a piece (docs/protocol.md, section 3).

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::model::key::key;
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::words::operation::Kind;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "operations_in_cuts", plan: || plan(&[1, 2, 3]), script: operations_in_cuts },
    Scenario { name: "missing_piece", plan: small_pieces, script: missing_piece },
];

fn small_pieces() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.bounds.max_piece_bytes = 100;
    plan
}

/// Transfers between accounts of all shards, some of them while a cut is open.
fn operations_in_cuts(world: &mut World) {
    world.found();
    for step in 0..40 {
        #[cfg(feature = "bugs")]
        {
            world.set_busy_within_cuts(step % 4 > 0);
        }
        let items = vec![(key(b't', step % 5), 2), (key(b't', (step + 1) % 5), 2)];
        world.issue(FIRST, Kind::Transfer, items, None);
        world.wait(ms(20));
    }
    #[cfg(feature = "bugs")]
    {
        world.set_busy_within_cuts(false);
    }
}

/// A batch of several pieces, of which one is lost.
fn missing_piece(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(2).only(2));
    for index in 0..4 {
        for (family, kind) in [(b'c', Kind::Count), (b'l', Kind::Acquire)] {
            let items = vec![(key(family, index), 5)];
            world.issue(FIRST, kind, items, None);
        }
    }
    world.wait(ms(8_000));
}
