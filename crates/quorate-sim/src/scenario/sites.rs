//! Two sites: one decides and the other follows (docs/protocol.md, section 16).

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::plan::disk::DiskPlan;
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "nobody_is_told_to_decide", plan: two_sites, script: untold },
    Scenario { name: "standby_follows_a_failover", plan: two_sites, script: follows_failover },
    Scenario { name: "standby_is_cut_off", plan: two_sites, script: cut_off },
    Scenario { name: "standby_restarts_blank", plan: two_sites, script: restarts_blank },
    Scenario { name: "blank_active_cannot_empty_standby", plan: two_sites, script: blank_active },
    Scenario { name: "active_that_begins_anew_is_followed", plan: two_sites, script: begins_anew },
    Scenario { name: "founding_that_comes_to_nothing", plan: two_sites, script: unborn },
    Scenario { name: "one_peer_a_site", plan: one_and_one, script: one_each },
    Scenario { name: "planned_switch", plan: two_by_three, script: planned_switch },
    Scenario { name: "switch_and_back_copies_nothing", plan: two_by_three, script: back_again },
    Scenario { name: "primary_dies_after_sealing", plan: two_by_three, script: dies_sealed },
    Scenario { name: "demotion_taken_back_here", plan: two_by_three, script: taken_back },
    Scenario { name: "both_sealed_sites_promoted", plan: two_by_three, script: both_promoted },
    Scenario { name: "licence_given_up_by_a_vote", plan: two_by_three, script: licence_given_up },
    Scenario {
        name: "licence_given_up_by_a_candidate",
        plan: two_by_three,
        script: given_up_itself,
    },
    Scenario { name: "standby_lags_demotion_refused", plan: two_by_three, script: lags },
    Scenario { name: "one_of_the_other_site_follows", plan: two_by_three, script: one_follows },
    Scenario {
        name: "blank_ones_of_the_other_site",
        plan: two_by_three,
        script: blank_ones_follow,
    },
    Scenario { name: "far_site_is_listed_under_load", plan: two_by_three, script: far_and_busy },
    Scenario { name: "force_while_cut", plan: two_by_three, script: force_in_cut },
    Scenario { name: "force_while_reachable", plan: two_by_three, script: force_in_reach },
    Scenario { name: "force_both_sides", plan: two_by_three, script: force_both },
    Scenario { name: "fence_by_one_replica", plan: two_by_three, script: fence_by_one },
    Scenario { name: "two_candidates_of_one_site", plan: two_by_three, script: two_candidates },
    Scenario { name: "standby_restarts_in_memory", plan: two_by_three, script: restarts_sealed },
    Scenario { name: "old_site_restarts_on_disk", plan: on_disk, script: restarts_on_disk },
    Scenario { name: "switch_of_one_and_one", plan: one_and_one, script: switch_of_one },
];

/// Three that decide, and two that follow.
fn two_sites() -> Plan {
    Plan { founders: 3, standby: 2, ..plan(&[1, 2, 3, 100, 100]) }
}

fn one_and_one() -> Plan {
    Plan { founders: 1, standby: 1, ..plan(&[1, 100]) }
}

/// Three that decide, and three that follow.
fn two_by_three() -> Plan {
    Plan { founders: 3, standby: 3, ..plan(&[1, 2, 3, 1, 2, 3]) }
}

fn on_disk() -> Plan {
    Plan { disk: Some(DiskPlan::quiet(&[ms(2); 6])), ..two_by_three() }
}

impl World {
    /// Whoever decides stands at this site, or it is a failure.
    fn expect_site(&mut self, is_west: bool) {
        let bound = self.plan().timeout() * 3;
        let decides = |world: &Self| {
            world.primary().is_some_and(|primary| world.is_standby(primary) == is_west)
        };
        if !self.run_while(bound, |world| decides(world) && world.is_whole()) {
            self.fail("liveness", format!("the other site does not decide: {}", self.describe()));
        }
    }

    /// Nobody decides, or it is a failure.
    fn expect_nobody(&mut self) {
        if self.primary().is_some() {
            self.fail("sites", format!("somebody decides: {}", self.describe()));
        }
    }

