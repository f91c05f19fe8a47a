//! The path of a call, as the driver takes it: to the primary, through its store, and back once
//! the group's acknowledgement allows it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate::bug::{self, Bug};
use quorate::protocol::io::Route;
use quorate::store::Refused;
use quorate::{
    Acknowledge, Answer, Ballot, DecideContext, Incarnation, Item, Mode, Model, Position, Time,
    Value,
};

use crate::check::Seen;
use crate::merging::MergeReply;
use crate::model::{DENIED, DONE, Kind};
use crate::network::Payload;
use crate::operation;
use crate::workload::Outcome;
use crate::world::{Event, World};

/// A call that is forwarded to the primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) op: usize,
}

/// What the primary answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) op: usize,
    pub(crate) result: Result<Done, NotDone>,
}

/// A decision and its place in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) answer: Answer,
    pub(crate) position: Position,
    pub(crate) context: DecideContext,
    /// What the clock of its decider showed before.
    pub(crate) read: Time,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// The primary has changed: ask that one.
    Moved,
    /// Nothing was written.
    Refused,
    /// It may have been written.
    Unknown,
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call made on this peer.
    Here { op: usize },
    /// A call forwarded by another.
    There { op: usize, peer: usize, incarnation: Incarnation },
    /// A merge of what a relaxed peer decided alone.
    Merge { peer: usize, incarnation: Incarnation, number: u64, is_merged: bool },
}

impl Origin {
    pub(crate) fn op(self) -> Option<usize> {
        match self {
            Self::Here { op } | Self::There { op, .. } => Some(op),
            Self::Merge { .. } => None,
        }
    }
}

/// A decision that waits until a majority holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) origin: Origin,
    pub(crate) done: Done,
}

impl World {
    /// A client calls the peer that its operation names.
    pub(crate) fn on_issue(&mut self, op: usize) {
        let peer = self.ops[op].peer;
        if self.peers[peer].process.is_none() || self.ops[op].outcome.is_some() {
            return;
        }
        if self.peers[peer].paused.is_some() && !self.peers[peer].starves {
            self.peers[peer].inbox.push(Event::Issue { op });
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

    /// What whoever handles a call reads from the clock.
    pub(crate) fn reading(&self, peer: usize) -> Time {
        let turned = self.peers[peer].paused.filter(|_| bug::is(Bug::ClockOfTheLoop));
        self.peers[peer].clock.time(turned.unwrap_or(self.now))
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
        let (keys, kind) = (&self.ops[op].items, self.ops[op].kind);
        let items: Vec<Item<'_>> =
            keys.iter().map(|(key, amount)| item(key, *amount, kind)).collect();
        let mode = self.plan.group.mode;
        let mode = self.process(peer).map_or(mode, |process| process.model.mode_of(&items, mode));
        if self.plan.group.mode == Mode::Relaxed && mode == Mode::Relaxed {
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

    pub(crate) fn on_call(&mut self, peer: usize, from: (usize, Incarnation), call: Call) {
        let origin = Origin::There { op: call.op, peer: from.0, incarnation: from.1 };
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
        if self.peers[peer].starves {
            self.counters.add("calls at starved loops");
        }
        let Some(process) = self.process(peer) else { return };
        let before = process.read_all(&items);
        let acknowledge = self.answers_after(peer);
        let decided = process.store.decide(time, &items, &*process.model, acknowledge);
        let after = process.read_all(&items);
        match decided {
            Ok(decided) => {
                let (answer, position) = (decided.answer, decided.position);
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
        let (answer, position) = (done.answer, done.position);
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
        let is_live = |value: &Option<Value>| value.filter(|v| v.expires > done.context.steady());
        for (index, item) in items.iter().enumerate() {
            let (found, wanted) = (is_live(&after[index]), is_live(&cells[index]));
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

    /// Whether nothing was given back, and so nothing changed.
    fn is_of_nothing(&self, origin: Origin, done: Done) -> bool {
        let kind = origin.op().map(|op| self.ops[op].kind);
        let gives_back = |number: u8| {
            matches!(number, operation::REFUND | operation::PERMIT_RELEASE)
                && done.answer.words[2] == 0
        };
        matches!(kind, Some(Kind::Real(number)) if gives_back(number))
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
                self.answer_merge(peer, (to, incarnation), reply, result.is_ok());
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
            let (answerable, committed) = (process.store.answerable(), process.store.committed());
            let is_held = |waiting: &Waiting| {
                // A merge is forgotten by its origin: it waits for a majority in any case.
                let is_merge = waiting.origin.op().is_none();
                covers(if is_merge { committed } else { answerable }, waiting.done.position)
            };
            let Some(waiting) = process.waiting.front().copied().filter(is_held) else { return };
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
        let is_over = |other: Ballot| ballot != Some(other);
        let sent: Vec<usize> =
            process.sent.iter().filter(|(_, b)| is_over(**b)).map(|(op, _)| *op).collect();
        process.sent.retain(|op, _| !sent.contains(op));
        let parked = std::mem::take(&mut process.parked);
        let waiting = std::mem::take(&mut process.waiting);
        let (over, kept): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|w| is_over(w.done.position.ballot));
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
        let (peer, incarnation) = (self.ops[op].peer, self.ops[op].incarnation);
        let mut was_started = true;
        if self.peers[peer].runs(incarnation)
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

impl crate::peer::Process {
    fn read_all(&self, items: &[Item<'_>]) -> Vec<Option<Value>> {
        items.iter().map(|item| self.store.read(0, item.key)).collect()
    }
}

/// Whether everything up to `position` is part of `end`.
fn covers(end: Position, position: Position) -> bool {
    end.ballot == position.ballot && end.sequence >= position.sequence
}

/// An item of an operation.
pub(crate) fn item(key: &Bytes, amount: u64, kind: Kind) -> Item<'_> {
    Item { key, args: [amount, kind.code()] }
}
