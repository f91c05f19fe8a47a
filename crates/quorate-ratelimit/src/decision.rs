//! What a caller is told.

use std::time::{Duration, SystemTime};

use quorate::{Basis, GroupId, Position, Term};

use crate::error::AcquireError;
use crate::model::{NO_WINDOW, code, word};

/// Whether an amount was admitted, and what is left.
///
/// A denial is a decision too, and counts nothing. Times run from the moment of the decision: on
/// their way back they are late by as much, never early.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::Decision;
///
/// fn status(decision: &Decision) -> u16 {
///     if decision.allowed { 200 } else { 429 }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a denial is a value: look at `allowed`"]
#[non_exhaustive]
pub struct Decision {
    /// Whether the whole amount was admitted, and taken. Of a peek (amount 0): whether one unit
    /// would be.
    pub allowed: bool,
    /// The most units that can be admitted at once: the burst of a rate, the max of a window.
    pub limit: u64,
    /// Units that could be admitted right after this decision.
    pub remaining: u64,
    /// How long to wait until the same amount is admitted, if nobody else takes anything
    /// meanwhile; `None` if it was admitted now.
    pub retry_after: Option<Duration>,
    /// How long until nothing counts any more: the bucket is full again, or the window is over.
    pub reset_after: Duration,
    /// Who decided: the primary, once for the group, or this peer alone.
    pub basis: Basis,
    /// The group it was decided for; `None` before its founding.
    pub group_id: Option<GroupId>,
    /// The reign of the primary that decided.
    pub term: Term,
    /// Its place in the order of all decisions: positions of one term order them exactly. Of a
    /// local decision: the state that this peer's copy held.
    pub position: Position,
    /// The start of the window that it counts for, in group time; `None` for a rate.
    pub window: Option<SystemTime>,
}

impl Decision {
    /// Reads what the model answered.
    #[inline]
    pub(crate) fn read(
        limit: &str,
        amount: u64,
        decided: &quorate::Decision,
    ) -> Result<Self, AcquireError> {
        let quorate::Decision { answer, basis, group_id, position, .. } = decided;
        let words = &answer.words;
        let nanos = |word: usize| Duration::from_nanos(words[word]);
        let allowed = match answer.code {
            code::ALLOWED => true,
            code::DENIED => false,
            code::UNKNOWN_LIMIT => {
                let limit = limit.to_owned();
                return Err(AcquireError::UnknownLimit { limit, at_decider: true });
            }
            code::NEVER_ADMITTED => {
                return Err(AcquireError::NeverAdmitted { amount, max: words[word::LIMIT] });
            }
            code => return Err(AcquireError::UnknownAnswer { code }),
        };
        Ok(Self {
            allowed,
            limit: words[word::LIMIT],
            remaining: words[word::REMAINING],
            retry_after: (!allowed).then(|| nanos(word::RETRY_AFTER)),
            reset_after: nanos(word::RESET_AFTER),
            basis: *basis,
            group_id: *group_id,
            term: position.ballot.term,
            position: *position,
            window: window(words[word::WINDOW]),
        })
    }
}

#[inline]
fn window(start_ms: u64) -> Option<SystemTime> {
    if start_ms == NO_WINDOW {
        return None;
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(start_ms))
}