    /// What was wanted last of the sites was done, or was not.
    fn expect_sited(&mut self, is_done: bool) {
        let last = self.last_sited();
        if last != Some(is_done) {
            self.fail("sites", format!("{last:?} came of it: {}", self.describe()));
        }
    }

    fn part_sites(&mut self) {
        let paths = self.paths_between_sites();
        self.cut(&paths);
    }

    fn join_sites(&mut self) {
        let paths = self.paths_between_sites();
        self.heal(&paths);
    }

    /// Starts both sites, and tells the first one to decide.
    fn found_sites(&mut self) {
        self.start_both();
        self.activate(FIRST);
        let bound = self.plan().timeout() * 3;
        if !self.run_while(bound, Self::is_whole) {
            self.fail("scenario", format!("no sites to begin with: {}", self.describe()));
        }
        self.wait(ms(100));
    }

    fn start_both(&mut self) {
        for peer in 0..self.plan().peers() {
            self.start(peer);
        }
        self.begin_to_dial();
        self.wait(ms(1_000));
    }

    /// What a peer holds stands in this group's history.
    fn expect_data(&mut self, peer: usize) {
        let is_blank = self.process(peer).is_none_or(|process| process.position.is_blank());
        if is_blank {
            self.fail("sites", format!("{} holds nothing", self.plan().name(peer)));
        }
    }
}

/// However long nobody says which decides, none is founded.
fn untold(world: &mut World) {
    world.start_both();
    world.wait(ms(60_000));
    if world.primary().is_some() {
        world.fail("sites", format!("nobody was told to decide: {}", world.describe()));
    }
    world.activate(1);
    world.expect_whole();
    world.count(3, 5);
}

/// The primary dies, and the next one feeds the standby from where it stands.
fn follows_failover(world: &mut World) {
    world.found_sites();
    world.count(3, 5);
    world.kill(FIRST, false);
    world.expect_other_than(FIRST, ms(30_000));
    world.wait(ms(5_000));
    world.count(4, 5);
}

/// What was decided in a cut comes when it has healed.
fn cut_off(world: &mut World) {
    world.found_sites();
    world.part(&[0, 1, 2], &[3, 4]);
    world.wait(ms(30_000));
    world.count(1, 5);
    world.expect_data(3);
    world.join(&[0, 1, 2], &[3, 4]);
    world.expect_whole();
    world.count(3, 5);
}

/// One that has lost what it held is copied to, and listed by its new start.
fn restarts_blank(world: &mut World) {
    world.found_sites();
    world.count(FIRST, 5);
    world.restart(3);
    world.expect_whole();
    world.expect_data(3);
}

/// The active site has lost everything: it is not founded past the standby that it meets, and where
/// it is founded out of its sight, what that one holds is not of its history, and stays.
fn blank_active(world: &mut World) {
    world.found_sites();
    world.count(FIRST, 5);
    for peer in [0, 1, 2] {
        world.kill(peer, false);
    }
    world.wait(ms(1_000));
    for peer in [0, 1, 2] {
        world.start(peer);
    }
    world.wait(ms(30_000));
    world.activate(FIRST);
    world.wait(ms(30_000));
    if world.primary().is_some() {
        world.fail("sites", format!("it was founded past the standby: {}", world.describe()));
    }
    world.part(&[0, 1, 2], &[3, 4]);
    world.wait(ms(30_000));
    world.activate(FIRST);
    world.wait(ms(30_000));
    if world.primary().is_none() {
        world.fail("scenario", format!("it was not founded: {}", world.describe()));
    }
    world.join(&[0, 1, 2], &[3, 4]);
    world.wait(ms(30_000));
    for peer in [3, 4] {
        world.expect_data(peer);
        world.kill(peer, false);
    }
}

/// A majority of the active site has lost its data, and goes on from what the third one holds:
/// another generation of the same history.
fn begins_anew(world: &mut World) {
    world.found_sites();
    world.count(FIRST, 5);
    for peer in [1, 2] {
        world.kill(peer, false);
    }
    world.wait(ms(500));
    for peer in [1, 2] {
        world.start(peer);
    }
    world.wait(ms(40_000));
    world.expect_whole();
    world.count(3, 5);
}

