//! docs/protocol.md, section 13.

use std::time::Duration;

use super::group::{Group, others};
use crate::base::event::Event;
use crate::base::id::PeerName;
use crate::protocol::io::Input;
use crate::protocol::message::{Grant, Message};

const SECOND: Duration = Duration::from_secs(1);

fn on_disk() -> Group {
    let mut group = Group::new(&["a", "b", "c"]);
    group.has_storage = true;
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(3 * SECOND);
    group
}

/// A peer whose storage had failed promised nothing any more, and woke itself without end when its
/// last promise was over: that was to be waited for, however long ago it was.
#[test]
fn a_replica_whose_storage_has_failed_follows_in_peace() {
    let mut group = on_disk();
    let primary = group.primary().expect("founded");
    let failed = PeerName::from(others(&primary)[0]);
    group.add(primary.as_str(), "k", 3).expect("decided");
    group.input(&failed, Input::StorageFailed);
    // Far past the end of its last promise; time would not pass.
    group.run(60 * SECOND);
    assert_eq!(group.primary(), Some(primary.clone()));
    assert!(group.saw(failed.as_str(), |e| matches!(e, Event::StorageFailed { .. })));
    group.add(primary.as_str(), "k", 4).expect("two of three store");
    assert_eq!(group.total(others(&primary)[1], "k"), 7);
}

/// Three peers of whom one replica can store nothing any more, and the others come back with
/// nothing. Returns the name of the one that holds the three units.
fn left_with_a_failed_holder() -> (Group, String) {
    let mut group = on_disk();
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 3).expect("decided");
    group.run(SECOND * 2);
    let [failed, other] = others(&old)[..] else { panic!("three peers") };
    group.input(&failed.into(), Input::StorageFailed);
    group.run(SECOND);
    let blank = [old.as_str(), other];
    blank.iter().for_each(|name| group.kill(name));
    group.run(SECOND);
    blank.iter().for_each(|name| group.start(name));
    (group, failed.to_owned())
}

/// The story: a new generation waited for the votes of all in reach that held more. One whose
/// storage had failed had none to give, and there was no primary as long as it ran.
#[test]
fn a_blank_majority_goes_on_from_what_a_peer_whose_storage_has_failed_holds() {
    let (mut group, failed) = left_with_a_failed_holder();
    group.run(SECOND * 60);
    let primary = group.primary().expect("two of three store");
    assert_ne!(primary.as_str(), failed);
    for name in ["a", "b", "c"] {
        assert_eq!(group.total(name, "k"), 3, "{name}");
    }
    group.add(primary.as_str(), "k", 4).expect("the two that store are a majority");
    let event = |event: &Event| matches!(event, Event::NewGeneration { .. });
    assert!(group.saw(primary.as_str(), event));
}

/// One that gives nothing at all, as an older version, is waited for until somebody has it founded.
#[test]
fn a_group_that_is_to_be_founded_now_waits_for_no_state() {
    let (mut group, failed) = left_with_a_failed_holder();
    group.dropped = |message| {
        let grant = match message {
            Message::PreVoteReply { grant, .. } | Message::VoteReply { grant, .. } => *grant,
            _ => Grant::Vote,
        };
        grant == Grant::State
    };
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None, "nobody founds past a state that may come");
    let blank: Vec<PeerName> =
        group.peers.keys().filter(|n| n.as_str() != failed).cloned().collect();
    blank.iter().for_each(|name| group.input(name, Input::FoundNewGroup));
    group.run(SECOND * 60);
    let primary = group.primary().expect("it was to be founded");
    assert_eq!(group.total(primary.as_str(), "k"), 0);
}

#[test]
fn a_primary_whose_storage_has_failed_hands_over_and_stands_no_more() {
    let mut group = on_disk();
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 3).expect("decided");
    group.input(&old, Input::StorageFailed);
    group.run(SECOND);
    let new = group.primary().expect("handed over");
    assert_ne!(new, old);
    assert_eq!(group.total(new.as_str(), "k"), 3);
    group.add(new.as_str(), "k", 1).expect("two of three store");
    group.kill(new.as_str());
    group.run(60 * SECOND);
    assert_eq!(group.primary(), None, "one of two that store is no majority of three");
}
