//! docs/protocol.md, section 8.

use std::time::Duration;

use super::group::Group;
use crate::base::event::Event;
use crate::base::id::{Generation, GroupId, PeerName, Time};
use crate::protocol::io::Input;
use crate::protocol::message::Message;
use crate::protocol::reign::sender::first_transfer;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_switch_takes_no_time_and_loses_nothing() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 7).expect("decided");
    group.input(&old, Input::Switch { request: 1, to: None });
    group.run(SECOND / 10);
    let new = group.primary().expect("switched");
    assert_ne!(new, old);
    assert_eq!(group.total(new.as_str(), "k"), 7);
    group.add(new.as_str(), "k", 1).expect("decided");
    assert!(group.add(old.as_str(), "k", 1).is_err());
    let lost = |e: &Event| matches!(e, Event::ChangesLost { .. });
    assert!(!group.saw(old.as_str(), lost) && !group.saw(new.as_str(), lost));
}

#[test]
fn a_switch_to_a_silent_peer_is_aborted_and_the_primary_goes_on() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    let to = ["a", "b", "c"].into_iter().find(|n| *n != old.as_str()).expect("another");
    group.split(&[old.as_str()], &[to]);
    group.add(old.as_str(), "k", 7).expect("decided");
    group.input(&old, Input::Switch { request: 1, to: Some(to.into()) });
    group.run(SECOND * 5);
    assert_eq!(group.primary(), Some(old.clone()));
    group.add(old.as_str(), "k", 1).expect("decided again");
    assert!(group.saw(old.as_str(), |e| matches!(e, Event::SwitchAborted { .. })));
}

#[test]
fn a_release_is_never_taken_back() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    let before = group.peers[&old].machine.status(Default::default()).ballot;
    // The release reaches nobody: no successor stands on it.
    group.dropped = |m| matches!(m, Message::Release { .. });
    group.input(&old, Input::Switch { request: 1, to: None });
    group.run(SECOND * 2);
    assert!(group.add(old.as_str(), "k", 1).is_err());
    group.run(SECOND * 30);
    let new = group.primary().expect("the ordinary election takes over");
    assert!(group.peers[&new].machine.status(Default::default()).ballot > before);
}

/// The successor is slow: the best placed of the others lets it go first all the same.
#[test]
fn nobody_stands_before_the_successor() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.priorities.extend([("a".into(), 2), ("b".into(), 1), ("c".into(), 3)]);
    group.start("a");
    group.run(SECOND);
    group.start("b");
    group.start("c");
    group.run(SECOND * 2);
    assert_eq!(group.primary(), Some("a".into()), "it has been up for longest");
    group.split(&["a", "b"], &["c"]);
    group.input(&"a".into(), Input::Switch { request: 1, to: Some("c".into()) });
    let has_stood = |event: &Event| matches!(event, Event::CampaignStarted { .. });
    group.run(SECOND * 4 / 10);
    assert!(!group.saw("b", has_stood), "two steps of 250 ms are the successor's");
    group.run(SECOND * 10);
    assert_eq!(group.primary(), Some("b".into()), "the successor did not come");
}

/// A successor that joined the group a moment ago is known to the voters by what it said before.
#[test]
fn an_old_word_of_another_group_does_not_stop_the_successor() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    let to = ["a", "b", "c"].into_iter().find(|n| *n != old.as_str()).expect("another");
    let to = PeerName::from(to);
    let others: Vec<PeerName> = group.peers.keys().filter(|name| **name != to).cloned().collect();
    let incarnation = group.peers[&to].incarnation;
    let mut brief = group.peers[&to].machine.brief();
    brief.group_id = Some(GroupId(1));
    let generation = brief.position.ballot.generation.to_bits() - 1;
    brief.position.ballot.generation = Generation::from_bits(generation);
    for name in &others {
        let message = Message::Ping { number: u64::MAX, brief: brief.clone() };
        group.input(name, Input::Message { peer: to.clone(), incarnation, message });
    }
    group.input(&old, Input::Switch { request: 1, to: Some(to.clone()) });
    group.run(SECOND / 10);
    assert_eq!(group.primary(), Some(to));
}

/// A successor that had been sent several batches within one instant, the last of them overtaken by
/// the release, took the answer to its pull for an older transfer, because a new sender numbered
/// from the same instant: the switch was aborted. (A group changing its stage of TLS showed it.)
#[test]
fn a_later_sender_numbers_on_within_one_instant() {
    let now = Time(7);
    let first = first_transfer(now, 0);
    let within_the_instant = first + 1000;
    assert!(first_transfer(now, first) > within_the_instant);
    let later = Time(first + 5_000_000_000);
    assert_eq!(first_transfer(later, first), later.0, "else from the clock");
}
