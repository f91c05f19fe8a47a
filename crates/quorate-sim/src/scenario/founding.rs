//! Groups that begin, and begin anew (docs/protocol.md, section 6).

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "alone", plan: three, script: alone },
    Scenario { name: "two_founders", plan: three, script: two_founders },
    Scenario { name: "founder_in_doubt", plan: three, script: founder_in_doubt },
    Scenario { name: "blank_voter", plan: three, script: blank_voter },
    Scenario { name: "blank_beside_survivor", plan: three, script: blank_beside_survivor },
    Scenario { name: "refused_holder", plan: three, script: refused_holder },
    Scenario { name: "blank_hub", plan: three, script: blank_hub },
    Scenario { name: "blank_hub_leads", plan: hub_first, script: blank_hub_leads },
    Scenario { name: "older_generation", plan: three, script: older_generation },
];

fn three() -> Plan {
    plan(&[1, 2, 3])
}

/// Peers that reach nobody found nothing, however long they wait.
fn alone(world: &mut World) {
    for peer in 0..3 {
        let others: Vec<usize> = (0..3).filter(|other| *other != peer).collect();
        world.part(&[peer], &others);
    }
    world.start_all(true);
    world.wait(ms(25_000));
}

/// Two founders, and a blank peer that is asked by the first of them when it has pledged itself to
/// the second.
fn two_founders(world: &mut World) {
    const SAID: &[MessageKind] =
        &[MessageKind::Ping, MessageKind::Pong, MessageKind::Piece, MessageKind::PreVoteReply];
    world.add_filter(Filter::from(FIRST, &[MessageKind::Vote]).to(1));
    world.add_filter(Filter::from(FIRST, &[MessageKind::Vote]).to(2).late(ms(3_000)));
    world.start(FIRST);
    world.wait(ms(1_000));
    world.start_all(true);
    world.wait_for_delayed();
    // The blank peer hears of neither founding.
    for peer in [FIRST, 1] {
        world.add_filter(Filter::from(peer, SAID).to(2));
    }
    world.wait(ms(4_000));
}

/// A founder whose data nobody gets resigns, and its first round as a candidate is not heard. The
/// blank peers take no part in its newer ballot: they doubt it in the one that they pledged.
fn founder_in_doubt(world: &mut World) {
    const LOST: &[MessageKind] = &[MessageKind::Piece, MessageKind::Release, MessageKind::Vote];
    world.start(FIRST);
    world.wait(ms(1_000));
    world.start_all(true);
    world.run_while(ms(5_000), |world| {
        world.process(FIRST).is_some_and(|process| !process.store.position().is_blank())
    });
    world.add_filter(Filter::from(FIRST, LOST));
    world.wait(ms(45_000));
}

/// The founder dies when one peer has its data. The other, blank yet, takes part in no newer ballot
/// than the founding's, and the first round of the one with data is not heard.
fn blank_voter(world: &mut World) {
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(2));
    world.start(FIRST);
    world.wait(ms(1_000));
    world.start_all(true);
    world.run_while(ms(5_000), |world| world.primary() == Some(FIRST));
    world.kill(FIRST, true);
    world.add_filter(Filter::from(1, &[MessageKind::Vote]).to(2));
    world.wait(ms(13_000));
}

/// A majority restarts; the one that still has data cannot stand for a while.
fn blank_beside_survivor(world: &mut World) {
    const SAID: &[MessageKind] = &[
        MessageKind::Piece,
        MessageKind::PreVote,
        MessageKind::PreVoteReply,
        MessageKind::VoteReply,
    ];
    world.found();
    world.count(FIRST, 5);
    world.add_filter(Filter::from(FIRST, SAID));
    for peer in [1, 2] {
        world.add_filter(Filter::from(peer, &[MessageKind::PreVote]));
    }
    world.kill(1, false);
    world.kill(2, false);
    world.start(1);
    world.start(2);
    world.wait(ms(15_000));
    world.keep_first_filter();
    world.wait(ms(15_000));
}

/// A majority restarts out of reach of the one that has data, and founds anew; that one joins it.
fn older_generation(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.part(&[FIRST], &[1, 2]);
    world.restart(1);
    world.restart(2);
    world.wait_for_other_than(FIRST);
    world.count_at(1, 1, 3);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(15_000));
}

/// Two of three are restarted in turn with a setting that the third refuses. They are a majority,
/// and blank: they found nothing past it, for as long as it is there.
fn refused_holder(world: &mut World) {
    world.found();
    world.count(FIRST, 60);
    world.roll(2);
    world.wait(ms(5_000));
    world.roll(1);
    world.wait(ms(60_000));
    if world.primary().is_some_and(|primary| primary != FIRST) {
        world.fail("generation", format!("founded past the holder: {}", world.describe()));
    }
}

/// The hub of a star restarts blank: the two others reach it and not each other. One of them, which
/// has data, goes on with it.
fn blank_hub(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.part(&[FIRST], &[2]);
    world.wait(ms(3_000));
    world.restart(1);
    world.wait(ms(5_000));
    let bound = ms(40_000);
    if !world.run_while(bound, |world| world.primary().is_some()) {
        world.fail("liveness", format!("no primary after {bound:?}: {}", world.describe()));
    }
}

fn hub_first() -> Plan {
    plan(&[1, 2, 3, 4, 5])
}

/// The hub of a star of five restarts blank, and was the primary. One of the others goes on with
/// it.
fn blank_hub_leads(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    for one in 1..5 {
        for other in one + 1..5 {
            world.part(&[one], &[other]);
        }
    }
    world.wait(ms(3_000));
    world.restart(FIRST);
    let bound = ms(60_000);
    if !world.run_while(bound, |world| world.primary().is_some()) {
        world.fail("liveness", format!("no primary after {bound:?}: {}", world.describe()));
    }
}
