//! The way of one call at the peer where it is made.
//!
//! ```text
//!   Here     the store decides, on the caller's thread ──▶ answer, or wait for a majority
//!   There    forward, and wait for the reply
//!   Held     wait for the route to change, then start over
//!   Nowhere  strict: refuse at once; relaxed: decide on the local copy
//! ```
//!
//! Every way ends at the call's deadline. A call that may have been written is never tried again
//! by itself.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tracing::{Instrument, debug_span};

use crate::base::error::{Bounded, DecideError, NoPrimaryReason};
use crate::base::id::{GroupId, GroupTime, Position, Time};
use crate::config::{Acknowledge, Mode};
use crate::driver::calls::decider::Decider;
use crate::driver::calls::forward::NoOutcome;
use crate::driver::calls::routing::Way;
use crate::driver::calls::waiters::Held;
use crate::driver::links::connection::{Connection, max_outbox_bytes};
use crate::driver::report::journal::CALLS;
use crate::driver::shared::Shared;
use crate::model::{Answer, Item, MAX_ITEMS, MAX_KEY_BYTES};
use crate::store::{Decided, ITEMS, KEY, ONCE, Refused};
use crate::wire::replies::{Outcome, Refusal};

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
    /// Whether this peer decided alone.
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

/// First pause before a held call asks again without having been told to.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// One call, over all its attempts.
struct Attempt {
    started: Time,
    deadline: Time,
    /// Set when the call was first held: a hand-over holds calls rather than failing them, for at
    /// most the failure timeout.
    held_until: Option<Time>,
    pause: Duration,
}

/// What an attempt led to, other than an answer.
enum Detour {
    Again,
    Alone(NoPrimaryReason),
    Failed(DecideError),
    Hold,
    Wait(Decided),
}

