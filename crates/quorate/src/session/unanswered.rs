//! What a try of a call came to if it brought no answer.

use crate::base::bug::{self, Bug};
use crate::base::error::{Bounded, DecideError, NoPrimaryReason};
use crate::base::id::Time;
use crate::model::{Item, MAX_ITEMS, MAX_KEY_BYTES};
use crate::session::routes::RouteKind;
use crate::store::{Decided, ITEMS, KEY, ONCE, Refused, Store};
use crate::wire::replies::Refusal;

/// What a try came to, other than an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing was written, and the route may have changed: it is tried again.
    Again,
    /// There is no primary, for this reason.
    Alone(NoPrimaryReason),
    /// It has failed for good.
    Failed(DecideError),
    /// A hand-over is under way.
    Hold,
    /// It may have been written.
    Unknown,
    /// It was written, and is to be answered when a majority holds it.
    Wait(Decided),
}

impl From<DecideError> for Unanswered {
    fn from(error: DecideError) -> Self {
        Self::Failed(error)
    }
}

impl Unanswered {
    /// Translates the own store's refusal, while calls go to `kind`.
    #[cold]
    pub fn of_store(refused: &Refused, kind: RouteKind) -> Self {
        match refused {
            Refused::HandingOver => Self::Hold,
            Refused::NoAuthority if kind != RouteKind::Here => Self::Again,
            Refused::NoAuthority => Self::Alone(NoPrimaryReason::LeaseEnded),
            Refused::Full { what, bound } => {
                DecideError::Overloaded { what: *what, bound: *bound }.into()
            }
            Refused::Invalid { what, bound } => DecideError::Invalid { what, bound: *bound }.into(),
            // Said of merges only.
            Refused::Forgotten { .. } | Refused::Ahead { .. } => {
                DecideError::Invalid { what: "merges that a call may be:", bound: 0 }.into()
            }
        }
    }

    /// Translates the primary's refusal of a forwarded call on `items`; `bound` is what it says of
    /// the bound that was reached.
    pub fn of_primary(refusal: Refusal, bound: u64, items: &[Item<'_>]) -> Self {
        let overloaded = |what| DecideError::Overloaded { what, bound }.into();
        match refusal {
            Refusal::HandingOver => Self::Hold,
            Refusal::NoAuthority => Self::Alone(NoPrimaryReason::LeaseEnded),
            Refusal::BytesFull => overloaded(Bounded::Bytes),
            Refusal::CellsFull => overloaded(Bounded::Cells),
            Refusal::TooManyCalls => overloaded(Bounded::WaitingCalls),
            Refusal::Invalid => invalid(items).into(),
            Refusal::OutcomeUnknown => Self::Unknown,
        }
    }

    /// Takes the second look at the authority, after the write: a process that was paused in
    /// between may have been replaced.
    ///
    /// # Errors
    ///
    /// What becomes of a decision of the own store that cannot be answered at once.
    #[inline(always)]
    pub fn look_again(
        decided: &Decided,
        store: &Store,
        now: impl FnOnce() -> Time,
    ) -> Result<(), Self> {
        if decided.must_wait && !bug::is(Bug::AnswerBeforeCommit) {
            return Err(Self::Wait(*decided));
        }
        let is_authorized = store.is_authorized(now(), decided.position.ballot);
        if is_authorized || bug::is(Bug::SecondLookSkipped) {
            return Ok(());
        }
        Err(Self::of_doubt(decided, store))
    }

    /// The lease has ended between the two looks, or is in doubt.
    #[cold]
    fn of_doubt(decided: &Decided, store: &Store) -> Self {
        match Doubt::of(decided, store) {
            Doubt::Harmless => Self::Again,
            // Whatever the clocks have done: what a majority holds is done.
            Doubt::Suspended => Self::Wait(*decided),
            Doubt::Lost => Self::Unknown,
        }
    }
}

/// What is known of a decision whose maker may not have been the primary any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It has changed nothing: somebody else may decide.
    Harmless,
    /// Clocks have been moved: whether a majority holds it will tell.
    Suspended,
    /// It may be lost or not.
    Lost,
}

impl Doubt {
    /// Looks at a decision of `store`.
    pub fn of(decided: &Decided, store: &Store) -> Self {
        match (decided.changed, store.is_suspended()) {
            (false, _) => Self::Harmless,
            (true, true) => Self::Suspended,
            (true, false) => Self::Lost,
        }
    }
}

/// Finds what is wrong with an operation that was refused as unusable.
pub fn invalid(items: &[Item<'_>]) -> DecideError {
    if items.is_empty() || items.len() > MAX_ITEMS {
        return DecideError::Invalid { what: ITEMS, bound: MAX_ITEMS as u64 };
    }
    if items.iter().any(|item| !(1..=MAX_KEY_BYTES).contains(&item.key.len())) {
        return DecideError::Invalid { what: KEY, bound: MAX_KEY_BYTES as u64 };
    }
    DecideError::Invalid { what: ONCE, bound: 1 }
}
