//! docs/protocol.md, sections 2 to 5 and 7.

use std::time::Duration;

use super::group::{Group, others};
use crate::base::event::Event;
use crate::base::id::{Incarnation, PeerName};
use crate::protocol::io::{Input, LinkEnd, Succession};
use crate::protocol::message::Message;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_dead_primary_is_replaced_after_the_failure_timeout_and_the_counts_stay() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 7).expect("decided");
    group.kill(old.as_str());
    group.run(SECOND * 9);
    assert_eq!(group.primary(), None);
    group.run(SECOND * 2);
    let new = group.primary().expect("a failover");
    assert_ne!(new, old);
    assert_eq!(group.total(new.as_str(), "k"), 7);
    // The old primary returns as a replica and is counted in again.
    group.start(old.as_str());
    group.run(SECOND * 3);
    assert_eq!(group.primary(), Some(new));
    assert_eq!(group.total(old.as_str(), "k"), 7);
    let returned = &group.peers[&old];
    let membership = returned.store.meta().membership;
    assert!(membership.counts(&old, returned.incarnation.into()));
    assert_eq!(membership.next, None);
}

#[test]
fn a_restart_inside_the_timeout_ends_the_reign_and_empties_nobody() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 7).expect("decided");
    group.kill(old.as_str());
    group.run(SECOND);
    group.start(old.as_str());
    group.run(SECOND * 2);
    assert_eq!(group.primary(), None, "the first process may still live, with its lease");
    group.run(SECOND * 6);
    let new = group.primary().expect("nobody waited for ten seconds");
    assert_ne!(new, old);
    for name in ["a", "b", "c"] {
        assert_eq!(group.total(name, "k"), 7, "at {name}");
    }
}

#[test]
fn a_cut_off_primary_stops_before_anyone_else_is_elected_and_gives_up_its_tail() {
    let mut group = Group::founded(&["a", "b", "c"]);
    group.config.acknowledge = crate::config::Acknowledge::Primary;
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 7).expect("decided");
    group.split(&[old.as_str()], &others(&old));
    group.run(SECOND * 2);
    group.add(old.as_str(), "k", 100).expect("the lease still runs");
    group.add(old.as_str(), "other", 3).expect("the lease still runs");
    group.run(SECOND * 7);
    assert!(group.add(old.as_str(), "k", 1).is_err(), "the lease has ended");
    group.run(SECOND * 3);
    let new = group.primary().expect("a failover");
    group.add(new.as_str(), "k", 5).expect("decided");
    group.heal();
    group.run(SECOND * 4);
    assert_eq!(group.primary(), Some(new));
    for name in ["a", "b", "c"] {
        assert_eq!((group.total(name, "k"), group.total(name, "other")), (12, 0), "at {name}");
    }
    let lost = |e: &Event| matches!(e, Event::ChangesLost { units: 103, exact: true });
    assert!(group.saw(old.as_str(), lost), "{:?}", group.peers[&old].events);
}

#[test]
fn a_short_break_changes_nothing() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    group.split(&[old.as_str()], &others(&old));
    group.run(SECOND * 9);
    group.heal();
    group.run(SECOND * 3);
    assert_eq!(group.primary(), Some(old.clone()));
    assert!(group.saw(old.as_str(), |e| matches!(e, Event::QuorumRegained { .. })));
}

#[test]
fn one_replica_that_misses_the_primary_is_not_enough() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    group.split(&[primary.as_str()], &others(&primary)[..1]);
    group.run(SECOND * 60);
    assert_eq!(group.primary(), Some(primary));
}

#[test]
fn two_that_agree_without_a_majority_elect_nobody() {
    let mut group = Group::founded(&["a", "b", "c", "d", "e"]);
    let primary = group.primary().expect("founded");
    let rest: Vec<&str> =
        ["a", "b", "c", "d", "e"].into_iter().filter(|n| *n != primary.as_str()).collect();
    // 2 | 2 | 1
    group.split(&[primary.as_str()], &rest);
    group.split(&rest[..2], &rest[2..]);
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None);
    // 3 | 2
    group.heal();
    group.split(&[primary.as_str(), rest[0]], &rest[1..]);
    group.run(SECOND * 30);
    let new = group.primary().expect("three of five are a majority");
    assert!(rest[1..].contains(&new.as_str()));
}