/// The founder dies before anybody of its site holds what it began: nothing of that is kept at the
/// other one, where it would stand in the way of the next founding.
fn unborn(world: &mut World) {
    world.start_both();
    for peer in [1, 2] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
    }
    world.activate(FIRST);
    world.wait(ms(8_000));
    world.kill(FIRST, false);
    world.clear_filters();
    world.wait(ms(1_000));
    world.start(FIRST);
    world.wait(ms(30_000));
    world.activate(1);
    world.wait(ms(20_000));
    world.expect_whole();
    world.count(3, 5);
}

fn one_each(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.restart(1);
    world.expect_whole();
}

/// A switch under load at both sites loses nothing, and refuses nobody for long.
fn planned_switch(world: &mut World) {
    world.found_sites();
    for round in 0..4 {
        world.count(1, 5);
        world.count(4, 5);
        world.switch_sites(if round % 2 == 0 { 2 } else { 5 });
        world.count(0, 1);
        world.count(5, 1);
        world.expect_site(round % 2 == 0);
        world.expect_sited(true);
    }
}

/// The sites change places twice: both stand at the same cuts, and nothing is copied.
fn back_again(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    let copies = world.counters().get("full copies");
    world.switch_sites(0);
    world.expect_site(true);
    world.count(4, 5);
    world.switch_sites(4);
    world.expect_site(false);
    if world.counters().get("full copies") > copies {
        world.fail("sites", "something was copied".to_owned());
    }
}

/// The primary dies when its site is sealed: whoever comes next decides nothing, and the other site
/// is promoted.
fn dies_sealed(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(2_000));
    world.expect_sited(true);
    world.kill(FIRST, false);
    world.wait(ms(30_000));
    world.expect_nobody();
    world.promote(4, false);
    world.wait(ms(3_000));
    world.expect_sited(true);
    world.start(FIRST);
    world.expect_site(true);
    world.count(FIRST, 5);
}

fn taken_back(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(8_000));
    world.expect_nobody();
    world.promote(2, false);
    world.expect_site(false);
    world.count(5, 5);
}

/// Both hold the seal, and are promoted in a cut: the one that gave up deciding needs the other.
fn both_promoted(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(3_000));
    world.part_sites();
    world.wait(ms(1_000));
    world.promote(2, false);
    world.promote(4, false);
    world.wait(ms(20_000));
    world.count(4, 5);
    world.count(2, 5);
    world.join_sites();
    world.expect_site(true);
}

/// The site that gave up deciding takes that back with the votes of the other one, which hears no
/// more of what came of it: by the old licence nobody there is promoted.
fn licence_given_up(world: &mut World) {
    take_back_unheard(world, &[5], 5);
}

/// The same, and one that has voted itself is asked to stand, with the vote of one that has not.
fn given_up_itself(world: &mut World) {
    take_back_unheard(world, &[5], 3);
}

/// The site that gave up deciding takes that back with the votes of the other one, but for those
/// that are cut off; of what came of it nothing is heard there, and `asked` is to be promoted.
fn take_back_unheard(world: &mut World, silent: &[usize], asked: usize) {
    const HEARD: &[MessageKind] = &[MessageKind::Ping, MessageKind::Pong, MessageKind::Other];
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(3_000));
    world.part(&[0, 1, 2], silent);
    for east in [0, 1, 2] {
        for west in [3, 4, 5] {
            world.add_filter(Filter::from(east, HEARD).to(west));
        }
    }
    world.promote(2, false);
    world.wait(ms(3_000));
    world.expect_sited(true);
    world.part_sites();
    world.promote(asked, false);
    world.wait(ms(15_000));
    world.count(2, 5);
    world.count(asked, 5);
    world.clear_filters();
    world.join_sites();
    world.join(&[0, 1, 2], silent);
    world.expect_site(false);
}

/// What the other site does not hold is not given up to it.
fn lags(world: &mut World) {
    world.found_sites();
    world.part_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(15_000));
    world.expect_sited(false);
    world.count(2, 5);
    world.join_sites();
    world.expect_site(false);
}

/// Of the other site one peer of three is in reach: what it holds is at risk all the same.
fn one_follows(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    for peer in [4, 5] {
        world.kill(peer, false);
    }
    for _ in 0..4 {
        world.count(1, 5);
        world.wait(ms(200));
    }
}

