//! Upkeep, force, and being counted out (docs/protocol.md, sections 6, 7 and 15).

use std::collections::BTreeSet;
use std::time::Duration;

use super::group::Group;
use crate::base::error::{ArrangeError, ForceError};
use crate::base::event::Event;
use crate::base::id::{Now, PeerKind, PeerName, Position, Sequence};
use crate::config::{Monitor, MonitorChange};
use crate::protocol::io::Input;
use crate::protocol::{MachineStatus, PeerRole, Restraint};

const SECOND: Duration = Duration::from_secs(1);

/// A group of three with a fourth that has joined, which keeps three and forgets after 20 s.
fn kept() -> Group {
    let mut group = Group::new(&["a", "b", "c"]);
    group.monitor = Some(Monitor::new(3).grace(SECOND * 20));
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    group
}

fn joined() -> (Group, PeerName) {
    let mut group = kept();
    group.start_as("d", PeerKind::Joiner);
    group.run(SECOND * 3);
    let primary = group.primary().expect("three have founded a group");
    assert_eq!(group.members(primary.as_str()), ("abcd".to_owned(), false));
    (group, primary)
}

fn status(group: &Group, at: &str) -> MachineStatus {
    group.peers[&PeerName::from(at)].machine.status(Now { time: group.now, ..Now::default() })
}

fn arrange(group: &mut Group, at: &str, request: u64, change: MonitorChange) {
    group.input(&at.into(), Input::Arrange { request, change: change.into() });
    group.run(SECOND * 2);
}

fn force(group: &mut Group, at: &str, request: u64, gone: &[&str]) {
    let gone: BTreeSet<PeerName> = gone.iter().map(|name| PeerName::from(*name)).collect();
    group.input(&at.into(), Input::Force { request, gone });
    group.run(SECOND * 2);
}

/// One of three that is not the primary, and the two others.
fn one_of_three(group: &Group) -> (&'static str, Vec<&'static str>) {
    let left = another(&group.primary().expect("three have founded a group"));
    (left, ["a", "b", "c"].into_iter().filter(|name| *name != left).collect())
}

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Two of five that are not the primary, and the three others.
fn two_of_five(primary: &PeerName) -> (Vec<&'static str>, Vec<&'static str>) {
    let left: Vec<&str> = FIVE.into_iter().filter(|n| *n != primary.as_str()).take(2).collect();
    let gone = FIVE.into_iter().filter(|name| !left.contains(name)).collect();
    (left, gone)
}

fn another(primary: &PeerName) -> &'static str {
    ["a", "b", "c"].into_iter().find(|name| *name != primary.as_str()).expect("there are three")
}

#[test]
fn a_member_that_was_replaced_is_forgotten_after_the_grace_and_not_before() {
    let (mut group, primary) = joined();
    let gone = another(&primary);
    group.kill(gone);
    group.run(SECOND * 19);
    assert_eq!(group.members(primary.as_str()).0, "abcd");
    let before = status(&group, primary.as_str());
    let member = before.members.iter().find(|m| m.name.as_str() == gone).expect("it is one");
    assert!(member.silence.is_some_and(|silence| silence >= SECOND * 18) && !member.is_stale);
    group.run(SECOND * 5);
    let left: String = ["a", "b", "c", "d"].into_iter().filter(|name| *name != gone).collect();
    for at in left.chars() {
        assert_eq!(group.members(&at.to_string()), (left.clone(), false), "at {at}");
    }
    let told = |is_it: fn(&Event) -> bool| {
        let events = group.peers.values().flat_map(|peer| &peer.events);
        events.filter(|event| is_it(event)).count()
    };
    assert_eq!(told(|event| matches!(event, Event::MemberStale { .. })), 1);
    assert_eq!(told(|event| matches!(event, Event::MemberForgotten { .. })), 1);
    assert_eq!(status(&group, primary.as_str()).spare, 1);
}

#[test]
fn a_member_that_nobody_has_replaced_stays_and_is_told_of() {
    let mut group = kept();
    let primary = group.primary().expect("three have founded a group");
    let gone = another(&primary);
    group.kill(gone);
    group.run(SECOND * 300);
    assert_eq!(group.members(primary.as_str()).0, "abc");
    let now = status(&group, primary.as_str());
    assert_eq!(now.spare, 0);
    let monitor = now.monitor.expect("it knows the members");
    assert_eq!(monitor.stale, [PeerName::from(gone)]);
    let waits = Restraint::NotReplaced { peer: gone.into(), live: 2, size: 3 };
    assert_eq!(monitor.blocked, Some(waits));
    group.start(gone);
    group.run(SECOND * 4);
    let now = status(&group, primary.as_str());
    assert!(now.monitor.is_some_and(|m| m.stale.is_empty() && m.blocked.is_none()));
    assert_eq!(now.spare, 1);
}

