//! One of two sites gives up deciding, and the other one begins to (docs/protocol.md, section 16).

use std::collections::BTreeSet;

use super::credence::brief;
use super::group::Group;
use super::sites::{EAST, SECOND, WEST, activate, followed, listed, status};
use crate::base::error::SiteError;
use crate::base::event::Event;
use crate::base::id::{PeerKind, PeerName};
use crate::config::Site;
use crate::protocol::PeerRole;
use crate::protocol::io::{Input, Route};
use crate::protocol::message::{Arrangement, Brief, Message};
use crate::state::SitePhase;

/// What came of a wish about the sites that is made at a peer, within some seconds.
fn ask(group: &mut Group, at: &str, input: impl Fn(u64) -> Input) -> Option<Result<(), SiteError>> {
    let before = group.peers[&PeerName::from(at)].sited.len();
    group.input(&at.into(), input(200 + before as u64));
    group.run(SECOND * 4);
    group.peers[&PeerName::from(at)].sited.get(before).cloned()
}

fn demote(group: &mut Group, at: &str) -> Option<Result<(), SiteError>> {
    let site_epoch = group.peers[&PeerName::from(at)].machine.site_epoch();
    let change = Arrangement::Demote { site_epoch };
    ask(group, at, |request| Input::Arrange { request, change })
}

fn switch(group: &mut Group, at: &str) -> Option<Result<(), SiteError>> {
    let site_epoch = group.peers[&PeerName::from(at)].machine.site_epoch();
    let change = Arrangement::SwitchSites { site_epoch };
    ask(group, at, |request| Input::Arrange { request, change })
}

fn promote(group: &mut Group, at: &str, is_forced: bool) -> Option<Result<(), SiteError>> {
    ask(group, at, |request| Input::Promote { request, is_forced, gone: BTreeSet::new() })
}

fn phase(group: &Group, at: &str) -> SitePhase {
    group.peers[&PeerName::from(at)].store.meta().membership.site_phase()
}

/// All peers follow one that decides, which stands at this site, and hold `total`.
fn expect_decided_at(group: &mut Group, site: &[&str], epoch: u64, total: u64) {
    let primary = group.primary().expect("a site decides");
    assert!(site.contains(&primary.as_str()), "{primary}");
    group.add(primary.as_str(), "k", 1).expect("it decides");
    group.run(SECOND);
    for name in EAST.iter().chain(&WEST) {
        let peer = &group.peers[&PeerName::from(*name)];
        assert_eq!(group.total(name, "k"), total + 1, "{name}");
        let at = peer.store.position().ballot.generation.site_epoch();
        assert_eq!((at, peer.machine.site_epoch()), (epoch, epoch), "{name}");
        let is_primary = *name == primary.as_str();
        assert_eq!(matches!(peer.route, Route::Here { .. }), is_primary, "{name}");
        assert_eq!(matches!(peer.route, Route::There { .. }), !is_primary, "{name}");
    }
}

/// East decides 7, which all hold.
fn decided() -> Group {
    let mut group = followed();
    let primary = group.primary().expect("east decides");
    group.add(primary.as_str(), "k", 7).expect("it decides");
    group.run(SECOND);
    group
}

fn group_ids(group: &Group) -> BTreeSet<u128> {
    let ids = group.peers.values().filter_map(|peer| peer.store.meta().group_id);
    ids.map(|id| id.0).collect()
}

#[test]
fn a_switch_loses_nothing_and_there_is_a_way_back() {
    let mut group = decided();
    let before = group_ids(&group);
    for (at, site, epoch) in [("b", &WEST, 2), ("e", &EAST, 3), ("e", &WEST, 4), ("d", &EAST, 5)] {
        let total = group.total("a", "k");
        assert_eq!(switch(&mut group, at), Some(Ok(())), "{epoch}");
        group.run(SECOND * 2);
        expect_decided_at(&mut group, site, epoch, total);
        let list: String = if epoch % 2 == 0 { "abc" } else { "def" }.into();
        assert_eq!(listed(&group, "a"), list);
    }
    assert_eq!(group_ids(&group), before, "nothing was to be copied");
    for name in EAST.iter().chain(&WEST) {
        assert!(!group.saw(name, |event| matches!(event, Event::ChangesLost { .. })), "{name}");
        let is_copy = |event: &Event| matches!(event, Event::CaughtUp { cells, .. } if *cells > 1);
        assert!(!group.saw(name, is_copy), "{name}");
    }
}

