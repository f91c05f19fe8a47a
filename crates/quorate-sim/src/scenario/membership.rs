//! Members that restart: who counts, and from when (docs/protocol.md, section 7).

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "promise_of_a_newcomer", plan: one_may_agree, script: promise_of_a_newcomer },
    Scenario { name: "promise_of_the_dead", plan: one_may_agree, script: promise_of_the_dead },
    Scenario { name: "vote_of_the_dead", plan: one_may_agree, script: vote_of_the_dead },
    Scenario { name: "far_member_counts_under_load", plan: last_stands, script: far_and_busy },
    Scenario { name: "change_that_was_missed", plan: last_stands, script: change_that_was_missed },
    Scenario { name: "one_joins_and_one_leaves", plan: four, script: one_joins_and_one_leaves },
    Scenario { name: "joiner_that_lags", plan: four, script: joiner_that_lags },
    Scenario { name: "change_that_is_stuck", plan: five, script: change_that_is_stuck },
    Scenario { name: "two_leave_a_lease", plan: five_may_agree, script: two_leave_a_lease },
    Scenario { name: "removal_cut_short", plan: four_members, script: removal_cut_short },
    Scenario { name: "joiner_that_knows_more", plan: five, script: joiner_that_knows_more },
    Scenario { name: "removal_nobody_held", plan: last_goes_on, script: removal_nobody_held },
    Scenario { name: "removed_each_other", plan: last_goes_on, script: removed_each_other },
    Scenario { name: "older_list_is_needed", plan: last_goes_on, script: older_list_is_needed },
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

/// Three found the group, and the fourth may join.
fn four() -> Plan {
    Plan { founders: 3, ..plan(&[1, 2, 3, 4]) }
}

/// The one that leaves is the one that takes over when the first has gone.
fn last_goes_on() -> Plan {
    plan(&[3, 2, 1])
}

fn four_members() -> Plan {
    plan(&[1, 2, 3, 4])
}

/// Three found the group, and two may join.
fn five() -> Plan {
    Plan { founders: 3, ..plan(&[1, 2, 3, 4, 5]) }
}

fn five_may_agree() -> Plan {
    let mut plan = plan(&[1, 2, 3, 4, 5]);
    plan.group.agreement = 1;
    plan
}

impl World {
    /// Waits until a peer knows so many members, in force.
    fn wait_for_members(&mut self, at: usize, count: usize) {
        let is_reached = self.run_while(ms(20_000), |world| {
            let membership = world.process(at).map(|process| process.store.meta().membership);
            membership.is_some_and(|list| list.next.is_none() && list.voters.len() == count)
        });
        if !is_reached {
            self.fail("liveness", format!("not {count} members: {}", self.describe()));
        }
    }
}

/// Returns true if a peer knows of a change of the members that is under way.
fn is_joint(world: &World, peer: usize) -> bool {
    let membership = world.process(peer).map(|process| process.store.meta().membership);
    membership.is_some_and(|membership| membership.next.is_some())
}

/// One comes and one goes while there is work, and the primary dies then.
fn one_joins_and_one_leaves(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.start(3);
    world.wait_for_members(3, 4);
    world.count(3, 5);
    world.remove(1, 1);
    world.wait_for_members(FIRST, 3);
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(15_000));
}

/// Nothing that the primary sends reaches the joiner, whose heartbeats do.
fn joiner_that_lags(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(3));
    world.start(3);
    world.wait(ms(5_000));
}

/// A change that the others do not hear of is not committed, and the next one waits for it.
fn change_that_is_stuck(world: &mut World) {
    world.found();
    for peer in [1, 2] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.start(3);
    world.start(4);
    world.wait(ms(5_000));
}

/// The lease rests on two that leave, one after the other, and those that stay have promised
/// nothing for long: they elect another when they are a majority.
fn two_leave_a_lease(world: &mut World) {
    world.found();
    for peer in [1, 2] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Ping]).to(peer));
    }
    // Their last promises have just not ended: they still take data.
    world.wait(ms(9_500));
    world.remove(3, 3);
    world.remove(4, 4);
    world.wait(ms(200));
    world.part(&[FIRST], &[1, 2]);
    world.wait(ms(9_000));
}

/// The primary dies when the end of a removal has reached nobody else, or the leaver alone, whose
/// vote the others need.
fn removal_cut_short(world: &mut World) {
    world.found();
    world.remove(3, 3);
    world.run_while(ms(3_000), |world| is_joint(world, 1) && is_joint(world, 2));
    for peer in [1, 2] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.run_while(ms(3_000), |world| !is_joint(world, FIRST));
    world.wait(ms(200));
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(30_000));
}

