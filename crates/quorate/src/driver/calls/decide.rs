//! One call at the peer where it is made: what [`Attempt`] says, done.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tracing::{Instrument, debug_span};

use crate::base::error::{Bounded, DecideError, NoPrimaryReason};
use crate::base::id::{GroupId, GroupTime, Position, Time};
use crate::config::Mode;
use crate::driver::calls::decider::Decider;
use crate::driver::calls::forward::NoOutcome;
use crate::driver::calls::waiters::WaitEnd;
use crate::driver::links::connection::{Connection, max_outbox_bytes};
use crate::driver::report::journal::CALLS;
use crate::driver::shared::Shared;
use crate::model::{Answer, Item};
use crate::session::alone::Alone;
use crate::session::attempt::{Attempt, Next, is_final};
use crate::session::routes::{RouteKind, Routes};
use crate::session::unanswered::{Unanswered, invalid};
use crate::store::{Decided, Refused};
use crate::wire::replies::Outcome;

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Basis {
    /// This peer alone, on its own copy, because there was no primary (relaxed mode, or a model
    /// that lets it).
    Local {
        /// When it last had one, or was started, in group time as far as it can tell.
        since: GroupTime,
    },
    /// The primary, once for all.
    Primary,
}

impl Basis {
    /// Returns true if this peer decided alone.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Local { .. })
    }
}

/// An answer, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// The model's answer. A denial is an answer.
    pub answer: Answer,
    /// Whether the primary decided, or this peer alone.
    pub basis: Basis,
    /// Which peer it was: the primary that was asked, or this one.
    pub decided_by: Decider,
    /// The group it was decided for, as this peer knows it; `None` before founding.
    pub group_id: Option<GroupId>,
    /// Its place in the order of all decisions of its reign. Of a local decision: the state that
    /// this peer's copy holds.
    pub position: Position,
    /// The group time it was decided at, by the calendar: nanoseconds since the Unix epoch. Of a
    /// local decision: an estimate.
    pub group_time: GroupTime,
}

/// By which reading of its clock the primary decides a call on one cell that is made there.
///
/// Calls on several cells, and those that other peers forward, are decided by an exact one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reading {
    /// One that costs little and lags by up to a tick of the machine, a few milliseconds; what
    /// changes nothing by it is decided once more by an exact one, if that may be otherwise
    /// ([`Model::may_differ_within`](crate::Model::may_differ_within)).
    #[default]
    Cheap,
    /// An exact one, for some tens of nanoseconds: for what is taken at that time to be told from
    /// what is taken a moment later.
    Exact,
}

