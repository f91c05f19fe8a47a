//! docs/protocol.md, section 7.

use std::time::Duration;

use super::group::{Group, others};
use crate::error::RemoveError;
use crate::event::Event;
use crate::id::{PeerKind, PeerName};
use crate::protocol::PeerRole;
use crate::protocol::io::{Input, Route};
use crate::protocol::message::{Brief, Message};

const SECOND: Duration = Duration::from_secs(1);

/// A founded group of `a`, `b` and `c`, whose primary is the first, with a count of 7.
fn three() -> (Group, String) {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded").to_string();
    group.add(&primary, "k", 7).expect("decided");
    (group, primary)
}

fn role(group: &Group, name: &str) -> PeerRole {
    let peer = &group.peers[&PeerName::from(name)];
    peer.machine.status(Default::default()).role
}

#[test]
fn a_joiner_is_brought_up_to_date_and_then_counts() {
    let (mut group, primary) = three();
    group.start_as("d", PeerKind::Joiner);
    assert_eq!(group.members(&primary), ("abc".into(), false), "not at once");
    group.run(SECOND * 4);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(group.members(name), ("abcd".into(), false), "at {name}");
        let added = |e: &Event| matches!(e, Event::MemberAdded { peer, members: 4 } if peer.as_str() == "d");
        assert!(group.saw(name, added), "at {name}");
    }
    assert_eq!((group.total("d", "k"), role(&group, "d")), (7, PeerRole::Replica));
    // Of four, three are a majority now.
    let rest = others(&primary.as_str().into());
    group.split(&[&primary, rest[0]], &[rest[1], "d"]);
    group.run(SECOND * 9);
    assert_eq!(group.primary(), None);
    group.heal();
    group.run(SECOND * 20);
    assert!(group.primary().is_some());
}

#[test]
fn a_joiner_founds_nothing_and_elects_nobody() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.start_as("d", PeerKind::Joiner);
    group.start_as("e", PeerKind::Joiner);
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None);
    // A founder is not helped by those that are on nobody's list.
    group.start("a");
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None);
    group.start("b");
    group.run(SECOND * 30);
    assert!(group.primary().is_some());
    assert_eq!(group.members("d").0, "abcde");
}

#[test]
fn a_group_takes_no_more_members_than_may_be() {
    let mut group = Group::founded(&["a", "b", "c", "d", "e"]);
    for name in ["f", "g", "h"] {
        group.start_as(name, PeerKind::Joiner);
    }
    group.run(SECOND * 20);
    assert_eq!(group.members("a").0, "abcdefg");
    assert_eq!(role(&group, "h"), PeerRole::Joining);
}

#[test]
fn a_replica_leaves_and_knows_that_it_has() {
    let (mut group, primary) = three();
    let leaver = others(&primary.as_str().into())[0];
    group.remove(leaver, leaver);
    group.run(SECOND * 3);
    assert_eq!(group.removed(leaver), Some(&Ok(())));
    assert_eq!(role(&group, leaver), PeerRole::Removed);
    assert_eq!(group.members(&primary).0.len(), 2);
    assert_eq!(group.members(leaver), group.members(&primary), "it holds its removal");
    // Its calls are forwarded while it is linked, and it elects nobody.
    let route = &group.peers[&PeerName::from(leaver)].route;
    assert!(matches!(route, Route::There { .. }), "{route:?}");
    group.kill(&primary);
    group.run(SECOND * 60);
    assert_eq!(group.primary(), None, "one of two is no majority");
}

#[test]
fn one_that_is_gone_is_forgotten_at_any_peer_and_its_old_id_never_comes_back() {
    let (mut group, primary) = three();
    let rest = others(&primary.as_str().into());
    group.remove(rest[0], rest[1]);
    group.run(SECOND);
    let alive = RemoveError::Alive { peer: rest[1].into() };
    assert_eq!(group.removed(rest[0]), Some(&Err(alive)));
    let (gone, id) = (PeerName::from(rest[1]), group.peers[&rest[1].into()].incarnation);
    group.kill(rest[1]);
    group.peers.get_mut(&rest[0].into()).expect("it runs").removed.clear();
    group.remove(rest[0], rest[1]);
    group.run(SECOND * 3);
    assert_eq!(group.removed(rest[0]), Some(&Ok(())));
    for name in [&primary, rest[0]] {
        let membership = group.peers[&PeerName::from(name)].store.meta().membership;
        assert!(membership.has_removed(&gone, id.into()), "at {name}");
        let removed = |e: &Event| matches!(e, Event::MemberRemoved { peer } if *peer == gone);
        assert!(group.saw(name, removed), "at {name}");
    }
    // Asked again it is done; another start of that name may join.
    group.remove(&primary, rest[1]);
    group.run(SECOND);
    assert_eq!(group.removed(&primary), Some(&Ok(())));
    group.start_as(rest[1], PeerKind::Joiner);
    group.run(SECOND * 4);
    assert_eq!(group.members(&primary), ("abc".into(), false));
}