/// It is there, however wrong its settings are; and whatever is being changed at it is being
/// changed at the others as well.
#[test]
fn while_somebody_is_refused_nobody_is_judged() {
    let (mut group, primary) = joined();
    let gone = another(&primary);
    group.kill(gone);
    for _ in 0..60 {
        group.run(SECOND);
        let refused_for = Some("failure_timeout".to_owned());
        let peer = PeerName::from("e");
        group.input(&primary, Input::Met { peer, refused_for });
    }
    assert_eq!(group.members(primary.as_str()).0, "abcd");
    let monitor = status(&group, primary.as_str()).monitor.expect("it knows the members");
    let (peer, field) = ("e".into(), "failure_timeout".to_owned());
    assert_eq!(monitor.blocked, Some(Restraint::Refused { peer, field }));
    // A grace after the last refusal that is over.
    group.run(SECOND * 25);
    assert!(!group.members(primary.as_str()).0.contains(gone));
}

#[test]
fn who_is_met_and_refused_is_not_gone() {
    let (mut group, primary) = joined();
    let gone = another(&primary);
    group.kill(gone);
    for _ in 0..60 {
        group.run(SECOND);
        group.input(&primary, Input::Met { peer: gone.into(), refused_for: None });
    }
    assert_eq!(group.members(primary.as_str()).0, "abcd");
    assert_eq!(status(&group, primary.as_str()).monitor.map(|m| m.stale), Some(Vec::new()));
}

#[test]
fn what_the_group_was_told_goes_before_the_settings_and_outlives_the_primary() {
    let (mut group, primary) = joined();
    let other = another(&primary);
    arrange(&mut group, other, 1, MonitorChange::Off);
    assert_eq!(group.peers[&PeerName::from(other)].arranged, [Ok(1)]);
    group.kill(primary.as_str());
    group.run(SECOND * 60);
    let next = group.primary().expect("another was elected");
    assert_eq!(group.members(next.as_str()).0, "abcd", "it is off");
    let set = MonitorChange::Set(Monitor::new(3).grace(SECOND * 20));
    arrange(&mut group, next.as_str(), 2, set);
    arrange(&mut group, next.as_str(), 3, set);
    let arranged = &group.peers[&next].arranged;
    assert_eq!(arranged[arranged.len() - 2..], [Ok(2), Ok(2)], "what is so already is no change");
    group.run(SECOND * 25);
    assert!(!group.members(next.as_str()).0.contains(primary.as_str()));
}

#[test]
fn a_pause_ends_by_itself() {
    let (mut group, primary) = joined();
    let gone = another(&primary);
    arrange(&mut group, primary.as_str(), 1, MonitorChange::Pause(SECOND * 60));
    group.kill(gone);
    group.run(SECOND * 55);
    assert_eq!(group.members(primary.as_str()).0, "abcd");
    let monitor = status(&group, primary.as_str()).monitor.expect("it knows the members");
    assert_eq!(monitor.blocked, Some(Restraint::Paused));
    group.run(SECOND * 10);
    assert!(!group.members(primary.as_str()).0.contains(gone));
}

#[test]
fn a_joiner_beyond_one_more_than_the_size_waits_for_a_place() {
    let (mut group, primary) = joined();
    group.start_as("e", PeerKind::Joiner);
    group.run(SECOND * 10);
    assert_eq!(group.members(primary.as_str()).0, "abcd");
    let monitor = status(&group, primary.as_str()).monitor.expect("it knows the members");
    assert_eq!((monitor.waiting, monitor.live), (vec!["e".into()], 4));
    let waits = |event: &Event| matches!(event, Event::JoinerWaits { live: 4, .. });
    assert!(group.saw(primary.as_str(), waits));
    group.kill(another(&primary));
    group.run(SECOND * 5);
    assert_eq!(group.members(primary.as_str()).0, "abcde");
}

