//! The calls that were made at a process and have not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate::internal::session::attempt::{Attempt, Next};
use quorate::internal::session::budget::Budget;
use quorate::internal::session::commit_queue::CommitQueue;
use quorate::internal::session::routes::RouteKind;
use quorate::internal::session::unanswered::Unanswered;
use quorate::internal::store::Decided;
use quorate::{Ballot, DecideError, Position, Time};

use crate::network::packet::ConnectionId;
use crate::words::call::ProcessId;

/// Calls by number, and what each waits for.
#[derive(Debug)]
pub(crate) struct Calls {
    budget: Arc<Budget>,
    /// The calls that have a place of the budget.
    places: BTreeSet<usize>,
    attempts: BTreeMap<usize, Attempt>,
    /// They wait for the route to change, or for their pause to end.
    held: BTreeSet<usize>,
    /// They wait for the reply of a primary, over a connection.
    sent: BTreeMap<usize, (ProcessId, ConnectionId)>,
    /// They wait until a majority holds what was decided for them.
    waiting: CommitQueue<(usize, Decided)>,
}

impl Calls {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            places: BTreeSet::new(),
            attempts: BTreeMap::new(),
            held: BTreeSet::new(),
            sent: BTreeMap::new(),
            waiting: CommitQueue::default(),
        }
    }

    /// Takes a place for a call that is to wait; false if there is none.
    fn enter(&mut self, op: usize) -> bool {
        let has_place = self.budget.take();
        if has_place {
            self.places.insert(op);
        }
        has_place
    }

    fn leave(&mut self, op: usize) {
        if self.places.remove(&op) {
            self.budget.give(1);
        }
    }

    pub(crate) fn begin(&mut self, op: usize, attempt: Attempt) {
        self.attempts.insert(op, attempt);
    }

    /// The call has ended for its caller.
    pub(crate) fn end(&mut self, op: usize) {
        self.attempts.remove(&op);
        self.held.remove(&op);
        self.sent.remove(&op);
        self.leave(op);
    }

    /// Returns what is to be done with a call, unless it has ended.
    pub(crate) fn next(&self, op: usize, unanswered: Unanswered, now: Time) -> Option<Next> {
        self.attempts.get(&op).map(|attempt| attempt.next(unanswered, || now))
    }

    /// Holds a call; returns for how long, unless it has ended.
    pub(crate) fn hold(
        &mut self,
        op: usize,
        now: Time,
        timeout: Duration,
        kind: RouteKind,
    ) -> Option<Result<Duration, DecideError>> {
        let held = self.attempts.get_mut(&op)?.hold(now, timeout, kind);
        if held.is_ok() && !self.enter(op) {
            return Some(Err(self.budget.overloaded()));
        }
        if held.is_ok() {
            self.held.insert(op);
        }
        Some(held)
    }

    pub(crate) fn is_held(&self, op: usize) -> bool {
        self.held.contains(&op)
    }

    /// Lets a call go on; returns true if it was held.
    pub(crate) fn take_held(&mut self, op: usize) -> bool {
        let was_held = self.held.remove(&op);
        if was_held {
            self.leave(op);
        }
        was_held
    }

    /// Lets all held calls go on.
    pub(crate) fn take_all_held(&mut self) -> BTreeSet<usize> {
        let held = std::mem::take(&mut self.held);
        for op in &held {
            self.leave(*op);
        }
        held
    }

    /// Notes that a call is sent; false if too many wait.
    pub(crate) fn send(&mut self, op: usize, to: ProcessId, over: ConnectionId) -> bool {
        let may_wait = self.enter(op);
        if may_wait {
            self.sent.insert(op, (to, over));
        }
        may_wait
    }

    /// Returns true if the call waits for a reply of that process, and does not any more.
    pub(crate) fn take_sent(&mut self, op: usize, to: ProcessId) -> bool {
        let is_sent = self.sent.get(&op).is_some_and(|(primary, _)| *primary == to);
        if is_sent {
            self.sent.remove(&op);
            self.leave(op);
        }
        is_sent
    }

    /// The calls that wait for a reply, whose it is, and the connection that it comes over.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, ProcessId, ConnectionId)> {
        self.sent.iter().map(|(op, (to, over))| (*op, *to, *over))
    }

    /// Lets a call wait until its decision may be answered; false if too many wait.
    pub(crate) fn wait(&mut self, op: usize, decided: Decided) -> bool {
        let may_wait = self.enter(op);
        if may_wait {
            self.waiting.push(decided.position, (op, decided));
        }
        may_wait
    }

    /// Takes the next call whose decision is part of `held`, which a majority holds.
    pub(crate) fn pop_covered(&mut self, held: Position) -> Option<(usize, Decided)> {
        let covered = self.waiting.pop_covered(held)?;
        self.leave(covered.0);
        Some(covered)
    }

    /// Takes the next call that was decided in an older reign than `newest`.
    pub(crate) fn pop_past(&mut self, newest: Ballot) -> Option<usize> {
        let (op, _) = self.waiting.pop_past(newest)?;
        self.leave(op);
        Some(op)
    }
}