#[test]
fn what_cannot_be_removed_is_named() {
    let (mut group, primary) = three();
    group.remove(&primary, &primary);
    let is_primary = RemoveError::Primary { peer: primary.as_str().into() };
    assert_eq!(group.removed(&primary), Some(&Err(is_primary)));
    let other = others(&primary.as_str().into())[0];
    group.remove(other, "z");
    let stranger = RemoveError::NotMember { peer: "z".into() };
    assert_eq!(group.removed(other), Some(&Err(stranger)));

    let mut alone = Group::founded(&["a"]);
    alone.remove("a", "a");
    assert_eq!(alone.removed("a"), Some(&Err(RemoveError::LastMember { peer: "a".into() })));
}

/// With one of three gone another's leave was begun, could not be committed, and took the primary's
/// lease with it.
#[test]
fn who_is_needed_does_not_leave() {
    let (mut group, primary) = three();
    let [leaver, gone] = others(&primary.as_str().into())[..] else { unreachable!("of three") };
    group.kill(gone);
    group.run(SECOND * 10);
    group.remove(leaver, leaver);
    group.run(SECOND * 40);
    // It was told that the change might still be made.
    let error = |peer: &str| RemoveError::NotBegun {
        peer: peer.into(),
        missing: vec![gone.into()],
        waited: SECOND * 30,
    };
    assert_eq!(group.removed(leaver), Some(&Err(error(leaver))));
    assert_eq!(
        error("x").to_string(),
        format!(
            "x was not counted out within 30s, and nothing was begun: it takes a majority of those \
             who would be left, and {gone} is not connected: bring back who is gone, or have it \
             forgotten first"
        )
    );
    assert_eq!(group.primary().as_ref().map(PeerName::as_str), Some(&*primary));
    group.add(&primary, "k", 1).expect("a majority is there");
    assert_eq!(group.members(&primary), ("abc".into(), false));
    // Who is gone is forgotten first.
    group.remove(leaver, gone);
    group.run(SECOND * 3);
    assert_eq!(group.peers[&PeerName::from(leaver)].removed.last(), Some(&Ok(())));
    group.remove(leaver, leaver);
    group.run(SECOND * 3);
    assert_eq!(group.members(&primary).0, primary);
}

/// The member that was missing came back just after who had asked was told, and the change was made.
#[test]
fn what_was_said_not_to_be_begun_is_not_begun_later() {
    let (mut group, primary) = three();
    let [leaver, gone] = others(&primary.as_str().into())[..] else { unreachable!("of three") };
    group.split(&[gone], &[&primary, leaver]);
    group.run(SECOND * 10);
    group.remove(leaver, leaver);
    let mut waited = 0;
    while group.removed(leaver).is_none() {
        assert!(waited < 31_000);
        group.run(SECOND / 1000);
        waited += 1;
    }
    assert!(matches!(group.removed(leaver), Some(Err(RemoveError::NotBegun { .. }))));
    group.heal();
    group.run(SECOND * 20);
    assert_eq!(group.members(&primary), ("abc".into(), false));
    // A moment before it was still asked for.
    group.split(&[gone], &[&primary, leaver]);
    group.run(SECOND * 10);
    group.remove(leaver, leaver);
    group.run(SECOND * 25);
    group.heal();
    group.run(SECOND * 10);
    assert_eq!(group.peers[&PeerName::from(leaver)].removed.last(), Some(&Ok(())));
}

#[test]
fn a_removal_without_a_primary_ends_at_its_deadline() {
    let (mut group, primary) = three();
    let rest = others(&primary.as_str().into());
    group.kill(&primary);
    group.kill(rest[0]);
    group.remove(rest[1], &primary);
    group.run(SECOND * 29);
    assert_eq!(group.removed(rest[1]), None);
    group.run(SECOND * 2);
    let error = RemoveError::NoPrimary { waited: SECOND * 30 };
    assert_eq!(group.removed(rest[1]), Some(&Err(error)));
}

#[test]
fn a_crashed_peer_counts_until_it_is_forgotten() {
    let (mut group, primary) = three();
    group.start_as("d", PeerKind::Joiner);
    group.run(SECOND * 4);
    let rest = others(&primary.as_str().into());
    group.kill(rest[0]);
    group.run(SECOND * 2);
    group.remove(&primary, rest[0]);
    group.run(SECOND * 3);
    assert_eq!(group.removed(&primary), Some(&Ok(())));
    // Of the three that are left, two are enough.
    group.kill(rest[1]);
    group.run(SECOND * 12);
    assert_eq!(group.primary(), Some(primary.as_str().into()));
    group.add(&primary, "k", 1).expect("decided");
    assert_eq!(group.total("d", "k"), 8);
}