#[test]
fn without_a_primary_nothing_is_arranged_and_nothing_was_changed() {
    let mut group = kept();
    let (left, gone) = one_of_three(&group);
    gone.iter().for_each(|name| group.kill(name));
    group.run(SECOND * 15);
    group.input(&left.into(), Input::Arrange { request: 1, change: MonitorChange::Off.into() });
    group.run(SECOND * 40);
    let arranged = &group.peers[&PeerName::from(left)].arranged;
    assert!(matches!(arranged[..], [Err(ArrangeError::NoPrimary { .. })]), "{arranged:?}");
}

/// One of three is left, holds what it held, and goes on once every other member is named.
#[test]
fn one_that_is_left_is_forced_when_all_others_are_named_as_gone() {
    let mut group = kept();
    let primary = group.primary().expect("three have founded a group");
    group.add(primary.as_str(), "k", 7).expect("it decides");
    group.run(SECOND);
    let (left, gone) = one_of_three(&group);
    force(&mut group, left, 1, &gone);
    gone.iter().for_each(|name| group.kill(name));
    group.run(SECOND * 12);
    let lost = status(&group, left).lost.expect("it reaches no majority");
    assert_eq!(lost.waiting_for, gone.iter().map(|n| PeerName::from(*n)).collect::<Vec<_>>());
    assert_eq!((lost.best, lost.why_not_force), (Some(left.into()), None));
    force(&mut group, left, 2, &gone[..1]);
    force(&mut group, left, 3, &[gone[0], gone[1], "x"]);
    force(&mut group, left, 4, &gone);
    force(&mut group, left, 5, &gone);
    let forced = &group.peers[&PeerName::from(left)].forced;
    let [living, unaccounted, stranger, done, again] = &forced[..] else {
        panic!("{forced:?}");
    };
    assert!(matches!(living, Err(ForceError::HasQuorum { .. })), "{living:?}");
    let missing = vec![PeerName::from(gone[1])];
    assert_eq!(*unaccounted, Err(ForceError::Unaccounted { peers: missing }));
    assert_eq!(*stranger, Err(ForceError::NotMember { peer: "x".into() }));
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(done, again);
    assert_eq!(group.primary(), Some(left.into()));
    assert_eq!(group.members(left), (left.to_owned(), false));
    assert_eq!(group.total(left, "k"), 7);
    assert_eq!(status(&group, left).lost, None);
}

/// Five have fallen apart: two are in reach of each other, and three are gone. The one that is not
/// forced follows a primary for up to a failure timeout more.
#[test]
fn a_voter_that_is_bound_says_so() {
    let mut group = Group::founded(&FIVE);
    group.run(SECOND * 3);
    let primary = group.primary().expect("five have founded a group");
    let (left, gone) = two_of_five(&primary);
    // One of them hears nothing of the primary for a while longer than the other.
    group.split(&[left[0]], &[primary.as_str()]);
    group.run(SECOND * 8);
    gone.iter().for_each(|name| group.kill(name));
    group.run(SECOND * 4);
    force(&mut group, left[0], 1, &gone);
    let forced = group.peers[&PeerName::from(left[0])].forced.clone();
    let [Err(ForceError::Refused { peer, why })] = &forced[..] else { panic!("{forced:?}") };
    assert_eq!(peer.as_str(), left[1]);
    assert!(why.contains("bound to a primary"), "{why}");
    group.run(SECOND * 12);
    force(&mut group, left[0], 2, &gone);
    let forced = &group.peers[&PeerName::from(left[0])].forced;
    assert!(forced[1].is_ok(), "{forced:?}");
    assert_eq!(group.primary(), Some(left[0].into()));
}

/// A member that is refused for a setting is there, whoever names it as gone; and one that holds
/// more is passed over by nobody, known as a member or not.
#[test]
fn nobody_is_forced_past_a_member_that_was_met_and_refused() {
    let mut group = kept();
    let (left, gone) = one_of_three(&group);
    gone.iter().for_each(|name| group.kill(name));
    group.run(SECOND * 15);
    let refused_for = Some("failure_timeout".to_owned());
    group.input(&left.into(), Input::Met { peer: gone[0].into(), refused_for });
    force(&mut group, left, 1, &gone);
    let own = group.peers[&PeerName::from(left)].store.position();
    let more = Position { sequence: Sequence(own.sequence.0 + 1), ..own };
    group.run(SECOND * 10);
    group.input(&left.into(), Input::HolderMet { position: Some(more) });
    force(&mut group, left, 2, &gone);
    group.run(SECOND * 10);
    group.input(&left.into(), Input::HolderMet { position: Some(own) });
    force(&mut group, left, 3, &gone);
    let forced = &group.peers[&PeerName::from(left)].forced;
    let [alive, passed_over, done] = &forced[..] else { panic!("{forced:?}") };
    let (peer, seen_by) = (gone[0].into(), left.into());
    assert_eq!(*alive, Err(ForceError::Alive { peer, seen_by }));
    let Err(ForceError::Refused { peer, why }) = passed_over else { panic!("{passed_over:?}") };
    assert_eq!(peer.as_str(), left);
    assert!(why.contains("later state"), "{why}");
    assert!(done.is_ok(), "both have not been met for a failure timeout: {done:?}");
}

