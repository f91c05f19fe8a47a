//! Switches that other peers than the primary ask for, and peers that stop together
//! (docs/protocol.md, section 8).

use std::time::Duration;

use super::group::{Group, others};
use crate::config::ClientRights;
use crate::error::SwitchError;
use crate::event::Event;
use crate::id::{Ballot, PeerKind, PeerName};
use crate::protocol::io::{Input, SWITCH_VERSION};
use crate::protocol::machine::Role;
use crate::protocol::message::Message;

const SECOND: Duration = Duration::from_secs(1);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn switched(group: &Group, at: &str) -> Vec<Result<PeerName, SwitchError>> {
    group.peers[&PeerName::from(at)].switched.clone()
}

/// The story: everything was passed on to the primary but this, which said "ask a".
#[test]
fn any_member_may_be_asked_for_a_switch() {
    for asks_successor in [false, true] {
        let mut group = Group::founded(&NAMES);
        let old = group.primary().expect("founded");
        group.add(old.as_str(), "k", 7).expect("decided");
        let [to, third] = others(&old)[..] else { panic!("there are two others") };
        let asked = if asks_successor { to } else { third };
        group.switch(asked, 1, to);
        group.run(SECOND / 10);
        assert_eq!(group.primary(), Some(to.into()));
        assert_eq!(switched(&group, asked), [Ok(to.into())]);
        assert_eq!(switched(&group, old.as_str()), [], "it was not asked for there");
        assert_eq!(group.total(to, "k"), 7);
        // It is so already.
        group.switch(asked, 2, to);
        assert_eq!(switched(&group, asked)[1..], [Ok(to.into())]);
        assert_eq!(group.primary(), Some(to.into()));
    }
}

#[test]
fn an_answer_that_is_lost_is_found_out_by_who_is_primary() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, third] = others(&old)[..] else { panic!("there are two others") };
    group.dropped = |message| matches!(message, Message::Switched { .. });
    group.switch(third, 1, to);
    group.run(SECOND / 10);
    assert_eq!(switched(&group, third), []);
    group.dropped = |_| false;
    group.run(SECOND * 2);
    assert_eq!(switched(&group, third), [Ok(to.into())]);
    assert_eq!(group.primary(), Some(to.into()), "it was asked for once");
}

#[test]
fn a_switch_that_cannot_be_is_refused_at_any_member_with_the_reason() {
    let mut group = Group::new(&NAMES);
    group.priorities.extend([("a".into(), 1), ("b".into(), 2), ("c".into(), 0)]);
    NAMES.iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    assert_eq!(group.primary(), Some("a".into()));
    group.switch("b", 1, "z");
    group.switch("b", 2, "c");
    assert_eq!(
        switched(&group, "b"),
        [
            Err(SwitchError::NotMember { to: "z".into() }),
            Err(SwitchError::PriorityZero { to: "c".into() }),
        ]
    );
    group.kill("b");
    group.switch("c", 3, "b");
    let gone = SwitchError::NotConnected { members: vec!["b".into()] };
    assert_eq!(switched(&group, "c"), [Err(gone)]);
    assert_eq!(group.primary(), Some("a".into()));
}

#[test]
fn who_is_no_member_switches_only_where_clients_may() {
    for may in [false, true] {
        let mut group = Group::new(&NAMES);
        group.client_rights = ClientRights { switch_primary: may, ..ClientRights::default() };
        NAMES.iter().for_each(|name| group.start(name));
        group.run(SECOND * 3);
        group.start_as("x", PeerKind::Client);
        group.run(SECOND);
        let old = group.primary().expect("founded");
        let to = others(&old)[0];
        group.switch("x", 1, to);
        group.run(SECOND / 10);
        let (result, primary) =
            if may { (Ok(to.into()), to) } else { (Err(SwitchError::NotAllowed), old.as_str()) };
        assert_eq!(switched(&group, "x"), [result]);
        assert_eq!(group.primary(), Some(primary.into()));
    }
}

