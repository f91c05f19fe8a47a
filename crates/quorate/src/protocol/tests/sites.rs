//! Two sites (docs/protocol.md, section 16).

use std::time::Duration;

use super::group::Group;
use crate::base::error::SiteError;
use crate::base::event::Event;
use crate::base::id::{Now, PeerKind, PeerName};
use crate::config::{AtPassive, Site};
use crate::protocol::io::{Input, Route};
use crate::protocol::message::Arrangement;
use crate::protocol::{MachineStatus, PeerRole};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const EAST: [&str; 3] = ["a", "b", "c"];
pub(super) const WEST: [&str; 3] = ["d", "e", "f"];
const NOBODY: [&str; 0] = [];

pub(super) fn site(own: &str, other: &str) -> Site {
    Site::new(own).other(other, NOBODY)
}

/// Six peers of two sites that are not started yet.
pub(super) fn two_sites() -> Group {
    let mut group = Group::new(&["a", "b", "c", "d", "e", "f"]);
    for name in EAST {
        group.sites.insert(name.into(), site("east", "west"));
    }
    for name in WEST {
        group.sites.insert(name.into(), site("west", "east"));
    }
    group
}

pub(super) fn start(group: &mut Group, names: &[&str]) {
    names.iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
}

pub(super) fn activate(group: &mut Group, at: &str) -> Option<Result<(), SiteError>> {
    let change = Arrangement::Activate;
    let request = 100 + group.peers[&PeerName::from(at)].sited.len() as u64;
    group.input(&at.into(), Input::Arrange { request, change });
    group.run(SECOND * 3);
    group.peers[&PeerName::from(at)].sited.last().cloned()
}

pub(super) fn status(group: &Group, at: &str) -> MachineStatus {
    group.peers[&PeerName::from(at)].machine.status(Now { time: group.now, ..Now::default() })
}

pub(super) fn listed(group: &Group, at: &str) -> String {
    let membership = group.peers[&PeerName::from(at)].store.meta().membership;
    membership.standby().iter().map(|member| member.name.as_str()).collect()
}

/// East decides, and all of west follows.
pub(super) fn followed() -> Group {
    let mut group = two_sites();
    start(&mut group, &EAST);
    start(&mut group, &WEST);
    assert_eq!(activate(&mut group, "a"), Some(Ok(())));
    group.run(SECOND * 3);
    group
}

#[test]
fn of_two_sites_none_founds_until_it_is_told_to() {
    let mut group = two_sites();
    start(&mut group, &EAST);
    start(&mut group, &WEST);
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None);
    assert_eq!(activate(&mut group, "b"), Some(Ok(())));
    let primary = group.primary().expect("east was told to decide");
    assert!(EAST.contains(&primary.as_str()), "{primary}");
    assert_eq!(group.members("a").0, "abc");
    assert_eq!(activate(&mut group, "c"), Some(Ok(())), "it is so already");
    assert_eq!(activate(&mut group, "d"), Some(Err(SiteError::OtherDecides)));
}

#[test]
fn a_wish_that_nobody_waits_for_founds_nothing() {
    let mut group = two_sites();
    start(&mut group, &["a"]);
    group.input(&"a".into(), Input::Arrange { request: 1, change: Arrangement::Activate });
    group.run(SECOND * 40);
    let sited = &group.peers[&PeerName::from("a")].sited;
    assert!(matches!(sited[..], [Err(SiteError::NoPrimary { .. })]), "{sited:?}");
    start(&mut group, &["b", "c"]);
    group.run(SECOND * 40);
    assert_eq!(group.primary(), None);
}

#[test]
fn the_standby_holds_what_the_active_site_has_decided_and_counts_in_nothing() {
    let mut group = followed();
    let primary = group.primary().expect("east decides");
    group.add(primary.as_str(), "k", 7).expect("it decides");
    group.run(SECOND);
    assert_eq!((group.members("a").0.as_str(), listed(&group, "a").as_str()), ("abc", "def"));
    for name in WEST {
        assert_eq!((group.total(name, "k"), listed(&group, name).as_str()), (7, "def"), "{name}");
        let status = status(&group, name);
        assert_eq!((status.role, status.is_counted, status.size), (PeerRole::Standby, true, 3));
        assert!(matches!(&group.peers[&PeerName::from(name)].route, Route::There { .. }));
        let is_told =
            |event: &Event| matches!(event, Event::SiteChanged { active, .. } if active == "east");
        assert!(group.saw(name, is_told));
    }
    // With one member left nothing is decided, however many of the other site are there.
    let rest: Vec<&str> = EAST.into_iter().filter(|name| *name != primary.as_str()).collect();
    rest.iter().for_each(|name| group.kill(name));
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None);
}

