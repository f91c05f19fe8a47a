//! New generations: what they wait for, and what they say of what they lack (docs/protocol.md,
//! section 6).

use quorate::NewGenerations;

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "waits_for_the_holder", plan: patient, script: waits_for_the_holder },
    Scenario { name: "gone_before_the_votes", plan: patient, script: gone_before_the_votes },
    Scenario { name: "remembered_acknowledgement", plan: remembering, script: remembered },
    Scenario { name: "acknowledged_and_gone", plan: slow_to_save, script: acknowledged_and_gone },
    Scenario { name: "survivor_that_lags", plan: three, script: survivor_that_lags },
    Scenario { name: "half_that_lacks_nothing", plan: four, script: half_that_lacks_nothing },
];

fn three() -> Plan {
    plan(&[1, 2, 3])
}

fn four() -> Plan {
    plan(&[1, 2, 3, 4])
}

fn patient() -> Plan {
    Plan { new_generations: NewGenerations::WhenComplete, ..three() }
}

fn remembering() -> Plan {
    Plan { remembers: Some(ms(2)), ..three() }
}

fn slow_to_save() -> Plan {
    Plan { remembers: Some(ms(150)), ..three() }
}

/// Two of three restart out of reach of the third, which has data. They remember that they have
/// acknowledged some, and wait for it.
fn remembered(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.part(&[2], &[FIRST, 1]);
    world.wait(ms(3_000));
    world.restart(FIRST);
    world.restart(1);
    world.wait(ms(60_000));
    if world.process(1).is_none_or(|process| !process.store.position().is_blank()) {
        world.fail("generation", format!("founded without the holder: {}", world.describe()));
    }
    world.join(&[2], &[FIRST, 1]);
    world.wait(ms(15_000));
}

/// Two of three restart a moment after they have acknowledged something, on slow disks, out of
/// reach of the third. They remember it, and wait for that one.
fn acknowledged_and_gone(world: &mut World) {
    world.start_all(true);
    world.run_while(ms(9_000), |world| world.primary().is_some());
    world.count(FIRST, 5);
    world.part(&[2], &[FIRST, 1]);
    world.restart(FIRST);
    world.restart(1);
    world.wait(ms(40_000));
    world.join(&[2], &[FIRST, 1]);
    world.wait(ms(15_000));
}

/// A majority restarts out of reach of the one that has data. It waits for that one, however long
/// it takes, and goes on from its counts.
fn waits_for_the_holder(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.part(&[FIRST], &[1, 2]);
    world.restart(1);
    world.restart(2);
    world.wait(ms(60_000));
    if world.process(1).is_none_or(|process| !process.store.position().is_blank()) {
        world.fail("generation", format!("founded without the holder: {}", world.describe()));
    }
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(15_000));
}

/// A member that was there when a founding began is gone when the votes have come.
fn gone_before_the_votes(world: &mut World) {
    world.add_filter(Filter::from(1, &[MessageKind::VoteReply]).late(ms(500)));
    world.add_filter(Filter::from(2, &[MessageKind::VoteReply]));
    world.start_all(true);
    world.run_while(ms(3_000), |world| world.counters().get("campaigns") > 0);
    world.kill(2, false);
    world.wait(ms(10_000));
    world.clear_filters();
}

/// Two of three lose what they have acknowledged; the third has not heard of it.
fn survivor_that_lags(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(2));
    world.count(FIRST, 7);
    for peer in [FIRST, 1] {
        world.kill(peer, false);
    }
    world.wait(ms(10));
    for peer in [FIRST, 1] {
        world.start(peer);
    }
    world.clear_filters();
    world.wait(ms(40_000));
}

/// Two of four restart. What three of them had acknowledged, one of the two others has.
fn half_that_lacks_nothing(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    for peer in [FIRST, 1] {
        world.kill(peer, false);
    }
    world.wait(ms(10));
    for peer in [FIRST, 1] {
        world.start(peer);
    }
    world.wait(ms(40_000));
}
