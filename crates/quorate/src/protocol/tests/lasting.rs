//! docs/protocol.md, section 13: what is said of the state only when it lasts. One machine, and
//! its primary or candidate in the test's own words.

use std::sync::Arc;
use std::time::Duration;

use super::group::{Judge, VERIFY};
use crate::base::event::Event;
use crate::base::id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, Lead, Member, MemberId, Now, PeerKind,
    PeerName, Position, Sequence, Term, Time,
};
use crate::base::policy::Policy;
use crate::config::{Bounds, GroupConfig, PeerConfig};
use crate::model::Value;
use crate::protocol::Machine;
use crate::protocol::io::{HardState, Input, Kept, LinkEnd, Output, Start};
use crate::protocol::message::{Brief, Campaign, Grant, Message, Piece, VoteRequest};
use crate::record::Record;
use crate::state::{BatchEnd, Membership, Meta, Reign};
use crate::store::{EPOCH, Store};

const BALLOT: Ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
const GROUP: Option<GroupId> = Some(GroupId(5));

/// The replica `b` of a group of three, whose primary is `a`.
struct Replica {
    machine: Machine,
    now: Time,
}

fn brief(ballot: Ballot, is_primary: bool) -> Brief {
    Brief {
        acknowledged: None,
        ballot,
        is_primary,
        primary: None,
        position: Position { ballot, sequence: Sequence(EPOCH) },
        group_id: GROUP,
        is_member: true,
        suspects: None,
        reaches: Vec::new(),
        priority: 100,
        wall: GroupTime(0),
        uptime_ms: 0,
        has_quorum: true,
        members: Vec::new(),
        behind: None,
        is_stopping: false,
        has_failed: false,
        site_epoch: 0,
        is_confirmed: false,
    }
}

fn meta() -> Meta {
    let member = |(name, id): (&str, u64)| Member {
        name: name.into(),
        id: Some(MemberId(id)),
        address: String::new(),
    };
    Meta {
        group_id: GROUP,
        membership: Membership::settled(
            Position { ballot: BALLOT, sequence: Sequence(1) },
            [("a", 1), ("b", 20), ("c", 3)].map(member).to_vec(),
        ),
        history: vec![Reign { ballot: BALLOT, after: Sequence(0) }],
        policy: Policy::default(),
    }
}

impl Replica {
    fn start(kept: Kept) -> Self {
        let bounds = Bounds { shards: 1, ..Bounds::default() };
        let members = ["a", "b", "c"].map(PeerName::from).to_vec();
        let group = GroupConfig { members, ..GroupConfig::default() };
        let config = PeerConfig {
            name: "b".into(),
            kind: PeerKind::Member,
            priority: 100,
            address: String::new(),
            verify_interval: VERIFY,
            client_rights: Default::default(),
            new_generations: Default::default(),
            monitor: None,
            site: None,
            bounds,
        };
        let now = Time(1_000_000_000);
        let start =
            Start { id: MemberId(20), kept: Some(kept), ..Start::in_memory(Incarnation(2), 1) };
        let clock = Now { time: now, wall: GroupTime(0) };
        let store = Arc::new(Store::with_hash_seed(bounds, 1));
        let model = Arc::new(Judge::default());
        let machine = Machine::new(group, config, start, store, model, clock);
        let mut replica = Self { machine, now };
        replica.link("a", 1);
        replica
    }

    fn link(&mut self, peer: &str, incarnation: u64) {
        let end = LinkEnd::member(Incarnation(incarnation));
        self.input(Input::LinkUp { peer: peer.into(), end });
    }

