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

use super::calls::NoOutcome;
use super::connection::Connection;
use super::routing::Way;
use super::shared::Shared;
use super::waiters::Held;
use crate::config::Acknowledge;
use crate::error::{DecideError, NoPrimaryReason};
use crate::id::{GroupId, GroupTime, Position, Time};
use crate::model::{Answer, Item, MAX_ITEMS, MAX_KEY_BYTES};
use crate::store::{Decided, Refused};
use crate::wire::replies::{Outcome, Refusal};

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Basis {
    /// This peer alone, on its own copy, because there was no primary (relaxed mode).
    Local,
    /// The primary, once for all.
    Primary,
}

/// An answer, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// The model's answer. A denial is an answer.
    pub answer: Answer,
    /// Who decided.
    pub basis: Basis,
    /// The group it was decided for, as this peer knows it; `None` before founding.
    pub group_id: Option<GroupId>,
    /// Its place in the order of all decisions of its reign. Of a local decision: the state that
    /// this peer's copy holds.
    pub position: Position,
    /// The group time it was decided at. Of a local decision: an estimate.
    pub group_time: GroupTime,
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

/// What an attempt led to.
enum Step {
    Again,
    Alone(NoPrimaryReason),
    Done(Result<Decision, DecideError>),
    Hold,
    Wait(Decided),
}