/// The end of its removal had reached the leaver alone: it withheld the vote that the others needed
/// under the membership before.
#[test]
fn a_primary_that_dies_in_the_middle_of_a_removal_leaves_nobody_stuck() {
    let mut group = Group::founded(&["a", "b", "c", "d"]);
    let primary = group.primary().expect("founded").to_string();
    let leaver = ["a", "b", "c", "d"].into_iter().find(|n| *n != primary).expect("three others");
    // Nothing of a settled membership reaches those that stay.
    group.dropped = |message| {
        let Message::Piece(piece) = message else { return false };
        let meta = piece.end.as_ref().and_then(|end| end.meta.as_ref());
        meta.is_some_and(|meta| meta.membership.next.is_none())
    };
    group.remove(leaver, leaver);
    assert_eq!(group.members(&primary), ("abcd".replace(leaver, ""), false));
    assert_ne!(role(&group, leaver), PeerRole::Removed, "it is told last of all");
    group.kill(&primary);
    group.dropped = |_| false;
    group.run(SECOND * 30);
    let new = group.primary().expect("three of four are there");
    assert_eq!(group.members(new.as_str()).0, "abcd".replace(leaver, ""));
    assert_eq!(role(&group, leaver), PeerRole::Removed);
}

/// The old members could still elect, as far as those knew that had missed a removal's beginning; who
/// knew of it waited for them, for ever.
#[test]
fn a_restart_in_the_middle_of_a_removal_leaves_nobody_waiting() {
    let (mut group, primary) = three();
    let [leaver, other] = others(&primary.as_str().into())[..] else { unreachable!("of three") };
    // The beginning of the removal reaches one of them, its end none.
    group.split(&[&primary], &[leaver]);
    group.dropped = |message| {
        let Message::Piece(piece) = message else { return false };
        let meta = piece.end.as_ref().and_then(|end| end.meta.as_ref());
        meta.is_some_and(|meta| meta.membership.next.is_none())
    };
    let incarnation = group.peers[&PeerName::from(leaver)].incarnation;
    let message = Message::Remove { request: 1, peer: leaver.into() };
    let asked = Input::Message { peer: leaver.into(), incarnation, message };
    group.input(&primary.as_str().into(), asked);
    group.settle();
    assert_eq!(group.members(other), ("abc".into(), true));
    assert_eq!(group.members(leaver), ("abc".into(), false));
    group.kill(&primary);
    group.dropped = |_| false;
    group.start(&primary);
    group.heal();
    group.run(SECOND * 45);
    let new = group.primary().expect("all three are there");
    assert_eq!(group.total(new.as_str(), "k"), 7);
}

/// Who was on its way out held the freshest state, did not stand, and let nobody else pass.
#[test]
fn who_is_leaving_brings_the_state_back_where_nobody_else_has_it() {
    let (mut group, primary) = three();
    let [leaver, other] = others(&primary.as_str().into())[..] else { unreachable!("of three") };
    // The beginning of its removal reaches the leaver alone, and then the primary restarts blank.
    group.split(&[&primary], &[other]);
    group.dropped = |message| matches!(message, Message::Held { .. });
    group.remove(leaver, leaver);
    assert_eq!(group.members(leaver), ("abc".into(), true));
    assert_eq!(group.members(other), ("abc".into(), false));
    group.kill(&primary);
    group.dropped = |_| false;
    group.start(&primary);
    group.heal();
    group.run(SECOND * 45);
    let new = group.primary().expect("all three are there");
    assert_eq!(group.total(new.as_str(), "k"), 7);
}

#[test]
fn everyone_may_be_replaced_one_by_one_and_the_counts_stay() {
    let (mut group, _) = three();
    for (old, new) in [("a", "d"), ("b", "e"), ("c", "f")] {
        group.start_as(new, PeerKind::Joiner);
        group.run(SECOND * 4);
        if group.primary() == Some(old.into()) {
            group.input(&old.into(), Input::Switch { request: 9, to: None });
            group.run(SECOND * 2);
        }
        group.remove(old, old);
        group.run(SECOND * 4);
        assert_eq!(group.removed(old), Some(&Ok(())), "{old}");
        group.kill(old);
    }
    let primary = group.primary().expect("a primary").to_string();
    assert_eq!(group.members(&primary), ("def".into(), false));
    assert_eq!(group.total(&primary, "k"), 7);
    group.kill(&primary);
    group.run(SECOND * 12);
    let new = group.primary().expect("two of three");
    assert_eq!(group.total(new.as_str(), "k"), 7);
}

