//! docs/protocol.md, section 3.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::group::{Group, VERIFY, others};
use crate::config::{Acknowledge, Bounds};
use crate::event::Event;
use crate::id::{GroupTime, Lead, PeerName};
use crate::model::Value;
use crate::protocol::io::SWITCH_VERSION;
use crate::protocol::message::{BatchEnd, Message};
use crate::record::{MIN_CELL_BYTES, Record};
use crate::store::Staged;

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for what is loaded in turns, and for no timer.
const MOMENT: Duration = Duration::from_micros(100);

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
    group.run(MOMENT);
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

/// Group time was taken back by a founding, behind the expiry of cells that have gone here: what
/// builds on the rest is refused, and all is copied. What was given up is told as exactly as
/// otherwise.
#[test]
fn a_peer_that_may_lack_cells_that_live_copies_everything() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let old = group.primary().expect("founded");
    group.split(&[old.as_str()], &others(&old));
    group.add(old.as_str(), "k", 100).expect("the lease still runs");
    group.run(SECOND * 12);
    let new = group.primary().expect("a failover");
    group.add(new.as_str(), "k", 5).expect("decided");
    let store = &group.peers[&old].store;
    store.miss_before(store.group_time().after(SECOND * 3600));
    group.heal();
    group.run(SECOND);
    assert_eq!((group.total(old.as_str(), "k"), group.lost), (5, 1));
    let lost = |e: &Event| matches!(e, Event::ChangesLost { units: 100, exact: true });
    assert!(group.saw(old.as_str(), lost), "{:?}", group.peers[&old].events);
    assert!(group.saw(old.as_str(), |e| matches!(e, Event::CaughtUp { .. })));
    // What comes then builds on it again.
    group.add(new.as_str(), "k", 1).expect("decided");
    group.run(SECOND);
    assert_eq!((group.total(old.as_str(), "k"), group.lost), (6, 1));
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
    group.run(MOMENT);
    assert_eq!((group.total(late, "key 99"), group.lost), (1, 1));
}

/// A cell of a replica has another value than the primary's, and nobody has decided that.
fn with_a_silent_change() -> (Group, PeerName, &'static str) {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    group.add(primary.as_str(), "k", 7).expect("decided");
    group.run(SECOND);
    let changed = others(&primary)[0];
    let store = &group.peers[&PeerName::from(changed)].store;
    let value = Some(Value { words: [8, 0, 0], expires: GroupTime::MAX });
    let records = vec![[Record { key: b"\0k", value }].into_iter().collect()];
    let (position, group_time) = (store.position(), store.group_time());
    let end = BatchEnd {
        position,
        group_time,
        lead: Lead::default(),
        expired_before: GroupTime(0),
        meta: None,
    };
    store.apply(Staged { from: Some(position), records, end }).expect("it is its own state");
    assert_eq!(group.total(changed, "k"), 8);
    (group, primary, changed)
}

#[test]
fn a_silent_difference_is_found_told_and_mended() {
    let (mut group, primary, changed) = with_a_silent_change();
    group.run(VERIFY + SECOND * 5);
    assert!(group.saw(changed, |event| matches!(event, Event::Diverged { .. })));
    assert!(group.saw(changed, |event| matches!(event, Event::CaughtUp { .. })));
    assert_eq!(group.total(changed, "k"), 7);
    assert!(!group.saw(others(&primary)[1], |event| matches!(event, Event::Diverged { .. })));
    // And it is found under load as well, where the primary is never twice at one position.
    let (mut group, primary, changed) = with_a_silent_change();
    for _ in 0..70 {
        group.add(primary.as_str(), "other", 1).expect("decided");
        group.run(SECOND);
    }
    assert_eq!(group.total(changed, "k"), 7);
    assert_eq!(group.total(changed, "other"), 70);
}

#[test]
fn who_is_brought_up_to_date_says_how_far_it_is() {
    let (mut group, _, late) = one_is_late();
    group.start(late);
    group.run(SECOND * 5);
    let is_start =
        |event: &Event| matches!(event, Event::CatchUpStarted { cells: 100.., is_full: true, .. });
    assert!(group.saw(late, is_start));
    assert!(group.saw(late, |event| matches!(event, Event::CaughtUp { cells: 100.., .. })));
}

