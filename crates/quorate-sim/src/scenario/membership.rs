//! Members that restart: who counts, and from when (docs/protocol.md, section 7).

use super::Scenario;
use super::filter::{Filter, Kind};
use super::script::{FIRST, ms, plan};
use crate::plan::Plan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "promise_of_a_newcomer", plan: one_may_agree, script: promise_of_a_newcomer },
    Scenario { name: "promise_of_the_dead", plan: one_may_agree, script: promise_of_the_dead },
    Scenario { name: "vote_of_the_dead", plan: one_may_agree, script: vote_of_the_dead },
    Scenario { name: "change_that_was_missed", plan: last_stands, script: change_that_was_missed },
];

/// Connections are tried again soon.
fn one_may_agree() -> Plan {
    let mut plan = plan(&[3, 2, 1]);
    plan.group.agreement = 1;
    plan.group.heartbeat = ms(400);
    plan
}

fn last_stands() -> Plan {
    plan(&[1, 0, 2])
}

/// A member restarts that the primary's lease rests on, and hears no heartbeat since: it has
/// promised nothing, and the other replica's promise runs out before the lease does.
fn promise_of_a_newcomer(world: &mut World) {
    world.found();
    world.filters.push(Filter::from(FIRST, &[Kind::Ping]).to(2));
    world.wait(ms(5_000));
    replace_unheard(world);
}

/// The same, and the last promise of the one that has died arrives when the newcomer is linked.
fn promise_of_the_dead(world: &mut World) {
    world.found();
    world.filters.push(Filter::from(FIRST, &[Kind::Ping]).to(2));
    world.wait(ms(5_000));
    world.filters.push(Filter::from(1, &[Kind::Pong]).to(FIRST).late(ms(700)));
    world.wait_for_delayed();
    replace_unheard(world);
}

fn replace_unheard(world: &mut World) {
    world.filters.push(Filter::from(FIRST, &[Kind::Ping]).to(1));
    world.restart(1);
    world.wait(ms(1_500));
    world.part(&[FIRST], &[1, 2]);
    world.wait(ms(8_000));
}

/// A vote is on its way while its voter dies. Who comes in its place is linked to the old primary
/// only, and must not make a majority with it: the vote makes one against it.
fn vote_of_the_dead(world: &mut World) {
    world.found();
    world.part(&[FIRST], &[1, 2]);
    world.filters.push(Filter::from(1, &[Kind::VoteReply]).to(2).late(ms(700)));
    world.wait_for_delayed();
    // Without a word: the candidate still counts on it.
    world.kill(1, true);
    world.part(&[1], &[2]);
    world.join(&[FIRST], &[1]);
    world.start(1);
    world.run_while(ms(600), |world| world.primary() == Some(FIRST));
    world.count(FIRST, 5);
    world.wait(ms(2_000));
}

/// The only peer that may take over has missed the end of a change, which its voter knows.
fn change_that_was_missed(world: &mut World) {
    world.found();
    world.restart(1);
    let is_joint = |world: &World, peer| {
        let membership = world.process(peer).map(|process| process.store.meta().membership);
        membership.is_some_and(|membership| membership.next.is_some())
    };
    world.run_while(ms(3_000), |world| is_joint(world, 2));
    world.filters.push(Filter::from(FIRST, &[Kind::Piece]).to(2));
    world.run_while(ms(3_000), |world| !is_joint(world, 1) && !is_joint(world, FIRST));
    world.kill(FIRST, false);
    world.wait(ms(5_000));
}