#[test]
fn a_demoted_site_decides_nothing_until_one_of_the_two_is_promoted() {
    let mut group = decided();
    assert_eq!(demote(&mut group, "c"), Some(Ok(())));
    group.run(SECOND * 6);
    for name in EAST.iter().chain(&WEST) {
        assert_eq!(phase(&group, name), SitePhase::Sealed, "{name}");
        assert_eq!(group.peers[&PeerName::from(*name)].route, Route::Nowhere, "{name}");
        assert!(group.add(name, "k", 1).is_err(), "{name}");
    }
    assert_eq!(demote(&mut group, "a"), Some(Ok(())), "it is so already");
    assert_eq!(promote(&mut group, "e", false), Some(Ok(())));
    group.run(SECOND * 2);
    expect_decided_at(&mut group, &WEST, 2, 7);
    assert_eq!(group.primary(), Some("e".into()), "whoever was asked");
    assert_eq!(promote(&mut group, "f", false), Some(Err(SiteError::Already)));
}

#[test]
fn whoever_is_primary_of_a_sealed_site_decides_nothing() {
    let mut group = decided();
    assert_eq!(demote(&mut group, "a"), Some(Ok(())));
    for name in EAST {
        if status(&group, name).role == PeerRole::Primary {
            group.kill(name);
        }
    }
    group.run(SECOND * 20);
    assert!(group.peers.values().all(|peer| peer.route == Route::Nowhere));
    assert_eq!(promote(&mut group, "d", false), Some(Ok(())));
    assert_eq!(group.primary(), Some("d".into()));
}

#[test]
fn a_demotion_is_taken_back_where_it_was_made() {
    let mut group = decided();
    assert_eq!(demote(&mut group, "a"), Some(Ok(())));
    assert_eq!(promote(&mut group, "b", false), Some(Ok(())));
    group.run(SECOND * 2);
    expect_decided_at(&mut group, &EAST, 1, 7);
    assert_eq!(switch(&mut group, "a"), Some(Ok(())));
    group.run(SECOND * 2);
    expect_decided_at(&mut group, &WEST, 2, 8);
}

/// Both hold that nobody decides: each may be promoted, and not both.
#[test]
fn of_two_sites_that_are_promoted_in_a_cut_one_is() {
    let mut group = decided();
    assert_eq!(demote(&mut group, "a"), Some(Ok(())));
    group.split(&EAST, &WEST);
    group.run(SECOND * 15);
    let outcome = promote(&mut group, "a", false);
    assert!(!matches!(outcome, Some(Ok(()))), "{outcome:?}");
    assert_eq!(promote(&mut group, "d", false), Some(Ok(())));
    assert_eq!(group.primary(), Some("d".into()));
    group.heal();
    group.run(SECOND * 40);
    expect_decided_at(&mut group, &WEST, 2, 7);
}

#[test]
fn a_site_that_decides_is_not_passed_over_without_force() {
    let mut group = decided();
    let outcome = promote(&mut group, "d", false);
    assert!(matches!(outcome, Some(Err(SiteError::ActiveReachable { .. }))), "{outcome:?}");
    group.split(&EAST, &WEST);
    group.run(SECOND * 15);
    let outcome = promote(&mut group, "d", false);
    let needs_force = SiteError::NeedsForce { site: "east".into() };
    assert_eq!(outcome, Some(Err(needs_force)));
    assert_eq!(demote(&mut group, "a"), None, "it waits until they hold it");
    group.run(SECOND * 10);
    let outcome = group.peers[&PeerName::from("a")].sited.last().cloned();
    assert_eq!(outcome, Some(Err(SiteError::NotVerified)), "nobody there says so");
    let primary = group.primary().expect("it goes on");
    group.add(primary.as_str(), "k", 1).expect("it decides");
}

/// Two decide from the force on until they meet; the later site epoch stays, and what the other
/// decided past the fork is told.
#[test]
fn a_forced_promotion_fences_the_other_site_when_they_meet() {
    let mut group = decided();
    let before = group_ids(&group);
    let east = group.primary().expect("east decides");
    group.split(&EAST, &WEST);
    group.run(SECOND * 15);
    group.add(east.as_str(), "k", 5).expect("it goes on");
    assert_eq!(promote(&mut group, "f", true), Some(Ok(())));
    group.add("f", "k", 1).expect("it was promoted");
    group.add(east.as_str(), "k", 4).expect("it knows of nothing");
    group.run(SECOND);
    group.heal();
    group.run(SECOND * 10);
    expect_decided_at(&mut group, &WEST, 2, 8);
    assert!(group_ids(&group).is_disjoint(&before), "nothing is built on what may be lost");
    assert!(group.saw(east.as_str(), |event| matches!(event, Event::SiteFenced { epoch: 2, .. })));
    let is_lost = |event: &Event| matches!(event, Event::ChangesLost { units: 9, exact: true });
    assert!(group.saw(east.as_str(), is_lost));
    assert!(group.saw("f", is_lost));
    assert_eq!(listed(&group, "a"), "abc");
}