/// The same where a voter has met that one.
#[test]
fn a_voter_forces_nobody_past_a_holder_that_it_has_met() {
    let mut group = Group::founded(&FIVE);
    let primary = group.primary().expect("five have founded a group");
    let (left, gone) = two_of_five(&primary);
    gone.iter().for_each(|name| group.kill(name));
    group.run(SECOND * 25);
    let voter = PeerName::from(left[1]);
    let own = group.peers[&voter].store.position();
    let more = Position { sequence: Sequence(own.sequence.0 + 1), ..own };
    group.input(&voter, Input::HolderMet { position: Some(more) });
    force(&mut group, left[0], 1, &gone);
    let forced = group.peers[&PeerName::from(left[0])].forced.clone();
    let [Err(ForceError::Refused { peer, why })] = &forced[..] else { panic!("{forced:?}") };
    assert_eq!(*peer, voter);
    assert!(why.contains("later state"), "{why}");
    group.run(SECOND * 10);
    force(&mut group, left[0], 2, &gone);
    assert!(group.peers[&PeerName::from(left[0])].forced[1].is_ok());
}

/// Two of three were started blank, to join as they did at first. Neither knows the third, nor
/// anybody else who follows it.
#[test]
fn peers_that_come_back_to_join_follow_whom_they_have_voted_for() {
    let mut group = Group::new(&["a"]);
    group.start("a");
    group.run(SECOND * 3);
    for name in ["b", "c"] {
        group.start_as(name, PeerKind::Joiner);
        group.run(SECOND * 3);
    }
    assert_eq!(group.members("a"), ("abc".to_owned(), false));
    group.add("a", "k", 7).expect("it decides");
    group.run(SECOND);
    for name in ["b", "c"] {
        group.kill(name);
        group.start_as(name, PeerKind::Joiner);
    }
    group.run(SECOND * 30);
    assert_eq!(group.primary(), Some("a".into()));
    for name in ["a", "b", "c"] {
        assert_eq!((group.members(name).0.as_str(), group.total(name, "k")), ("abc", 7), "{name}");
    }
}

/// One that was forgotten while it was away holds the same generation as those who refuse it. The
/// list of one of them may be that of a primary which was cut off; not that of a majority.
#[test]
fn a_majority_of_its_own_list_that_refuses_a_peer_tells_it_that_it_was_counted_out() {
    let mut group = kept();
    let primary = group.primary().expect("three have founded a group");
    let away = another(&primary);
    let rest: Vec<&str> = ["a", "b", "c"].into_iter().filter(|name| *name != away).collect();
    group.split(&[away], &rest);
    rest.iter().for_each(|other| group.reset(away, other));
    group.add(primary.as_str(), "k", 1).expect("it has a majority");
    group.run(SECOND * 3);
    let store = &group.peers[&primary].store;
    let later = crate::protocol::Standing::new(store.position(), &store.meta());
    let told = |group: &Group| {
        let events = group.peers[&PeerName::from(away)].events.iter();
        events.filter(|event| matches!(event, Event::CountedOut { .. })).count()
    };
    let refuse = |group: &mut Group, by: &str| {
        let input = Input::RefusedAsStranger { by: by.into(), standing: later.clone() };
        group.input(&away.into(), input);
    };
    // One of three, one that it does not know, and itself.
    for by in [rest[0], rest[0], "x", "y"] {
        refuse(&mut group, by);
        assert_eq!(told(&group), 0, "{by}");
        assert_eq!(status(&group, away).role, PeerRole::Replica, "{by}");
    }
    refuse(&mut group, rest[1]);
    refuse(&mut group, rest[1]);
    assert_eq!(told(&group), 1);
    assert_eq!(status(&group, away).role, PeerRole::Removed);
    assert!(!group.peers[&PeerName::from(away)].machine.is_disowned(), "it is for its embedder");
    // It follows as ever whoever has not heard of that.
    group.heal();
    group.run(SECOND * 3);
    assert_eq!(status(&group, away).role, PeerRole::Replica);
}

