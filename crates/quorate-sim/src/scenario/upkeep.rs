//! Upkeep and force: who is forgotten, and how a group goes on that has lost its majority
//! (docs/protocol.md, sections 6 and 15).

use quorate::{Monitor, MonitorChange};

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::plan::disk::DiskPlan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "replaced_member_is_forgotten", plan: kept, script: replaced },
    Scenario { name: "unreplaced_member_is_not", plan: kept, script: unreplaced },
    Scenario { name: "both_sides_of_three_and_two", plan: kept_at_five, script: three_and_two },
    Scenario { name: "primary_deaf_to_one", plan: kept, script: deaf_to_one },
    Scenario { name: "rollout_of_new_names", plan: kept, script: rollout },
    Scenario { name: "forget_races_return", plan: kept, script: forget_races_return },
    Scenario { name: "refused_member_is_not_forgotten", plan: kept, script: refused_member },
    Scenario { name: "pause_survives_failover", plan: kept, script: pause_survives },
    Scenario { name: "size_lowered_forgets_two", plan: kept_at_five, script: size_lowered },
    Scenario { name: "joiner_beyond_the_size_waits", plan: kept, script: beyond_the_size },
    Scenario { name: "force_one_of_three", plan: three, script: force_one_of_three },
    Scenario { name: "force_adopts_fresher_voter", plan: five, script: force_adopts_fresher },
    Scenario { name: "force_refused_unaccounted", plan: five, script: force_unaccounted },
    Scenario { name: "force_with_one_that_is_slow", plan: seven, script: force_with_a_slow_one },
    Scenario { name: "forced_past_a_living_majority", plan: three, script: past_a_majority },
    Scenario { name: "forced_past_a_majority_that_founds", plan: three, script: past_founders },
    Scenario { name: "forced_past_relaxed_peers", plan: relaxed, script: past_relaxed_peers },
    Scenario { name: "force_past_one_named", plan: three_on_disk, script: past_one_named },
    Scenario { name: "force_past_one_unknown", plan: four_on_disk, script: past_one_unknown },
    Scenario { name: "all_but_one_come_back_to_join", plan: joined, script: back_to_join },
    Scenario { name: "two_forces", plan: five, script: two_forces },
    Scenario { name: "refused_within_a_generation", plan: four, script: refused_within },
];

/// Three are kept, and two more may come.
fn kept() -> Plan {
    let monitor = Some(Monitor::new(3).grace(ms(20_000)));
    Plan { founders: 3, monitor, ..plan(&[1, 2, 3, 4, 5]) }
}

/// Five are kept, and two more may come.
fn kept_at_five() -> Plan {
    let monitor = Some(Monitor::new(5).grace(ms(20_000)));
    Plan { founders: 5, monitor, ..plan(&[1, 2, 3, 4, 5, 6, 7]) }
}

fn three() -> Plan {
    plan(&[1, 2, 3])
}

fn four() -> Plan {
    plan(&[1, 2, 3, 4])
}

fn five() -> Plan {
    plan(&[1, 2, 3, 4, 5])
}

fn three_on_disk() -> Plan {
    Plan { disk: Some(DiskPlan::quiet(&[ms(2); 3])), ..three() }
}

/// Three with disks, and one that may come.
fn four_on_disk() -> Plan {
    Plan { founders: 3, disk: Some(DiskPlan::quiet(&[ms(2); 4])), ..four() }
}

/// One founds, and two join it.
fn joined() -> Plan {
    Plan { founders: 1, ..three() }
}

fn seven() -> Plan {
    plan(&[1, 2, 3, 4, 5, 6, 7])
}

fn relaxed() -> Plan {
    let mut plan = three();
    plan.group.mode = quorate::Mode::Relaxed;
    plan
}

impl World {
    /// The names of the members are these, in force at this peer, within some time.
    fn expect_members(&mut self, at: usize, names: &str) {
        let is_so = |world: &Self| {
            let list = world.process(at).map(|process| process.store.meta().membership);
            list.is_some_and(|list| {
                let found: String = list.names().into_iter().map(|name| name.as_str()).collect();
                list.next.is_none() && found == names
            })
        };
        if !self.run_while(ms(60_000), is_so) {
            self.fail("liveness", format!("the members are not {names}: {}", self.describe()));
        }
    }

    /// Nobody else than these is a member after some time.
    fn expect_members_still(&mut self, at: usize, names: &str) {
        self.wait(ms(60_000));
        self.expect_members(at, names);
    }

    /// A peer has no authority, and decides nothing.
    fn expect_silent(&mut self, peer: usize) {
        let now = self.now();
        let host = &self.hosts()[peer];
        let may = host.process.as_ref().is_some_and(|p| p.is_authorized(&host.clock, now));
        if may {
            self.fail("disowned", format!("{} may still decide", self.plan().name(peer)));
        }
    }
}

/// One comes, and one that dies is forgotten, for three are left without it.
fn replaced(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.kill(FIRST, false);
    world.expect_members(1, "bcd");
    world.count(1, 5);
}