#[test]
fn forced_within_reach_the_other_site_is_fenced_at_once() {
    let mut group = decided();
    assert_eq!(promote(&mut group, "d", true), Some(Ok(())));
    group.run(SECOND * 3);
    expect_decided_at(&mut group, &WEST, 2, 7);
}

#[test]
fn of_two_forced_sites_the_later_epoch_stays() {
    let mut group = decided();
    group.split(&EAST, &WEST);
    group.run(SECOND * 15);
    assert_eq!(promote(&mut group, "d", true), Some(Ok(())));
    assert_eq!(promote(&mut group, "a", true), Some(Err(SiteError::Already)));
    assert_eq!(activate(&mut group, "a"), Some(Ok(())), "it decides, as far as it knows");
    group.heal();
    group.run(SECOND * 10);
    expect_decided_at(&mut group, &WEST, 2, 7);
}

/// What a standby peer that restarted does not hold is no licence: clean counts ids.
#[test]
fn a_clean_promotion_needs_those_who_hold_the_seal() {
    let mut group = decided();
    assert_eq!(demote(&mut group, "a"), Some(Ok(())));
    group.split(&EAST, &WEST);
    group.run(SECOND * 15);
    for name in ["e", "f"] {
        group.kill(name);
        group.start(name);
    }
    group.run(SECOND * 15);
    let outcome = promote(&mut group, "d", false);
    assert!(!matches!(outcome, Some(Ok(()))), "{outcome:?}");
    assert_eq!(promote(&mut group, "d", true), Some(Ok(())), "by names");
    assert_eq!(group.total("d", "k"), 7);
}

/// Nobody outside heeds a promotion that has not begun.
#[test]
fn a_promotion_that_comes_to_nothing_stops_nobody() {
    let mut group = decided();
    group.dropped = |message| matches!(message, Message::VoteReply { .. });
    let outcome = promote(&mut group, "d", true);
    assert_eq!(outcome, None, "it stands again and again");
    group.run(SECOND * 40);
    let outcome = group.peers[&PeerName::from("d")].sited.last();
    assert!(matches!(outcome, Some(Err(SiteError::TimedOut { .. }))), "{outcome:?}");
    group.dropped = |_| false;
    group.run(SECOND * 3);
    let primary = group.primary().expect("east decides");
    assert!(EAST.contains(&primary.as_str()));
    group.add(primary.as_str(), "k", 1).expect("it decides");
    // Whoever has voted waits for the end of that.
    assert_eq!(promote(&mut group, "e", true), Some(Ok(())));
    group.run(SECOND * 3);
    let total = group.total("e", "k");
    expect_decided_at(&mut group, &WEST, 2, total);
}

/// What a site epoch is that has begun is for its members to say: of whoever asks to join there, or
/// calls, nobody takes that word.
#[test]
fn nobody_is_fenced_by_a_stranger() {
    for kind in [PeerKind::Joiner, PeerKind::Client] {
        let mut group = decided();
        let primary = group.primary().expect("east decides");
        let site = Site::new("west").other("east", ["a"]);
        group.sites.insert("x".into(), site);
        group.start_as("x", kind);
        group.split(&["x"], &EAST);
        group.split(&["x"], &WEST);
        group.run(SECOND);
        let meta = group.peers[&primary].store.meta();
        let position = group.peers[&primary].store.position();
        let incarnation = group.peers[&PeerName::from("x")].incarnation;
        let lie = Brief { site_epoch: 8, ..brief(position.ballot, position, meta.group_id) };
        for name in EAST.iter().chain(&WEST) {
            let message = Message::Ping { number: 1, brief: lie.clone() };
            let peer = "x".into();
            group.input(&(*name).into(), Input::Message { peer, incarnation, message });
        }
        group.run(SECOND);
        group.add(primary.as_str(), "k", 1).expect("it decides");
        assert_eq!(group.peers[&primary].machine.site_epoch(), 0, "{kind:?}");
    }
}
