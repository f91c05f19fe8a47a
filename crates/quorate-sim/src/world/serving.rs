//! The calls and merges of others at a primary, as the product takes them
//! ([`quorate::internal::session::serving`]), and what every decision is held against.

use std::sync::Arc;
use std::time::Duration;

use quorate::internal::protocol::io::Route;
use quorate::internal::session::replying::Replying;
use quorate::internal::session::routes::{RouteKind, Routes};
use quorate::internal::session::serving::Batch;
use quorate::internal::store::{Decided, Merged, Refused};
use quorate::internal::wire::Merge;
use quorate::{Acknowledge, Answer, Item, PeerStart, Position, Time, Value};

use crate::host::process::Serving;
use crate::model::operation;
use crate::model::reference::is_live;
use crate::network::packet::Payload;
use crate::words::call::{Call, Done, PrimaryReplies, PrimaryReply, ProcessId, Reply};
use crate::words::merge::MergeId;
use crate::words::operation::{DONE, Kind, items};
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    fn serving(&self, peer: usize) -> Option<Serving> {
        let process = self.process(peer)?;
        Some(Serving {
            store: Arc::clone(&process.store),
            model: Arc::clone(&process.model),
            group: self.plan.group.clone(),
            answers_after: self.answers_after(peer),
            budget: Arc::clone(&process.budget),
            route: process.route.clone(),
        })
    }

    pub(crate) fn on_call(&mut self, peer: usize, from: ProcessId, call: Call) {
        let op = call.op;
        let time = self.coarse_time(peer);
        let asked = self.ops[op].clone();
        let items = items(&asked);
        let Some(serving) = self.serving(peer) else { return };
        let server = serving.server();
        let before = self.process(peer).map(|process| process.read_all(&items));
        let mut batch = Batch::default();
        let mut decided = None;
        batch.decide(&server, time, op as u32, &items, |result| decided = Some(*result));
        let is_decided = matches!(decided, Some(Ok(_)));
        if let Some((decided, before)) = decided.zip(before) {
            _ = self.check_against_reference(peer, op, &items, time, decided, &before);
        }
        if batch.must_wake() {
            self.wake(peer);
        }
        if is_decided {
            let now = self.second_look(peer);
            batch.look_again(&serving.store, || now);
        }
        let deadline = time.after(self.plan.group.io_timeout);
        self.say(peer, from, |replying, replies| {
            batch.reply(&server, deadline, replying, replies);
        });
    }

    /// Has the product answer another process, and sends what it says.
    fn say(
        &mut self,
        peer: usize,
        to: ProcessId,
        answer: impl FnOnce(&mut Replying, &mut PrimaryReplies),
    ) {
        let mut replies = PrimaryReplies::default();
        let Some(process) = self.process_mut(peer) else { return };
        let budget = Arc::clone(&process.budget);
        let replying = process.served.entry(to).or_insert_with(|| Replying::new(budget));
        answer(replying, &mut replies);
        for reply in replies.0 {
            let payload = match reply {
                PrimaryReply::Decided { op, answer, position } => {
                    let Some(result) = self.decided_for(op, &answer, position) else { continue };
                    self.promise(peer, Some(op), result);
                    Payload::Reply(Reply { op, result: Ok(result) })
                }
                PrimaryReply::Refused { op, refusal, bound } => {
                    Payload::Reply(Reply { op, result: Err((refusal, bound)) })
                }
                PrimaryReply::Merge(reply) => {
                    let id = (to.peer, to.incarnation, reply.number);
                    if reply.ok {
                        self.promise_merge(peer, id);
                    }
                    Payload::MergeReply(reply)
                }
            };
            self.transmit(peer, to.peer, to.incarnation, payload);
        }
    }

    /// Returns what was decided for a call, which is what its reply has to say.
    fn decided_for(&mut self, op: usize, answer: &Answer, position: Position) -> Option<Done> {
        let decided = self.ops[op].decided;
        let said = decided.filter(|done| done.answer == *answer && done.position == position);
        if said.is_none() {
            let what = format!("call {op} is told {answer:?} at {position}, not {decided:?}");
            self.fail("equal_positions", what);
        }
        said
    }

    /// Has the product answer every other process whose calls or merges wait.
    fn say_to_all(&mut self, peer: usize, answer: impl Fn(&mut Replying, &mut PrimaryReplies)) {
        let Some(process) = self.process(peer) else { return };
        let all: Vec<ProcessId> = process.served.keys().copied().collect();
        for to in all {
            self.say(peer, to, &answer);
        }
    }

    /// A majority holds more: whoever waited for that is answered.
    pub(crate) fn on_committed(&mut self, peer: usize) {
        let Some(store) = self.process(peer).map(|process| Arc::clone(&process.store)) else {
            return;
        };
        self.settle_own(peer);
        self.say_to_all(peer, |replying, replies| replying.release(&store, replies));
        self.merge_now(peer);
    }

    /// Calls that have waited for too long are answered with that.
    pub(crate) fn expire_served(&mut self, peer: usize) {
        let now = self.reading(peer);
        self.say_to_all(peer, |replying, replies| _ = replying.expire(now, replies));
    }

    /// Decisions are made elsewhere now: what was under way there ends, what was held goes on.
    pub(crate) fn on_routed(&mut self, peer: usize, route: Route) {
        let code = match &route {
            Route::Here { ballot } | Route::There { ballot, .. } => 10 + ballot.term.0,
            Route::HandingOver => 1,
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
        if let Route::Here { ballot } = &route {
            process.reign = Some(*ballot);
        }
        let newest = route.newest_reign();
        let is_handing_over = route.kind() == RouteKind::HandingOver;
        process.route = route;
        self.merge_now(peer);
        self.say_to_all(peer, |replying, replies| {
            replying.end_past(newest, replies);
            if !is_handing_over {
                replying.end_held(replies);
            }
        });
        self.redirect_calls(peer);
    }

    /// Holds what a store has said of an operation against the reference.
    pub(crate) fn check_against_reference(
        &mut self,
        peer: usize,
        op: usize,
        items: &[Item<'_>],
        time: Time,
        decided: Result<Decided, Refused>,
        before: &[Option<Value>],
    ) -> Result<Decided, Refused> {
        if self.hosts[peer].starves {
            self.counters.add("calls at starved loops");
        }
        let Some(process) = self.process(peer) else { return decided };
        let after = process.read_all(items);
        match decided {
            Ok(decided) => {
                self.on_decided(peer, op, items, Done::of(&decided, time), &after);
                if decided.wake {
                    self.wake(peer);
                }
            }
            Err(refused) => {
                if process.store.take_wake() {
                    self.wake(peer);
                }
                self.see(&Seen::Refused { peer, op, is_unchanged: before == after });
                if matches!(refused, Refused::Full { .. }) {
                    self.counters.add("refused for room");
                    self.see(&Seen::Full { peer, op });
                }
            }
        }
        decided
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
        op: usize,
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
                format!("decides {op} {what:?} at {position}: {answer:?}")
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
        self.ops[op].decided = Some(done);
        self.ops[op].is_executed |= answer.code == DONE && done.has_changed;
        self.see(&Seen::Executed { op: Some(op), done });
    }

    /// Returns true if nothing was given back, and so nothing changed.
    fn is_of_nothing(&self, op: Option<usize>, done: Done) -> bool {
        let kind = op.map(|op| self.ops[op].kind);
        let Some(Kind::Real(number)) = kind else { return false };
        let gives_back = matches!(number, operation::REFUND | operation::PERMIT_RELEASE);
        gives_back && done.answer.words[2] == 0
    }

    /// A peer is about to say that a decision is final.
    pub(crate) fn promise(&mut self, peer: usize, op: Option<usize>, done: Done) {
        if done.answer.code != DONE || self.is_of_nothing(op, done) {
            return;
        }
        self.history.acknowledge(done.position);
        let by_majority = self.plan.group.acknowledge == Acknowledge::Majority;
        let is_held = self
            .process(peer)
            .is_some_and(|process| process.store.committed().covers(done.position));
        let is_majority = by_majority || is_held || op.is_none();
        self.see(&Seen::Acknowledged { peer, op, done, is_majority });
    }

    /// A peer is about to say that a majority holds a merge that it has made.
    pub(crate) fn promise_merge(&mut self, peer: usize, id: MergeId) {
        if let Some(&(by, done)) = self.merged.get(&id)
            && by == peer
        {
            self.promise(peer, None, done);
        }
    }

    /// The primary merges what a peer decided alone, once.
    pub(crate) fn on_merge(&mut self, peer: usize, from: ProcessId, merge: &Merge) {
        let time = self.coarse_time(peer);
        let origin = PeerStart::new(self.plan.name(from.peer), from.incarnation);
        let Some(serving) = self.serving(peer) else { return };
        let server = serving.server();
        let Some(process) = self.process(peer) else { return };
        let takes_merge = process.served.get(&from).is_none_or(Replying::takes_merge);
        let mut result = None;
        let merged = server.merge(time, &origin, merge, takes_merge, |said| result = Some(*said));
        match result {
            Some(Ok(merged)) => {
                let id = (from.peer, from.incarnation, merge.number);
                self.on_merged(peer, id, &merged, merge, time);
            }
            Some(Err(refused)) if refused.is_for_good() => self.counters.add("merges too late"),
            _ => {}
        }
        if merged.is_ok() || serving.store.take_wake() {
            self.wake(peer);
        }
        let deadline = time.after(self.plan.group.io_timeout);
        self.say(peer, from, |replying, replies| {
            server.reply_merge(merged, merge.number, deadline, replying, replies);
        });
    }

    /// Holds a merge against the reference.
    pub(crate) fn on_merged(
        &mut self,
        peer: usize,
        id: MergeId,
        merged: &Merged,
        merge: &Merge,
        read: Time,
    ) {
        let Merged { position, context, units, already, is_recorded, .. } = *merged;
        let entries = &merge.entries;
        self.counters.add(if already { "merges again" } else { "merges" });
        self.note(peer, &[10, merge.number, units], |_| {
            format!("merges {id:?} at {position}: {units} units, again {already}")
        });
        let answer = Answer { code: DONE, units, ..Answer::default() };
        let done = Done { answer, position, context, has_changed: true, read };
        // What has no effect is made again, later, while it may be the first that is answered.
        let is_first = |(by, known): &(usize, Done)| {
            is_recorded || *by != peer || known.position.ballot != position.ballot
        };
        if self.merged.get(&id).is_none_or(is_first) {
            self.merged.insert(id, (peer, done));
        }
        if is_recorded {
            self.without_effect.remove(&id);
        } else {
            self.without_effect.insert(id);
        }
        if already {
            return;
        }
        let Some(process) = self.process(peer) else { return };
        let model = Arc::clone(&process.model);
        let recorded = is_recorded.then_some(id);
        match self.history.merge(&model, position, context, recorded, entries) {
            Ok(counted) if counted == units => {
                self.see(&Seen::Merged { id: recorded, position, context, entries });
            }
            Ok(counted) => {
                self.fail("merged_once", format!("{id:?} counted {units}, not {counted} units"));
            }
            Err(what) => self.fail("monotone", what),
        }
    }
}