impl Shared {
    /// Decides one operation; see the module's documentation.
    pub(crate) async fn decide(
        &self,
        items: &[Item<'_>],
        timeout: Duration,
    ) -> Result<Decision, DecideError> {
        let started = self.clock.coarse();
        let deadline = started.after(timeout);
        let mut attempt = Attempt { started, deadline, held_until: None, pause: FIRST_PAUSE };
        loop {
            if self.is_shut_down() {
                return Err(DecideError::ShuttingDown);
            }
            let step = match self.routing.way() {
                Way::Here => self.decide_here(&attempt, items),
                Way::There => match self.connection_to_primary() {
                    Some(connection) => self.decide_there(&attempt, &connection, items).await,
                    None => Step::Alone(self.not_connected()),
                },
                Way::Held => Step::Hold,
                Way::Nowhere => Step::Alone(self.routing.reason()),
            };
            match step {
                Step::Done(result) => return result,
                Step::Wait(decided) => return self.wait_for_majority(&attempt, decided).await,
                Step::Again => {}
                Step::Alone(reason) if !attempt.is_held(self.clock.coarse()) => {
                    return self.decide_alone(items, reason);
                }
                // Rare, and its timers make it large: not part of every call's future.
                Step::Alone(_) | Step::Hold => Box::pin(self.hold(&mut attempt)).await?,
            }
        }
    }

    fn decide_here(&self, attempt: &Attempt, items: &[Item<'_>]) -> Step {
        let acknowledge = self.group.acknowledge;
        if acknowledge == Acknowledge::Majority && self.budget.is_spent() {
            return Step::Done(Err(self.too_many_calls()));
        }
        let time = self.clock.coarse();
        match self.store.decide(time, items, &*self.model, acknowledge) {
            Ok(decided) => {
                if decided.wake {
                    self.changed.notify_one();
                }
                if decided.must_wait {
                    return Step::Wait(decided);
                }
                let ballot = decided.position.ballot;
                // A process that was paused in between may have been replaced.
                Step::Done(if self.store.is_authorized(self.clock.coarse(), ballot) {
                    Ok(self.decision(decided.answer, decided.position, decided.group_time))
                } else {
                    Err(self.unknown(attempt))
                })
            }
            Err(Refused::Held) => Step::Hold,
            Err(Refused::NoAuthority) if self.routing.way() != Way::Here => Step::Again,
            Err(Refused::NoAuthority) => Step::Alone(NoPrimaryReason::LeaseEnded),
            Err(Refused::Full { max_cells }) => {
                let bound = max_cells as u64;
                Step::Done(Err(DecideError::Overloaded { what: "max_cells", bound }))
            }
            Err(Refused::Invalid { what, bound }) => {
                Step::Done(Err(DecideError::Invalid { what, bound }))
            }
        }
    }

    async fn decide_there(
        &self,
        attempt: &Attempt,
        connection: &Arc<Connection>,
        items: &[Item<'_>],
    ) -> Step {
        self.expire_by(attempt.deadline);
        let outcome = connection.forward(items, attempt.deadline).await;
        Step::Done(match outcome {
            Ok(Outcome::Decided { answer, position, group_time }) => {
                Ok(self.decision(answer, position, group_time))
            }
            Ok(Outcome::Refused { refusal, bound }) => match refusal {
                Refusal::Held => return Step::Hold,
                Refusal::NoAuthority => return Step::Alone(NoPrimaryReason::LeaseEnded),
                Refusal::Full => {
                    let what = "max_cells, or max_waiting_calls, of the primary";
                    Err(DecideError::Overloaded { what, bound })
                }
                Refusal::Invalid => Err(invalid(items)),
                Refusal::OutcomeUnknown => Err(self.unknown(attempt)),
            },
            Err(NoOutcome::NotConnected) => {
                return Step::Alone(self.not_connected());
            }
            Err(NoOutcome::Overloaded) => Err(self.too_many_calls()),
            Err(NoOutcome::Invalid) => Err(invalid(items)),
            Err(NoOutcome::Unknown) => Err(self.unknown(attempt)),
        })
    }

    /// The connection that calls take; a relaxed peer does not trust one that has been silent for
    /// longer than a lease.
    fn connection_to_primary(&self) -> Option<Arc<Connection>> {
        let connection = self.routing.connection()?;
        let is_silent =
            self.is_relaxed() && self.clock.coarse().since(connection.heard()) > self.group.lease();
        (!is_silent).then_some(connection)
    }

    fn not_connected(&self) -> NoPrimaryReason {
        match self.routing.reason() {
            NoPrimaryReason::NoQuorum => NoPrimaryReason::NoQuorum,
            _ => NoPrimaryReason::NotConnected,
        }
    }

    async fn wait_for_majority(
        &self,
        attempt: &Attempt,
        decided: Decided,
    ) -> Result<Decision, DecideError> {
        self.expire_by(attempt.deadline);
        let state = (&*self.store, &self.routing);
        match self.waiters.wait(state, decided.position, attempt.deadline).await {
            Ok(Held::ByMajority) => {
                Ok(self.decision(decided.answer, decided.position, decided.group_time))
            }
            // Too many wait: it has been written all the same.
            Ok(Held::Unknown) | Err(_) => Err(self.unknown(attempt)),
        }
    }

    /// There is no primary: refuses, or decides on the local copy.
    fn decide_alone(
        &self,
        items: &[Item<'_>],
        reason: NoPrimaryReason,
    ) -> Result<Decision, DecideError> {
        if !self.is_relaxed() {
            return Err(DecideError::NoPrimary { reason });
        }
        let estimate = self.routing.group_time(self.clock.coarse());
        let group_time = estimate.max(self.store.group_time());
        match self.overlay.decide(&self.store, group_time, items, &*self.model) {
            Ok(answer) => {
                let position = self.store.position();
                let group_id = self.routing.group_id();
                Ok(Decision { answer, basis: Basis::Local, group_id, position, group_time })
            }
            Err(Refused::Invalid { what, bound }) => Err(DecideError::Invalid { what, bound }),
            Err(Refused::Full { .. }) => {
                let bound = self.config.limits.max_overlay_keys as u64;
                Err(DecideError::Overloaded { what: "max_overlay_keys", bound })
            }
            Err(Refused::NoAuthority | Refused::Held) => Err(DecideError::NoPrimary { reason }),
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

    fn decision(&self, answer: Answer, position: Position, group_time: GroupTime) -> Decision {
        let group_id = self.routing.group_id();
        Decision { answer, basis: Basis::Primary, group_id, position, group_time }
    }

    fn unknown(&self, attempt: &Attempt) -> DecideError {
        DecideError::OutcomeUnknown { waited: self.clock.time().since(attempt.started) }
    }

    fn too_many_calls(&self) -> DecideError {
        DecideError::Overloaded { what: "max_waiting_calls", bound: self.budget.max() }
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
        return DecideError::Invalid { what: "number of items", bound: MAX_ITEMS as u64 };
    }
    let is_key = |item: &Item<'_>| (1..=MAX_KEY_BYTES).contains(&item.key.len());
    if !items.iter().all(is_key) {
        return DecideError::Invalid { what: "length of a key", bound: MAX_KEY_BYTES as u64 };
    }
    DecideError::Invalid { what: "two items with the same key", bound: 1 }
}
