//! The path of a call, as the driver takes it: to the primary, through its store, and back once
//! the group's acknowledgement allows it.

use std::sync::Arc;
use std::time::Duration;

use quorate::bug::{self, Bug};
use quorate::protocol::io::Route;
use quorate::store::Refused;
use quorate::{Acknowledge, Item, Mode, Model, Position, Time, Value};

use crate::model::operation;
use crate::model::reference::is_live;
use crate::network::packet::Payload;
use crate::words::call::{Call, Done, NotDone, Origin, PeerStart, Reply, Waiting};
use crate::words::merge::MergeReply;
use crate::words::operation::{DENIED, DONE, Kind, Outcome, item};
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    /// A client calls the peer that its operation names.
    pub(crate) fn on_issue(&mut self, op: usize) {
        let peer = self.ops[op].peer;
        if self.hosts[peer].process.is_none() || self.ops[op].outcome.is_some() {
            return;
        }
        if self.hosts[peer].paused.is_some() && !self.hosts[peer].starves {
            self.inboxes[peer].push(Event::Issue { op });
            return;
        }
        let time = self.coarse_time(peer);
        self.call(peer, op, time);
    }

    /// The peer's coarse clock: a little behind, as a cached reading is.
    pub(crate) fn coarse_time(&mut self, peer: usize) -> Time {
        let granule = (self.plan.timeout() / 50).min(Duration::from_millis(8));
        let behind = self.process_random.duration(Duration::ZERO, granule);
        let time = self.reading(peer).before(behind);
        self.before_sleep(peer, time)
    }

    /// Returns what whoever handles a call reads from the clock.
    pub(crate) fn reading(&self, peer: usize) -> Time {
        let turned = self.hosts[peer].paused.filter(|_| bug::is(Bug::ClockOfTheLoop));
        self.hosts[peer].clock.time(turned.unwrap_or(self.now))
    }

    /// Takes a call where it stands: decided here, forwarded, held, decided alone, or refused.
    pub(crate) fn call(&mut self, peer: usize, op: usize, time: Time) {
        let Some(process) = self.process(peer) else { return };
        match process.route.clone() {
            Route::Here { .. } => self.execute(peer, Origin::Here { op }, time),
            Route::There { peer: name, incarnation, ballot } => {
                let primary = self.index_of(&name);
                if process.links[primary].linked == Some(incarnation) {
                    if let Some(process) = self.process_mut(peer) {
                        process.sent.insert(op, ballot);
                    }
                    self.transmit(peer, primary, incarnation, Payload::Call(Call { op }));
                } else {
                    self.call_alone(peer, op);
                }
            }
            Route::Held => self.park(peer, Origin::Here { op }),
            Route::Nowhere => self.call_alone(peer, op),
        }
    }

    fn call_alone(&mut self, peer: usize, op: usize) {
        let keys = &self.ops[op].items;
        let kind = self.ops[op].kind;
        let items: Vec<Item<'_>> =
            keys.iter().map(|(key, amount)| item(key, *amount, kind)).collect();
        let of_group = self.plan.group.mode;
        let of_items =
            self.process(peer).map_or(of_group, |process| process.model.mode_of(&items, of_group));
        if of_group == Mode::Relaxed && of_items == Mode::Relaxed {
            self.decide_alone(peer, op);
        } else {
            self.end_op(op, Outcome::Refused);
        }
    }

    fn park(&mut self, peer: usize, origin: Origin) {
        self.counters.add("held calls");
        if let Some(process) = self.process_mut(peer) {
            process.parked.push(origin);
        }
    }

    pub(crate) fn on_call(&mut self, peer: usize, from: PeerStart, call: Call) {
        let PeerStart { peer: caller, incarnation } = from;
        let origin = Origin::There { op: call.op, peer: caller, incarnation };
        let time = self.coarse_time(peer);
        self.execute(peer, origin, time);
    }

    /// Executes an operation on this peer's store, whatever it takes itself for.
    pub(crate) fn execute(&mut self, peer: usize, origin: Origin, time: Time) {
        let Some(op) = origin.op() else { return };
        let keys = self.ops[op].items.clone();
        let kind = self.ops[op].kind;
        let items: Vec<Item<'_>> =
            keys.iter().map(|(key, amount)| item(key, *amount, kind)).collect();
        if self.hosts[peer].starves {
            self.counters.add("calls at starved loops");
        }
        let Some(process) = self.process(peer) else { return };
        let before = process.read_all(&items);
        let acknowledge = self.answers_after(peer);
        let decided = process.store.decide(time, &items, &*process.model, acknowledge);
        let after = process.read_all(&items);
        match decided {
            Ok(decided) => {
                let answer = decided.answer;
                let position = decided.position;
                let done = Done { answer, position, context: decided.context, read: time };
                self.on_decided(peer, origin, &items, done, &after);
                if decided.wake {
                    self.wake(peer);
                }
                self.answer_when_due(peer, origin, done, decided.must_wait);
            }
            Err(refused) => {
                if self.process(peer).is_some_and(|process| process.store.take_wake()) {
                    self.wake(peer);
                }
                self.see(&Seen::Refused { peer, op, is_unchanged: before == after });
                if matches!(refused, Refused::Full { .. }) {
                    self.counters.add("refused for room");
                    self.see(&Seen::Full { peer, op });
                }
                match refused {
                    Refused::Held => self.park(peer, origin),
                    _ => self.answer(peer, origin, Err(NotDone::Refused)),
                }
            }
        }
    }

    /// The machine is told of the change a little later, by its event loop.
    pub(crate) fn wake(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let incarnation = process.incarnation;
        let soon = self.process_random.duration(Duration::ZERO, self.plan.timeout() / 5_000);
        self.at(soon, Event::Changed { peer, incarnation });
    }

    /// Checks a decision against the reference.
    fn on_decided(
        &mut self,
        peer: usize,
        origin: Origin,
        items: &[Item<'_>],
        done: Done,
        after: &[Option<Value>],
    ) {
        self.counters.add("decisions");
        let answer = done.answer;
        let position = done.position;
        self.note(
            peer,
            &[7, position.ballot.term.0, position.sequence.0, u64::from(answer.code), answer.units],
            |_| {
                let what: Vec<_> =
                    items.iter().map(|i| (String::from_utf8_lossy(i.key), i.args)).collect();
                format!("decides {origin:?} {what:?} at {position}: {answer:?}")
            },
        );
        let Some(model) = self.process(peer).map(|process| Arc::clone(&process.model)) else {
            return;
        };
        let (expected, cells) = match self.history.decide(&model, position, done.context, items) {
            Ok(expected) => expected,
            Err(what) => return self.fail("monotone", what),
        };
        if expected != answer {
            let what = format!("at {position} the answer is {answer:?}, not {expected:?}");
            self.fail("equal_positions", what);
        }
        let steady = done.context.steady();
        for (index, item) in items.iter().enumerate() {
            let found = after[index].filter(|value| is_live(value, steady));
            let wanted = cells[index].filter(|value| is_live(value, steady));
            if found != wanted {
                let key = String::from_utf8_lossy(item.key);
                let what = format!("after {position} {key} is {found:?}, not {wanted:?}");
                self.fail("equal_positions", what);
            }
        }
        if let Some(op) = origin.op().filter(|_| answer.code == DONE) {
            self.ops[op].is_executed = true;
        }
        self.see(&Seen::Executed { op: origin.op(), done });
    }

    /// Answers now, or once a majority holds the change.
    pub(crate) fn answer_when_due(
        &mut self,
        peer: usize,
        origin: Origin,
        done: Done,
        must_wait: bool,
    ) {
        let time = self.second_look(peer);
        let Some(process) = self.process_mut(peer) else { return };
        if must_wait && !bug::is(Bug::AnswerBeforeCommit) {
            process.waiting.push_back(Waiting { origin, done });
            return;
        }
        let is_authorized = process.store.is_authorized(time, done.position.ballot);
        if !is_authorized && !bug::is(Bug::SecondLookSkipped) {
            self.counters.add("second looks failed");
            let is_harmless = done.answer.code == DENIED;
            let not_done = if is_harmless { NotDone::Refused } else { NotDone::Unknown };
            self.answer(peer, origin, Err(not_done));
            return;
        }
        self.acknowledge(peer, origin, done, false);
    }

    /// Returns true if nothing was given back, and so nothing changed.
    fn is_of_nothing(&self, origin: Origin, done: Done) -> bool {
        let kind = origin.op().map(|op| self.ops[op].kind);
        let Some(Kind::Real(number)) = kind else { return false };
        let gives_back = matches!(number, operation::REFUND | operation::PERMIT_RELEASE);
        gives_back && done.answer.words[2] == 0
    }

    /// A decision is final for its caller.
    fn acknowledge(&mut self, peer: usize, origin: Origin, done: Done, is_majority: bool) {
        let is_merge = origin.op().is_none();
        if done.answer.code == DONE && !self.is_of_nothing(origin, done) {
            self.history.acknowledge(done.position);
            let by_majority = self.plan.group.acknowledge == Acknowledge::Majority;
            let is_majority = by_majority || is_majority || is_merge;
            self.see(&Seen::Acknowledged { peer, op: origin.op(), done, is_majority });
        }
        self.answer(peer, origin, Ok(done));
    }

    /// Sends an answer to whom it is for.
    fn answer(&mut self, peer: usize, origin: Origin, result: Result<Done, NotDone>) {
        match origin {
            Origin::Here { op } => self.on_result(peer, op, result),
            Origin::There { op, peer: to, incarnation } => {
                let reply = Payload::Reply(Reply { op, result });
                self.transmit(peer, to, incarnation, reply);
            }
            Origin::Merge { peer: to, incarnation, number, is_merged } => {
                let reply = MergeReply { number, is_merged };
                let to = PeerStart { peer: to, incarnation };
                self.answer_merge(peer, to, reply, result.is_ok());
            }
        }
    }

    pub(crate) fn on_reply(&mut self, peer: usize, reply: Reply) {
        let is_waiting =
            self.process_mut(peer).is_some_and(|process| process.sent.remove(&reply.op).is_some());
        if is_waiting {
            self.on_result(peer, reply.op, reply.result);
        }
    }

    fn on_result(&mut self, peer: usize, op: usize, result: Result<Done, NotDone>) {
        match result {
            Ok(done) => self.end_op(op, Outcome::Acknowledged(done)),
            Err(NotDone::Moved) => {
                let time = self.coarse_time(peer);
                self.call(peer, op, time);
            }
            Err(NotDone::Refused) => self.end_op(op, Outcome::Refused),
            Err(NotDone::Unknown) => self.end_op(op, Outcome::Unknown),
        }
    }

    /// A majority holds more: whoever waited for that is answered.
    pub(crate) fn on_committed(&mut self, peer: usize) {
        while let Some(process) = self.process_mut(peer) {
            let answerable = process.store.answerable();
            let committed = process.store.committed();
            let Some(waiting) = process.waiting.front().copied() else { return };
            // A merge is forgotten by its origin: it waits for a majority in any case.
            let is_merge = waiting.origin.op().is_none();
            let end = if is_merge { committed } else { answerable };
            if !covers(end, waiting.done.position) {
                return;
            }
            process.waiting.pop_front();
            let is_majority = covers(committed, waiting.done.position);
            self.acknowledge(peer, waiting.origin, waiting.done, is_majority);
        }
    }

    /// Decisions are made elsewhere now: what was under way there ends, what was held goes on.
    pub(crate) fn on_routed(&mut self, peer: usize, route: Route) {
        let code = match &route {
            Route::Here { ballot } | Route::There { ballot, .. } => 10 + ballot.term.0,
            Route::Held => 1,
            Route::Nowhere => 2,
        };
        self.note(peer, &[8, code], |_| format!("routes {route:?}"));
        if let Route::There { peer: leader, .. } = &route
            && Self::is_for_liar(leader)
        {
            let name = self.plan.name(peer);
            // G6 of docs/guarantees.md.
            return self.fail("liars", format!("{name} follows {leader}, which is no member"));
        }
        let Some(process) = self.process_mut(peer) else { return };
        let ballot = match &route {
            Route::Here { ballot } | Route::There { ballot, .. } => Some(*ballot),
            Route::Held | Route::Nowhere => None,
        };
        if let Route::Here { ballot } = &route {
            process.reign = Some(*ballot);
        }
        let is_held = matches!(route, Route::Held);
        process.route = route;
        if is_held {
            return;
        }
        let sent: Vec<usize> =
            process.sent.iter().filter(|(_, of)| Some(**of) != ballot).map(|(op, _)| *op).collect();
        process.sent.retain(|op, _| !sent.contains(op));
        let parked = std::mem::take(&mut process.parked);
        let waiting = std::mem::take(&mut process.waiting);
        let (over, kept): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiting| Some(waiting.done.position.ballot) != ballot);
        process.waiting = kept.into();
        for op in sent {
            self.end_op(op, Outcome::Unknown);
        }
        for waiting in over {
            self.answer(peer, waiting.origin, Err(NotDone::Unknown));
        }
        for origin in parked {
            self.answer(peer, origin, Err(NotDone::Moved));
        }
        self.merge_now(peer);
    }

    /// A call has waited as long as it may.
    pub(crate) fn on_deadline(&mut self, op: usize) {
        if self.ops[op].outcome.is_some() {
            return;
        }
        self.counters.add("deadlines");
        let peer = self.ops[op].peer;
        let incarnation = self.ops[op].incarnation;
        let mut was_started = true;
        if self.hosts[peer].runs(incarnation)
            && let Some(process) = self.process_mut(peer)
        {
            process.sent.remove(&op);
            let parked = process.parked.len();
            process.parked.retain(|origin| *origin != Origin::Here { op });
            was_started = process.parked.len() == parked;
        }
        let outcome = if was_started { Outcome::Unknown } else { Outcome::Refused };
        self.end_op(op, outcome);
    }
}

/// Returns true if everything up to `position` is part of `end`.
fn covers(end: Position, position: Position) -> bool {
    end.ballot == position.ballot && end.sequence >= position.sequence
}
