//! Leases, pauses, and the time of the group (docs/protocol.md, sections 5 and 9).

use std::time::Duration;

use quorate::Acknowledge;

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::base::clock::{Moment, nanos};
use crate::model::key::key;
use crate::model::operation;
use crate::model::real::PERMITS;
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::plan::fault::Setting;
use crate::words::operation::{DONE, Kind, Outcome};
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "late_promises", plan: || plan(&[1, 2, 3]), script: late_promises },
    Scenario { name: "frozen_in_a_call", plan: at_once, script: frozen_in_a_call },
    Scenario { name: "asleep_past_its_lease", plan: at_once, script: asleep_past_its_lease },
    Scenario { name: "a_paused_machine", plan: at_once, script: a_paused_machine },
    Scenario { name: "a_paused_machine_is_set_later", plan: at_once, script: set_later },
    Scenario { name: "a_short_pause", plan: at_once, script: a_short_pause },
    Scenario { name: "starved_loop", plan: at_once, script: starved_loop },
    Scenario { name: "cells_expire", plan: short_windows, script: cells_expire },
    Scenario { name: "nobody_asks_any_more", plan: small_store, script: nobody_asks_any_more },
    Scenario { name: "clock_a_day_ahead", plan: a_day_ahead, script: clock_a_day_ahead },
    Scenario { name: "slow_clock_put_right", plan: two_slow, script: slow_clock_put_right },
    Scenario { name: "put_right_and_over", plan: two_slow, script: put_right_and_over },
];

fn at_once() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.group.acknowledge = Acknowledge::Primary;
    plan
}

fn short_windows() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.load.window = ms(5_000);
    plan
}

/// With room for a few cells, all of which expire.
fn small_store() -> Plan {
    let mut plan = short_windows();
    plan.load.is_expiring = true;
    plan.bounds.max_cells = 3;
    plan
}

fn a_day_ahead() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    let day = nanos(Duration::from_secs(86_400)).cast_signed();
    plan.clocks[1] = (0, day);
    plan
}

/// Two of three clocks are slow, and with them the group's calendar.
fn two_slow() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.clocks[1] = (0, -SLOW);
    plan.clocks[2] = (0, -SLOW);
    plan
}

/// By how much, in nanoseconds.
const SLOW: i64 = 45_000_000_000;

/// Heartbeats are answered late, and then not at all: the lease counts from their sending.
fn late_promises(world: &mut World) {
    world.found();
    for peer in [1, 2] {
        world.add_filter(Filter::from(peer, &[MessageKind::Pong]).to(FIRST).late(ms(5_000)));
    }
    world.wait(ms(6_000));
    world.part(&[FIRST], &[1, 2]);
    world.wait(ms(12_000));
}

/// A primary freezes when it has read the clock for a call, and writes once another one decides.
fn frozen_in_a_call(world: &mut World) {
    world.found();
    world.count(FIRST, 1);
    let frozen = world.pause(FIRST);
    world.count(FIRST, 5);
    world.wait_for_other_than(FIRST);
    world.count(1, 1);
    if let Some(incarnation) = frozen {
        world.run_on(FIRST, incarnation, true, false);
    }
    world.wait(ms(2_000));
}

/// The primary's event loop does not turn for longer than a failure timeout, and its callers go on:
/// they are served until its lease ends, and refused from then on.
fn starved_loop(world: &mut World) {
    world.found();
    let starved = world.starve(FIRST);
    for _ in 0..24 {
        world.count(FIRST, 1);
        world.count(2, 1);
        world.wait(ms(500));
    }
    world.expect_other_than(FIRST, ms(1));
    if let Some(incarnation) = starved {
        world.run_on(FIRST, incarnation, false, true);
    }
    world.wait(ms(2_000));
}

/// A primary's machine sleeps for longer than its lease, and calls come before its event loop
/// turns.
fn asleep_past_its_lease(world: &mut World) {
    world.found();
    world.count(FIRST, 1);
    let asleep = world.pause(FIRST);
    world.wait_for_other_than(FIRST);
    world.count(1, 1);
    world.count(FIRST, 5);
    if let Some(incarnation) = asleep {
        world.wake_up(FIRST, incarnation);
    }
    world.wait(ms(2_000));
}

