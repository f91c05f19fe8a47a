//! docs/protocol.md, section 6.

use std::time::Duration;

use super::group::{Group, Peer, others};
use crate::base::event::Event;
use crate::base::id::{Ballot, Generation, GroupId, PeerName, Position, Sequence, Term};
use crate::protocol::io::Input;
use crate::protocol::message::Message;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_blank_peers_found_one_group_at_once() {
    let group = Group::founded(&["a", "b", "c"]);
    let ids: Vec<_> = group.peers.values().map(|p| p.store.meta().group_id).collect();
    assert!(ids[0].is_some());
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn a_lone_peer_never_crowns_itself() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.start("a");
    group.run(SECOND * 120);
    assert_eq!(group.primary(), None);
}

#[test]
fn a_blank_majority_founds_after_a_failure_timeout_and_names_who_is_missing() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.start("a");
    group.start("c");
    group.run(SECOND * 9);
    assert_eq!(group.primary(), None);
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded");
    let unreached =
        |e: &Event| matches!(e, Event::Founded { unreached, .. } if *unreached == ["b".into()]);
    assert!(group.saw(primary.as_str(), unreached));
    // The missing one comes in as a learner and is counted.
    group.start("b");
    group.run(SECOND * 3);
    let b = &group.peers[&"b".into()];
    assert!(b.store.meta().membership.counts(&"b".into(), b.incarnation.into()));
}

/// Another founder has come by the second vote first.
#[test]
fn a_founding_that_came_to_nothing_does_not_stand_in_the_way() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.dropped = |message| matches!(message, Message::Piece(_));
    for name in ["a", "b", "c"] {
        group.start(name);
    }
    group.run(SECOND);
    let reigns = |(_, peer): &(&PeerName, &Peer)| !peer.store.position().is_blank();
    let (first, _) = group.peers.iter().find(reigns).expect("elected, not established");
    let first = first.clone();
    let (other, peer) = group.peers.iter().find(|(name, _)| **name != first).expect("another");
    let (other, incarnation) = (other.clone(), peer.incarnation);
    let mut brief = peer.machine.brief();
    let generation = brief.ballot.generation.to_bits() + 1;
    brief.ballot.generation = Generation::from_bits(generation);
    brief.group_id = Some(GroupId(1));
    brief.is_primary = true;
    let message = Message::Ping { number: u64::MAX, brief };
    group.input(&first, Input::Message { peer: other, incarnation, message });
    assert!(group.peers[&first].store.position().is_blank());
    let is_mismatch = |event: &Event| matches!(event, Event::ConfigMismatch { .. });
    assert!(!group.saw(first.as_str(), is_mismatch), "its group never was");
}

#[test]
fn a_single_peer_is_a_group_of_one() {
    let group = Group::founded(&["a"]);
    assert_eq!(group.primary(), Some("a".into()));
}

#[test]
fn a_survivor_keeps_the_counts_when_a_majority_restarts_blank() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    group.add(primary.as_str(), "k", 7).expect("decided");
    for survivor in ["a", "b", "c"] {
        for name in ["a", "b", "c"].into_iter().filter(|n| *n != survivor) {
            group.kill(name);
        }
        for name in ["a", "b", "c"].into_iter().filter(|n| *n != survivor) {
            group.start(name);
        }
        group.run(SECOND * 25);
        let primary = group.primary().expect("formed anew");
        assert_eq!(group.total(primary.as_str(), "k"), 7, "{survivor} survived");
        for name in ["a", "b", "c"] {
            assert_eq!(group.total(name, "k"), 7, "at {name}, {survivor} survived");
        }
    }
}

#[test]
fn a_member_of_an_older_generation_comes_back_as_a_learner() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    group.add(primary.as_str(), "k", 7).expect("decided");
    // One is cut off, the others lose everything and found the group anew.
    let away = if primary.as_str() == "c" { "a" } else { "c" };
    let rest: Vec<&str> = ["a", "b", "c"].into_iter().filter(|n| *n != away).collect();
    group.split(&[away], &rest);
    for name in &rest {
        group.kill(name);
    }
    for name in &rest {
        group.start(name);
    }
    group.run(SECOND * 15);
    let primary = group.primary().expect("founded anew");
    assert_eq!(group.total(primary.as_str(), "k"), 0);
    group.add(primary.as_str(), "k", 1).expect("decided");
    group.kill(away);
    group.start(away);
    group.heal();
    group.run(SECOND * 15);
    assert_eq!(group.total(away, "k"), 1);
}

fn meet(group: &mut Group, names: &[&str], position: Option<Position>) {
    for name in names {
        group.input(&(*name).into(), Input::HolderMet { position });
    }
}

fn at(sequence: u64) -> Position {
    let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
    Position { ballot, sequence: Sequence(sequence) }
}

/// The story: two of three were restarted in turn with another failure timeout. The third, which
/// had the counts, was refused by both, and they founded the group anew past it.
#[test]
fn blank_peers_found_nothing_past_a_member_with_data_that_is_refused() {
    for position in [None, Some(at(9))] {
        let mut group = Group::new(&["a", "b", "c"]);
        group.start("b");
        group.start("c");
        for _ in 0..60 {
            meet(&mut group, &["b"], position);
            group.run(SECOND);
        }
        assert_eq!(group.primary(), None, "c does not stand alone, and b pledges itself to nobody");
        group.run(SECOND * 25);
        assert!(group.primary().is_some(), "it has not been met for a failure timeout");
    }
}

#[test]
fn whoever_is_told_to_found_does_so_past_a_member_that_is_refused() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.start("b");
    group.start("c");
    meet(&mut group, &["b", "c"], None);
    group.run(SECOND * 2);
    group.input(&"b".into(), Input::FoundNewGroup);
    // An earlier start of either may have promised something.
    for _ in 0..40 {
        meet(&mut group, &["b", "c"], None);
        group.run(SECOND);
    }
    assert!(group.primary().is_some(), "c pledges itself to a candidate that says so");
}

/// A member with data is passed over no more than a blank one: what only the refused one and a
/// restarted one held would be lost.
#[test]
fn nobody_goes_on_from_an_older_state_than_a_member_holds_that_is_refused() {
    for (has_more, founds) in [(true, false), (false, true)] {
        let mut group = Group::founded(&["a", "b", "c"]);
        let primary = group.primary().expect("founded").to_string();
        group.add(&primary, "k", 7).expect("decided");
        group.run(SECOND);
        let rest = others(&primary.as_str().into());
        group.kill(&primary);
        group.kill(rest[0]);
        group.start(rest[0]);
        let own = group.peers[&PeerName::from(rest[1])].store.position();
        let sequence = Sequence(own.sequence.0 + u64::from(has_more));
        for _ in 0..40 {
            meet(&mut group, &rest, Some(Position { sequence, ..own }));
            group.run(SECOND);
        }
        assert_eq!(group.primary().is_some(), founds, "the refused one holds more: {has_more}");
    }
}