impl From<DecideError> for Detour {
    fn from(error: DecideError) -> Self {
        Self::Failed(error)
    }
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
        let detour = match self.decide_here(started, started, is_cheap, items) {
            Ok(decision) => return Ok(decision),
            Err(detour) => detour,
        };
        let deadline = started.after(timeout);
        let attempt = Attempt { started, deadline, held_until: None, pause: FIRST_PAUSE };
        if self.is_decided_here(&detour) {
            return self.decide_otherwise(attempt, items, detour).await;
        }
        // The other reading may have lagged by a tick.
        let asked = self.clock.time();
        let decided = self.decide_otherwise(attempt, items, detour).await;
        self.tally.latency.note(self.clock.time().since(asked));
        decided
    }

    /// Whether a call that was not answered at once waits for nobody: it is refused, or decided
    /// once more by an exact reading of the clock.
    fn is_decided_here(&self, detour: &Detour) -> bool {
        match detour {
            Detour::Alone(_) | Detour::Failed(_) => true,
            Detour::Again => matches!(self.routing.way(), Way::Here | Way::Nowhere),
            Detour::Hold | Detour::Wait(_) => false,
        }
    }

    async fn decide_otherwise(
        &self,
        mut attempt: Attempt,
        items: &[Item<'_>],
        mut detour: Detour,
    ) -> Result<Decision, DecideError> {
        loop {
            match detour {
                Detour::Failed(error) => return Err(error),
                Detour::Wait(decided) => return self.wait_for_majority(&attempt, &decided).await,
                Detour::Again => {}
                Detour::Alone(reason) if !attempt.is_held(self.clock.coarse()) => {
                    return self.decide_alone(items, reason);
                }
                // Rare, and its timers make it large: not part of every call's future.
                Detour::Alone(_) | Detour::Hold => Box::pin(self.hold(&mut attempt)).await?,
            }
            if self.is_shut_down() {
                return Err(DecideError::ShuttingDown);
            }
            detour = match self.routing.way() {
                Way::Here => match self.decide_here_again(attempt.started, items) {
                    Ok(decision) => return Ok(decision),
                    Err(detour) => detour,
                },
                Way::There => match self.connection_to_primary(items) {
                    Some(connection) => {
                        match self.decide_there(&attempt, &connection, items).await {
                            Ok(decision) => return Ok(decision),
                            Err(detour) => detour,
                        }
                    }
                    None => Detour::Alone(self.not_connected()),
                },
                Way::Held => Detour::Hold,
                Way::Nowhere => Detour::Alone(self.routing.reason()),
            };
        }
    }

    #[inline(never)]
    fn decide_here_again(&self, started: Time, items: &[Item<'_>]) -> Result<Decision, Detour> {
        self.decide_here(started, self.clock.time(), false, items)
    }

    /// Inlined, with all it calls, into the fast path: handing an answer on by memory from
    /// function to function costs a third of the call.
    #[inline(always)]
    fn decide_here(
        &self,
        started: Time,
        time: Time,
        is_cheap: bool,
        items: &[Item<'_>],
    ) -> Result<Decision, Detour> {
        // Before the route is there, and after it has gone, nothing is decided here.
        if self.routing.way() != Way::Here || self.is_shut_down() {
            return Err(Detour::Again);
        }
        let acknowledge = self.answers_after;
        if acknowledge == Acknowledge::Majority && self.budget.is_spent() {
            return Err(self.too_many_calls().into());
        }
        let decided = match self.store.decide(time, items, &*self.model, acknowledge) {
            Ok(decided) => decided,
            Err(refused) => return Err(self.refused_here(&refused)),
        };
        if is_cheap && !decided.changed && self.is_early(&decided.answer) {
            return Err(Detour::Again);
        }
        if decided.wake {
            self.changed.notify_one();
        }
        if decided.must_wait {
            return Err(Detour::Wait(decided));
        }
        // A process that was paused in between may have been replaced.
        if self.store.is_authorized(self.clock.later(time), decided.position.ballot) {
            Ok(self.decision(&decided))
        } else {
            Err(self.not_authorized(started, decided))
        }
    }

    /// The lease has ended between the two looks, or is in doubt.
    #[cold]
    fn not_authorized(&self, started: Time, decided: Decided) -> Detour {
        if !decided.changed {
            return Detour::Again;
        }
        if self.store.is_suspended() {
            // Whatever the clocks have done: what a majority holds is done.
            return Detour::Wait(decided);
        }
        self.unknown(started).into()
    }

    /// Whether an answer by a cheap reading of the clock may be another by now.
    fn is_early(&self, answer: &Answer) -> bool {
        let lag = self.clock.coarse_lag();
        !lag.is_zero() && self.model.may_differ_within(answer, lag)
    }

    #[cold]
    fn refused_here(&self, refused: &Refused) -> Detour {
        match refused {
            Refused::Held => Detour::Hold,
            Refused::NoAuthority if self.routing.way() != Way::Here => Detour::Again,
            Refused::NoAuthority => Detour::Alone(NoPrimaryReason::LeaseEnded),
            Refused::Full { what, bound } => {
                if self.store.take_wake() {
                    self.changed.notify_one();
                }
                DecideError::Overloaded { what: *what, bound: *bound }.into()
            }
            Refused::Invalid { what, bound } => DecideError::Invalid { what, bound: *bound }.into(),
            // Said of merges only.
            Refused::Forgotten { .. } | Refused::Ahead { .. } => {
                DecideError::Invalid { what: "merges that a call may be:", bound: 0 }.into()
            }
        }
    }

    async fn decide_there(
        &self,
        attempt: &Attempt,
        connection: &Arc<Connection>,
        items: &[Item<'_>],
    ) -> Result<Decision, Detour> {
        self.tally.forwarded.add(1);
        let (peer, to) = (&self.config.name, &connection.identity.peer);
        let span = debug_span!(target: CALLS, "forward", %peer, %to, items = items.len());
        let forwarded = connection.forward(items, attempt.deadline, &self.expiry);
        let outcome = forwarded.instrument(span).await;
        let error = match outcome {
            Ok(Outcome::Decided { answer, position, group_time }) => {
                let (basis, group_id) = (Basis::Primary, self.routing.group_id());
                let decided_by = connection.decider();
                return Ok(Decision { answer, basis, decided_by, group_id, position, group_time });
            }
            Ok(Outcome::Refused { refusal, bound }) => match refusal {
                Refusal::Held => return Err(Detour::Hold),
                Refusal::NoAuthority => return Err(Detour::Alone(NoPrimaryReason::LeaseEnded)),
                Refusal::BytesFull => DecideError::Overloaded { what: Bounded::Bytes, bound },
                Refusal::CellsFull => DecideError::Overloaded { what: Bounded::Cells, bound },
                Refusal::TooManyCalls => {
                    DecideError::Overloaded { what: Bounded::WaitingCalls, bound }
                }
                Refusal::Invalid => invalid(items),
                Refusal::OutcomeUnknown => self.unknown(attempt.started),
            },
            Err(NoOutcome::NotConnected) => return Err(Detour::Alone(self.not_connected())),
            Err(NoOutcome::TooManyCalls) => self.too_many_calls(),
            Err(NoOutcome::TooManyBytes) => {
                let bound = max_outbox_bytes(&self.config.bounds) as u64;
                DecideError::Overloaded { what: Bounded::OutboxBytes, bound }
            }
            Err(NoOutcome::Invalid) => invalid(items),
            Err(NoOutcome::Unknown) => self.unknown(attempt.started),
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

    /// When this peer last had a primary, as far as it can tell.
    pub(crate) fn alone_since(&self) -> GroupTime {
        let at = match (self.routing.way(), self.routing.connection()) {
            (Way::Here, _) => self.clock.skipping_none(self.clock.coarse()),
            // One that is there and silent has been none since it was last heard.
            (_, Some(connection)) => self.clock.skipping_none(connection.heard()),
            (_, None) => self.routing.alone_since(),
        };
        self.by_calendar(self.routing.group_time(at))
    }

    /// What is done with an operation where there is no primary.
    fn mode_of(&self, items: &[Item<'_>]) -> Mode {
        self.model.mode_of(items, self.group.mode)
    }

    /// What is told while there is a primary and no connection to it.
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
        let state = (&*self.store, &self.routing, &self.expiry);
        match self.waiters.wait(state, decided.position, attempt.deadline).await {
            Ok(Held::ByMajority) if self.is_final(decided) => Ok(self.decision(decided)),
            Ok(Held::ByMajority) => Err(self.unknown(attempt.started)),
            // Too many wait: it has been written all the same.
            Ok(Held::Unknown) | Err(_) => Err(self.unknown(attempt.started)),
        }
    }

    /// Whether a change that was waited for may be answered: a majority holds it, or, where that is
    /// not asked for, this peer is still the primary.
    fn is_final(&self, decided: &Decided) -> bool {
        let (position, committed) = (decided.position, self.store.committed());
        let is_committed = committed.covers(position);
        is_committed || self.store.is_authorized(self.clock.time(), position.ballot)
    }

    /// There is no primary: refuses, or decides on the local copy.
    fn decide_alone(
        &self,
        items: &[Item<'_>],
        reason: NoPrimaryReason,
    ) -> Result<Decision, DecideError> {
        if self.mode_of(items) == Mode::Strict {
            return Err(DecideError::NoPrimary { reason });
        }
        let context = self.group_time();
        match self.overlay.decide(&self.store, context, items, &*self.model) {
            Ok(answer) => {
                self.tally.decided_alone.add(1);
                let position = self.store.position();
                let group_id = self.routing.group_id();
                let basis = Basis::Local { since: self.alone_since() };
                let group_time = context.now();
                let decided_by = self.decider;
                Ok(Decision { answer, basis, decided_by, group_id, position, group_time })
            }
            Err(Refused::Invalid { what, bound }) => Err(DecideError::Invalid { what, bound }),
            Err(Refused::Full { what, bound }) => Err(DecideError::Overloaded { what, bound }),
            // The others are about merges, and about being primary.
            Err(_) => Err(DecideError::NoPrimary { reason }),
        }
    }

    /// Waits until it is worth to ask again.
    async fn hold(&self, attempt: &mut Attempt) -> Result<(), DecideError> {
        let mut changes = self.routing.watch();
        let now = self.clock.time();
        let held_until = *attempt
            .held_until
            .get_or_insert_with(|| now.after(self.group.failure_timeout).min(attempt.deadline));
        if now >= held_until {
            return Err(DecideError::NoPrimary { reason: NoPrimaryReason::Electing });
        }
        if !self.budget.take() {
            return Err(self.too_many_calls());
        }
        let _place = Place(self);
        // A hand-over here ends with a change of the route; one elsewhere may end unseen.
        let is_here = self.routing.way() == Way::Held;
        let pause = if is_here { LONGEST_PAUSE } else { attempt.pause };
        let pause = pause.min(held_until.since(now));
        attempt.pause = (attempt.pause * 2).min(LONGEST_PAUSE);
        // Either way the call starts over.
        let _ = tokio::time::timeout(pause, changes.changed()).await;
        Ok(())
    }

    #[inline]
    fn decision(&self, decided: &Decided) -> Decision {
        let Decided { answer, position, context, .. } = *decided;
        let (basis, group_id) = (Basis::Primary, self.routing.group_id());
        let (decided_by, group_time) = (self.decider, context.now());
        Decision { answer, basis, decided_by, group_id, position, group_time }
    }

    #[cold]
    fn unknown(&self, started: Time) -> DecideError {
        DecideError::OutcomeUnknown { waited: self.clock.time().since(started) }
    }

    #[cold]
    fn too_many_calls(&self) -> DecideError {
        self.tally.refused_for_waiting.add(1);
        DecideError::Overloaded { what: Bounded::WaitingCalls, bound: self.budget.max() }
    }
}

impl Attempt {
    /// Whether the call came during a hand-over that may still be going on.
    fn is_held(&self, now: Time) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }
}

/// The place of a held call among those that may wait.
struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.budget.give(1);
    }
}

/// What is wrong with an operation that was refused as unusable.
fn invalid(items: &[Item<'_>]) -> DecideError {
    if items.is_empty() || items.len() > MAX_ITEMS {
        return DecideError::Invalid { what: ITEMS, bound: MAX_ITEMS as u64 };
    }
    let is_key = |item: &Item<'_>| (1..=MAX_KEY_BYTES).contains(&item.key.len());
    if !items.iter().all(is_key) {
        return DecideError::Invalid { what: KEY, bound: MAX_KEY_BYTES as u64 };
    }
    DecideError::Invalid { what: ONCE, bound: 1 }
}
