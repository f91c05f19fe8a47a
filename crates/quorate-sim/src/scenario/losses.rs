//! Decisions of a primary that nobody else holds, and of a relaxed peer alone.

use std::time::Duration;

use quorate::{Acknowledge, Mode};

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::model::operation;
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::plan::limits::RealPlan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "isolated_primary", plan: at_once, script: isolated_primary },
    Scenario { name: "large_units", plan: at_once, script: large_units },
    Scenario { name: "tail_of_another_key", plan: three, script: tail_of_another_key },
    Scenario { name: "tail_that_is_longer", plan: three, script: tail_that_is_longer },
    Scenario { name: "policy_that_is_lost", plan: three, script: policy_that_is_lost },
    Scenario { name: "renewal_of_what_is_lost", plan: real, script: renewal_of_what_is_lost },
    Scenario { name: "settled_once", plan: real, script: settled_once },
    Scenario { name: "asked_all_the_time", plan: real, script: asked_all_the_time },
    Scenario { name: "merge_that_is_lost", plan: relaxed, script: merge_that_is_lost },
    Scenario { name: "merge_that_waits", plan: relaxed, script: merge_that_waits },
    Scenario { name: "merge_sent_again", plan: relaxed, script: merge_sent_again },
    Scenario { name: "share_of_a_window", plan: shared, script: share_of_a_window },
];

/// Answered at once, with a small bound on what may be lost.
fn at_once() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.group.acknowledge = Acknowledge::Primary;
    plan.group.max_unreplicated = 10;
    plan
}

fn three() -> Plan {
    plan(&[1, 2, 3])
}

fn relaxed() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.group.mode = Mode::Relaxed;
    plan
}

/// With keys of the real limits, a third of them for a peer alone, and changes of them.
fn shared() -> Plan {
    let real = RealPlan { share: Some(333), is_changing: true };
    Plan { seed: 1, real, ..relaxed() }
}

/// A primary goes on alone until its lease ends, and comes back to another one.
fn isolated_primary(world: &mut World) {
    world.found();
    world.part(&[FIRST], &[1, 2]);
    for _ in 0..30 {
        world.count(FIRST, 1);
    }
    for _ in 0..120 {
        world.wait(ms(80));
        world.count(FIRST, 1);
    }
    world.wait_for_other_than(FIRST);
    world.count(1, 3);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(3_000));
}

/// As many units as there can be are decided before, and while, a primary is alone: what is
/// answered on top of them is lost with them.
fn large_units(world: &mut World) {
    world.found();
    for _ in 0..2 {
        world.count(FIRST, u64::MAX);
        world.count(FIRST, 3);
    }
    world.part(&[FIRST], &[1, 2]);
    for _ in 0..30 {
        world.count(FIRST, 1);
    }
    world.count(FIRST, u64::MAX - 20);
    for _ in 0..30 {
        world.count(FIRST, 1);
    }
    world.wait_for_other_than(FIRST);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(3_000));
}

/// A deposed primary has changed what its successor has not.
fn tail_of_another_key(world: &mut World) {
    world.found();
    world.count(FIRST, 2);
    world.part(&[FIRST], &[1, 2]);
    world.count_at(FIRST, 1, 5);
    world.wait_for_other_than(FIRST);
    world.count(1, 3);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(3_000));
}

/// A deposed primary's tail ends, in sequences, past what its successor decides. Where it ends is
/// no acknowledgement of that.
fn tail_that_is_longer(world: &mut World) {
    world.found();
    world.part(&[FIRST], &[1, 2]);
    for _ in 0..40 {
        world.count(FIRST, 1);
    }
    world.wait_for_other_than(FIRST);
    world.add_filter(Filter::from(1, &[MessageKind::Piece]).to(FIRST));
    world.join(&[FIRST], &[1]);
    world.wait(ms(1_000));
    world.part(&[1], &[2]);
    world.count(1, 5);
    world.kill(1, true);
    world.join(&[FIRST], &[2]);
    world.wait_for_other_than(1);
}

