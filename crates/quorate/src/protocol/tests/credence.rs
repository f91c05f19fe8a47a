//! What a client, a joiner or a stranger says never counts as a member's word.

use std::time::Duration;

use super::group::{Group, others};
use crate::base::event::Event;
use crate::base::id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, Lead, Member, MemberId, Now, PeerKind,
    PeerName, PeerStart, Position, Sequence, Term,
};
use crate::config::ClientRights;
use crate::protocol::io::Input;
use crate::protocol::message::{Brief, Campaign, Grant, Message, Piece, VoteRequest};
use crate::record::Records;
use crate::state::{BatchEnd, Membership, Meta};

const SECOND: Duration = Duration::from_secs(1);
/// The last ballot that there is.
const LAST: Ballot = Ballot { generation: Generation::from_bits(u64::MAX), term: Term::MAX };
const NAMES: [&str; 3] = ["a", "b", "c"];

/// A founded group with 100 units, and a peer `x` beside it whose words the test puts into its
/// mouth.
fn group_beside(kind: PeerKind) -> (Group, PeerName) {
    let mut group = Group::founded(&NAMES);
    group.start_as("x", kind);
    // It says nothing of its own, and is not brought up to date.
    group.split(&["x"], &NAMES);
    group.run(SECOND);
    let primary = group.primary().expect("it was founded");
    group.add(primary.as_str(), "k", 100).expect("the primary decides");
    group.run(SECOND);
    (group, primary)
}

fn say(group: &mut Group, message: &Message) {
    let incarnation = group.peers[&PeerName::from("x")].incarnation;
    for name in NAMES {
        let (peer, message) = ("x".into(), message.clone());
        group.input(&name.into(), Input::Message { peer, incarnation, message });
    }
    group.settle();
}

pub(super) fn brief(ballot: Ballot, position: Position, group_id: Option<GroupId>) -> Brief {
    Brief {
        acknowledged: None,
        ballot,
        is_primary: true,
        primary: Some(PeerStart::new("x", Incarnation(4))),
        position,
        group_id,
        is_member: true,
        suspects: None,
        reaches: NAMES.map(PeerName::from).to_vec(),
        priority: 1,
        wall: GroupTime(0),
        uptime_ms: 0,
        has_quorum: true,
        members: vec!["x".into()],
        behind: None,
        is_stopping: false,
        has_failed: false,
        site_epoch: 0,
        is_confirmed: false,
    }
}

fn at(ballot: Ballot) -> Position {
    Position { ballot, sequence: Sequence::MAX_READ }
}

/// Everything of which the sender would be primary of `ballot`, with nothing in its cells.
fn claims(group: &Group, ballot: Ballot) -> Vec<Message> {
    let meta = group.peers[&PeerName::from("a")].store.meta();
    let group_id = meta.group_id;
    let brief = brief(ballot, at(ballot), group_id);
    let end = BatchEnd {
        position: at(ballot),
        group_time: GroupTime(1),
        lead: Lead::default(),
        expired_before: GroupTime(0),
        meta: Some(Box::new(Meta { history: Vec::new(), ..meta })),
    };
    let piece = Piece {
        ballot,
        transfer: u64::MAX,
        index: 0,
        from: None,
        records: Records::default(),
        end: Some(end),
        total: 0,
        digest: None,
    };
    vec![
        Message::Ping { number: 1, brief: brief.clone() },
        Message::Pong { number: 1, promise: Some(ballot), brief },
        Message::Follow { ballot, group_id, is_established: true },
        Message::Piece(piece),
    ]
}

/// The story: one ping of a client claimed to be of the primary of the next term, and one piece
/// without records emptied every member.
#[test]
fn nobody_follows_a_primary_that_is_no_member() {
    for kind in [PeerKind::Client, PeerKind::Joiner] {
        let (mut group, primary) = group_beside(kind);
        let next = group.peers[&primary].store.position().ballot.next_term();
        for ballot in [next.expect("terms are left"), LAST] {
            claims(&group, ballot).iter().for_each(|message| say(&mut group, message));
            group.run(SECOND);
            for name in NAMES {
                assert_eq!(group.total(name, "k"), 100, "{kind:?} at {name}");
            }
            assert_eq!(group.primary(), Some(primary.clone()), "{kind:?}");
        }
    }
}

/// The story: a blank joiner sent one ping with the largest ballot. Everybody took part in it, and
/// nobody was ever elected again.
#[test]
fn the_largest_ballot_of_a_joiner_leaves_elections_possible() {
    for kind in [PeerKind::Client, PeerKind::Joiner] {
        let (mut group, primary) = group_beside(kind);
        for message in [
            Message::Ping { number: 1, brief: brief(LAST, Position::BLANK, None) },
            Message::Ping { number: 2, brief: brief(LAST, at(LAST), None) },
        ] {
            say(&mut group, &message);
        }
        group.run(SECOND);
        assert_eq!(group.primary(), Some(primary.clone()), "{kind:?}: it goes on");
        group.kill(primary.as_str());
        group.run(SECOND * 30);
        let next = group.primary().expect("another one is elected");
        assert_eq!(group.total(next.as_str(), "k"), 100);
        let ballot = group.peers[&next].store.position().ballot;
        assert!(ballot.term < Term(100), "{kind:?}: {ballot}");
    }
}

