//! What new generations wait for and may lack (docs/protocol.md, section 6).

use std::time::Duration;

use super::group::{Group, others};
use crate::base::event::Event;
use crate::base::id::{Now, PeerName, Position};
use crate::base::loss::Loss;
use crate::config::NewGenerations;
use crate::protocol::io::Input;

const SECOND: Duration = Duration::from_secs(1);

/// The only new generation that a group has had: from where, as of when, and what it may lack.
fn begun(group: &Group) -> (Position, u64, Loss) {
    let events = group.peers.values().flat_map(|peer| &peer.events);
    let mut begun = events.filter_map(|event| match event {
        Event::NewGeneration { position, as_of_ms, loss, .. } => {
            Some((*position, *as_of_ms, *loss))
        }
        _ => None,
    });
    let first = begun.next().expect("a new generation has begun");
    assert_eq!(begun.next(), None, "one alone");
    first
}

fn waits(group: &Group, name: &str, missing: &[&str]) -> bool {
    let missing: Vec<PeerName> = missing.iter().map(|&name| name.into()).collect();
    let machine = &group.peers[&PeerName::from(name)].machine;
    let status = machine.status(Now::default());
    let is_told = |event: &Event| {
        *event == Event::NewGenerationWaits { missing: missing.clone(), acknowledged: None }
    };
    let told = group.peers[&PeerName::from(name)].events.iter().filter(|event| is_told(event));
    assert!(told.count() <= 1, "told once");
    status.missing == missing && (missing.is_empty() || group.saw(name, is_told))
}

#[test]
fn patient_members_wait_for_all_before_they_begin_anew() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.new_generations = NewGenerations::WhenComplete;
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded").to_string();
    group.add(&primary, "k", 7).expect("decided");
    let rest = others(&primary.as_str().into());
    group.kill(&primary);
    group.kill(rest[0]);
    group.start(rest[0]);
    group.run(SECOND * 120);
    assert_eq!(group.primary(), None, "the first one may hold more");
    assert!(waits(&group, rest[1], &[&primary]), "the survivor says whom it waits for");
    assert!(waits(&group, rest[0], &[&primary]), "and so does whoever would help it");
    group.start(&primary);
    group.run(SECOND * 25);
    let anew = group.primary().expect("all are there").to_string();
    assert_eq!(group.total(&anew, "k"), 7);
    assert!(waits(&group, rest[1], &[]));
}

#[test]
fn patient_members_found_without_one_when_they_are_told_to() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.new_generations = NewGenerations::WhenComplete;
    group.start("a");
    group.start("b");
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None);
    assert!(waits(&group, "a", &["c"]) && waits(&group, "b", &["c"]));
    for name in ["a", "b"] {
        group.input(&name.into(), Input::FoundNewGroup);
    }
    group.run(SECOND * 3);
    assert!(group.primary().is_some(), "the members have been told");
    assert!(waits(&group, "a", &[]));
}

#[test]
fn a_patient_member_helps_nobody_to_begin_without_another() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.start("a");
    group.new_generations = NewGenerations::WhenComplete;
    group.start("b");
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None, "b pledges itself to nobody");
    group.input(&"a".into(), Input::FoundNewGroup);
    group.run(SECOND * 3);
    assert!(group.primary().is_some(), "a says that it was told to");
}

/// Under `Majority`: what two of three had acknowledged may be more than the third holds, and it
/// says so, with the time since when.
#[test]
fn a_survivor_says_since_when_something_may_be_lost() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded").to_string();
    let [other, survivor] = others(&primary.as_str().into())[..] else { panic!("three") };
    group.add(&primary, "k", 7).expect("decided");
    group.run(SECOND);
    let held = group.peers[&survivor.into()].store.position();
    let as_of = group.peers[&survivor.into()].store.group_time();
    group.split(&[survivor], &[&primary, other]);
    group.run(SECOND);
    group.add(&primary, "k", 100).expect("decided");
    group.run(SECOND);
    group.kill(&primary);
    group.kill(other);
    group.start(&primary);
    group.start(other);
    group.heal();
    group.run(SECOND * 25);
    let anew = group.primary().expect("formed anew").to_string();
    assert_eq!(group.total(&anew, "k"), 7, "the rest is lost");
    assert_eq!(begun(&group), (held, as_of.as_millis(), Loss::Unknown));
}

/// Of four, three have acknowledged what was told; two of the four have all of that between them.
#[test]
fn half_of_the_members_lack_nothing_and_say_so() {
    let mut group = Group::founded(&["a", "b", "c", "d"]);
    let primary = group.primary().expect("founded").to_string();
    group.add(&primary, "k", 7).expect("decided");
    group.run(SECOND);
    let gone: Vec<&str> =
        ["a", "b", "c", "d"].into_iter().filter(|name| *name != primary).take(1).collect();
    for name in [primary.as_str(), gone[0]] {
        group.kill(name);
        group.start(name);
    }
    group.run(SECOND * 25);
    let anew = group.primary().expect("formed anew").to_string();
    assert_eq!(group.total(&anew, "k"), 7);
    assert_eq!(begun(&group).2, Loss::Nothing);
}

