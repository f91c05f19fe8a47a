//! Lies of peers that are no members (docs/protocol.md, section 7, rules 13 to 15).

use quorate::PeerKind;

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::plan::Plan;
use crate::world::World;
use crate::world::liar::Lie;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "client_claims_primacy", plan: three, script: client_claims_primacy },
    Scenario { name: "joiner_claims_the_last_ballot", plan: three, script: last_ballot },
    Scenario { name: "joiner_stands_all_the_time", plan: three, script: stands_all_the_time },
    Scenario { name: "joiner_votes_and_knows_best", plan: three, script: votes_and_knows_best },
    Scenario { name: "liars_around_a_group_of_one", plan: one, script: around_a_group_of_one },
    Scenario { name: "liars_around_one_cut_off", plan: three, script: around_one_cut_off },
    Scenario { name: "liars_around_the_last_one", plan: three, script: around_the_last_one },
];

fn one() -> Plan {
    plan(&[1])
}

fn three() -> Plan {
    plan(&[1, 2, 3])
}

/// A client says that it is the primary of the next term, and sends everybody a state without
/// cells.
fn client_claims_primacy(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    world.lie(PeerKind::Client, Lie::Primacy, false);
    world.lie(PeerKind::Client, Lie::Data, false);
    world.count(FIRST, 1);
    world.wait(ms(2_000));
}

/// A blank joiner is in the last ballot that there is, and says so for a while; then the primary is
/// lost, and another is to be elected in time.
fn last_ballot(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    for _ in 0..3 {
        world.lie(PeerKind::Joiner, Lie::Primacy, true);
        world.lie(PeerKind::Joiner, Lie::Vote, true);
        world.wait(ms(500));
    }
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(12_000));
}

/// While there is no primary a joiner asks for votes all the time, in one ballot above the other.
fn stands_all_the_time(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    world.kill(FIRST, true);
    for _ in 0..150 {
        world.lie(PeerKind::Joiner, Lie::Candidacy, false);
        world.lie(PeerKind::Joiner, Lie::Release, false);
        world.wait(ms(100));
    }
    world.expect_other_than(FIRST, ms(1));
}

/// A joiner answers every candidate: it grants its vote, holds everything, and knows that the two
/// of them are all the members.
fn votes_and_knows_best(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    world.part(&[0], &[1, 2]);
    world.part(&[1], &[2]);
    for _ in 0..1_500 {
        world.lie(PeerKind::Joiner, Lie::Vote, false);
        world.wait(ms(20));
    }
    world.join(&[0], &[1, 2]);
    world.join(&[1], &[2]);
    world.expect_other_than(3, ms(15_000));
}

/// All that liars say who list their hearer, and vouch for each other.
fn vouch(world: &mut World, kind: PeerKind) {
    for is_far in [false, true] {
        for lie in [Lie::Following, Lie::Doubled, Lie::Data, Lie::Primacy] {
            world.lie(kind, lie, is_far);
            world.wait(ms(100));
        }
    }
}

/// A peer that is alone in its group reaches no other member ever, and goes on.
fn around_a_group_of_one(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    vouch(world, PeerKind::Member);
    world.expect_primary(FIRST, ms(1_000));
    world.count(FIRST, 1);
    world.wait(ms(2_000));
}

/// Liars are all that a member hears that is cut off. Then it comes back, the primary dies, and it
/// elects another one with the third.
fn around_one_cut_off(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    world.part(&[1], &[FIRST, 2]);
    world.wait(ms(15_000));
    world.count(FIRST, 10);
    vouch(world, PeerKind::Joiner);
    world.kill(FIRST, true);
    world.join(&[1], &[FIRST, 2]);
    world.expect_other_than(FIRST, ms(30_000));
}

/// Liars are all that is left to one whose fellows have ended, until these come back with nothing.
fn around_the_last_one(world: &mut World) {
    world.found();
    world.count(FIRST, 100);
    world.kill(1, true);
    world.kill(2, true);
    world.wait(ms(15_000));
    vouch(world, PeerKind::Joiner);
    world.start(1);
    world.start(2);
    world.expect_primary(FIRST, ms(40_000));
}