impl Shared {
    /// Decides one operation; see the module's documentation.
    #[inline]
    pub(crate) async fn decide(
        &self,
        items: &[Item<'_>],
        reading: Reading,
        timeout: Duration,
    ) -> Result<Decision, DecideError> {
        let is_cheap = reading == Reading::Cheap && items.len() == 1;
        let started = if is_cheap { self.clock.coarse() } else { self.clock.time() };
        // What most calls at the primary come to, before anything else is set up for them.
        let unanswered = match self.decide_here(started, is_cheap, items) {
            Ok(decision) => return Ok(decision),
            Err(unanswered) => unanswered,
        };
        let attempt = Attempt::new(started, started.after(timeout));
        if self.is_decided_here(&unanswered) {
            return self.decide_otherwise(attempt, items, unanswered).await;
        }
        // The other reading may have lagged by a tick.
        let asked = self.clock.time();
        let decided = self.decide_otherwise(attempt, items, unanswered).await;
        self.tally.latency.note(self.clock.time().since(asked));
        decided
    }

    /// Returns true if a call that was not answered at once waits for nobody: it is refused, or
    /// decided once more by an exact reading of the clock.
    fn is_decided_here(&self, unanswered: &Unanswered) -> bool {
        match unanswered {
            Unanswered::Alone(_) | Unanswered::Failed(_) | Unanswered::Unknown => true,
            Unanswered::Again => {
                matches!(self.routing.kind(), RouteKind::Here | RouteKind::Nowhere)
            }
            Unanswered::Hold | Unanswered::Wait(_) => false,
        }
    }

    async fn decide_otherwise(
        &self,
        mut attempt: Attempt,
        items: &[Item<'_>],
        mut unanswered: Unanswered,
    ) -> Result<Decision, DecideError> {
        loop {
            match attempt.next(unanswered, || self.clock.coarse()) {
                Next::Try => {}
                // Rare, and its timers make it large: not part of every call's future.
                Next::Hold => Box::pin(self.hold(&mut attempt)).await?,
                Next::DecideAlone(reason) => return self.decide_alone(items, reason),
                Next::Wait(decided) => return self.wait_for_majority(&attempt, &decided).await,
                Next::Unknown => return Err(self.unknown(attempt.started())),
                Next::Fail(error) => return Err(error),
            }
            if self.is_shut_down() {
                return Err(DecideError::ShuttingDown);
            }
            unanswered = match self.routing.kind() {
                RouteKind::Here => match self.decide_here_again(items) {
                    Ok(decision) => return Ok(decision),
                    Err(unanswered) => unanswered,
                },
                RouteKind::There => match self.connection_to_primary(items) {
                    Some(connection) => {
                        match self.decide_there(&attempt, &connection, items).await {
                            Ok(decision) => return Ok(decision),
                            Err(unanswered) => unanswered,
                        }
                    }
                    None => Unanswered::Alone(self.not_connected()),
                },
                RouteKind::HandingOver => Unanswered::Hold,
                RouteKind::Nowhere => Unanswered::Alone(self.routing.reason()),
            };
        }
    }

    #[inline(never)]
    fn decide_here_again(&self, items: &[Item<'_>]) -> Result<Decision, Unanswered> {
        self.decide_here(self.clock.time(), false, items)
    }

    /// Inlined, with all it calls, into the fast path: handing an answer on by memory from
    /// function to function costs a third of the call.
    #[inline(always)]
    fn decide_here(
        &self,
        time: Time,
        is_cheap: bool,
        items: &[Item<'_>],
    ) -> Result<Decision, Unanswered> {
        // Before the route is there, and after it has gone, nothing is decided here.
        if self.routing.kind() != RouteKind::Here || self.is_shut_down() {
            return Err(Unanswered::Again);
        }
        let acknowledge = self.answers_after;
        if self.budget.turns_away(acknowledge, &self.store) {
            return Err(self.too_many_calls().into());
        }
        let decided = match self.store.decide(time, items, &*self.model, acknowledge) {
            Ok(decided) => decided,
            Err(refused) => return Err(self.refused_here(&refused)),
        };
        if is_cheap && !decided.changed && self.is_early(&decided.answer) {
            return Err(Unanswered::Again);
        }
        if decided.wake {
            self.changed.notify_one();
        }
        Unanswered::look_again(&decided, &self.store, || self.clock.later(time))?;
        Ok(self.decision(&decided))
    }

    /// Returns true if an answer by a cheap reading of the clock may be another by now.
    fn is_early(&self, answer: &Answer) -> bool {
        let lag = self.clock.coarse_lag();
        !lag.is_zero() && self.model.may_differ_within(answer, lag)
    }

    #[cold]
    fn refused_here(&self, refused: &Refused) -> Unanswered {
        if matches!(refused, Refused::Full { .. }) && self.store.take_wake() {
            self.changed.notify_one();
        }
        Unanswered::of_store(refused, self.routing.kind())
    }

    async fn decide_there(
        &self,
        attempt: &Attempt,
        connection: &Arc<Connection>,
        items: &[Item<'_>],
    ) -> Result<Decision, Unanswered> {
        self.tally.forwarded.add(1);
        let peer = &self.config.name;
        let to = &connection.identity.peer;
        let span = debug_span!(target: CALLS, "forward", %peer, %to, items = items.len());
        let sent = self.clock.time();
        let forwarded = connection.forward(items, attempt.deadline(), &self.expiry);
        let outcome = forwarded.instrument(span).await;
        // Another one was not sent.
        if matches!(outcome, Ok(_) | Err(NoOutcome::Unknown)) {
            self.tally.forwarding.note(self.clock.time().since(sent));
        }
        let error = match outcome {
            Ok(Outcome::Decided { answer, position, group_time }) => {
                let basis = Basis::Primary;
                let group_id = self.routing.group_id();
                let decided_by = connection.decider();
                return Ok(Decision { answer, basis, decided_by, group_id, position, group_time });
            }
            Ok(Outcome::Refused { refusal, bound }) => {
                return Err(Unanswered::of_primary(refusal, bound, items));
            }
            Err(NoOutcome::NotConnected) => return Err(Unanswered::Alone(self.not_connected())),
            Err(NoOutcome::Unknown) => return Err(Unanswered::Unknown),
            Err(NoOutcome::TooManyCalls) => self.too_many_calls(),
            Err(NoOutcome::TooManyBytes) => {
                let bound = max_outbox_bytes(&self.config.bounds) as u64;
                DecideError::Overloaded { what: Bounded::OutboxBytes, bound }
            }
            Err(NoOutcome::Invalid) => invalid(items),
        };
        Err(error.into())
    }

    /// The connection that calls take; one that has been silent for longer than a lease is not
    /// trusted with what can be decided alone.
    fn connection_to_primary(&self, items: &[Item<'_>]) -> Option<Arc<Connection>> {
        let connection = self.routing.connection()?;
        let is_silent = self.clock.coarse().since(connection.heard()) > self.group.lease();
        (!is_silent || self.mode_of(items) == Mode::Strict).then_some(connection)
    }

    /// Returns when this peer last had a primary, as far as it can tell.
    pub(crate) fn alone_since(&self) -> GroupTime {
        let at = match (self.routing.kind(), self.routing.connection()) {
            (RouteKind::Here, _) => self.clock.skipping_none(self.clock.coarse()),
            // One that is there and silent has been none since it was last heard.
            (_, Some(connection)) => self.clock.skipping_none(connection.heard()),
            (_, None) => self.routing.alone_since(),
        };
        self.by_calendar(self.routing.group_time(at))
    }

    /// Returns the mode of an operation where there is no primary.
    fn mode_of(&self, items: &[Item<'_>]) -> Mode {
        self.model.mode_of(items, self.group.mode)
    }

    /// Returns the reason that callers are told while there is a primary and no connection to it.
    pub(in crate::driver) fn not_connected(&self) -> NoPrimaryReason {
        match self.routing.reason() {
            // There is one, as far as this peer knows.
            NoPrimaryReason::Electing | NoPrimaryReason::LeaseEnded => {
                NoPrimaryReason::NotConnected
            }
            reason => reason,
        }
    }

    async fn wait_for_majority(
        &self,
        attempt: &Attempt,
        decided: &Decided,
    ) -> Result<Decision, DecideError> {
        let position = decided.position;
        let deadline = attempt.deadline();
        let wait = self.waiters.wait(&self.store, &self.routing, &self.expiry, position, deadline);
        match wait.await {
            Ok(WaitEnd::Answerable) if is_final(decided, &self.store, || self.clock.time()) => {
                Ok(self.decision(decided))
            }
            // Too many wait: it has been written all the same.
            Ok(WaitEnd::Answerable | WaitEnd::Lost) | Err(_) => {
                Err(self.unknown(attempt.started()))
            }
        }
    }

    /// There is no primary: refuses, or decides on the local copy.
    fn decide_alone(
        &self,
        items: &[Item<'_>],
        reason: NoPrimaryReason,
    ) -> Result<Decision, DecideError> {
        let alone = Alone {
            mode: self.group.mode,
            store: &self.store,
            overlay: &self.overlay,
            model: &*self.model,
        };
        let context = self.group_time();
        // It may have been counted out since the call was made.
        let last = self.routing.reason();
        let reason = if last == NoPrimaryReason::CountedOut { last } else { reason };
        let answer = alone.decide(items, context, reason)?;
        self.tally.decided_alone.add(1);
        let position = self.store.position();
        let group_id = self.routing.group_id();
        let basis = Basis::Local { since: self.alone_since() };
        let group_time = context.now();
        let decided_by = self.decider;
        Ok(Decision { answer, basis, decided_by, group_id, position, group_time })
    }

    /// Waits until it is worth to ask again.
    async fn hold(&self, attempt: &mut Attempt) -> Result<(), DecideError> {
        let mut changes = self.routing.watch();
        let timeout = self.group.failure_timeout;
        let pause = attempt.hold(self.clock.time(), timeout, self.routing.kind())?;
        if !self.budget.take() {
            return Err(self.too_many_calls());
        }
        let _guard = BudgetGuard(self);
        // Either way the call starts over.
        let _ = tokio::time::timeout(pause, changes.changed()).await;
        Ok(())
    }

    #[inline]
    fn decision(&self, decided: &Decided) -> Decision {
        let Decided { answer, position, context, .. } = *decided;
        let basis = Basis::Primary;
        let group_id = self.routing.group_id();
        let decided_by = self.decider;
        let group_time = context.now();
        Decision { answer, basis, decided_by, group_id, position, group_time }
    }

    #[cold]
    fn unknown(&self, started: Time) -> DecideError {
        DecideError::OutcomeUnknown { waited: self.clock.time().since(started) }
    }

    #[cold]
    fn too_many_calls(&self) -> DecideError {
        self.tally.refused_for_waiting.add(1);
        self.budget.overloaded()
    }
}

/// The place of a held call among those that may wait.
struct BudgetGuard<'a>(&'a Shared);

impl Drop for BudgetGuard<'_> {
    fn drop(&mut self) {
        self.0.budget.give(1);
    }
}