/// A member restarts that the primary's lease rests on, and hears no heartbeat since: it has
/// promised nothing, and the other replica's promise runs out before the lease does.
fn promise_of_a_newcomer(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Ping]).to(2));
    world.wait(ms(5_000));
    replace_unheard(world);
}

/// A member restarts that the lease rests on; the last promise of its former self arrives when the
/// newcomer is linked.
fn promise_of_the_dead(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Ping]).to(2));
    world.wait(ms(5_000));
    world.add_filter(Filter::from(1, &[MessageKind::Pong]).to(FIRST).late(ms(700)));
    world.wait_for_delayed();
    replace_unheard(world);
}

/// A member that is further away than the others restarts while something is decided all the time:
/// it never holds what a majority holds then, and counts again all the same.
fn far_and_busy(world: &mut World) {
    world.found();
    world.restart(2);
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(2).late(ms(100)));
    for _ in 0..200 {
        world.count(FIRST, 1);
    }
    if !world.is_counted(2) {
        world.fail("membership", format!("c does not count: {}", world.describe()));
    }
}

fn replace_unheard(world: &mut World) {
    world.add_filter(Filter::from(FIRST, &[MessageKind::Ping]).to(1));
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
    world.add_filter(Filter::from(1, &[MessageKind::VoteReply]).to(2).late(ms(700)));
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
    world.run_while(ms(3_000), |world| is_joint(world, 2));
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(2));
    world.run_while(ms(3_000), |world| !is_joint(world, 1) && !is_joint(world, FIRST));
    world.kill(FIRST, false);
    world.wait(ms(5_000));
}

/// Of two members one counts a third in, and restarts when nobody but a joiner has heard that this
/// has ended. By what the others know themselves they are no majority; by what the joiner knows
/// they are, and they keep their data.
fn joiner_that_knows_more(world: &mut World) {
    world.found();
    world.remove(1, 1);
    world.wait_for_members(FIRST, 2);
    for joiner in [4, 3] {
        world.add_filter(Filter::from(joiner, &[MessageKind::Pong]).to(FIRST));
        world.start(joiner);
    }
    world.wait(ms(15_000));
    world.keep_first_filter();
    world.run_while(ms(3_000), |world| is_joint(world, 2) && is_joint(world, 3));
    for peer in [2, 3] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.wait_for_members(4, 3);
    world.restart(FIRST);
    world.wait(ms(15_000));
}

/// The first peer ends the removal of the last one, and is cut off before anyone hears that it has
/// ended; the other two go on by a new generation, in which all three are members.
fn end_a_removal_alone(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.remove(2, 2);
    world.run_while(ms(3_000), |world| is_joint(world, 1) && is_joint(world, FIRST));
    for peer in [1, 2] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.run_while(ms(3_000), |world| !is_joint(world, FIRST));
    world.part(&[FIRST], &[1, 2]);
    world.clear_filters();
    world.expect_other_than(FIRST, ms(40_000));
    world.count(2, 3);
}

/// A primary counts a member out, and no majority ever holds the end of it: cut off, it comes back
/// to a new generation in which that member is the primary. Its list is older, and keeps nobody
/// out.
fn removal_nobody_held(world: &mut World) {
    end_a_removal_alone(world);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(15_000));
    world.expect_whole();
}

/// The new generation has counted out the one that comes back, which has counted one of it out:
/// each of two peers is removed by the list of the other. The newer list decides.
fn removed_each_other(world: &mut World) {
    end_a_removal_alone(world);
    world.remove(1, FIRST);
    world.wait_for_members(1, 2);
    world.wait_for_members(2, 2);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(15_000));
    world.expect_whole();
    let held = world.process(FIRST).map(|process| process.store.meta().membership);
    if held.is_some_and(|held| held.has(&world.plan().group.members[2])) {
        world.fail("scenario", format!("it was let in again: {}", world.describe()));
    }
}

/// The third peer is gone when the one with the older list comes back, in which one is counted out:
/// it is a majority with the one that it has removed, and nobody else is there to say so.
fn older_list_is_needed(world: &mut World) {
    end_a_removal_alone(world);
    world.kill(1, true);
    world.wait(ms(30_000));
    world.join(&[FIRST], &[2]);
    world.expect_primary(2, ms(40_000));
}