/// Who knew its cells to be wrong won all the same, for it stood as far as the others.
#[test]
fn cells_that_are_known_to_be_wrong_win_no_election() {
    let (mut group, primary, changed) = with_a_silent_change();
    let name = PeerName::from(changed);
    group.dropped = |message| matches!(message, Message::Position { pull: false, .. });
    group.run(VERIFY + SECOND * 5);
    assert!(group.saw(changed, |event| matches!(event, Event::Diverged { .. })));
    assert_eq!(group.total(changed, "k"), 8, "it could not be mended");
    group.kill(primary.as_str());
    group.dropped = |_| false;
    group.run(SECOND * 15);
    assert!(group.primary().is_some());
    assert_eq!(group.total(name.as_str(), "k"), 7);
    assert_eq!(group.total(others(&primary)[1], "k"), 7);
}

/// What others said a heartbeat ago was compared with what this peer holds now: under load a replica
/// showed the primary itself hundreds of cuts behind.
#[test]
fn whoever_is_up_to_date_is_behind_at_no_peer() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let lags = |group: &Group, name: &str| {
        let status = group.peers[&PeerName::from(name)].machine.status(Default::default());
        let others = status.peers.into_iter().map(|peer| peer.lag.expect("it has said so"));
        others.chain(status.lag).max().expect("there are others")
    };
    group.run(SECOND);
    for _ in 0..700 {
        group.add(primary.as_str(), "k", 1).expect("decided");
        group.run(SECOND / 1000);
        for name in ["a", "b", "c"] {
            assert!(lags(&group, name) <= 1, "{name}: {}", lags(&group, name));
        }
    }
    // Nothing reaches the replicas any more but heartbeats: all see it, as of the last of these.
    group.dropped = |message| matches!(message, Message::Piece(piece) if piece.transfer > 0);
    for _ in 0..1500 {
        let _ = group.add(primary.as_str(), "k", 1);
        group.run(SECOND / 1000);
    }
    for name in ["a", "b", "c"] {
        assert!(lags(&group, name) >= 1, "{name}");
    }
}

/// A full copy was kept as it came over the wire, then put in order, and then put into new tables,
/// all cells in one turn: two and a half times what they take in the end, and nothing of the group
/// was done meanwhile.
#[test]
fn a_full_copy_takes_no_more_than_its_cells_and_is_loaded_in_bounded_turns() {
    const CELLS: usize = 6_000;
    const PIECE: usize = 2_048;
    for has_storage in [false, true] {
        let mut group = Group::new(&["a", "b", "c"]);
        group.has_storage = has_storage;
        group.bounds = Bounds { max_piece_bytes: PIECE, ..group.bounds };
        ["a", "b", "c"].iter().for_each(|name| group.start(name));
        group.run(SECOND * 3);
        let primary = group.primary().expect("founded");
        for number in 0..CELLS {
            group.add(primary.as_str(), &format!("key {number}"), 1).expect("decided");
        }
        group.run(SECOND);
        let late = others(&primary)[0];
        group.kill(late);
        (group.most_moved, group.most_staged) = (0, 0);
        group.start(late);
        group.run(SECOND * 5);
        let store = &group.peers[&late.into()].store;
        assert_eq!(store.position(), group.peers[&primary].store.position());
        assert_eq!((store.cells(), group.total(late, "key 5999")), (CELLS, 1));
        let most = PIECE / MIN_CELL_BYTES;
        let shard = CELLS / group.bounds.shards;
        assert!(group.most_moved <= most + shard * 2, "{} moved at once", group.most_moved);
        assert!(group.most_moved >= most, "measured");
        let wire = if has_storage { CELLS * 60 } else { 0 };
        let pieces = (group.bounds.transfer_window + 1) * PIECE;
        let (bound, staged) = (store.allocated_bytes() + pieces + wire, group.most_staged);
        assert!(staged <= bound, "{staged} of {bound} bytes");
        assert!(staged >= CELLS * 64, "measured");
    }
}