#[test]
fn the_standby_follows_the_next_primary_from_where_it_stands() {
    let mut group = followed();
    let old = group.primary().expect("east decides");
    group.add(old.as_str(), "k", 7).expect("it decides");
    group.run(SECOND);
    group.kill(old.as_str());
    group.run(SECOND * 20);
    let new = group.primary().expect("two of three are left");
    assert!(EAST.contains(&new.as_str()) && new != old);
    group.add(new.as_str(), "k", 1).expect("it decides");
    group.run(SECOND);
    for name in WEST {
        assert_eq!(group.total(name, "k"), 8, "{name}");
    }
}

#[test]
fn a_standby_that_restarts_blank_is_listed_again() {
    let mut group = followed();
    let primary = group.primary().expect("east decides");
    group.add(primary.as_str(), "k", 7).expect("it decides");
    group.kill("e");
    group.run(SECOND * 2);
    group.start("e");
    group.run(SECOND * 3);
    assert_eq!((group.total("e", "k"), listed(&group, "a").as_str()), (7, "def"));
    assert!(status(&group, "e").is_counted, "by its new start");
}

/// A group that has had one site keeps what it holds.
#[test]
fn a_group_of_one_site_becomes_the_first_of_two() {
    let mut group = Group::founded(&EAST);
    let primary = group.primary().expect("founded");
    group.add(primary.as_str(), "k", 7).expect("it decides");
    assert_eq!(activate(&mut group, "b"), Some(Err(SiteError::NoSite)));
    for name in EAST {
        group.sites.insert(name.into(), site("east", "west"));
    }
    for name in EAST {
        group.kill(name);
        group.start(name);
        group.run(SECOND * 20);
    }
    for name in WEST {
        group.sites.insert(name.into(), site("west", "east"));
    }
    let members: Vec<PeerName> = EAST.iter().chain(&WEST).map(|name| (*name).into()).collect();
    group.config.members = members;
    assert_eq!(activate(&mut group, "b"), Some(Ok(())));
    start(&mut group, &WEST);
    group.run(SECOND * 3);
    assert_eq!((group.members("a").0.as_str(), listed(&group, "a").as_str()), ("abc", "def"));
    assert_eq!(group.total("d", "k"), 7);
}

/// The active site has lost everything, and is told to decide: what the standby holds is no part of
/// that history, and stays.
#[test]
fn an_active_site_that_is_founded_anew_empties_no_standby() {
    let mut group = followed();
    let primary = group.primary().expect("east decides");
    group.add(primary.as_str(), "k", 7).expect("it decides");
    group.run(SECOND);
    for name in EAST {
        group.kill(name);
    }
    start(&mut group, &EAST);
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None, "a blank site founds nothing by itself");
    assert_eq!(activate(&mut group, "a"), Some(Err(SiteError::OtherHolds)));
    group.split(&EAST, &WEST);
    group.run(SECOND * 15);
    assert_eq!(activate(&mut group, "a"), Some(Ok(())));
    group.run(SECOND * 30);
    let primary = group.primary().expect("it was told to");
    group.heal();
    group.run(SECOND * 30);
    assert_eq!(group.total(primary.as_str(), "k"), 0);
    for name in WEST {
        assert_eq!(group.total(name, "k"), 7, "{name}");
    }
}

#[test]
fn callers_at_the_passive_site_are_refused_where_that_is_set() {
    let mut group = two_sites();
    let refusing = site("west", "east").at_passive(AtPassive::Refuse);
    group.sites.insert("d".into(), refusing);
    start(&mut group, &EAST);
    start(&mut group, &WEST);
    assert_eq!(activate(&mut group, "a"), Some(Ok(())));
    group.run(SECOND * 3);
    let route = |name: &str| group.peers[&PeerName::from(name)].route.clone();
    assert_eq!(route("d"), Route::Nowhere);
    assert!(matches!(route("e"), Route::There { .. }));
}

#[test]
fn members_come_and_go_beside_a_standby() {
    let mut group = followed();
    // Without the site it would be refused at the door, and is not counted in.
    group.start_as("g", PeerKind::Joiner);
    group.run(SECOND * 5);
    assert_eq!(group.members("a").0, "abc");
    group.kill("g");
    group.sites.insert("g".into(), site("east", "west"));
    group.start("g");
    group.run(SECOND * 5);
    assert_eq!((group.members("a").0.as_str(), listed(&group, "a").as_str()), ("abcg", "def"));
    group.kill("g");
    group.run(SECOND);
    group.remove("a", "g");
    group.run(SECOND * 5);
    assert_eq!((group.members("a").0.as_str(), listed(&group, "a").as_str()), ("abc", "def"));
}
