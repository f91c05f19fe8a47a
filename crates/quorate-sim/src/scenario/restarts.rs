//! Restarts of one, of a majority, of all: the table of docs/operations.md, row by row, for groups
//! in memory and on disk. Each script ends with the outcome that the table states.
//!
//! Holds G11 and G15 of docs/guarantees.md.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::model::key::key;
use crate::plan::Plan;
use crate::plan::disk::DiskPlan;
use crate::world::World;

/// A row of the table, in both kinds of group.
macro_rules! rows {
    ($($row:ident),* $(,)?) => {
        pub(super) const ALL: &[Scenario] = &[
            $(
                Scenario { name: concat!(stringify!($row), "_memory"), plan: memory, script: $row },
                Scenario { name: concat!(stringify!($row), "_disk"), plan: disk, script: $row },
            )*
        ];
    };
}

rows![
    replica_restarts_at_once,
    replica_restarts_late,
    primary_restarts_at_once,
    primary_stops_in_good_order,
    primary_restarts_late,
    majority_restarts,
    all_restart_at_once,
    all_restart_in_turn,
    majority_is_back_before_the_holder,
    majority_is_back_beyond_a_partition,
];

fn memory() -> Plan {
    plan(&[1, 2, 3])
}

fn disk() -> Plan {
    Plan { disk: Some(DiskPlan::quiet(&[ms(2); 3])), ..memory() }
}

/// Units that are counted before anything happens.
const UNITS: u64 = 7;

/// The group as it was before.
struct Before {
    is_kept: bool,
    generation: Option<quorate::Generation>,
}

/// A group with some units counted, held by all.
fn counted(world: &mut World) -> Before {
    world.found();
    world.count(FIRST, UNITS);
    world.wait(ms(100));
    let generation = world.last_reign().map(|ballot| ballot.generation);
    Before { is_kept: world.plan().disk.is_some(), generation }
}

fn end(world: &mut World, peers: &[usize]) {
    peers.iter().for_each(|peer| world.kill(*peer, false));
}

fn start(world: &mut World, peers: &[usize]) {
    peers.iter().for_each(|peer| world.start(*peer));
}

/// Within this time there is a primary.
fn expect_primary(world: &mut World, millis: u64) {
    if !world.run_while(ms(millis), |world| world.primary().is_some()) {
        world.fail("liveness", format!("no primary after {millis} ms: {}", world.describe()));
    }
}

/// The group goes on, and so many units are counted.
fn expect(world: &mut World, before: &Before, is_same_group: bool, units: u64) {
    world.run_while(ms(40_000), World::is_whole);
    let generation = world.last_reign().map(|ballot| ballot.generation);
    if (generation == before.generation) != is_same_group {
        let what = format!("the generation is {generation:?}, was {:?}", before.generation);
        world.fail("restarts", what);
    }
    let counted = world.primary().and_then(|primary| {
        let value =
            world.process(primary)?.store.read(quorate::internal::store::MODEL, &key(b'c', 0))?;
        Some(value.words[0])
    });
    if counted.unwrap_or_default() != units {
        world.fail("restarts", format!("{counted:?} units are counted, not {units}"));
    }
}

/// Nobody but the one that restarts notices.
fn replica_restarts_at_once(world: &mut World) {
    let before = counted(world);
    let reign = world.last_reign();
    world.restart(1);
    world.wait(ms(3_000));
    expect(world, &before, true, UNITS);
    if world.last_reign() != reign {
        world.fail("restarts", "the primary changed".into());
    }
}

fn replica_restarts_late(world: &mut World) {
    let before = counted(world);
    let reign = world.last_reign();
    end(world, &[1]);
    world.wait(ms(15_000));
    world.count(FIRST, 1);
    start(world, &[1]);
    world.wait(ms(3_000));
    expect(world, &before, true, UNITS + 1);
    if world.last_reign() != reign {
        world.fail("restarts", "the primary changed".into());
    }
}

/// On disk its storage proves that the first process has ended. In memory nothing does: its lease
/// is waited for.
fn primary_restarts_at_once(world: &mut World) {
    let before = counted(world);
    end(world, &[FIRST]);
    world.wait(ms(500));
    start(world, &[FIRST]);
    expect_primary(world, if before.is_kept { 4_000 } else { 9_000 });
    expect(world, &before, true, UNITS);
}

/// It says goodbye, and cannot hand over: nobody waits for anything.
fn primary_stops_in_good_order(world: &mut World) {
    let before = counted(world);
    world.end_process(FIRST, false, true);
    expect_primary(world, 1_000);
    start(world, &[FIRST]);
    expect(world, &before, true, UNITS);
}

fn primary_restarts_late(world: &mut World) {
    let before = counted(world);
    end(world, &[FIRST]);
    world.expect_other_than(FIRST, ms(12_000));
    world.count(1, 1);
    start(world, &[FIRST]);
    world.wait(ms(3_000));
    expect(world, &before, true, UNITS + 1);
}

/// In memory the one that is left has what it had, and forms the group anew with it.
fn majority_restarts(world: &mut World) {
    let before = counted(world);
    end(world, &[FIRST, 2]);
    world.wait(ms(500));
    start(world, &[FIRST, 2]);
    expect_primary(world, 15_000);
    expect(world, &before, before.is_kept, UNITS);
}

/// In memory nothing is left, and the group is founded anew.
fn all_restart_at_once(world: &mut World) {
    let before = counted(world);
    end(world, &[0, 1, 2]);
    world.wait(ms(500));
    start(world, &[0, 1, 2]);
    expect_primary(world, 5_000);
    expect(world, &before, before.is_kept, if before.is_kept { UNITS } else { 0 });
}

/// Each is back, and counts, before the next one goes.
fn all_restart_in_turn(world: &mut World) {
    let before = counted(world);
    for peer in [1, 2, FIRST] {
        world.restart(peer);
        world.run_while(ms(40_000), World::is_whole);
    }
    expect(world, &before, true, UNITS);
}

/// In memory two that are blank wait for the third, which may have data, as long as a failover
/// takes. Then they found a group without it, and when it comes its data are set aside.
fn majority_is_back_before_the_holder(world: &mut World) {
    let before = counted(world);
    // The holder is out of reach, and keeps its data.
    world.part(&[1], &[FIRST, 2]);
    end(world, &[FIRST, 2]);
    world.wait(ms(500));
    start(world, &[FIRST, 2]);
    world.wait(ms(8_000));
    if !before.is_kept && world.primary().is_some() {
        world.fail("restarts", "blank peers have not waited for the holder".into());
    }
    expect_primary(world, 15_000);
    world.wait(ms(1_000));
    world.join(&[1], &[FIRST, 2]);
    expect(world, &before, before.is_kept, if before.is_kept { UNITS } else { 0 });
}

/// Two of three restart, out of reach of the third for less than a failover takes.
fn majority_is_back_beyond_a_partition(world: &mut World) {
    let before = counted(world);
    world.part(&[1], &[FIRST, 2]);
    end(world, &[FIRST, 2]);
    world.wait(ms(500));
    start(world, &[FIRST, 2]);
    world.wait(ms(5_000));
    world.join(&[1], &[FIRST, 2]);
    expect_primary(world, 20_000);
    expect(world, &before, before.is_kept, UNITS);
}
