//! The calls at the peer where they are made, as the product takes them
//! ([`quorate::internal::session::attempt`]): decided here, sent to the primary, held, decided
//! alone.

use std::time::Duration;

use quorate::internal::bug::{self, Bug};
use quorate::internal::protocol::io::Route;
use quorate::internal::session::alone::Alone;
use quorate::internal::session::attempt::{Attempt, Next, is_final};
use quorate::internal::session::routes::Routes;
use quorate::internal::session::unanswered::Unanswered;
use quorate::internal::store::Decided;
use quorate::{NoPrimaryReason, Time};

use crate::network::packet::{ConnectionId, Payload};
use crate::words::call::{Call, Done, ProcessId, Reply};
use crate::words::operation::{Outcome, items};
use crate::words::seen::Seen;
use crate::world::event::Event;
use crate::world::{TIMER_STEP, World};

impl World {
    /// A client calls the peer that its operation names.
    pub(crate) fn on_issue(&mut self, op: usize) {
        let peer = self.ops[op].peer;
        if self.hosts[peer].process.is_none() || self.ops[op].outcome.is_some() {
            return;
        }
        if self.is_frozen_for_callers(peer) {
            self.inboxes[peer].push(Event::Issue { op });
            return;
        }
        let time = self.coarse_time(peer);
        self.call(peer, op, time);
    }