/// A group in memory that remembers how far it has acknowledged, with a count that all have, and
/// another that the survivor lacks if `is_behind`: it is cut off from two that restart.
fn restarted(is_behind: bool) -> (Group, String, [&'static str; 2]) {
    let mut group = Group::new(&["a", "b", "c"]);
    group.remembers = true;
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded").to_string();
    let [other, survivor] = others(&primary.as_str().into())[..] else { panic!("three") };
    group.add(&primary, "k", 7).expect("decided");
    group.run(SECOND);
    group.split(&[survivor], &[&primary, other]);
    if is_behind {
        group.add(&primary, "k", 100).expect("decided");
    }
    // For as long as a quiet peer takes to know exactly what it has acknowledged.
    group.run(SECOND * 25);
    for name in [&primary, other] {
        group.kill(name);
        group.start(name);
    }
    (group, primary, [other, survivor])
}

/// The story: two of three restarted while the third, which had the counts, was out of reach. They
/// found the group anew without it after a failure timeout.
#[test]
fn restarted_peers_that_remember_wait_for_the_one_that_may_have_what_they_had() {
    let (mut group, primary, [other, survivor]) = restarted(false);
    group.run(SECOND * 120);
    assert_eq!(group.primary(), None, "both remember, and one is missing");
    let status = group.peers[&other.into()].machine.status(Now::default());
    assert_eq!(status.missing, [PeerName::from(survivor)]);
    let is_told =
        |event: &Event| matches!(event, Event::NewGenerationWaits { acknowledged: Some(_), .. });
    assert!(group.saw(other, is_told) && group.saw(&primary, is_told));
    group.heal();
    group.run(SECOND * 25);
    let anew = group.primary().expect("all are there").to_string();
    assert_eq!(group.total(&anew, "k"), 7);
    assert_eq!(begun(&group).2, Loss::Nothing, "it is known that nobody had more");
}

#[test]
fn a_state_that_lacks_what_was_acknowledged_is_gone_on_from_with_all_members_and_says_so() {
    let (mut group, _, [_, survivor]) = restarted(true);
    let held = group.peers[&survivor.into()].store.position();
    group.heal();
    group.run(SECOND * 25);
    let anew = group.primary().expect("nobody is missing").to_string();
    assert_eq!(group.total(&anew, "k"), 7, "the rest is lost");
    let (position, _, loss) = begun(&group);
    assert_eq!(position, held);
    let Loss::UpTo { position: bound } = loss else { panic!("{loss:?}") };
    assert_eq!(bound.ballot, held.ballot);
    assert!(bound.sequence > held.sequence, "{bound} is past {held}");
}

/// The survivor is in reach, and the one that is missing may have what was acknowledged past it.
#[test]
fn a_survivor_waits_where_a_restarted_peer_remembers_more() {
    let (mut group, primary, [other, survivor]) = restarted(true);
    group.kill(&primary);
    group.heal();
    group.run(SECOND * 120);
    assert_eq!(group.primary(), None, "{other} has acknowledged more than {survivor} holds");
    for name in [other, survivor] {
        group.input(&name.into(), Input::FoundNewGroup);
    }
    group.run(SECOND * 15);
    assert!(group.primary().is_some(), "they were told to");
    let Loss::UpTo { .. } = begun(&group).2 else { panic!("{:?}", begun(&group)) };
}

/// One that remembers more than the state that it adopts forgot it by that, for whoever adopts
/// takes a state up as well: it said that nothing is known of what may be lost.
#[test]
fn whoever_adopts_less_than_it_remembers_says_so() {
    let (mut group, primary, [other, survivor]) = restarted(true);
    group.kill(&primary);
    group.input(&survivor.into(), Input::SetPriority(0));
    group.heal();
    group.run(SECOND * 30);
    for name in [other, survivor] {
        group.input(&name.into(), Input::FoundNewGroup);
    }
    group.run(SECOND * 15);
    assert_eq!(group.primary(), Some(other.into()), "the survivor is never promoted");
    assert_eq!(group.total(other, "k"), 7);
    let Loss::UpTo { .. } = begun(&group).2 else { panic!("{:?}", begun(&group)) };
}

#[test]
fn a_group_that_is_founded_anew_says_what_it_had_acknowledged() {
    let (mut group, primary, [other, survivor]) = restarted(false);
    group.kill(survivor);
    group.heal();
    group.start(survivor);
    group.run(SECOND * 15);
    assert!(group.primary().is_some(), "all are there, and blank");
    let lost = |event: &Event| matches!(event, Event::Founded { lost: Some(_), .. });
    assert!([primary.as_str(), other, survivor].iter().any(|name| group.saw(name, lost)));
}

/// A bound that lies a block ahead costs a save now and then, not one for each acknowledgement.
#[test]
fn what_is_remembered_is_saved_ahead_and_not_with_every_acknowledgement() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.remembers = true;
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded").to_string();
    let before = group.saves;
    for _ in 0..1_000 {
        group.add(&primary, "k", 1).expect("decided");
    }
    assert_eq!(group.saves, before, "a thousand cuts are within the block");
    for _ in 0..10_000 {
        group.add(&primary, "k", 1).expect("decided");
    }
    let saves = group.saves - before;
    assert!((3..=20).contains(&saves), "{saves} by three peers");
}