/// What was loaded of a copy that comes to nothing is given back, a part at a time.
#[test]
fn what_was_loaded_in_vain_is_given_back() {
    let (mut group, primary, late) = one_is_late();
    group.dropped = |message| matches!(message, Message::Piece(piece) if piece.index > 9);
    group.start(late);
    group.run(MOMENT);
    assert!(group.peers[&late.into()].machine.receiver.bytes() > 0);
    group.kill(primary.as_str());
    group.dropped = |_| false;
    group.run(SECOND * 60);
    let peer = &group.peers[&late.into()];
    assert_eq!((peer.machine.receiver.bytes(), peer.store.discarded_bytes()), (0, 0));
}

/// What a peer says of how far it, or another, is behind, and whether it keeps up.
fn lag_at(group: &Group, at: &str, of: &str) -> (Option<u64>, bool) {
    let status = group.peers[&PeerName::from(at)].machine.status(Default::default());
    if at == of {
        return (status.lag, status.is_current);
    }
    let peer = status.peers.into_iter().find(|peer| peer.name.as_str() == of).expect("known");
    (peer.lag, peer.is_current)
}

/// Three minutes cut off, and 1,500 decisions: it said 0 to the end, and so did the third peer.
#[test]
fn whoever_hears_no_primary_is_behind_by_nobody_knows_how_much() {
    let mut group = Group::founded(&["a", "b", "c"]);
    group.config.acknowledge = Acknowledge::Primary;
    group.run(SECOND);
    let primary = group.primary().expect("founded");
    let [off, third] = others(&primary)[..] else { panic!("there are two others") };
    assert_eq!(lag_at(&group, off, off), (Some(0), true));
    assert_eq!(lag_at(&group, third, off), (Some(0), true));
    group.split(&[primary.as_str()], &[off]);
    group.run(SECOND * 15);
    for _ in 0..1500 {
        group.add(primary.as_str(), "k", 1).expect("two are left");
        group.run(SECOND / 10);
    }
    for at in [off, third] {
        assert_eq!(lag_at(&group, at, off), (None, false), "{at}");
    }
    // By what it has confirmed, for no connection was closed here.
    assert_eq!(lag_at(&group, primary.as_str(), off), (Some(1500), false));
    assert_eq!(lag_at(&group, off, primary.as_str()), (None, false));
    assert_eq!(lag_at(&group, third, third), (Some(0), true));
    group.heal();
    group.run(SECOND * 3);
    for at in [off, third, primary.as_str()] {
        assert_eq!(lag_at(&group, at, off), (Some(0), true), "{at}");
    }
}

/// While a group is upgraded peer by peer: to the first that was, those that are yet to be seemed not
/// to keep up, as if nothing were left without it.
#[test]
fn whoever_does_not_say_how_far_it_is_behind_is_taken_to_keep_up() {
    let mut group = Group::new(&["a", "b", "c"]);
    let old = ["a", "b"].map(|name| (name.into(), SWITCH_VERSION - 1));
    group.versions.extend(old);
    group.priorities.insert("a".into(), 1);
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    assert_eq!(group.primary(), Some("a".into()));
    for of in ["a", "b"] {
        assert!(lag_at(&group, "c", of).1, "{of}");
    }
    group.split(&["a"], &["b"]);
    group.run(SECOND * 15);
    assert!(!lag_at(&group, "c", "b").1, "it suspects the primary");
}

/// A tail that nobody else holds is no lead: it will be given up.
#[test]
fn a_deposed_primary_with_a_tail_of_its_own_is_not_up_to_date() {
    let mut group = Group::founded(&["a", "b", "c"]);
    group.config.acknowledge = Acknowledge::Primary;
    let old = group.primary().expect("founded");
    group.split(&[old.as_str()], &others(&old));
    for _ in 0..100 {
        group.add(old.as_str(), "k", 1).expect("the lease still runs");
        group.run(SECOND / 1000);
    }
    group.run(SECOND * 12);
    let new = group.primary().expect("a failover");
    assert_ne!(old, new);
    // It hears the new primary, and nothing mends its state.
    group.dropped = |message| matches!(message, Message::Fork { .. } | Message::Piece(_));
    group.heal();
    group.run(SECOND);
    for at in ["a", "b", "c"] {
        assert_eq!(lag_at(&group, at, old.as_str()), (None, false), "{at}");
    }
}