#[test]
fn a_primary_of_an_older_version_is_named() {
    let mut group = Group::new(&NAMES);
    group.versions.extend(NAMES.map(|name| (name.into(), SWITCH_VERSION - 1)));
    NAMES.iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let old = group.primary().expect("founded");
    let [to, third] = others(&old)[..] else { panic!("there are two others") };
    group.switch(third, 1, to);
    let named = SwitchError::NotPrimary { primary: Some(old.clone()) };
    assert_eq!(switched(&group, third), [Err(named)]);
    assert_eq!(group.primary(), Some(old));
}

#[test]
fn without_a_primary_it_ends_in_time_and_says_so() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, third] = others(&old)[..] else { panic!("there are two others") };
    group.kill(old.as_str());
    group.kill(to);
    group.run(SECOND * 15);
    group.switch(third, 1, to);
    group.run(SECOND * 29);
    assert_eq!(switched(&group, third), []);
    group.run(SECOND * 2);
    let waited = group.config.io_timeout;
    assert_eq!(switched(&group, third), [Err(SwitchError::NoPrimary { waited })]);
}

/// Whoever was asked is no primary any more: another one was not meant, and the asker itself neither.
#[test]
fn a_wish_is_not_passed_on_to_another_primary() {
    for (asks, wins) in [(0, 1), (0, 0)] {
        let mut group = Group::founded(&NAMES);
        let old = group.primary().expect("founded");
        let others = others(&old);
        let (asker, winner) = (others[asks], others[wins]);
        let loser = others[1 - wins];
        group.dropped = |message| matches!(message, Message::SwitchPrimary { .. });
        let to = if winner == asker { loser } else { asker };
        group.switch(asker, 1, to);
        group.dropped = |_| false;
        // The old primary goes on, out of reach.
        group.strand(old.as_str());
        group.input(&loser.into(), Input::SetPriority(0));
        group.run(SECOND * 20);
        assert_eq!(group.primary(), Some(winner.into()));
        let aborted = Err(SwitchError::Aborted { to: to.into() });
        assert_eq!(switched(&group, asker), [aborted], "{winner} was elected");
    }
}

/// A repeat crossed the answer, and the primary began another switch that nobody waited for.
#[test]
fn a_wish_is_met_once_however_often_it_is_asked_for() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, third] = others(&old)[..] else { panic!("there are two others") };
    let aborts = |group: &Group| {
        let events = &group.peers[&old].events;
        events.iter().filter(|event| matches!(event, Event::SwitchAborted { .. })).count()
    };
    // The successor takes nothing, and the answer is lost.
    group.dropped = |message| matches!(message, Message::Piece(_) | Message::Switched { .. });
    group.add(old.as_str(), "k", 7).expect("decided");
    group.switch(third, 1, to);
    let asked = |group: &mut Group| {
        let (peer, incarnation) = (PeerName::from(third), group.peers[&third.into()].incarnation);
        let ballot = group.peers[&old].machine.status(Default::default()).ballot;
        let message = Message::SwitchPrimary { request: 1, to: to.into(), ballot };
        group.input(&old, Input::Message { peer, incarnation, message });
    };
    for _ in 0..20 {
        asked(&mut group);
        group.run(SECOND / 4);
    }
    assert_eq!(aborts(&group), 1);
    group.dropped = |message| matches!(message, Message::Piece(_));
    asked(&mut group);
    group.run(SECOND / 100);
    assert_eq!(switched(&group, third), [Err(SwitchError::Aborted { to: to.into() })]);
    assert_eq!(group.primary(), Some(old.clone()));
    // A wish of an older reign is none.
    group.dropped = |_| false;
    let stale = Message::SwitchPrimary { request: 2, to: to.into(), ballot: Ballot::NONE };
    let incarnation = group.peers[&third.into()].incarnation;
    group.input(&old, Input::Message { peer: third.into(), incarnation, message: stale });
    group.run(SECOND);
    assert_eq!(group.primary(), Some(old));
}

