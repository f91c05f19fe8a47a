//! Members that restart: who counts, and from when (docs/protocol.md, section 7).

use super::Scenario;
use super::filter::{Filter, Kind};
use super::script::{FIRST, ms, plan};
use crate::plan::Plan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
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
