//! The calls that were made at a process and have not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate::internal::session::attempt::{Attempt, Next};
use quorate::internal::session::commit_queue::CommitQueue;
use quorate::internal::session::routes::RouteKind;
use quorate::internal::session::unanswered::Unanswered;
use quorate::internal::store::Decided;
use quorate::{Ballot, DecideError, Position, Time};

use crate::words::call::PeerStart;

/// Calls by number, and what each waits for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    attempts: BTreeMap<usize, Attempt>,
    /// They wait for the route to change, or for their pause to end.
    held: BTreeSet<usize>,
    /// They wait for the reply of a primary.
    sent: BTreeMap<usize, PeerStart>,
    /// They wait until a majority holds what was decided for them.
    waiting: CommitQueue<(usize, Decided)>,
}

impl Calls {
    pub(crate) fn begin(&mut self, op: usize, attempt: Attempt) {
        self.attempts.insert(op, attempt);
    }

    /// The call has ended for its caller.
    pub(crate) fn end(&mut self, op: usize) {
        self.attempts.remove(&op);
        self.held.remove(&op);
        self.sent.remove(&op);
    }

    /// Returns what is to be done with a call, unless it has ended.
    pub(crate) fn next(&self, op: usize, unanswered: Unanswered, now: Time) -> Option<Next> {
        self.attempts.get(&op).map(|attempt| attempt.next(unanswered, now))
    }

    /// Holds a call; returns for how long.
    pub(crate) fn hold(
        &mut self,
        op: usize,
        now: Time,
        timeout: Duration,
        kind: RouteKind,
    ) -> Option<Result<Duration, DecideError>> {
        let held = self.attempts.get_mut(&op)?.hold(now, timeout, kind);
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
        self.held.remove(&op)
    }

    /// Lets all held calls go on.
    pub(crate) fn take_all_held(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.held)
    }

    pub(crate) fn send(&mut self, op: usize, to: PeerStart) {
        self.sent.insert(op, to);
    }

    /// Returns true if the call waits for a reply of that process, and does not any more.
    pub(crate) fn take_sent(&mut self, op: usize, to: PeerStart) -> bool {
        self.sent.get(&op) == Some(&to) && self.sent.remove(&op).is_some()
    }

    /// The calls that wait for a reply, and whose it is.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, PeerStart)> {
        self.sent.iter().map(|(op, to)| (*op, *to))
    }

    pub(crate) fn wait(&mut self, op: usize, decided: Decided) {
        self.waiting.push(decided.position, (op, decided));
    }

    /// Takes the next call whose decision is part of `held`, which a majority holds.
    pub(crate) fn pop_covered(&mut self, held: Position) -> Option<(usize, Decided)> {
        self.waiting.pop_covered(held)
    }

    /// Takes the next call that was decided in an older reign than `newest`.
    pub(crate) fn pop_past(&mut self, newest: Ballot) -> Option<usize> {
        self.waiting.pop_past(newest).map(|(op, _)| op)
    }
}