/// Cut off, one is forced past the two others, which live. Its refusal ends them, and a refusal by
/// one of their own generation does not.
#[test]
fn a_refusal_by_a_newer_generation_ends_a_peer_and_one_by_its_own_does_not() {
    let mut group = kept();
    group.start_as("d", PeerKind::Joiner);
    group.run(SECOND * 3);
    let primary = group.primary().expect("three have founded a group");
    let lone = another(&primary);
    let rest: Vec<&str> = ["a", "b", "c", "d"].into_iter().filter(|name| *name != lone).collect();
    group.split(&[lone], &rest);
    rest.iter().for_each(|other| group.reset(lone, other));
    group.run(SECOND * 25);
    force(&mut group, lone, 1, &rest);
    let forced = &group.peers[&PeerName::from(lone)].forced;
    assert!(forced[0].is_ok(), "{forced:?}");
    let standing = |group: &Group, at: &str| {
        let store = &group.peers[&PeerName::from(at)].store;
        crate::protocol::Standing::new(store.position(), &store.meta())
    };
    let other = rest[0];
    let own = standing(&group, primary.as_str());
    let by = primary.clone();
    group.input(&other.into(), Input::RefusedAsStranger { by, standing: own });
    assert!(!group.peers[&PeerName::from(other)].machine.is_disowned());
    let newer = standing(&group, lone);
    for name in &rest {
        let input = Input::RefusedAsStranger { by: lone.into(), standing: newer.clone() };
        group.input(&(*name).into(), input.clone());
        group.input(&(*name).into(), input);
    }
    group.run(SECOND * 30);
    assert_eq!(group.primary(), Some(lone.into()));
    for name in &rest {
        let status = status(&group, name);
        assert_eq!((status.role, status.primary), (PeerRole::Removed, None), "{name}");
        let events = group.peers[&PeerName::from(*name)].events.iter();
        let told = events.filter(|event| matches!(event, Event::CountedOut { by: Some(_), .. }));
        assert_eq!(told.count(), 1, "{name} is told once");
        assert!(group.add(name, "k", 1).is_err());
    }
}

/// A joiner was linked with one that the group had given up, and stayed so as a member: that one
/// heard nothing, and founded a group beside it when it was blank.
#[test]
fn whoever_is_counted_in_parts_from_those_who_were_given_up() {
    let mut group = kept();
    group.kill("b");
    group.kill("c");
    group.run(SECOND * 30);
    force(&mut group, "a", 1, &["b", "c"]);
    let forced = &group.peers[&PeerName::from("a")].forced;
    assert!(forced[0].is_ok(), "{forced:?}");
    // Started blank with the list that it had, it is cut off from the one that would tell it.
    group.split(&["a"], &["b"]);
    group.start("b");
    group.start_as("d", PeerKind::Joiner);
    group.run(SECOND * 3);
    assert_eq!(group.members("a").0, "ad");
    assert_eq!(group.peers[&PeerName::from("d")].unlinked, ["b"].map(PeerName::from));
    assert!(group.peers[&PeerName::from("a")].unlinked.is_empty());
}

/// What changes nothing was answered at once, by a primary that may be none any more.
#[test]
fn a_primary_without_a_lease_answers_no_change_of_the_monitor() {
    let mut group = kept();
    let primary = group.primary().expect("three have founded a group");
    let rest: Vec<&str> = ["a", "b", "c"].into_iter().filter(|n| *n != primary.as_str()).collect();
    arrange(&mut group, primary.as_str(), 1, MonitorChange::Off);
    assert_eq!(group.peers[&primary].arranged, [Ok(1)]);
    group.split(&[primary.as_str()], &rest);
    let has_lease = |group: &Group| status(group, primary.as_str()).quorum;
    for _ in 0..100 {
        if has_lease(&group) {
            group.run(SECOND / 10);
        }
    }
    let now = status(&group, primary.as_str());
    assert_eq!((now.role, now.quorum), (PeerRole::Primary, false));
    group.input(&primary, Input::Arrange { request: 2, change: MonitorChange::Off.into() });
    group.run(SECOND / 10);
    assert_eq!(status(&group, primary.as_str()).role, PeerRole::Primary);
    assert_eq!(group.peers[&primary].arranged, [Ok(1)], "another may have changed it since");
}