/// Two of the other site's three restart blank, and are not fed yet: what they held before is lost.
fn blank_ones_follow(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.wait(ms(200));
    for peer in [4, 5] {
        world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(peer));
        world.restart(peer);
    }
    world.wait(ms(1_000));
    for _ in 0..4 {
        world.count(1, 5);
        world.wait(ms(200));
    }
}

/// What is decided all the time travels longer to the one site than within the other: whoever
/// starts there blank never holds what the members hold then, and is listed all the same.
fn far_and_busy(world: &mut World) {
    world.found_sites();
    world.restart(3);
    world.add_filter(Filter::from(FIRST, &[MessageKind::Piece]).to(3).late(ms(100)));
    for _ in 0..200 {
        world.count(1, 1);
    }
    let name = world.plan().name(3);
    let id = world.process(3).map(|process| process.id);
    let listed = world.process(FIRST).map(|process| process.store.meta().membership.clone());
    if !listed.zip(id).is_some_and(|(list, id)| list.lists(&name, id)) {
        world.fail("sites", format!("{name} is not listed: {}", world.describe()));
    }
}

/// The other site is promoted by force while this one decides on: it is fenced when they meet.
fn force_in_cut(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.part_sites();
    world.count(1, 5);
    world.wait(ms(15_000));
    world.promote(4, true);
    world.wait(ms(3_000));
    world.expect_sited(true);
    world.count(4, 5);
    world.count(1, 5);
    world.join_sites();
    world.expect_site(true);
    world.count(1, 5);
}

fn force_in_reach(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.promote(3, true);
    world.count(1, 5);
    world.expect_site(true);
    world.count(2, 5);
}

/// Both are forced, one after the other, while they do not meet: the later site epoch stays.
fn force_both(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(3_000));
    world.part_sites();
    world.wait(ms(15_000));
    world.promote(1, true);
    world.promote(4, true);
    world.wait(ms(3_000));
    world.count(1, 5);
    world.count(4, 5);
    world.join_sites();
    world.expect_site(true);
    world.count(1, 5);
}

/// Of the old site one replica alone meets the other one: it fences its primary.
fn fence_by_one(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.part_sites();
    world.wait(ms(15_000));
    world.promote(3, true);
    world.wait(ms(3_000));
    world.join(&[2], &[3]);
    world.wait(ms(2_000));
    world.count(FIRST, 5);
    if world.primary() != Some(3) {
        world.fail("sites", format!("it goes on: {}", world.describe()));
    }
    world.join_sites();
    world.expect_site(true);
}

fn two_candidates(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(2_000));
    world.promote(3, false);
    world.promote(4, false);
    world.promote(5, false);
    world.expect_site(true);
    world.count(1, 5);
}

/// Two of the standby restart blank when the site is sealed, and out of its reach: what they do not
/// hold is no licence, and force is needed.
fn restarts_sealed(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.demote(1);
    world.wait(ms(3_000));
    world.part_sites();
    world.restart(4);
    world.restart(5);
    world.wait(ms(15_000));
    world.promote(3, false);
    world.wait(ms(1_000));
    world.expect_sited(false);
    world.expect_nobody();
    world.join_sites();
    world.wait(ms(5_000));
    world.promote(3, false);
    world.expect_site(true);
    world.count(4, 5);
}

/// All of the old site restarts while the other one was promoted: it decides nothing before it has
/// heard of that one.
fn restarts_on_disk(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    world.wait(ms(1_000));
    for peer in [0, 1, 2] {
        world.kill(peer, false);
    }
    world.part_sites();
    world.wait(ms(15_000));
    world.promote(3, true);
    world.wait(ms(3_000));
    world.expect_sited(true);
    for peer in [0, 1, 2] {
        world.start(peer);
    }
    world.wait(ms(40_000));
    world.count(1, 5);
    if world.primary() != Some(3) {
        world.fail("sites", format!("the old site decides: {}", world.describe()));
    }
    world.join_sites();
    world.expect_site(true);
    world.count(1, 5);
}

fn switch_of_one(world: &mut World) {
    world.found_sites();
    world.count(1, 5);
    for round in 0..4 {
        world.switch_sites(round % 2);
        world.expect_site(round % 2 == 0);
        world.count(0, 5);
    }
}