#[test]
fn a_client_finds_the_primary_and_the_next_one_and_holds_nothing() {
    let (mut group, primary) = three();
    group.start_as("x", PeerKind::Client);
    group.run(SECOND * 2);
    let route = |group: &Group| match &group.peers[&PeerName::from("x")].route {
        Route::There { peer, .. } => Some(peer.to_string()),
        _ => None,
    };
    assert_eq!(route(&group), Some(primary.clone()));
    assert_eq!(role(&group, "x"), PeerRole::Client);
    let x = &group.peers[&PeerName::from("x")];
    assert!(x.store.position().is_blank(), "no data");
    group.kill(&primary);
    group.run(SECOND * 12);
    let new = group.primary().expect("a failover").to_string();
    assert_eq!(route(&group), Some(new.clone()));
    // It helps nobody to a majority.
    let last = others(&primary.as_str().into()).into_iter().find(|n| *n != new).expect("one more");
    group.kill(last);
    group.run(SECOND * 30);
    assert_eq!((group.primary(), route(&group)), (None, None));
}

#[test]
fn a_client_has_nobody_counted_out_unless_the_members_let_it() {
    for may in [false, true] {
        let mut group = Group::new(&["a", "b", "c"]);
        group.client_rights.remove_members = may;
        ["a", "b", "c"].iter().for_each(|name| group.start(name));
        group.start_as("x", PeerKind::Client);
        group.run(SECOND * 5);
        let primary = group.primary().expect("founded").to_string();
        let gone = others(&primary.as_str().into())[0];
        group.kill(gone);
        group.run(SECOND * 4);
        group.remove("x", gone);
        group.run(SECOND * 4);
        let expected =
            if may { Ok(()) } else { Err(RemoveError::NotAllowed { peer: gone.into() }) };
        assert_eq!(group.removed("x"), Some(&expected));
        assert_eq!(group.members(&primary).0.len(), if may { 2 } else { 3 });
    }
}

#[test]
fn a_client_goes_back_to_an_older_ballot_and_raises_nobodys() {
    let (mut group, primary) = three();
    group.start_as("x", PeerKind::Client);
    group.run(SECOND * 2);
    // A reign that nobody else ever hears of again.
    let other = PeerName::from(others(&primary.as_str().into())[0]);
    let (brief, incarnation) = {
        let peer = &group.peers[&other];
        let brief = peer.machine.brief();
        let next = brief.ballot.next_term().expect("there is a next one");
        let ballot = next.next_term().expect("and one more");
        (Brief { is_primary: true, ballot, ..brief }, peer.incarnation)
    };
    let lost = Message::Ping { number: 1, brief };
    group.input(&"x".into(), Input::Message { peer: other.clone(), incarnation, message: lost });
    let at = |group: &Group| match &group.peers[&PeerName::from("x")].route {
        Route::There { peer, .. } => Some(peer.clone()),
        _ => None,
    };
    assert_eq!(at(&group), Some(other));
    let elected = |e: &Event| matches!(e, Event::CampaignStarted { .. });
    let before = group.peers.values().flat_map(|p| &p.events).filter(|e| elected(e)).count();
    group.run(SECOND * 12);
    assert_eq!(at(&group), Some(primary.as_str().into()));
    let after = group.peers.values().flat_map(|p| &p.events).filter(|e| elected(e)).count();
    assert_eq!((group.primary(), after), (Some(primary.as_str().into()), before));
}

#[test]
fn blank_peers_that_a_living_group_has_refused_found_none_beside_it() {
    let mut group = Group::new(&["a", "b", "c"]);
    for name in ["a", "b"] {
        group.start(name);
        group.input(&name.into(), Input::HolderMet { position: None });
    }
    for _ in 0..30 {
        group.run(SECOND * 2);
        group.input(&"a".into(), Input::HolderMet { position: None });
    }
    assert_eq!(group.primary(), None, "b could pledge itself, and a may not stand");
    group.run(SECOND * 30);
    assert!(group.primary().is_some(), "nobody has refused them for a failure timeout");
}

#[test]
fn an_address_that_changes_is_followed() {
    let (mut group, primary) = three();
    let moved = others(&primary.as_str().into())[0];
    group.addresses.insert(moved.into(), "new.example:1".into());
    group.kill(moved);
    group.start(moved);
    group.run(SECOND * 4);
    for name in ["a", "b", "c"] {
        let membership = group.peers[&PeerName::from(name)].store.meta().membership;
        let member = membership.voters.iter().find(|m| m.name.as_str() == moved);
        assert_eq!(member.expect("a member").address, "new.example:1", "at {name}");
    }
}

#[test]
fn a_priority_changes_live() {
    let (mut group, primary) = three();
    let rest = others(&primary.as_str().into());
    group.input(&rest[1].into(), Input::SetPriority(1));
    group.settle();
    group.kill(&primary);
    group.run(SECOND * 12);
    assert_eq!(group.primary(), Some(rest[1].into()));
}