/// A primary's machine is paused until another one decides; its wall clock is set before it answers
/// the first call.
fn a_paused_machine(world: &mut World) {
    world.found();
    world.count(FIRST, 1);
    let paused = world.stand(FIRST);
    world.wait_for_other_than(FIRST);
    world.count(1, 1);
    world.count(FIRST, 5);
    if let Some(incarnation) = paused {
        world.go_on(FIRST, incarnation, Setting::AtOnce);
    }
    world.wait(ms(2_000));
}

/// A primary that is cut off is paused, and its wall clock is set a moment later: from then on it
/// decides nothing.
fn set_later(world: &mut World) {
    world.found();
    world.part(&[FIRST], &[1, 2]);
    let paused = world.stand(FIRST);
    world.wait_for_other_than(FIRST);
    world.count(1, 1);
    if let Some(incarnation) = paused {
        world.go_on(FIRST, incarnation, Setting::Never);
    }
    let late = world.now().since(Moment(0));
    world.set_wall(FIRST, late.min(ms(9_000)));
    for _ in 0..4 {
        world.count(FIRST, 1);
        world.count(1, 1);
    }
    world.wait(ms(10_000));
}

/// A primary's machine is paused for less than a promise outlasts the lease, and is cut off
/// meanwhile: nothing shows it, and nothing has to.
fn a_short_pause(world: &mut World) {
    world.found();
    let paused = world.stand(FIRST);
    world.part(&[FIRST], &[1, 2]);
    world.wait(ms(1_200));
    if let Some(incarnation) = paused {
        world.go_on(FIRST, incarnation, Setting::Never);
    }
    for _ in 0..600 {
        world.count(FIRST, 1);
        world.count(1, 1);
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

/// The store is filled, and then nobody asks for anything: what expires goes all the same, at every
/// peer, and makes room.
fn nobody_asks_any_more(world: &mut World) {
    world.found();
    for index in 0..5 {
        world.issue(1, Kind::Acquire, vec![(key(b'l', index % 4), 1)], None);
        world.wait(ms(20));
    }
}

/// A peer whose clock is a day ahead takes over: its clock is one of three.
fn clock_a_day_ahead(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.kill(FIRST, true);
    world.wait_for_other_than(FIRST);
    world.count(1, 5);
}

/// All permits are held when one of two slow clocks is put right: the calendar jumps, and no lease
/// ends.
fn slow_clock_put_right(world: &mut World) {
    world.found();
    world.ask_by(1, operation::PERMIT_TAKE, "permits", PERMITS, 1);
    world.put_clock(1, SLOW);
    for id in 2..5 {
        world.wait(ms(600));
        world.ask_by(2, operation::PERMIT_TAKE, "permits", 1, id);
    }
    // A lease ends all the same.
    world.wait(ms(4_000));
    world.ask_by(2, operation::PERMIT_TAKE, "permits", PERMITS, 6);
    let last = world.ops().last().and_then(|op| op.outcome);
    if !matches!(last, Some(Outcome::Acknowledged(done)) if done.answer.code == DONE) {
        world.fail("permits_held", format!("permits are not free in the end: {last:?}"));
    }
}

/// A slow clock is put right while nobody decides: the next primary goes by its own, and by the
/// calendar before.
fn put_right_and_over(world: &mut World) {
    world.found();
    world.ask_by(1, operation::PERMIT_TAKE, "permits", PERMITS, 1);
    world.put_clock(1, SLOW);
    world.wait(ms(500));
    world.switch(FIRST, Some(2));
    world.wait_for_other_than(FIRST);
    world.put_clock(2, 2 * SLOW);
    for id in 2..5 {
        world.wait(ms(400));
        world.ask_by(2, operation::PERMIT_TAKE, "permits", 1, id);
    }
}