/// For a failure timeout a peer that is cut off takes its last primary for one that is there.
#[test]
fn whoever_is_cut_off_knows_nothing_of_a_switch() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, cut] = others(&old)[..] else { panic!("there are two others") };
    group.split(&[cut], &[old.as_str(), to]);
    group.switch(to, 1, to);
    group.run(SECOND);
    assert_eq!(group.primary(), Some(to.into()));
    group.switch(cut, 1, old.as_str());
    group.run(SECOND);
    assert_eq!(switched(&group, cut), []);
    group.heal();
    group.run(SECOND * 3);
    let said = switched(&group, cut);
    assert!(matches!(said[..], [Ok(_) | Err(SwitchError::Aborted { .. })]), "{said:?}");
}

/// A link that is reset is no end of the process behind it.
#[test]
fn a_successor_whose_link_is_reset_is_waited_for() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let to = others(&old)[0];
    group.add(old.as_str(), "k", 7).expect("decided");
    group.dropped = |message| matches!(message, Message::PreVote(_) | Message::Vote(_));
    group.input(&old, Input::Switch { request: 1, to: Some(to.into()) });
    group.settle();
    assert_eq!(switched(&group, old.as_str()), [], "it has released, and waits");
    group.split(&[old.as_str()], &[to]);
    let incarnation = group.peers[&to.into()].incarnation;
    let down = Input::LinkDown { peer: to.into(), incarnation, has_ended: false };
    group.input(&old, down);
    group.run(SECOND / 100);
    assert_eq!(switched(&group, old.as_str()), []);
    group.dropped = |_| false;
    group.heal();
    group.run(SECOND * 8);
    let is_met = group.primary() == Some(to.into());
    let said = switched(&group, old.as_str());
    assert_eq!((said.len(), said[0].is_ok()), (1, is_met), "{said:?}");
}

/// The story: all three were stopped at once. The primary handed over to one that was about to end,
/// and waited for it for half a failure timeout.
#[test]
fn nobody_hands_over_to_a_peer_that_stops() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [one, other] = others(&old)[..] else { panic!("there are two others") };
    let both = |group: &Group, at: &str| {
        let events = &group.peers[&PeerName::from(at)].events;
        events.iter().filter(|event| matches!(event, Event::CampaignStarted { .. })).count()
    };
    let before = both(&group, one);
    group.input(&one.into(), Input::StepAside(true));
    group.settle();
    group.input(&old, Input::Switch { request: 1, to: None });
    group.run(SECOND / 10);
    assert_eq!(group.primary(), Some(other.into()), "the other one goes on");
    group.input(&old, Input::StepAside(true));
    group.settle();
    group.input(&other.into(), Input::Switch { request: 1, to: None });
    let members = vec![old.clone(), one.into()];
    assert_eq!(switched(&group, other), [Err(SwitchError::NoCandidate { members })]);
    assert_eq!(both(&group, one), before);
    // It goes on after all.
    group.input(&one.into(), Input::StepAside(false));
    group.settle();
    group.input(&other.into(), Input::Switch { request: 2, to: None });
    group.run(SECOND / 10);
    assert_eq!(group.primary(), Some(one.into()));
}

#[test]
fn a_successor_that_ends_is_not_waited_for() {
    for has_released in [false, true] {
        let mut group = Group::founded(&NAMES);
        let old = group.primary().expect("founded");
        let [to, third] = others(&old)[..] else { panic!("there are two others") };
        group.dropped = match has_released {
            // It hears of nothing.
            true => |message| matches!(message, Message::Release { .. }),
            false => |message| matches!(message, Message::Piece(_)),
        };
        group.add(old.as_str(), "k", 7).expect("decided");
        group.input(&old, Input::Switch { request: 1, to: Some(to.into()) });
        group.settle();
        assert_eq!(switched(&group, old.as_str()), []);
        group.dropped = |_| false;
        group.stop(to);
        group.run(SECOND / 100);
        let aborted = Err(SwitchError::Aborted { to: to.into() });
        assert_eq!(switched(&group, old.as_str()), [aborted]);
        group.run(SECOND * 20);
        assert!(group.primary().is_some(), "the two that are left go on: {third}");
    }
}