/// The policy is changed once by all and once by a primary that is cut off.
fn policy_that_is_lost(world: &mut World) {
    world.found();
    world.change_policy(2);
    world.wait(ms(100));
    world.part(&[FIRST], &[1, 2]);
    world.change_policy(FIRST);
    world.wait_for_other_than(FIRST);
    world.change_policy(2);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(3_000));
}

/// With keys of the real limits.
fn real() -> Plan {
    Plan { seed: 1, ..three() }
}

/// A permit is renewed while nobody else holds that it was taken: a promise to whom it was taken
/// for.
fn renewal_of_what_is_lost(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]));
    for number in [operation::PERMIT_TAKE, operation::PERMIT_RENEW] {
        world.ask(FIRST, number, "permits", 1);
    }
    world.kill(FIRST, true);
    world.clear_filters();
    world.wait_for_other_than(FIRST);
}

/// A key under a sliding window is asked for all the time, through the loss of its primary.
fn asked_all_the_time(world: &mut World) {
    world.found();
    for round in 0..130 {
        if round == 40 {
            world.kill(FIRST, true);
            world.wait_for_other_than(FIRST);
        }
        world.ask(2, operation::ACQUIRE, "sliding", 1);
        world.wait(ms(300));
    }
}

/// A reservation is settled twice, the second time at another primary, and then all is taken.
fn settled_once(world: &mut World) {
    world.found();
    world.ask(1, operation::RESERVE, "window", 8);
    world.ask(1, operation::ACQUIRE, "window", 4);
    world.ask(1, operation::COMMIT, "window", 0);
    world.kill(FIRST, true);
    world.wait_for_other_than(FIRST);
    world.wait(ms(100));
    world.ask(2, operation::COMMIT, "window", 0);
    for _ in 0..12 {
        world.ask(2, operation::ACQUIRE, "window", 1);
    }
}

/// A peer decides alone, comes back to a primary that keeps to itself what it merges, and stays for
/// a while.
fn merge_kept_to_itself(world: &mut World, length: Duration) {
    world.found();
    world.part(&[2], &[0, 1]);
    world.wait(ms(15_000));
    world.count(2, 5);
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]));
    world.join(&[2], &[0, 1]);
    world.wait(length);
}

/// The primary merges what a peer decided alone, and dies before anyone else holds it.
fn merge_that_is_lost(world: &mut World) {
    merge_kept_to_itself(world, ms(3_000));
    world.kill(FIRST, true);
    world.wait(ms(15_000));
}

/// The primary says after a while that it does not know whether a majority holds a merge, and dies
/// before anyone does.
fn merge_that_waits(world: &mut World) {
    let length = relaxed().group.io_timeout + ms(3_000);
    merge_kept_to_itself(world, length);
    world.kill(FIRST, true);
    world.wait(ms(15_000));
}

/// The primary's answer to a merge is late: the merge comes again.
fn merge_sent_again(world: &mut World) {
    merge_kept_to_itself(world, ms(4_000));
    world.clear_filters();
    world.wait(ms(4_000));
}

/// A peer takes its share of each window while it is cut off, and the rest is taken when it is
/// back, by a max that is raised and lowered meanwhile.
fn share_of_a_window(world: &mut World) {
    world.found();
    world.part(&[2], &[0, 1]);
    world.wait(ms(15_000));
    take_all(world, 2);
    world.join(&[2], &[0, 1]);
    world.wait(ms(2_000));
    for _ in 0..3 {
        take_all(world, 1);
        world.change_policy(1);
        world.wait(ms(500));
    }
}

/// More than any max that there is, one unit at a time.
fn take_all(world: &mut World, peer: usize) {
    for _ in 0..20 {
        world.ask(peer, operation::ACQUIRE, "window", 1);
    }
}