fn request(ballot: Ballot) -> VoteRequest {
    let position = at(LAST);
    let (campaign, released, is_forced) = (Campaign::Ordinary, Some(LAST), true);
    let gone = Vec::new();
    VoteRequest { ballot, campaign, position, released, is_forced, gone }
}

/// A joiner that stands all the time, in ballots of its own making, takes nobody's vote away.
#[test]
fn nobody_votes_for_a_candidate_that_is_no_member() {
    for kind in [PeerKind::Client, PeerKind::Joiner] {
        let (mut group, primary) = group_beside(kind);
        group.kill(primary.as_str());
        for round in 0..120 {
            let term = Term(1_000 + round);
            let generation = group.peers.values().next().expect("two are left");
            let generation = generation.store.position().ballot.generation;
            let ballot = Ballot { generation, term };
            say(&mut group, &Message::PreVote(request(ballot)));
            say(&mut group, &Message::Vote(request(ballot)));
            let release = Message::Release { ballot: LAST, to: "x".into() };
            say(&mut group, &release);
            group.run(SECOND / 10);
        }
        let next = group.primary().expect("one of the members is elected");
        let ballot = group.peers[&next].store.position().ballot;
        assert!(ballot.term < Term(1_000), "{kind:?}: {ballot}");
        assert_eq!(group.total(next.as_str(), "k"), 100);
    }
}

/// A voter that is no member, and says that it holds everything and knows the newest members, makes
/// nobody adopt its state or count by its list.
#[test]
fn a_voter_that_is_no_member_is_neither_adopted_nor_asked_who_counts() {
    let (mut group, primary) = group_beside(PeerKind::Joiner);
    group.kill(primary.as_str());
    // No answer of a member arrives, and every question is answered by the stranger.
    group.dropped =
        |message| matches!(message, Message::PreVoteReply { .. } | Message::VoteReply { .. });
    for _ in 0..300 {
        group.run(SECOND / 20);
        for name in others(&primary) {
            let name = PeerName::from(name);
            let Some((ballot, is_binding)) = group.asked_by(&name) else { continue };
            let ids = [("x", 4), (name.as_str(), group.peers[&name].incarnation.0)];
            let members = ids.map(|(name, id)| Member {
                name: name.into(),
                id: Some(MemberId(id)),
                address: String::new(),
            });
            let membership = Membership::settled(at(LAST), members.to_vec());
            let (known, grant, why) = (LAST, Grant::Vote, String::new());
            let message = if is_binding {
                let position = at(LAST);
                Message::VoteReply { ballot, grant, known, position, membership, why }
            } else {
                Message::PreVoteReply { ballot, grant, known, membership, why }
            };
            say(&mut group, &message);
        }
    }
    let is_elected = |event: &Event| matches!(event, Event::CampaignStarted { .. });
    assert!(!others(&primary).into_iter().any(|name| group.saw(name, is_elected)));
    group.dropped = |_| false;
    group.run(SECOND * 5);
    let next = group.primary().expect("one of the members is elected");
    assert_eq!(group.total(next.as_str(), "k"), 100);
    assert!(group.peers[&next].store.position().ballot.term < Term(100));
}

/// A follower says what it has given up. Whoever follows nothing has given up nothing.
#[test]
fn a_loss_is_told_by_followers_only() {
    let (mut group, primary) = group_beside(PeerKind::Client);
    let ballot = group.peers[&primary].store.position().ballot;
    say(&mut group, &Message::GaveUp { ballot, units: 7, is_at_most: false });
    let is_loss = |event: &Event| matches!(event, Event::ChangesLost { units: 7, .. });
    assert!(!group.saw(primary.as_str(), is_loss));
}

/// A joiner that has voted for somebody who was not elected is not left behind for good: the
/// primary stands again above its ballot, once in a while.
#[test]
fn a_primary_stands_above_the_ballot_of_a_joiner_once_in_a_while() {
    let (mut group, primary) = group_beside(PeerKind::Joiner);
    let term = |group: &Group| {
        let primary = group.primary().expect("there is one");
        group.peers[&primary].store.position().ballot.term
    };
    let before = group.peers[&primary].store.position().ballot;
    let mut terms = Vec::new();
    for round in 1..=60 {
        let ballot = Ballot { term: Term(before.term.0 + 10 * round), ..before };
        let brief = Brief { is_primary: false, ..brief(ballot, Position::BLANK, None) };
        say(&mut group, &Message::Ping { number: round, brief });
        group.run(SECOND);
        terms.push(term(&group));
    }
    terms.dedup();
    assert!(terms[0] > Term(before.term.0 + 10), "it went above: {terms:?}");
    assert_eq!(terms.len(), 1, "once in a hundred seconds: {terms:?}");
}