/// One that stops was chosen before it was known to.
#[test]
fn a_successor_that_stops_lets_others_stand() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let to = others(&old)[0];
    group.dropped = |message| matches!(message, Message::Ping { .. } | Message::Pong { .. });
    group.input(&to.into(), Input::StepAside(true));
    group.input(&old, Input::Switch { request: 1, to: Some(to.into()) });
    group.settle();
    group.dropped = |_| false;
    group.run(SECOND * 8);
    let primary = group.primary().expect("the others are a majority");
    assert_ne!(primary.as_str(), to);
}

/// A peer asked for a switch and was restarted before that ended. Its next start numbers its wishes
/// anew, and was told of the first one what had become of that of the start before.
#[test]
fn the_answer_to_one_start_of_a_peer_is_none_to_another() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, asker] = others(&old)[..] else { panic!("there are two others") };
    // The successor takes nothing.
    group.dropped = |message| matches!(message, Message::Piece(_));
    group.add(old.as_str(), "k", 7).expect("decided");
    group.switch(asker, 1, to);
    group.kill(asker);
    group.start(asker);
    group.run(SECOND * 5);
    let aborted = |event: &Event| matches!(event, Event::SwitchAborted { .. });
    assert!(group.saw(old.as_str(), aborted), "the wish of the first start has ended");
    group.dropped = |_| false;
    group.run(SECOND * 5);
    assert_eq!(group.primary(), Some(old));
    group.switch(asker, 1, to);
    group.run(SECOND);
    assert_eq!(switched(&group, asker), [Ok(to.into())]);
    assert_eq!(group.primary(), Some(to.into()));
}

/// The link was reset before the answer was heard, and the answer forgotten with it.
#[test]
fn a_wish_is_met_once_over_links_that_are_reset() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, asker] = others(&old)[..] else { panic!("there are two others") };
    group.dropped = |message| matches!(message, Message::Piece(_) | Message::Switched { .. });
    group.add(old.as_str(), "k", 7).expect("decided");
    group.switch(asker, 1, to);
    group.run(SECOND * 3);
    let aborted = |event: &&Event| matches!(event, Event::SwitchAborted { .. });
    let aborts = |group: &Group| group.peers[&old].events.iter().filter(aborted).count();
    assert_eq!(aborts(&group), 1);
    group.reset(old.as_str(), asker);
    group.dropped = |_| false;
    group.run(SECOND * 3);
    assert_eq!(switched(&group, asker), [Err(SwitchError::Aborted { to: to.into() })]);
    assert_eq!((group.primary(), aborts(&group)), (Some(old.clone()), 1), "it was met once");
}

/// Only the last answer was kept: an earlier wish that came once more was met after all, when its
/// asker had long been told that it was not.
#[test]
fn a_late_repeat_of_an_earlier_wish_is_answered_as_it_was() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, asker] = others(&old)[..] else { panic!("there are two others") };
    let ballot = group.peers[&old].machine.status(Default::default()).ballot;
    group.input(&to.into(), Input::SetPriority(0));
    group.run(SECOND);
    group.switch(asker, 1, to);
    group.switch(asker, 2, "z");
    let told = [
        Err(SwitchError::PriorityZero { to: to.into() }),
        Err(SwitchError::NotMember { to: "z".into() }),
    ];
    assert_eq!(switched(&group, asker), told);
    group.input(&to.into(), Input::SetPriority(5));
    group.run(SECOND);
    let message = Message::SwitchPrimary { request: 1, to: to.into(), ballot };
    let incarnation = group.peers[&asker.into()].incarnation;
    group.input(&old, Input::Message { peer: asker.into(), incarnation, message });
    group.run(SECOND);
    assert_eq!(group.primary(), Some(old));
    assert_eq!(switched(&group, asker), told);
}