    /// What an input leads to, as far as it comes out.
    fn input(&mut self, input: Input) -> Vec<Output> {
        self.now = self.now.after(Duration::from_millis(1));
        self.machine.handle(Now { time: self.now, wall: GroupTime(0) }, input);
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    fn hear(&mut self, message: Message) -> Vec<Output> {
        let (peer, incarnation) = ("a".into(), Incarnation(1));
        self.input(Input::Message { peer, incarnation, message })
    }

    /// Follows `a`, with the ballot saved.
    fn follow(&mut self) {
        self.hear(Message::Ping { number: 1, brief: brief(BALLOT, true) });
        self.input(Input::Saved);
    }

    fn ask(&mut self) -> Vec<Output> {
        self.hear(Message::Follow { ballot: BALLOT, group_id: GROUP, is_established: true })
    }

    /// A batch of one record that ends so many epochs from the beginning.
    fn batch(&mut self, epochs: u64) -> Vec<Output> {
        let value = Value { words: [epochs, 0, 0], expires: GroupTime::MAX };
        let from = (epochs > 1).then(|| at(epochs - 1));
        let meta = Some(meta()).filter(|_| from.is_none());
        self.hear(Message::Piece(Piece {
            ballot: BALLOT,
            transfer: epochs,
            index: 0,
            from,
            records: [Record { key: b"\0k", value: Some(value) }].into_iter().collect(),
            end: Some(BatchEnd {
                position: at(epochs),
                group_time: GroupTime(1),
                lead: Lead::default(),
                expired_before: GroupTime(0),
                meta: meta.map(Box::new),
            }),
            total: 1,
            digest: None,
        }))
    }

    fn vote(&mut self, term: u64) -> Vec<Output> {
        let ballot = Ballot { term: Term(term), ..BALLOT };
        let (campaign, position) = (Campaign::Ordinary, at(1));
        let released = Some(BALLOT);
        let is_forced = false;
        let gone = Vec::new();
        let request = VoteRequest { ballot, campaign, position, released, is_forced, gone };
        self.hear(Message::Vote(request))
    }
}

fn at(epochs: u64) -> Position {
    Position { ballot: BALLOT, sequence: Sequence(epochs * EPOCH) }
}

fn sent(outputs: &[Output]) -> Vec<&Message> {
    let messages = outputs.iter().filter_map(|output| match output {
        Output::Send { message, .. } => Some(message),
        _ => None,
    });
    messages.collect()
}

fn held(outputs: &[Output]) -> Vec<Position> {
    let position = |message: &&Message| match message {
        Message::Held { position, .. } => Some(*position),
        _ => None,
    };
    sent(outputs).iter().filter_map(position).collect()
}

fn grants(outputs: &[Output]) -> bool {
    sent(outputs)
        .iter()
        .any(|message| matches!(message, Message::VoteReply { grant: Grant::Vote, .. }))
}

#[test]
fn a_vote_is_given_when_it_is_saved_and_heartbeats_do_not_wait_for_that() {
    let mut replica = Replica::start(Kept::default());
    let out = replica.vote(1);
    let hard = HardState { ballot: BALLOT, voted_for: Some("a".into()), ..HardState::default() };
    assert!(matches!(&out[0], Output::Save(save) if *save == hard), "{out:?}");
    assert!(!grants(&out));
    let out = replica.hear(Message::Ping { number: 1, brief: brief(BALLOT, false) });
    assert!(sent(&out).iter().any(|message| matches!(message, Message::Pong { .. })), "{out:?}");
    assert!(grants(&replica.input(Input::Saved)));
}

#[test]
fn a_batch_is_held_when_it_lasts() {
    let mut replica = Replica::start(Kept::default());
    replica.follow();
    for epochs in [1, 2] {
        let out = replica.batch(epochs);
        let is_append =
            |output: &Output| matches!(output, Output::Append { number, .. } if *number == epochs);
        assert!(out.iter().any(is_append), "{out:?}");
        assert_eq!(held(&out), []);
    }
    let out = replica.input(Input::Appended { number: 2 });
    assert_eq!(held(&out), [at(1), at(2)]);
}

#[test]
fn where_it_stands_is_told_when_that_lasts() {
    let mut replica = Replica::start(Kept::default());
    replica.follow();
    replica.batch(1);
    let is_position = |message: &&Message| match message {
        Message::Position { position, .. } => *position == at(1),
        _ => false,
    };
    let out = replica.ask();
    assert!(!sent(&out).iter().any(is_position), "{out:?}");
    let out = replica.input(Input::Appended { number: 1 });
    assert!(sent(&out).iter().any(is_position), "{out:?}");
}

#[test]
fn what_was_taken_under_an_older_ballot_is_acknowledged_no_more() {
    let mut replica = Replica::start(Kept::default());
    replica.follow();
    replica.batch(1);
    assert!(!grants(&replica.vote(2)));
    assert!(grants(&replica.input(Input::Saved)));
    assert_eq!(held(&replica.input(Input::Appended { number: 1 })), []);
}

#[test]
fn a_restart_remembers_its_vote_and_is_bound_by_what_it_may_have_promised() {
    let hard = HardState { ballot: BALLOT, voted_for: Some("c".into()), ..HardState::default() };
    let kept = Kept { hard: hard.clone(), is_restart: true, is_state_only: false };
    let mut replica = Replica::start(kept.clone());
    // The same ballot, and the other candidate.
    assert!(!grants(&replica.vote(1)));
    // The ballot that was released is the one it knows: its promise was to nobody later.
    replica.vote(2);
    assert!(grants(&replica.input(Input::Saved)));

    let mut bound = Replica::start(kept);
    let ballot = Ballot { term: Term(2), ..BALLOT };
    let request = VoteRequest {
        ballot,
        campaign: Campaign::Ordinary,
        position: at(1),
        released: None,
        is_forced: false,
        gone: Vec::new(),
    };
    assert!(!grants(&bound.hear(Message::Vote(request.clone()))));
    bound.now = bound.now.after(Duration::from_secs(10));
    bound.hear(Message::Vote(request));
    assert!(grants(&bound.input(Input::Saved)));
}

#[test]
fn a_peer_whose_storage_fails_says_so_and_promises_nothing_more() {
    let mut replica = Replica::start(Kept::default());
    replica.follow();
    replica.batch(1);
    let out = replica.input(Input::StorageFailed);
    assert!(out.iter().any(|output| matches!(output, Output::Event(Event::StorageFailed { .. }))));
    assert_eq!(held(&replica.input(Input::Appended { number: 1 })), []);
    assert!(!grants(&replica.vote(2)));
    let out = replica.hear(Message::Ping { number: 2, brief: brief(BALLOT, true) });
    let is_pong = |message: &&Message| matches!(message, Message::Pong { promise: None, .. });
    assert!(sent(&out).iter().any(is_pong), "{out:?}");
    assert_eq!(replica.batch(2).len(), 0);
}
