//! What a full copy takes at the peer that is sent it: memory beside what the cells take in the
//! end, and the longest turn of the state machine.
//!
//! Memory is what the system says that this process has in use, so one copy to a blank peer is
//! measured per process; `old` as an argument measures one in place of a state of the same size.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use quorate::internal::protocol::Machine;
use quorate::internal::protocol::io::{Input, LinkEnd, Output, Start};
use quorate::internal::protocol::message::{Message, Piece};
use quorate::internal::record::Records;
use quorate::internal::state::{BatchEnd, Membership, Meta, Reign};
use quorate::internal::store::{MODEL, Store};
use quorate::{
    Answer, Ballot, Bounds, Cell, Delta, Generation, GroupConfig, GroupId, GroupTime, Incarnation,
    Item, Lead, Member, Model, Now, PeerConfig, PeerKind, Position, Sequence, Term, Time, Value,
};
use quorate_benches::report::is_wanted;
use quorate_benches::{facts, keys, stopwatch};

const CELLS: u64 = 2_000_000;
const NAMES: [&str; 3] = ["a", "b", "c"];
const BALLOT: Ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
const MIB: f64 = 1024.0 * 1024.0;

/// Nothing is decided here.
struct Idle;

impl Model for Idle {
    fn decide(&self, _: &[Item<'_>], _: &mut [Cell], _: GroupTime) -> Answer {
        Answer::default()
    }

    fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

    fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
        0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("A full copy of {CELLS} cells. {}\n", facts::machine());
    let store = Arc::new(Store::new(Bounds::default()));
    let mut peer = Peer::new(store.clone());
    if std::env::args().any(|argument| argument == "old") {
        peer.copy(1)?;
    } else if !is_wanted("blank") {
        return Ok(());
    }
    let before = in_use("VmRSS")?;
    let (mut longest, started) = (Duration::ZERO, stopwatch::now());
    longest = longest.max(peer.copy(2)?);
    let took = started.elapsed();
    let (peak, after) = (in_use("VmHWM")?, in_use("VmRSS")?);
    let held = store.allocated_bytes() as f64 / MIB;
    println!("its cells take {held:.0} MiB, {before:.0} MiB were in use before");
    println!("most in use {peak:.0} MiB, {:.2} of the cells more", (peak - before) / held);
    println!("in use afterwards {after:.0} MiB");
    println!("{:.2} s; the longest turn {:.1} ms", took.as_secs_f64(), longest.as_secs_f64() * 1e3);
    Ok(())
}

/// What the system says of this process's memory, in MiB.
fn in_use(field: &str) -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|line| line.split_whitespace().next()).ok_or(field)?.parse()?;
    Ok(kib / 1024.0)
}

/// A member that follows `a`.
struct Peer {
    machine: Machine,
    now: Now,
}

impl Peer {
    fn new(store: Arc<Store>) -> Self {
        let members = NAMES.map(Into::into).to_vec();
        let group = GroupConfig { members, ..GroupConfig::default() };
        let config = PeerConfig {
            name: "b".into(),
            kind: PeerKind::Member,
            priority: 100,
            address: String::new(),
            verify_interval: Duration::ZERO,
            client_rights: Default::default(),
            new_generations: Default::default(),
            monitor: None,
            site: None,
            bounds: Bounds::default(),
        };
        let now = Now { time: Time(1_000_000_000), wall: GroupTime(1_000_000_000) };
        let start = Start::in_memory(Incarnation(2), 7);
        let machine = Machine::new(group, config, start, store, Arc::new(Idle), now);
        let mut peer = Self { machine, now };
        let end = LinkEnd::member(Incarnation(1));
        peer.input(Input::LinkUp { peer: "a".into(), end });
        let group_id = Some(GroupId(1));
        peer.say(Message::Follow { ballot: BALLOT, group_id, is_established: true });
        peer
    }

    /// Takes an input, and whatever it leads to; how long the longest turn has been.
    fn input(&mut self, input: Input) -> Duration {
        let mut longest = self.turn(input);
        loop {
            self.now.time = self.now.time.after(Duration::from_micros(1));
            if self.machine.deadline() > self.now.time {
                return longest;
            }
            longest = longest.max(self.turn(Input::Tick));
        }
    }

    fn turn(&mut self, input: Input) -> Duration {
        let started = stopwatch::now();
        self.machine.handle(self.now, input);
        let mut sent = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            if let Output::Send { message: message @ Message::Lost { .. }, .. } = output {
                sent.push(message);
            }
        }
        assert!(sent.is_empty(), "the copy is usable: {sent:?}");
        started.elapsed()
    }

    fn say(&mut self, message: Message) -> Duration {
        self.input(Input::Message { peer: "a".into(), incarnation: Incarnation(1), message })
    }

    /// All cells, piece by piece, as of a position.
    fn copy(&mut self, number: u64) -> Result<Duration, Box<dyn Error>> {
        let mut longest = Duration::ZERO;
        let mut index = 0;
        let mut records = quorate::internal::record::Packer::default();
        for cell in 0..CELLS {
            let mut key = vec![MODEL];
            key.extend_from_slice(&keys::key(cell));
            let value = Value { words: [cell, number, 0], expires: GroupTime::MAX };
            records.push(&key, Some(&value));
            if records.bytes() >= Bounds::default().max_piece_bytes || cell + 1 == CELLS {
                let end = (cell + 1 == CELLS).then(|| end(number));
                // As it comes from the wire: in a buffer of its own.
                let records =
                    Records::read(std::mem::take(&mut records).finish().packed().clone())?;
                let (ballot, transfer, total) = (BALLOT, number, CELLS);
                let (from, digest) = (None, None);
                let piece = Piece { ballot, transfer, index, from, records, end, total, digest };
                longest = longest.max(self.say(Message::Piece(piece)));
                index += 1;
            }
        }
        Ok(longest)
    }
}

fn end(number: u64) -> BatchEnd {
    let position = Position { ballot: BALLOT, sequence: Sequence(number << 16) };
    let member = |name: &str| Member { name: name.into(), id: None, address: String::new() };
    let membership = Membership::settled(position, NAMES.map(member).to_vec());
    let history = vec![Reign { ballot: BALLOT, after: Sequence(0) }];
    let group_id = Some(GroupId(1));
    let meta = Some(Box::new(Meta { group_id, history, membership, ..Meta::default() }));
    let (group_time, expired_before) = (GroupTime(1_000_000_000), GroupTime(0));
    BatchEnd { position, group_time, lead: Lead::default(), expired_before, meta }
}