/// A peer that was shut down said that it had handed over, to whoever had been elected over it.
#[test]
fn who_has_released_its_reign_says_to_whom_and_who_was_deposed_says_that() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    let [to, third] = others(&old)[..] else { panic!("there are two others") };
    group.dropped = |message| matches!(message, Message::PreVote(_) | Message::Vote(_));
    group.switch(third, 1, to);
    group.input(&old, Input::Switch { request: 1, to: None });
    assert_eq!(switched(&group, old.as_str()), [Err(SwitchError::Busy)], "until it is elected");
    group.dropped = |_| false;
    group.input(&old, Input::SetPriority(0));
    group.run(SECOND * 8);
    let new = group.primary().expect("one of the others");
    group.input(&old, Input::Switch { request: 2, to: None });
    assert_eq!(switched(&group, old.as_str())[1..], [Ok(new.clone())]);
    // That one is cut off, and another elected over it.
    group.run(SECOND * 2);
    group.split(&[new.as_str()], &others(&new));
    group.run(SECOND * 25);
    group.heal();
    group.run(SECOND * 5);
    let next = group.primary().expect("the two others");
    assert_ne!(next, new);
    group.input(&new, Input::Switch { request: 3, to: None });
    let last = switched(&group, new.as_str()).pop();
    assert_eq!(last, Some(Err(SwitchError::NotPrimary { primary: Some(next) })));
}

/// Its request for votes went on, and it was elected just before it ended.
#[test]
fn who_steps_aside_stands_no_longer() {
    let mut group = Group::founded(&NAMES);
    let old = group.primary().expect("founded");
    group.dropped = |message| matches!(message, Message::PreVoteReply { .. });
    group.kill(old.as_str());
    let is_standing = |group: &Group, name: &PeerName| {
        matches!(group.peers[name].machine.role, Role::PreCandidate(_) | Role::Candidate(_))
    };
    let names: Vec<PeerName> = group.peers.keys().filter(|n| **n != old).cloned().collect();
    let standing = (0..2_000).find_map(|_| {
        group.run(SECOND / 100);
        names.iter().find(|name| is_standing(&group, name)).cloned()
    });
    let standing = standing.expect("nobody is primary");
    group.input(&standing, Input::StepAside(true));
    assert!(!is_standing(&group, &standing));
    group.dropped = |_| false;
    group.run(SECOND * 5);
    let other = names.into_iter().find(|name| *name != standing);
    assert_eq!(group.primary(), other);
}

/// The members that go on are never promoted: one that is restarted is waited for.
#[test]
fn one_that_is_restarted_may_take_over_where_the_others_never_do() {
    let mut group = Group::new(&NAMES);
    group.priorities.extend([("a".into(), 1), ("b".into(), 2), ("c".into(), 0)]);
    NAMES.iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let asked = |group: &mut Group, request| {
        group.input(&"a".into(), Input::Switch { request, to: None });
        group.run(SECOND / 10);
        switched(group, "a").pop()
    };
    let not_yet = Some(Err(SwitchError::NotReady { to: None }));
    group.input(&"b".into(), Input::StepAside(true));
    group.settle();
    assert_eq!(asked(&mut group, 1), not_yet);
    group.stop("b");
    group.settle();
    assert_eq!(asked(&mut group, 2), not_yet);
    // Where all that are left stop nobody is waited for.
    group.input(&"c".into(), Input::StepAside(true));
    group.settle();
    let members = vec!["c".into()];
    assert_eq!(asked(&mut group, 3), Some(Err(SwitchError::NoCandidate { members })));
    group.input(&"c".into(), Input::StepAside(false));
    group.start("b");
    group.run(SECOND * 5);
    assert_eq!(asked(&mut group, 4), Some(Ok("b".into())));
}
