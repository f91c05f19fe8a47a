//! What new generations wait for and may lack (docs/protocol.md, section 6).

use std::time::Duration;

use super::group::{Group, others};
use crate::event::Event;
use crate::generations::{Loss, NewGenerations};
use crate::id::{PeerName, Position};
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
    let status = machine.status(crate::id::Now::default());
    let is_told = |event: &Event| *event == Event::NewGenerationWaits { missing: missing.clone() };
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
