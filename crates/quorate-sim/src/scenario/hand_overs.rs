//! Planned switches that go wrong half-way.

use super::Scenario;
use super::filter::{Filter, Kind};
use super::script::{FIRST, ms, plan};
use crate::plan::Plan;
use crate::world::World;
use quorate::Acknowledge;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "switch", plan: || plan(&[1, 2, 3]), script: switch },
    Scenario {
        name: "cut_off_after_release",
        plan: || plan(&[1, 2, 3]),
        script: cut_off_after_release,
    },
    Scenario { name: "switch_to_a_lagging_peer", plan: at_once, script: switch_to_a_lagging_peer },
    Scenario { name: "wish_asked_again", plan: || plan(&[1, 2, 3]), script: wish_asked_again },
    Scenario { name: "successor_steps_aside", plan: || plan(&[1, 2, 3]), script: successor_ends },
    Scenario { name: "calls_during_a_switch", plan: || plan(&[1, 2, 3]), script: calls_meanwhile },
];

fn at_once() -> Plan {
    let mut plan = plan(&[1, 2, 3]);
    plan.group.acknowledge = Acknowledge::Primary;
    plan
}

/// A plain switch, with calls before and after it at the old primary.
fn switch(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.switch(FIRST, Some(1));
    world.wait(ms(50));
    world.count(FIRST, 5);
    world.wait(ms(2_000));
}

/// The old primary is cut off once it has released its reign: it does not hear of the next one.
fn cut_off_after_release(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.filters.push(Filter::from(FIRST, &[Kind::Release]).late(ms(1)));
    world.switch(FIRST, Some(1));
    world.wait_for_delayed();
    world.part(&[FIRST], &[1, 2]);
    world.wait(ms(4_000));
}

/// The successor lacks what was answered already, and the old primary is not heard by it.
fn switch_to_a_lagging_peer(world: &mut World) {
    world.found();
    world.filters.push(Filter::from(FIRST, &[Kind::Piece, Kind::VoteReply, Kind::PreVoteReply]));
    for _ in 0..5 {
        world.count(FIRST, 5);
    }
    world.switch(FIRST, Some(1));
    world.wait(ms(4_000));
}

/// Calls that come while the switch waits for the successor are held, not refused, whether they
/// come at the primary or from another peer.
fn calls_meanwhile(world: &mut World) {
    world.found();
    world.filters.push(Filter::from(FIRST, &[Kind::Piece]).to(1));
    world.count(FIRST, 5);
    world.switch(FIRST, Some(1));
    for _ in 0..5 {
        world.count(FIRST, 1);
        world.count(2, 1);
    }
    world.filters.clear();
    world.wait(ms(4_000));
}

/// The successor takes nothing, and whoever has asked hears no answer: it asks again and again, also
/// once the switch has been given up.
fn wish_asked_again(world: &mut World) {
    world.found();
    world.filters.push(Filter::from(FIRST, &[Kind::Piece]).to(1));
    world.filters.push(Filter::from(FIRST, &[Kind::Switched]));
    world.count(FIRST, 5);
    world.switch(2, Some(1));
    world.wait(ms(8_000));
    world.filters.clear();
    world.wait(ms(4_000));
}

/// The successor steps aside before it is chosen, while it is, and when it has been; the primary knows
/// nothing of it.
fn successor_ends(world: &mut World) {
    world.found();
    for late in [0, 1, 2, 5] {
        world.filters.push(Filter::from(1, &[Kind::Ping, Kind::Pong]).late(ms(50)));
        world.count(FIRST, 5);
        world.step_aside(1, true);
        world.wait(ms(late));
        world.switch(FIRST, Some(1));
        world.wait(ms(200));
        world.filters.clear();
        world.step_aside(1, false);
        world.wait(ms(8_000));
    }
}
