//! Elections whose winner lags, and votes that must not count.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "slow_copy", plan: first_alone_stands, script: slow_copy },
    Scenario { name: "lagging_winner", plan: one_may_agree, script: lagging_winner },
    Scenario { name: "source_that_is_mute", plan: one_may_agree, script: source_that_is_mute },
    Scenario { name: "longer_older_term", plan: five, script: longer_older_term },
    Scenario { name: "two_candidates", plan: two_stand, script: two_candidates },
    Scenario { name: "vote_of_a_newcomer", plan: brisk, script: vote_of_a_newcomer },
    Scenario { name: "dead_heat", plan: || plan(&[1, 1, 1]), script: dead_heat },
    Scenario { name: "half_of_four", plan: || plan(&[1, 2, 3, 4]), script: half_of_four },
    Scenario { name: "split_vote", plan: split, script: split_vote },
    Scenario { name: "mute_successor", plan: || plan(&[3, 1, 2]), script: mute_successor },
];

fn one_may_agree() -> Plan {
    let mut plan = plan(&[3, 1, 0]);
    plan.group.agreement = 1;
    plan
}

fn five() -> Plan {
    plan(&[4, 5, 1, 2, 3])
}

fn two_stand() -> Plan {
    plan(&[3, 1, 2, 0, 0])
}

/// Two may stand, and two only vote.
fn split() -> Plan {
    plan(&[1, 2, 2, 0, 0])
}

/// Connections are tried again soon.
fn brisk() -> Plan {
    let mut plan = plan(&[3, 4, 1, 2, 5]);
    plan.group.heartbeat = ms(400);
    plan
}

/// The best placed candidate lacks a change that its voter holds, and has not heard of it before
/// the vote.
fn lagging_winner(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(2, &[MessageKind::Ping, MessageKind::Pong]).to(1));
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(1));
    world.count(FIRST, 5);
    // The voter hears of the end first, so that the first round is not refused.
    world.part(&[FIRST], &[1]);
    world.end_process(FIRST, false, true);
    world.wait(ms(10));
    world.start(FIRST);
    world.wait(ms(600));
    world.join(&[FIRST], &[1]);
    world.wait_for_other_than(FIRST);
}

/// The only candidate cannot adopt the state of the one that is fresher, which never stands. It
/// gives way in vain, and must not do so for ever longer.
fn source_that_is_mute(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(1));
    world.count(FIRST, 5);
    world.restart(FIRST);
    world.add_filter(Filter::from(2, &[MessageKind::Piece]));
    world.wait(ms(60_000));
    world.clear_filters();
    world.expect_other_than(FIRST, ms(18_000));
}

/// A tail of an older term that is longer, in sequences, than what was committed after it.
fn longer_older_term(world: &mut World) {
    world.found();
    world.part(&[0, 1], &[2, 3, 4]);
    for _ in 0..40 {
        world.count(FIRST, 1);
    }
    world.wait_for_other_than(FIRST);
    world.count(2, 3);
    world.wait(ms(500));
    world.part(&[2, 3], &[0, 1, 4]);
    world.join(&[0, 1], &[4]);
    world.wait_for_other_than(2);
}

/// Two candidates of one ballot: the votes of the first are asked for late.
fn two_candidates(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(1, &[MessageKind::Vote]).late(ms(700)));
    world.kill(FIRST, true);
    world.wait_for_delayed();
    // Nobody hears of the ballot meanwhile, nor is bound to the second.
    world.add_filter(Filter::from(
        1,
        &[MessageKind::Ping, MessageKind::Pong, MessageKind::PreVoteReply],
    ));
    world.add_filter(Filter::from(2, &[MessageKind::Ping]));
    world.wait(ms(3_000));
}

/// Two candidates that are as good as each other, on links that are as fast as each other.
fn dead_heat(world: &mut World) {
    world.start_all(true);
    let bound = world.plan().timeout();
    world.run_while(bound, World::is_whole);
    if let Some(primary) = world.primary() {
        world.kill(primary, true);
    }
    world.wait(ms(1_000));
}

/// Between the pre-votes and the votes one voter dies; its successor votes and knows nothing.
fn vote_of_a_newcomer(world: &mut World) {
    world.found();
    // Only 0, 1 and 4 hold this change.
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(2));
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(3));
    world.count(FIRST, 5);
    world.add_filter(Filter::from(3, &[MessageKind::PreVoteReply]).to(2).late(ms(600)));
    world.part(&[FIRST, 4], &[1, 2, 3]);
    world.wait_for_delayed();
    world.restart(1);
    world.wait(ms(3_000));
}

/// A group of four falls into halves: neither is a majority.
fn half_of_four(world: &mut World) {
    world.found();
    world.part(&[0, 1], &[2, 3]);
    world.wait(ms(25_000));
}

/// Two candidates that do not hear each other, each nearer to one of the two voters. Both know of
/// the loss at the same moment, and would do so again and again: only chance can part them.
fn split_vote(world: &mut World) {
    world.found();
    world.part(&[1], &[2]);
    for (candidate, near, far) in [(1, 3, 4), (2, 4, 3)] {
        let votes = Filter::from(candidate, &[MessageKind::Vote]);
        world.add_filter(votes.clone().to(near).late(ms(60)));
        world.add_filter(votes.to(far).late(ms(120)));
    }
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(40_000));
}

/// A winner that nobody can hear the data of: it must not serve.
fn mute_successor(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(1, &[MessageKind::Piece]));
    world.kill(FIRST, true);
    world.wait(ms(15_000));
}

/// The only peer that may be promoted restarts blank, and its copy takes longer than any wait for a
/// winner: as long as it comes it is waited for.
fn slow_copy(world: &mut World) {
    world.found();
    for counter in 0..40 {
        world.count_at(FIRST, counter, 5);
    }
    world.restart(FIRST);
    for other in [1, 2] {
        world.slow_path(other, FIRST, ms(400));
    }
    world.expect_primary(FIRST, ms(60_000));
}

fn first_alone_stands() -> Plan {
    let mut plan = plan(&[1, 0, 0]);
    plan.bounds.max_piece_bytes = 100;
    plan.bounds.transfer_window = 1;
    plan.load.keys = 40;
    plan
}