/// Two are left of three: the third is missed, however long it is gone.
fn unreplaced(world: &mut World) {
    world.found();
    world.kill(2, false);
    world.expect_members_still(FIRST, "abc");
}

/// A partition brings nobody in the place of those on the other side.
fn three_and_two(world: &mut World) {
    world.found();
    world.part(&[FIRST, 1, 2], &[3, 4]);
    world.expect_members_still(FIRST, "abcde");
    world.join(&[FIRST, 1, 2], &[3, 4]);
}

/// The primary does not hear one that all others do, and as many as are wanted are there without
/// it.
fn deaf_to_one(world: &mut World) {
    world.found();
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.part(&[FIRST], &[2]);
    world.expect_members_still(FIRST, "abcd");
    world.join(&[FIRST], &[2]);
}

/// Two are replaced by peers with new names, one after the other.
fn rollout(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.kill(FIRST, false);
    world.expect_members(1, "bcd");
    world.start(4);
    world.expect_members(1, "bcde");
    world.kill(1, false);
    world.expect_members(2, "cde");
    world.count(2, 5);
}

/// One that was replaced comes back in the moment in which it is forgotten: it is a member, or asks
/// to become one.
fn forget_races_return(world: &mut World) {
    world.found();
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.kill(2, false);
    world.wait(ms(19_500));
    world.start(2);
    world.wait(ms(30_000));
}

/// One restarts with another setting: it is there, and refused, so it is not gone; and nobody else
/// is judged meanwhile.
fn refused_member(world: &mut World) {
    world.found();
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.roll(2);
    world.expect_members_still(FIRST, "abcd");
    world.roll(2);
}

/// A pause is part of the state: the next primary knows of it, and it ends by itself.
fn pause_survives(world: &mut World) {
    world.found();
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.arrange(1, MonitorChange::Pause(ms(90_000)));
    world.wait(ms(3_000));
    world.kill(2, false);
    world.switch(FIRST, Some(1));
    world.expect_other_than(FIRST, ms(15_000));
    world.wait(ms(70_000));
    world.expect_members(1, "abcd");
    world.expect_members(1, "abd");
}

/// Five are deployed, and then three: two are stopped at once.
fn size_lowered(world: &mut World) {
    world.found();
    world.arrange(FIRST, MonitorChange::Set(Monitor::new(3).grace(ms(20_000))));
    world.wait(ms(2_000));
    world.kill(3, false);
    world.kill(4, false);
    world.expect_members(FIRST, "abc");
}

/// As many as are wanted, and one more, are live: the next one waits until somebody has gone.
fn beyond_the_size(world: &mut World) {
    world.found();
    world.start(3);
    world.expect_members(FIRST, "abcd");
    world.start(4);
    world.expect_members_still(FIRST, "abcd");
    world.kill(2, false);
    world.expect_members(FIRST, "abde");
}

/// Two of three are gone for good.
fn force_one_of_three(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.kill(1, false);
    world.kill(2, false);
    world.wait(ms(30_000));
    world.force(FIRST, &[1, 2]);
    world.expect_primary(FIRST, ms(5_000));
    world.expect_members(FIRST, "a");
    world.count(FIRST, 5);
}

/// Of two that are left the one that is not forced holds more.
fn force_adopts_fresher(world: &mut World) {
    world.found();
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(4));
    world.count(FIRST, 5);
    for peer in [FIRST, 1, 2] {
        world.kill(peer, false);
    }
    world.clear_filters();
    world.wait(ms(30_000));
    world.force(4, &[FIRST, 1, 2]);
    world.expect_primary(4, ms(10_000));
    world.expect_members(4, "de");
    world.count(4, 5);
}

/// One of those that are left is neither in reach nor named: it may hold more, or go on with the
/// rest.
fn force_unaccounted(world: &mut World) {
    world.found();
    for peer in [FIRST, 1] {
        world.kill(peer, false);
    }
    world.part(&[2], &[3, 4]);
    world.part(&[3], &[4]);
    world.count(2, 5);
    world.wait(ms(30_000));
    world.force(4, &[FIRST, 1]);
    world.wait(ms(5_000));
    if world.primary().is_some() {
        world.fail("scenario", format!("it was forced: {}", world.describe()));
    }
    world.join(&[2], &[3, 4]);
    world.join(&[3], &[4]);
}

/// Three are left of seven, one of which the one that is forced does not hear, and which holds
/// more.
fn force_with_a_slow_one(world: &mut World) {
    world.found();
    for peer in [5, 6] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.count(FIRST, 5);
    for peer in [FIRST, 1, 2, 3] {
        world.kill(peer, false);
    }
    world.wait(ms(30_000));
    world.add_filter(Filter::from(6, &[MessageKind::PreVote, MessageKind::Vote]).to(4));
    world.force(6, &[FIRST, 1, 2, 3]);
    world.wait(ms(20_000));
}

