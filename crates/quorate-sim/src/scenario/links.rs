//! Connections that begin while a path is slow, and several at once.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::words::call::ProcessId;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "healed_while_connecting",
        plan: || plan(&[1, 2, 3]),
        script: healed_while_connecting,
    },
    Scenario { name: "reset_and_doubled", plan: || plan(&[1, 2, 3]), script: reset_and_doubled },
    Scenario { name: "reset_all_the_time", plan: || plan(&[1, 2, 3]), script: reset_all_the_time },
    Scenario { name: "closed_at_one_end", plan: || plan(&[1, 2, 3]), script: closed_at_one_end },
    Scenario {
        name: "closed_at_a_replica",
        plan: || plan(&[1, 2, 3]),
        script: closed_at_a_replica,
    },
    Scenario { name: "crossed_connections", plan: || plan(&[1, 2, 3]), script: crossed },
];

/// A peer dials over slow paths, and again once they are healed: the connection that was begun
/// first must not be used long before both of its ends are open.
fn healed_while_connecting(world: &mut World) {
    world.found();
    world.restart(2);
    world.slow_path(2, FIRST, ms(3_000));
    world.slow_path(FIRST, 2, ms(60_000));
    world.wait(ms(1_000));
}

/// Two connections open in another order at either end, so that each end sends over the one over
/// which it hears nothing. The link goes on: the end comes a failure timeout after they opened.
fn crossed(world: &mut World) {
    world.found();
    for slow in [ms(60), ms(0)] {
        world.slow_path(FIRST, 2, slow);
        if let (Some(here), Some(there)) = (world.process(2), world.process(FIRST)) {
            let dialer = ProcessId { peer: 2, incarnation: here.incarnation };
            let listener = ProcessId { peer: FIRST, incarnation: there.incarnation };
            world.connect(dialer, listener);
        }
    }
    world.wait(ms(5_100));
}

/// A proxy resets the connections of the primary, which lives on behind it, and a second process is
/// started under its name. Nobody else decides before the lease of the first one has ended.
fn reset_and_doubled(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.strand(FIRST);
    world.expect_other_than(FIRST, ms(9_500));
    world.count(1, 1);
}

/// The primary's connections are reset twice in a heartbeat, for a while: it stays primary.
fn reset_all_the_time(world: &mut World) {
    world.found();
    let reign = world.last_reign();
    for _ in 0..20 {
        world.reset_all(FIRST);
        world.wait(ms(700));
    }
    if world.last_reign() != reign {
        world.fail("links", format!("the primary changed: {}", world.describe()));
    }
}

/// The primary sees its connections close, the others do not, and nobody can dial for longer than a
/// failure timeout: what they send goes nowhere, and they find out by themselves.
fn closed_at_one_end(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.one_ended(FIRST, 1, world.now().after(ms(15_000)), false);
    world.one_ended(FIRST, 2, world.now().after(ms(15_000)), false);
    world.expect_other_than(FIRST, ms(10_200));
    world.count(1, 1);
}

/// One replica sees its connection to the primary close, and the primary does not: it goes on with
/// the other.
fn closed_at_a_replica(world: &mut World) {
    world.found();
    let reign = world.last_reign();
    world.one_ended(1, FIRST, world.now().after(ms(15_000)), false);
    for _ in 0..30 {
        world.count(FIRST, 1);
        world.wait(ms(500));
    }
    if world.last_reign() != reign {
        world.fail("links", format!("the primary changed: {}", world.describe()));
    }
}