#[test]
fn the_lowest_priority_number_is_promoted_and_zero_never() {
    let mut group = Group::new(&["a", "b", "c", "d"]);
    for (name, priority) in [("a", 1), ("b", 0), ("c", 50), ("d", 20)] {
        group.priorities.insert(name.into(), priority);
    }
    ["a", "c", "d"].iter().for_each(|name| group.start(name));
    group.start("b");
    group.run(SECOND * 3);
    for expected in ["a", "d"] {
        if group.primary() != Some(expected.into()) {
            continue;
        }
        group.kill(expected);
        group.run(SECOND * 12);
    }
    assert_ne!(group.primary(), Some("b".into()));
}

#[test]
fn a_preferred_winner_adopts_the_freshest_state_before_it_serves() {
    let mut group = Group::new(&["a", "b", "c"]);
    for (name, priority) in [("a", 9), ("b", 1), ("c", 50)] {
        group.priorities.insert(name.into(), priority);
    }
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let first = group.primary().expect("founded");
    if first.as_str() != "a" {
        group.input(&first, Input::Switch { request: 1, to: Some("a".into()) });
        group.run(SECOND * 3);
    }
    assert_eq!(group.primary(), Some("a".into()));
    group.split(&["a"], &["b"]);
    group.add("a", "k", 7).expect("a and c are a majority");
    assert_eq!((group.total("b", "k"), group.total("c", "k")), (0, 7));
    group.kill("a");
    group.run(SECOND * 12);
    assert_eq!(group.primary(), Some("b".into()));
    assert_eq!(group.total("b", "k"), 7);
}

/// The old primary has stood in a newer ballot that nobody has heard of, and its followers have not
/// heard that its reign is over.
#[test]
fn a_primary_that_stepped_down_unheard_can_be_elected_again() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.priorities.extend([("b".into(), 0), ("c".into(), 0)]);
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    assert_eq!(group.primary(), Some("a".into()));
    group.split(&["a"], &["b", "c"]);
    group.run(SECOND * 30);
    assert!(group.saw("a", |event| matches!(event, Event::SteppedDown { .. })));
    group.dropped = |message| matches!(message, Message::Vote(_));
    group.heal();
    group.run(SECOND * 2);
    let campaigns = |event: &Event| matches!(event, Event::CampaignStarted { .. });
    let events = &group.peers[&"a".into()].events;
    assert_eq!(events.iter().filter(|event| campaigns(event)).count(), 2, "of which one was heard");
    group.dropped = |_| false;
    group.run(SECOND * 10);
    assert_eq!(group.primary(), Some("a".into()));
}

/// A group of five asks for three that agree. Of the three that are left of it, two must do: with
/// the primary there are not three to lose it.
#[test]
fn a_group_that_has_shrunk_asks_for_no_more_agreement_than_a_majority() {
    let names = ["a", "b", "c", "d", "e"];
    let mut group = Group::new(&names);
    group.config.agreement = 3;
    names.iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded").to_string();
    let leaving: Vec<&str> = names.into_iter().filter(|name| *name != primary).take(2).collect();
    for name in &leaving {
        group.remove(name, name);
        group.run(SECOND * 3);
        group.kill(name);
    }
    assert_eq!(group.members(&primary).0.len(), 3);
    group.kill(&primary);
    group.run(SECOND * 12);
    assert!(group.primary().is_some(), "two of three agree");
}

/// The story: a proxy reset the connections of a primary that lived on behind it, and a second
/// process was started under its name. The others took its death for proven and elected at once;
/// for eight seconds two peers decided.
#[test]
fn a_second_process_under_its_name_ends_no_reign_of_the_first() {
    let (mut group, primary) = founded();
    let stranded = group.strand(&primary);
    let ballot = stranded.store.position().ballot;
    group.start(&primary);
    let mut elected_after = None;
    for tick in 0..200 {
        group.run(SECOND / 20);
        let Some(next) = group.primary() else { continue };
        elected_after.get_or_insert((SECOND / 20) * tick);
        let may_decide = stranded.store.is_authorized(group.now, ballot);
        assert!(!may_decide, "{next} decides after {elected_after:?}, and so may the first");
    }
    let elected_after = elected_after.expect("its lease ends");
    assert!(elected_after < SECOND * 9, "the lease ends before the failure timeout");
}