/// Has the others of `liars` say to `victim`, and it as well, that the first of them is the
/// primary of `ballot`, in which everybody on `members` follows it.
fn vouch_for_each_other(
    group: &mut Group,
    victim: &str,
    liars: &[&str],
    members: &[&str],
    ballot: Ballot,
) {
    let start = |group: &Group, name: &str| {
        let name = PeerName::from(name);
        let incarnation = group.peers[&name].incarnation;
        PeerStart { name, incarnation }
    };
    let leader = start(group, liars[0]);
    let meta = group.peers[&PeerName::from(victim)].store.meta();
    let say = |mut brief: Brief, is_primary| {
        brief.members = members.iter().map(|name| PeerName::from(*name)).collect();
        (brief.primary, brief.is_primary) = (Some(leader.clone()), is_primary);
        brief
    };
    for _ in 0..2 {
        for follower in &liars[1..] {
            let brief = say(brief(ballot, at(ballot), meta.group_id), false);
            let PeerStart { name: peer, incarnation } = start(group, follower);
            let message = Message::Ping { number: 1, brief };
            group.input(&victim.into(), Input::Message { peer, incarnation, message });
        }
        for message in claims(group, ballot) {
            let message = match message {
                Message::Ping { number, brief } => {
                    Message::Ping { number, brief: say(brief, true) }
                }
                Message::Pong { number, promise, brief } => {
                    Message::Pong { number, promise, brief: say(brief, true) }
                }
                other => other,
            };
            let PeerStart { name: peer, incarnation } = leader.clone();
            group.input(&victim.into(), Input::Message { peer, incarnation, message });
            group.settle();
        }
    }
}

/// A founded group with 100 units whose members but `a` are down, and `x` and `y` beside it.
fn alone_among_liars(names: &[&str], kind: PeerKind) -> Group {
    let mut group = Group::founded(names);
    let liars = ["x", "y"];
    liars.iter().for_each(|name| group.start_as(name, kind));
    group.split(&liars, names);
    group.run(SECOND);
    let primary = group.primary().expect("it was founded");
    group.add(primary.as_str(), "k", 100).expect("the primary decides");
    group.run(SECOND);
    names.iter().filter(|name| **name != "a").for_each(|name| group.kill(name));
    group.run(SECOND * 2);
    group
}

/// The story: the list of members that a joiner was primary of was the joiner's own word, and one
/// that it was in twice, beside its hearer, was followed by most. A member that reached no other
/// gave its cells for those of the joiner.
#[test]
fn a_member_that_reaches_no_other_follows_no_joiner_whoever_vouches_for_it() {
    for names in [&["a"] as &[&str], &["a", "b"], &NAMES] {
        for (liars, members) in [
            (&["x"] as &[&str], &["a", "x", "x"] as &[&str]),
            (&["x", "y"], &["a", "x", "y"]),
            (&["x"], &["x"]),
        ] {
            for kind in [PeerKind::Joiner, PeerKind::Member] {
                let mut group = alone_among_liars(names, kind);
                let before = group.peers[&PeerName::from("a")].store.position();
                let next = before.ballot.next_term().expect("terms are left");
                vouch_for_each_other(&mut group, "a", liars, members, next);
                group.run(SECOND * 20);
                vouch_for_each_other(&mut group, "a", liars, members, next);
                assert_eq!(group.total("a", "k"), 100, "{names:?} {members:?} {kind:?}");
                let after = group.peers[&PeerName::from("a")].store.position();
                assert_eq!(before.ballot.generation, after.ballot.generation);
                // It says what it waits for, where all others may have been replaced.
                let is_told = |event: &Event| {
                    matches!(event, Event::ConfigMismatch { peer, field, ours, .. }
                        if peer == "x" && field == "members" && ours.contains("start this peer"))
                };
                assert_eq!(group.saw("a", is_told), names.len() > 2, "{names:?} {kind:?}");
                let told = group.peers[&PeerName::from("a")].events.iter().find(|e| is_told(e));
                let known: Vec<&str> = names.iter().copied().filter(|name| *name != "a").collect();
                let sentence = format!(
                    "x is not followed as primary: the members known here are {}, of whom none is \
                     in reach: if all of them were replaced, start this peer blank, with a list of \
                     the members as they are",
                    known.join(",")
                );
                assert!(told.is_none_or(|told| told.to_string() == sentence), "{told:?}");
            }
        }
    }
}