    /// Returns true if callers do not run there: the whole process is frozen, and not its event
    /// loop alone.
    fn is_frozen_for_callers(&self, peer: usize) -> bool {
        self.hosts[peer].paused.is_some() && !self.hosts[peer].starves
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

    /// Begins a call that was made at `time`.
    pub(crate) fn call(&mut self, peer: usize, op: usize, time: Time) {
        let deadline = time.after(self.plan.group.io_timeout);
        let Some(process) = self.process_mut(peer) else { return };
        process.calls.begin(op, Attempt::new(time, deadline));
        self.try_call(peer, op, time);
    }

    /// Tries a call where the route says.
    fn try_call(&mut self, peer: usize, op: usize, time: Time) {
        let Some(process) = self.process(peer) else { return };
        let unanswered = match process.route.clone() {
            Route::Here { .. } => match self.decide_here(peer, op, time) {
                Ok(done) => return self.acknowledge(peer, op, done),
                Err(unanswered) => unanswered,
            },
            Route::There { peer: name, incarnation, .. } => {
                let to = ProcessId { peer: self.index_of(&name), incarnation };
                match self.send_call(peer, op, to) {
                    Ok(()) => return,
                    Err(unanswered) => unanswered,
                }
            }
            Route::HandingOver => Unanswered::Hold,
            Route::Nowhere if process.machine.is_disowned() => {
                Unanswered::Alone(NoPrimaryReason::CountedOut)
            }
            Route::Nowhere => Unanswered::Alone(NoPrimaryReason::NoQuorum),
        };
        self.proceed(peer, op, unanswered);
    }

    /// Does what the product says is next for a call without an answer.
    fn proceed(&mut self, peer: usize, op: usize, unanswered: Unanswered) {
        let now = self.coarse_time(peer);
        let Some(process) = self.process(peer) else { return };
        match process.calls.next(op, unanswered, now) {
            // It has ended for its caller.
            None => {}
            Some(Next::Try) => {
                let time = self.coarse_time(peer);
                self.try_call(peer, op, time);
            }
            Some(Next::Hold) => self.hold(peer, op),
            Some(Next::DecideAlone(reason)) => self.decide_alone(peer, op, reason),
            Some(Next::Wait(decided)) => {
                let Some(process) = self.process_mut(peer) else { return };
                if process.calls.wait(op, decided) {
                    self.settle_own(peer);
                } else {
                    // It has been written all the same.
                    self.counters.add("too many wait");
                    self.end_op(op, Outcome::Unknown);
                }
            }
            Some(Next::Unknown) => self.end_op(op, Outcome::Unknown),
            Some(Next::Fail(_)) => self.end_op(op, Outcome::Refused),
        }
    }

    /// Decides a call on this peer's store.
    fn decide_here(&mut self, peer: usize, op: usize, time: Time) -> Result<Done, Unanswered> {
        let asked = self.ops[op].clone();
        let items = items(&asked);
        let Some(process) = self.process(peer) else { return Err(Unanswered::Again) };
        let before = process.read_all(&items);
        let acknowledge = self.answers_after(peer);
        if process.budget.turns_away(acknowledge, &process.store) {
            let error = process.budget.overloaded();
            self.counters.add("calls turned away");
            return Err(error.into());
        }
        let said = process.store.decide(time, &items, &*process.model, acknowledge);
        let decided = self.check_against_reference(peer, op, &items, time, said, &before);
        let now = self.second_look(peer);
        let Some(process) = self.process(peer) else { return Err(Unanswered::Again) };
        let decided =
            decided.map_err(|refused| Unanswered::of_store(&refused, process.route.kind()))?;
        let looked = Unanswered::look_again(&decided, &process.store, || now);
        if let Err(unanswered) = looked {
            if !matches!(unanswered, Unanswered::Wait(_)) {
                self.counters.add("second looks failed");
            }
            return Err(unanswered);
        }
        Ok(Done::of(&decided, time))
    }

    /// Sends a call to the primary.
    fn send_call(&mut self, peer: usize, op: usize, to: ProcessId) -> Result<(), Unanswered> {
        let not_connected = Unanswered::Alone(NoPrimaryReason::NotConnected);
        let Some(process) = self.process_mut(peer) else { return Err(not_connected) };
        let link = &process.links[to.peer];
        let open = link.open.last().copied();
        let Some(over) = open.filter(|_| link.linked == Some(to.incarnation)) else {
            return Err(not_connected);
        };
        if !process.calls.send(op, to, over) {
            return Err(process.budget.overloaded().into());
        }
        self.transmit(peer, to.peer, to.incarnation, Payload::Call(Call { op }));
        Ok(())
    }

    /// Holds a call until the route changes, or for a pause.
    fn hold(&mut self, peer: usize, op: usize) {
        self.counters.add("held calls");
        let now = self.reading(peer);
        let timeout = self.plan.timeout();
        let Some(process) = self.process_mut(peer) else { return };
        let kind = process.route.kind();
        match process.calls.hold(op, now, timeout, kind) {
            Some(Ok(pause)) => {
                // A timer that fires early fires a little later once more.
                let pause = self.hosts[peer].clock.real(pause).max(TIMER_STEP);
                self.at(pause, Event::Retry { op });
            }
            Some(Err(_)) => self.end_op(op, Outcome::Refused),
            None => {}
        }
    }

    /// The pause of a held call ends.
    pub(crate) fn on_retry(&mut self, op: usize) {
        let peer = self.ops[op].peer;
        if !self.hosts[peer].runs(self.ops[op].incarnation) {
            return;
        }
        if self.is_frozen_for_callers(peer) {
            self.inboxes[peer].push(Event::Retry { op });
            return;
        }
        if self.process_mut(peer).is_some_and(|process| process.calls.take_held(op)) {
            let time = self.coarse_time(peer);
            self.try_call(peer, op, time);
        }
    }

    fn decide_alone(&mut self, peer: usize, op: usize, reason: NoPrimaryReason) {
        let asked = self.ops[op].clone();
        let items = items(&asked);
        let context = self.local_group_time(peer);
        let mode = self.plan.group.mode;
        let Some(process) = self.process_mut(peer) else { return };
        let is_out = process.machine.is_disowned();
        let reason = if is_out { NoPrimaryReason::CountedOut } else { reason };
        let units = process.overlay.units();
        let model = process.model.clone();
        let alone =
            Alone { mode, store: &process.store, overlay: &process.overlay, model: &*model };
        let Ok(answer) = alone.decide(&items, context, reason) else {
            return self.end_op(op, Outcome::Refused);
        };
        process.units.decided += u128::from(answer.units);
        let grown = process.overlay.units() - units;
        let is_full = process.overlay.units() == u64::MAX;
        if grown != answer.units && !is_full {
            let what = format!("an overlay grew by {grown}, not by {}", answer.units);
            self.fail("merged_once", what);
        }
        self.counters.add("decided locally");
        self.note(peer, &[9, op as u64, answer.units], |_| {
            format!("decides {op} alone: {answer:?}")
        });
        self.see(&Seen::DecidedAlone { peer, op, answer, context });
        self.end_op(op, Outcome::Local);
    }

    /// A decision is final for a caller here.
    fn acknowledge(&mut self, peer: usize, op: usize, done: Done) {
        self.promise(peer, Some(op), done);
        self.end_op(op, Outcome::Acknowledged(done));
    }

    /// Answers the calls made here whose decisions a majority holds, or will not be known to.
    pub(crate) fn settle_own(&mut self, peer: usize) {
        while let Some(process) = self.process_mut(peer) {
            let answerable = process.store.answerable();
            let newest = process.route.newest_reign();
            if let Some((op, decided)) = process.calls.pop_covered(answerable) {
                self.on_covered(peer, op, &decided);
            } else if let Some(op) = process.calls.pop_past(newest) {
                self.proceed(peer, op, Unanswered::Unknown);
            } else {
                return;
            }
        }
    }

    fn on_covered(&mut self, peer: usize, op: usize, decided: &Decided) {
        let now = self.reading(peer);
        let Some(process) = self.process(peer) else { return };
        let read = self.ops[op].decided.map_or(Time(0), |done| done.read);
        if self.ops[op].outcome.is_some() {
            return;
        }
        if is_final(decided, &process.store, || now) {
            self.acknowledge(peer, op, Done::of(decided, read));
        } else {
            self.proceed(peer, op, Unanswered::Unknown);
        }
    }

    pub(crate) fn on_reply(&mut self, peer: usize, from: ProcessId, reply: Reply) {
        let op = reply.op;
        if !self.process_mut(peer).is_some_and(|process| process.calls.take_sent(op, from)) {
            return;
        }
        match reply.result {
            Ok(done) => self.end_op(op, Outcome::Acknowledged(done)),
            Err((refusal, bound)) => {
                let asked = self.ops[op].clone();
                let unanswered = Unanswered::of_primary(refusal, bound, &items(&asked));
                self.proceed(peer, op, unanswered);
            }
        }
    }

    /// A link is gone: its other end is not answered any more.
    pub(crate) fn on_link_lost(&mut self, peer: usize, lost: ProcessId) {
        if let Some(process) = self.process_mut(peer) {
            process.served.remove(&lost);
        }
    }

    /// A connection is closed: replies do not come over it any more.
    pub(crate) fn on_connection_lost(&mut self, peer: usize, connection: ConnectionId) {
        let Some(process) = self.process(peer) else { return };
        let sent = process.calls.sent().filter(|(_, _, over)| *over == connection);
        let gone: Vec<_> = sent.map(|(op, to, _)| (op, to)).collect();
        for (op, to) in gone {
            self.on_hastened(op, to);
        }
    }

    /// The reply of a primary that is none any more is not waited for.
    pub(crate) fn on_hastened(&mut self, op: usize, to: ProcessId) {
        let peer = self.ops[op].peer;
        let runs = self.hosts[peer].runs(self.ops[op].incarnation);
        if runs && self.process_mut(peer).is_some_and(|process| process.calls.take_sent(op, to)) {
            self.proceed(peer, op, Unanswered::Unknown);
        }
    }

    /// Calls that were sent elsewhere are answered soon or never, and held ones go on.
    pub(crate) fn redirect_calls(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let target = match &process.route {
            Route::There { peer: name, incarnation, .. } => {
                Some(ProcessId { peer: self.index_of(name), incarnation: *incarnation })
            }
            _ => None,
        };
        let elsewhere: Vec<_> =
            process.calls.sent().filter(|(_, to, _)| Some(*to) != target).collect();
        let grace = (self.plan.group.heartbeat * 2).min(self.plan.timeout() / 4);
        for (op, to, _) in elsewhere {
            self.at(grace, Event::Hastened { op, to });
        }
        self.settle_own(peer);
        let held = self.process_mut(peer).map(|process| process.calls.take_all_held());
        for op in held.unwrap_or_default() {
            let time = self.coarse_time(peer);
            self.try_call(peer, op, time);
        }
    }

    /// A call has waited as long as it may.
    pub(crate) fn on_deadline(&mut self, op: usize) {
        if self.ops[op].outcome.is_some() {
            return;
        }
        self.counters.add("deadlines");
        let peer = self.ops[op].peer;
        let runs = self.hosts[peer].runs(self.ops[op].incarnation);
        let is_held = runs && self.process(peer).is_some_and(|process| process.calls.is_held(op));
        self.end_op(op, if is_held { Outcome::Refused } else { Outcome::Unknown });
    }
}
