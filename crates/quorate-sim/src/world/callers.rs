//! The clients: what they ask for, where, and how it ended.

use std::time::Duration;

use bytes::Bytes;
use quorate::Mode;

use crate::model::key::key;
use crate::model::real;
use crate::words::operation::{DENIED, Kind, Op, Outcome};
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    pub(crate) fn start_clients(&mut self) {
        self.are_clients_active = true;
        // The last ones call where a client is.
        for client in 0..self.plan.load.clients + self.plan.client_peers {
            let wait = self.load_random.duration(Duration::ZERO, self.plan.load.think);
            self.at(wait, Event::Client { client });
        }
    }

    /// A client asks for something, at any peer that runs.
    pub(crate) fn on_client(&mut self, client: usize) {
        if !self.are_clients_active {
            return;
        }
        let burst = self.plan.load.burst;
        let count = if self.load_random.chance(burst) { self.load_random.between(2, 6) } else { 1 };
        let mut is_called = false;
        for index in 0..count {
            let peer = match client.checked_sub(self.plan.load.clients) {
                Some(own) => self.plan.peers() + own,
                None => self.load_random.index(self.plan.peers()),
            };
            let (kind, items) = if self.plan.asks_real_limits() && self.load_random.chance(600) {
                real::draw(&mut self.load_random)
            } else {
                self.draw_op()
            };
            // Only the last one is waited for: the others are sent in one go.
            let waits = index + 1 == count;
            is_called = self.issue(peer, kind, items, waits.then_some(client)).is_some();
        }
        if !is_called {
            self.rest(client);
        }
    }

    fn rest(&mut self, client: usize) {
        let think = self.load_random.around(self.plan.load.think);
        self.at(think, Event::Client { client });
    }

    fn draw_op(&mut self) -> (Kind, Vec<(Bytes, u64)>) {
        let keys = self.plan.load.keys;
        let random = &mut self.load_random;
        let amount = random.between(1, 5);
        let is_large = self.plan.load.large > 0 && random.chance(self.plan.load.large);
        let one = random.index(keys);
        let is_relaxed = self.plan.group.mode == Mode::Relaxed;
        let kinds = if self.plan.load.is_expiring { 12 } else { 20 };
        match random.index(kinds) {
            0..9 => (Kind::Acquire, vec![(key(b'l', one), amount)]),
            9..12 => {
                let items = vec![(key(b'p', one), amount), (key(b'q', one), amount)];
                (Kind::Acquire, items)
            }
            12..17 => {
                let other = (one + 1 + random.index(keys)) % (keys + 1);
                (Kind::Transfer, vec![(key(b't', one), amount), (key(b't', other), amount)])
            }
            17..19 if !is_relaxed => (Kind::Refund, vec![(key(b'l', one), amount)]),
            _ if is_large => {
                let amount = random.pick(&[u64::MAX, u64::MAX - amount, 1 << 63]);
                (Kind::Count, vec![(key(b'c', one), amount)])
            }
            _ => (Kind::Count, vec![(key(b'c', one), amount)]),
        }
    }

    /// Calls an operation at a peer; nothing happens if no process runs there.
    pub(crate) fn issue(
        &mut self,
        peer: usize,
        kind: Kind,
        items: Vec<(Bytes, u64)>,
        client: Option<usize>,
    ) -> Option<usize> {
        let incarnation = self.process(peer)?.incarnation;
        let op = self.ops.len();
        let asked = self.hosts[peer].clock.time(self.now);
        let issued = self.now;
        let outcome = None;
        let is_executed = false;
        let decided = None;
        self.ops.push(Op {
            kind,
            items,
            peer,
            incarnation,
            asked,
            client,
            issued,
            outcome,
            is_executed,
            decided,
        });
        self.at(self.plan.group.io_timeout, Event::Deadline { op });
        self.on_issue(op);
        Some(op)
    }

    /// An operation has ended for its caller.
    pub(crate) fn end_op(&mut self, op: usize, outcome: Outcome) {
        if self.ops[op].outcome.is_some() {
            return;
        }
        self.ops[op].outcome = Some(outcome);
        let caller = self.ops[op].peer;
        if self.hosts[caller].runs(self.ops[op].incarnation)
            && let Some(process) = self.process_mut(caller)
        {
            process.calls.end(op);
        }
        let (code, name) = match outcome {
            Outcome::Acknowledged(done) if done.answer.code == DENIED => (1, "denied"),
            Outcome::Acknowledged(_) => (2, "acknowledged"),
            Outcome::Local => (3, "answered locally"),
            Outcome::Refused => (4, "refused"),
            Outcome::Unknown => (5, "unknown"),
        };
        self.counters.add(name);
        let peer = self.ops[op].peer;
        match outcome {
            Outcome::Acknowledged(_) if self.is_client(peer) => {
                self.counters.add("calls of clients");
            }
            Outcome::Local if self.is_client(peer) => self.counters.add("clients alone"),
            _ => {}
        }
        self.note(peer, &[11, op as u64, code], |_| format!("call {op} is {name}"));
        self.see(&Seen::Ended { op, outcome });
        if let Some(client) = self.ops[op].client {
            self.rest(client);
        }
    }
}