/// One is cut off from two that decide, until its promises have ended.
fn fall_apart(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.part(&[FIRST], &[1, 2]);
    world.expect_other_than(FIRST, ms(30_000));
    world.wait(ms(20_000));
}

fn force_past_both(world: &mut World) {
    world.force(FIRST, &[1, 2]);
    world.wait(ms(2_000));
    world.count(FIRST, 3);
}

/// An operator is wrong: the two that are named as gone live, and are a majority. Both sides decide
/// until they hear of each other.
fn past_a_majority(world: &mut World) {
    fall_apart(world);
    force_past_both(world);
    world.count(1, 4);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(3_000));
    for peer in [1, 2] {
        world.expect_silent(peer);
        world.count(peer, 2);
    }
    world.expect_primary(FIRST, ms(1_000));
}

/// The same where those that live have founded a newer generation before they meet the one that was
/// forced: their list has it still, so that none of them refuses it.
fn past_founders(world: &mut World) {
    fall_apart(world);
    // As a member, for nobody is given up yet; what is left takes a failure timeout to found.
    world.restart(1);
    force_past_both(world);
    world.wait(ms(30_000));
    world.count(2, 4);
    world.join(&[FIRST], &[1, 2]);
    world.wait(ms(5_000));
    world.expect_other_than(FIRST, ms(1_000));
    world.expect_silent(FIRST);
    world.count(FIRST, 2);
}

/// The same where peers without a primary decide alone: those that were given up do not, once they
/// know.
fn past_relaxed_peers(world: &mut World) {
    past_a_majority(world);
}

/// Nobody decides, and nothing was begun by force.
fn expect_not_forced(world: &mut World) {
    world.wait(ms(2_000));
    if world.primary().is_some() {
        world.fail("forced", format!("it was forced: {}", world.describe()));
    }
}

/// One is there, and is refused for a setting that was changed: whoever names it as gone is
/// mistaken.
fn past_one_named(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.kill(2, false);
    world.roll(1);
    world.wait(ms(30_000));
    world.force(FIRST, &[1, 2]);
    expect_not_forced(world);
}

/// The same where that one holds more, and has come while the other was cut off, which does not
/// know it.
fn past_one_unknown(world: &mut World) {
    world.found();
    world.count(FIRST, 5);
    world.part(&[FIRST], &[1, 2, 3]);
    world.expect_other_than(FIRST, ms(30_000));
    world.start(3);
    world.expect_members(1, "abcd");
    world.count(1, 4);
    for peer in [1, 2] {
        world.kill(peer, false);
    }
    world.roll(FIRST);
    world.join(&[FIRST], &[1, 2, 3]);
    world.wait(ms(30_000));
    world.force(FIRST, &[1, 2]);
    expect_not_forced(world);
}

/// Two of three were started blank, and ask to join as they did at first: the third, which has the
/// data, needs their votes, and they follow it.
fn back_to_join(world: &mut World) {
    world.found();
    for peer in [1, 2] {
        world.start(peer);
    }
    world.expect_members(FIRST, "abc");
    world.count(FIRST, 5);
    for peer in [1, 2] {
        world.kill(peer, false);
    }
    world.wait(ms(500));
    for peer in [1, 2] {
        world.start(peer);
    }
    world.expect_primary(FIRST, ms(60_000));
    world.expect_members(FIRST, "abc");
    world.count(FIRST, 5);
}

/// Five fall apart, and both sides are forced: the newer generation goes on.
fn two_forces(world: &mut World) {
    world.found();
    world.kill(4, false);
    world.part(&[FIRST, 1], &[2, 3]);
    world.wait(ms(40_000));
    world.force(FIRST, &[2, 3, 4]);
    world.expect_primary(FIRST, ms(10_000));
    world.wait(ms(5_000));
    world.force(2, &[FIRST, 1, 4]);
    world.wait(ms(5_000));
    world.join(&[FIRST, 1], &[2, 3]);
    world.wait(ms(5_000));
    for peer in [FIRST, 1] {
        world.expect_silent(peer);
    }
    world.expect_primary(2, ms(10_000));
}

/// A primary ends the removal of a member alone, and refuses it; the others cannot elect another
/// one without that member's vote. Within one generation its refusal says nothing.
fn refused_within(world: &mut World) {
    world.found();
    world.remove(3, 3);
    let is_joint = |world: &World, peer: usize| {
        let list = world.process(peer).map(|process| process.store.meta().membership);
        list.is_some_and(|list| list.next.is_some())
    };
    world.run_while(ms(3_000), |world| (0..4).all(|peer| is_joint(world, peer)));
    for peer in [1, 2, 3] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.run_while(ms(3_000), |world| !is_joint(world, FIRST));
    world.part(&[FIRST], &[1, 2]);
    world.reset_all(FIRST);
    world.clear_filters();
    world.expect_other_than(FIRST, ms(60_000));
    world.join(&[FIRST], &[1, 2]);
}