/// A process that says that it ends has nothing to wait for.
#[test]
fn a_primary_that_says_goodbye_is_replaced_at_once() {
    let (mut group, primary) = founded();
    group.stop(&primary);
    group.run(SECOND);
    let next = group.primary().expect("nobody waits for it");
    assert_ne!(next.as_str(), primary);
}

/// Storage that only one process can hold is proof of the end of the one before, where the machine
/// is still the same one.
#[test]
fn storage_that_has_passed_on_proves_an_end() {
    // A start that nobody saw may lie between: of that one the end is proven, and of no other.
    for (succeeded, is_replaced) in [(Some(1), true), (Some(2), false), (None, false)] {
        let (mut group, primary) = founded();
        let last = group.peers[&PeerName::from(primary.as_str())].incarnation;
        let first = LinkEnd {
            succession: Succession { start: Some(1), succeeded: None },
            ..LinkEnd::member(last)
        };
        for name in others(&primary.as_str().into()) {
            let peer = PeerName::from(primary.as_str());
            let (incarnation, has_ended) = (last, false);
            let down = Input::LinkDown { peer: peer.clone(), incarnation, has_ended };
            group.input(&name.into(), down);
            group.input(&name.into(), Input::LinkUp { peer, end: first.clone() });
        }
        group.run(SECOND);
        group.kill(&primary);
        let succession = Succession { start: Some(3), succeeded };
        let end = LinkEnd { id: last.into(), succession, ..LinkEnd::member(Incarnation(99)) };
        for name in others(&primary.as_str().into()) {
            let (peer, end) = (primary.as_str().into(), end.clone());
            group.input(&name.into(), Input::LinkUp { peer, end });
        }
        group.run(SECOND);
        assert_eq!(group.primary().is_some(), is_replaced, "{succeeded:?}");
    }
}

/// One that is back after its links were reset, and after a second process under its name has gone,
/// is followed as before.
#[test]
fn a_primary_that_was_cut_off_is_followed_again() {
    let (mut group, primary) = founded();
    let stranded = group.strand(&primary);
    group.start(&primary);
    group.run(SECOND);
    group.kill(&primary);
    group.bring_back(&primary, stranded);
    group.run(SECOND * 12);
    assert_eq!(group.primary(), Some(primary.as_str().into()), "in the same reign");
    assert!(!group.saw(others(&primary.as_str().into())[0], |event| {
        matches!(event, Event::CampaignStarted { .. })
    }));
}

fn founded() -> (Group, String) {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded").to_string();
    group.add(&primary, "k", 7).expect("decided");
    group.run(SECOND * 3);
    (group, primary)
}

/// Where the primary dies and no majority is left, only it would have said so: whoever survives
/// says that nothing is decided, once, and whom it lacks.
#[test]
fn survivors_that_are_no_majority_say_so() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let told = |group: &Group| {
        let events = group.peers.values().flat_map(|peer| &peer.events);
        let unreached = events.filter_map(|event| match event {
            Event::MajorityLost { unreached, .. } => Some(unreached.clone()),
            _ => None,
        });
        unreached.collect::<Vec<_>>()
    };
    // A failover alone is none of it.
    let first = group.primary().expect("founded");
    group.kill(first.as_str());
    group.run(SECOND * 60);
    group.start(first.as_str());
    group.run(SECOND * 10);
    let second = group.primary().expect("a failover");
    assert_eq!(told(&group), Vec::<Vec<PeerName>>::new());

    let [one, left] = others(&second)[..] else { panic!("there are two others") };
    group.kill(second.as_str());
    group.kill(one);
    group.run(SECOND * 19);
    assert_eq!(told(&group), Vec::<Vec<PeerName>>::new(), "it may be back in a moment");
    group.run(SECOND * 60);
    let mut gone = vec![second.clone(), PeerName::from(one)];
    gone.sort();
    assert_eq!(told(&group), [gone.clone()], "{left}");
}
