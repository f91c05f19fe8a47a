//! docs/protocol.md, section 3.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::group::{Group, others};
use crate::config::{Acknowledge, Bounds};
use crate::event::Event;
use crate::id::PeerName;
use crate::protocol::message::Message;

const SECOND: Duration = Duration::from_secs(1);

/// A primary with many pieces of data, and a peer that was killed and is to get them.
fn one_is_late() -> (Group, PeerName, &'static str) {
    let mut group = Group::new(&["a", "b", "c"]);
    group.bounds = Bounds { max_piece_bytes: 256, ..group.bounds };
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded");
    for number in 0..100 {
        group.add(primary.as_str(), &format!("key {number}"), 1).expect("decided");
    }
    let late = others(&primary)[0];
    group.kill(late);
    (group, primary, late)
}

/// A late copy of the question where a peer stands once made it drop what it had staged: the
/// transfer stood still until the primary asked again, and under a stream of copies for ever.
#[test]
fn a_question_that_comes_twice_disturbs_no_transfer() {
    let (mut group, primary, late) = one_is_late();
    group.asked_again = |message| matches!(message, Message::Piece(piece) if piece.index > 0);
    group.start(late);
    group.settle();
    assert_eq!(group.peers[&late.into()].store.position(), group.peers[&primary].store.position());
    assert_eq!((group.total(late, "key 99"), group.lost), (1, 0));
}

#[test]
fn a_question_that_comes_twice_disturbs_no_repair() {
    let mut group = Group::founded(&["a", "b", "c"]);
    group.config.acknowledge = Acknowledge::Primary;
    let old = group.primary().expect("founded");
    group.split(&[old.as_str()], &others(&old));
    group.add(old.as_str(), "k", 100).expect("the lease still runs");
    group.run(SECOND * 12);
    let new = group.primary().expect("a failover");
    group.add(new.as_str(), "k", 5).expect("decided");
    group.asked_again = |message| matches!(message, Message::Tail { .. } | Message::Piece(_));
    group.heal();
    group.run(SECOND);
    assert_eq!((group.total(old.as_str(), "k"), group.lost), (5, 0));
    let lost = |e: &Event| matches!(e, Event::ChangesLost { units: 100, exact: true });
    assert!(group.saw(old.as_str(), lost), "{:?}", group.peers[&old].events);
}

#[test]
fn a_gap_is_told_once() {
    let (mut group, _, late) = one_is_late();
    // Of the first window one piece is lost; those behind it come.
    group.dropped = |message| {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        let is_it = matches!(message, Message::Piece(piece) if piece.index == 3);
        is_it && !IS_DONE.swap(true, Ordering::Relaxed)
    };
    group.start(late);
    group.settle();
    assert_eq!((group.total(late, "key 99"), group.lost), (1, 1));
}
