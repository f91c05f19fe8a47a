//! Disks that lag behind what is said, and peers that come back with what they have on them
//! (docs/protocol.md, section 13).

use std::time::Duration;

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::plan::disk::DiskPlan;
use crate::words::operation::Outcome;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "power_lost_by_all", plan: slow_disks, script: power_lost_by_all },
    Scenario {
        name: "power_lost_by_the_primary",
        plan: quick_disks,
        script: power_lost_by_primary,
    },
    Scenario { name: "power_lost_by_a_voter", plan: first_stands, script: power_lost_by_a_voter },
    Scenario {
        name: "promise_before_a_restart",
        plan: quick_disks,
        script: promise_before_restart,
    },
    Scenario { name: "all_restart", plan: quick_disks, script: all_restart },
    Scenario { name: "one_after_the_other", plan: quick_disks, script: one_after_the_other },
    Scenario {
        name: "disk_of_the_primary_fails",
        plan: quick_disks,
        script: disk_of_primary_fails,
    },
    Scenario {
        name: "disk_of_the_only_holder_fails",
        plan: first_stands,
        script: disk_of_only_holder_fails,
    },
];

fn on_disks(priorities: &[u8], delays: [Duration; 3]) -> Plan {
    Plan { disk: Some(DiskPlan::quiet(&delays)), ..plan(priorities) }
}

fn slow_disks() -> Plan {
    on_disks(&[1, 2, 3], [ms(300); 3])
}

fn first_stands() -> Plan {
    on_disks(&[1, 2, 3], [ms(2); 3])
}

fn quick_disks() -> Plan {
    let mut plan = on_disks(&[3, 2, 1], [ms(2); 3]);
    plan.group.agreement = 1;
    plan.group.heartbeat = ms(400);
    plan
}

impl World {
    /// Runs until all operations so far have an outcome, for a failure timeout at most.
    fn wait_for_answers(&mut self) {
        let bound = self.plan().timeout();
        self.run_while(bound, |world| world.ops().iter().all(|op| op.outcome.is_some()));
    }
}

/// All lose power. A majority has synced what is answered, so that nothing of it is undone.
fn power_lost_by_all(world: &mut World) {
    world.found();
    for _ in 0..5 {
        world.count(FIRST, 5);
        world.wait_for_answers();
        (0..3).for_each(|peer| world.kill(peer, true));
        (0..3).for_each(|peer| world.start(peer));
        world.run_while(ms(60_000), World::is_whole);
        let primary = world.primary().unwrap_or(FIRST);
        world.count(primary, 1);
        world.wait_for_answers();
    }
}

/// The primary loses power before it has synced what it answered: it was not one of those whose
/// word counted.
fn power_lost_by_primary(world: &mut World) {
    world.found();
    world.kill(2, true);
    world.slow_disk(FIRST, ms(2_000));
    world.count(FIRST, 5);
    world.wait_for_answers();
    world.kill(FIRST, true);
    world.kill(1, true);
    world.start(FIRST);
    world.start(2);
    world.run_while(ms(60_000), |world| world.primary().is_some());
    world.wait(ms(1_000));
}

/// A voter loses power while its vote is being saved, and is asked again, by another.
fn power_lost_by_a_voter(world: &mut World) {
    world.found();
    let before = world.last_reign();
    world.kill(FIRST, true);
    world.slow_disk(2, ms(400));
    // The candidate does not hear whether it has the vote.
    world.add_filter(Filter::from(2, &[MessageKind::VoteReply]));
    let has_voted = |world: &World| {
        let now = world.hosts()[2].clock.now(world.now());
        let known = world.process(2).map(|process| process.machine.status(now).ballot);
        known > before
    };
    world.run_while(ms(30_000), has_voted);
    world.wait(ms(1));
    world.kill(2, true);
    world.part(&[1], &[FIRST, 2]);
    world.clear_filters();
    world.start(FIRST);
    world.start(2);
    world.run_while(ms(60_000), |world| world.primary().is_some());
    world.wait(ms(1_000));
}

/// The primary's lease rests on the promise of a peer that restarts, and remembers its votes only.
fn promise_before_restart(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Ping]).to(2));
    world.wait(ms(9_500));
    world.part(&[FIRST], &[1, 2]);
    world.restart(1);
    world.wait(ms(9_000));
}

/// Everything ends at once, and comes back with nothing missing and nobody else in charge of it.
fn all_restart(world: &mut World) {
    world.found();
    world.count(FIRST, 7);
    world.wait_for_answers();
    (0..3).for_each(|peer| world.kill(peer, peer == 1));
    world.wait(ms(500));
    (0..3).for_each(|peer| world.start(peer));
    let bound = world.plan().timeout();
    if !world.run_while(bound, |world| world.primary().is_some()) {
        world.fail("liveness", format!("no primary after {bound:?}: {}", world.describe()));
    }
}

/// Members restart one after the other, each before the one before it is back.
fn one_after_the_other(world: &mut World) {
    world.found();
    for round in 0..6 {
        let peer = round % 3;
        world.kill(peer, round % 2 == 0);
        world.wait(ms(2_000));
        world.start((peer + 2) % 3);
        let up = world.primary().unwrap_or((peer + 1) % 3);
        world.count(up, 1);
    }
}

/// A primary whose disk fails hands over, and is of use to its own callers still.
fn disk_of_primary_fails(world: &mut World) {
    world.found();
    world.fail_disk(FIRST, world.plan().timeout() * 3);
    (0..10).for_each(|_| world.count(FIRST, 1));
    let bound = world.plan().timeout() / 2;
    world.expect_other_than(FIRST, bound);
    let before = world.ops().len();
    world.count(FIRST, 1);
    world.wait_for_answers();
    let are_answered =
        world.ops()[before..].iter().all(|op| matches!(op.outcome, Some(Outcome::Acknowledged(_))));
    if !are_answered {
        world.fail("liveness", "a peer without storage does not forward".into());
    }
}

/// A replica's disk fails, and the others lose theirs: what it still holds in memory is all there
/// is.
fn disk_of_only_holder_fails(world: &mut World) {
    world.found();
    world.count(FIRST, 7);
    world.wait_for_answers();
    world.fail_disk(2, world.plan().timeout() * 20);
    (0..20).for_each(|_| world.count(FIRST, 1));
    if !world.has_failed_storage(2) {
        world.fail("scenario", "the disk works".into());
    }
    for peer in [FIRST, 1] {
        world.kill(peer, true);
        world.replace_disk(peer);
    }
    world.start(FIRST);
    world.start(1);
    let bound = world.plan().timeout() * 4;
    if !world.run_while(bound, |world| world.primary().is_some()) {
        world.fail("liveness", format!("no primary after {bound:?}: {}", world.describe()));
    }
    let cells = |peer| world.process(peer).map(|process| process.store.cells());
    if cells(FIRST) != cells(2) {
        world.fail("scenario", format!("it began with nothing: {}", world.describe()));
    }
}
