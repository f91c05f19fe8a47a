//! What the group decides by is part of its state: changed once, by a majority, and kept.

use std::time::Duration;

use super::group::{Group, others};
use crate::base::error::PolicyError;
use crate::base::event::Event;
use crate::base::id::{Now, PeerKind};
use crate::protocol::PeerRole;
use crate::protocol::message::Message;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_change_asked_for_anywhere_reaches_all_and_is_answered_when_a_majority_holds_it() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let rest = others(&primary);
    group.change_policy(rest[0], 1, "two");
    assert_eq!(group.changed(rest[0]), [Ok(1)], "at once, and not with the next heartbeat");
    group.change_policy(primary.as_str(), 1, "three");
    assert_eq!(group.changed(primary.as_str()), [Ok(2)]);
    group.run(SECOND);
    for name in ["a", "b", "c"] {
        assert_eq!(group.policy(name), (2, "three".to_owned()), "{name}");
        assert!(group.saw(name, |event| *event == Event::PolicyChanged { revision: 2 }));
    }
}

#[test]
fn what_changes_nothing_keeps_the_revision_and_what_is_refused_says_why() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let rest = others(&primary);
    group.change_policy(rest[0], 1, "two");
    group.change_policy(rest[1], 1, "two");
    group.change_policy(rest[1], 2, "");
    let refused = PolicyError::Refused { reason: "it says nothing".to_owned() };
    assert_eq!(group.changed(rest[1]), [Ok(1), Err(refused)]);
    assert_eq!(group.policy(primary.as_str()), (1, "two".to_owned()));
}

/// Whoever used the group could change what it decides by.
#[test]
fn a_client_changes_nothing_unless_the_members_let_it() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    group.start_as("x", PeerKind::Client);
    group.run(SECOND * 2);
    group.change_policy("x", 1, "two");
    assert_eq!(group.changed("x"), [Err(PolicyError::NotAllowed)], "at once");
    assert_eq!(group.policy(primary.as_str()), (0, String::new()));
    let mut group = Group::new(&["a", "b", "c"]);
    group.client_rights.change_policy = true;
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.start_as("x", PeerKind::Client);
    group.run(SECOND * 5);
    group.change_policy("x", 1, "two");
    assert_eq!(group.changed("x"), [Ok(1)]);
}

#[test]
fn a_change_outlives_its_primary_and_those_who_restart_hear_of_it() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    group.change_policy(primary.as_str(), 1, "two");
    assert_eq!(group.changed(primary.as_str()), [Ok(1)]);
    group.kill(primary.as_str());
    group.run(SECOND * 30);
    let next = group.primary().expect("two of three are left");
    assert_eq!(group.policy(next.as_str()), (1, "two".to_owned()));
    group.start(primary.as_str());
    assert_eq!(group.policy(primary.as_str()), (0, String::new()), "blank");
    group.run(SECOND * 30);
    assert_eq!(group.policy(primary.as_str()), (1, "two".to_owned()));
}

#[test]
fn a_change_that_no_majority_held_is_taken_back_with_the_rest() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let rest = others(&primary);
    group.split(&[primary.as_str()], &rest);
    group.change_policy(primary.as_str(), 1, "lost");
    assert_eq!(group.policy(primary.as_str()), (1, "lost".to_owned()));
    group.run(SECOND * 40);
    let waited = SECOND * 30;
    let asked = group.changed(primary.as_str());
    assert_eq!(asked, [Err(PolicyError::TimedOut { waited })], "it was made, and may stay");
    group.heal();
    group.run(SECOND * 30);
    for name in ["a", "b", "c"] {
        assert_eq!(group.policy(name), (0, String::new()), "{name}");
    }
}

#[test]
fn a_request_that_comes_again_is_not_made_again() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let rest = others(&primary);
    // No answer arrives, so it is asked for with every heartbeat.
    group.dropped = |message| matches!(message, Message::PolicyChanged { .. });
    group.change_policy(rest[0], 1, "two");
    group.change_policy(primary.as_str(), 1, "three");
    group.run(SECOND * 5);
    assert_eq!(group.policy(rest[0]), (2, "three".to_owned()), "the later one stands");
    group.dropped = |_| false;
    group.run(SECOND * 2);
    assert_eq!(group.changed(rest[0]), [Ok(1)]);
    assert_eq!(group.policy(rest[0]), (2, "three".to_owned()));
}

#[test]
fn without_a_primary_a_request_ends_in_time() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let rest = others(&primary);
    group.kill(primary.as_str());
    group.kill(rest[1]);
    group.run(SECOND * 20);
    group.change_policy(rest[0], 1, "two");
    group.run(SECOND * 31);
    let waited = SECOND * 30;
    assert_eq!(group.changed(rest[0]), [Err(PolicyError::NoPrimary { waited })]);
}

#[test]
fn a_group_of_one_changes_at_once_and_bounds_its_requests() {
    let mut group = Group::founded(&["a"]);
    for (request, policy) in [(1, "one"), (2, "two"), (3, "three")] {
        group.change_policy("a", request, policy);
    }
    assert_eq!(group.changed("a"), [Ok(1), Ok(2), Ok(3)]);
}

/// What changes nothing, is refused, or is of nobody that it knows was answered at once, by a
/// primary that may be none any more.
#[test]
fn a_primary_without_a_lease_answers_no_change() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let at = primary.as_str();
    group.change_policy(at, 1, "two");
    group.split(&[at], &others(&primary));
    let status = |group: &Group| {
        let now = Now { time: group.now, ..Now::default() };
        let status = group.peers[&primary].machine.status(now);
        (status.role, status.quorum)
    };
    for _ in 0..100 {
        if status(&group).1 {
            group.run(SECOND / 10);
        }
    }
    assert_eq!(status(&group), (PeerRole::Primary, false));
    group.change_policy(at, 2, "two");
    group.change_policy(at, 3, "");
    group.remove(at, "x");
    assert_eq!(status(&group), (PeerRole::Primary, false));
    assert_eq!((group.changed(at), group.removed(at)), (&[Ok(1)][..], None));
}