/// A member without which no majority of its list can be is behind nobody: no stranger's ballot
/// concerns it.
#[test]
fn a_group_of_one_goes_on_in_its_own_ballot_whatever_strangers_say() {
    // Of a joiner it may be the primary that stands above its ballot, for its sake.
    let mut group = alone_among_liars(&["a"], PeerKind::Member);
    let before = group.peers[&PeerName::from("a")].store.position().ballot;
    let far = Ballot { term: Term(before.term.0 + 1_000), ..before };
    vouch_for_each_other(&mut group, "a", &["x", "y"], &["a", "x", "y"], far);
    group.run(SECOND * 30);
    assert_eq!(group.primary(), Some("a".into()));
    group.add("a", "k", 1).expect("it is primary");
    let after = group.peers[&PeerName::from("a")].store.position().ballot;
    assert_eq!(after, before, "one reign");
}

/// A member that hears no other is still primary while its lease runs, and follows while it has a
/// primary: it listens to no stranger before.
#[test]
fn a_member_with_a_primary_takes_no_strangers_ballot() {
    let (mut group, primary) = group_beside(PeerKind::Member);
    let victim = others(&primary)[0];
    for name in [victim, primary.as_str()] {
        let rest: Vec<&str> = NAMES.into_iter().filter(|other| *other != name).collect();
        group.split(&[name], &rest);
        // Past the reach of heartbeats, and within leases and promises.
        group.run(SECOND * 5);
        let before = group.peers[&PeerName::from(name)].machine.status(now(&group)).ballot;
        let far = Ballot { term: Term(before.term.0 + 1_000), ..before };
        vouch_for_each_other(&mut group, name, &["x"], &[name, "x"], far);
        let after = group.peers[&PeerName::from(name)].machine.status(now(&group)).ballot;
        assert_eq!(after, before, "{name}");
        group.heal();
        group.split(&["x"], &NAMES);
        group.run(SECOND * 2);
    }
}

fn now(group: &Group) -> Now {
    Now { time: group.now, wall: GroupTime(0) }
}

/// The story: a replica that was cut off took a joiner's state of a late term. When the primary
/// died and the network was mended it was elected with that, past a member that held everything.
#[test]
fn a_member_that_was_cut_off_beside_a_joiner_takes_no_group_along() {
    let (mut group, primary) = group_beside(PeerKind::Joiner);
    let victim = others(&primary)[0];
    let rest: Vec<&str> = NAMES.into_iter().filter(|name| *name != victim).collect();
    group.split(&[victim], &rest);
    group.run(SECOND * 20);
    assert_eq!(group.primary(), Some(primary.clone()), "the majority goes on");
    let own = group.peers[&PeerName::from(victim)].store.position().ballot;
    let ballot = Ballot { term: Term(own.term.0 + 1_000), ..own };
    vouch_for_each_other(&mut group, victim, &["x"], &[victim, "x", "x"], ballot);
    assert_eq!(group.total(victim, "k"), 100, "it keeps what it has");
    group.kill(primary.as_str());
    group.heal();
    group.split(&["x"], &NAMES);
    group.run(SECOND * 60);
    assert!(group.primary().is_some(), "two of three");
    for name in others(&primary) {
        assert_eq!(group.total(name, "k"), 100, "{name}");
    }
}

/// The story: only clients were refused, and a joiner that never caught up changed the limits of
/// the group and had a member counted out that was down.
#[test]
fn a_joiner_changes_neither_the_policy_nor_the_members() {
    for (kind, rights, is_allowed) in [
        (PeerKind::Joiner, ClientRights::default(), false),
        (PeerKind::Client, ClientRights::default(), false),
        (
            PeerKind::Joiner,
            ClientRights { change_policy: true, remove_members: true, switch_primary: true },
            true,
        ),
    ] {
        let mut group = Group::new(&NAMES);
        group.client_rights = rights;
        NAMES.iter().for_each(|name| group.start(name));
        group.start_as("x", kind);
        group.split(&["x"], &NAMES);
        group.run(SECOND * 3);
        let primary = group.primary().expect("it was founded");
        let bytes = bytes::Bytes::from_static(b"mine");
        say(&mut group, &Message::ChangePolicy { request: 1, bytes });
        group.run(SECOND);
        let revision = u64::from(is_allowed);
        assert_eq!(group.policy(primary.as_str()).0, revision, "{kind:?} {rights:?}");
        let gone = others(&primary)[0];
        group.kill(gone);
        for _ in 0..15 {
            say(&mut group, &Message::Remove { request: 2, peer: gone.into() });
            group.run(SECOND);
        }
        let members = group.members(primary.as_str()).0;
        assert_eq!(!members.contains(gone), is_allowed, "{kind:?} {rights:?}: {members}");
    }
}
