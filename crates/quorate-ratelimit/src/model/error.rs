//! The error of an operation that was not decided.

use quorate::DecideError;

use crate::limit::error::shown;

quorate::told_to_people! { AcquireError }

/// Reasons why nothing was decided. A denial is not among these: it is a
/// [`Decision`](crate::Decision).
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Neither this peer nor whoever decides has a limit of that name. Nothing was written.
    #[error("no limit is called {}", shown(limit))]
    UnknownLimit {
        /// The name asked for.
        limit: String,
    },
    /// This peer has a limit of that name, and the group has none, or not yet: as in a rollout, or
    /// since the group's limits were changed. Nothing was written, and nothing is until it has. It
    /// is told as a warning once, and shown in
    /// [`LimitsStatus::missing`](crate::LimitsStatus::missing).
    #[error(
        "this peer has a limit {limit:?} and {}", missing(*revision)
    )]
    MissingLimit {
        /// The name asked for.
        limit: String,
        /// The revision of the group's limits; 0 if they are those of the primary's code.
        revision: u64,
    },
    /// The key is too long. Nothing was written.
    #[error("a key of {bytes} bytes is longer than {max}: use a shorter one, or a hash of it")]
    KeyTooLong {
        /// Length of the key.
        bytes: usize,
        /// Longest key.
        max: usize,
    },
    /// The limit never admits that much at once, at no time: waiting does not help, so this is not
    /// a denial. Ask for less. Nothing was written.
    #[error(
        "limit {limit} never admits {amount} units at once: ask for {max} at most",
        limit = if limit.is_empty() { "of this key" } else { &**limit }
    )]
    NeverAdmitted {
        /// The limit: of several that were asked for together the one that refuses. Empty if this
        /// peer does not know its name.
        limit: String,
        /// The amount asked for.
        amount: u64,
        /// The burst of the limit, or the max of its window.
        max: u64,
    },
    /// The idempotency key is empty: it would be one for all who send none. Nothing was written.
    #[error("an empty idempotency key is none: give each request one of its own, or leave it out")]
    EmptyIdempotencyKey,
    /// A permit of no place was asked for, which would hold nothing. Nothing was written.
    #[error("a permit of 0 places would hold nothing: ask for 1 or more, or peek")]
    ZeroPermits,
    /// No items were asked for together, or too many. Nothing was written.
    #[error("{count} items together: ask for 1 to {max}")]
    Items {
        /// Items asked for.
        count: usize,
        /// The most.
        max: usize,
    },
    /// One key of one limit was asked for twice together: add the amounts up. Nothing was written.
    #[error("a key of limit {limit} is asked for twice together: add the amounts up")]
    Twice {
        /// The limit.
        limit: String,
    },
    /// The peer that decides is of an older version and does not know this operation. Nothing was
    /// written.
    #[error(
        "the peer that decides does not know this operation: run the same version at all peers"
    )]
    UnknownOperation,
    /// The reservation or permit has ended: it was not settled or renewed in time, and its units
    /// are given back. What a reservation was for has happened all the same: debit it. Nothing was
    /// written.
    #[error(
        "the reservation or permit has ended, and its units are given back: debit what was used, \
         and do not go on as if a permit were held"
    )]
    Ended,
    /// The peer that decides has no limit such as the reservation or permit was taken under: it has
    /// been removed since. Nothing was written.
    #[error(
        "the limit {}under which this was taken is not known to the peer that decides: it has been \
         removed since, or that peer has others",
        if limit.is_empty() { String::new() } else { format!("{limit} ") }
    )]
    LimitRemoved {
        /// Its name; empty if this peer does not know it either.
        limit: String,
    },
    /// Limits of this kind do not have this operation: permits are of concurrency limits only, and
    /// those have nothing else but peeks. Nothing was written.
    #[error(
        "limit {limit} does not have this operation: permits, and nothing but permits, are for \
         limits with `concurrent`"
    )]
    Unsupported {
        /// The limit.
        limit: String,
    },
    /// The peer that decided answered in a way this version does not know. The change may have
    /// been written.
    #[error(
        "the answer has code {code}, which this version does not know: the units may have been \
         taken; run the same version at all peers"
    )]
    UnknownAnswer {
        /// The code.
        code: u8,
    },
    /// The group did not decide; the source says what that means for the change.
    #[error(transparent)]
    Undecided(#[from] DecideError),
}

/// Says where a limit is missing, and what to do.
fn missing(revision: u64) -> String {
    if revision == 0 {
        return "the peer that decides has none in its code: bring the primary to the code that \
                this peer runs, or change the group's limits to some with it (change_limits)"
            .to_owned();
    }
    format!(
        "the group has none (its limits are at revision {revision}): change them to some with it \
         (change_limits)"
    )
}

impl AcquireError {
    /// Returns the error of an operation on what is held, whose limit no caller has named.
    pub(crate) fn of_held(self) -> Self {
        match self {
            Self::MissingLimit { limit, .. } => Self::LimitRemoved { limit },
            Self::UnknownLimit { limit } if limit.is_empty() => Self::LimitRemoved { limit },
            other => other,
        }
    }

    /// Returns true if trying again later can succeed without counting twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Undecided(source) => source.is_retryable(),
            _ => false,
        }
    }
}
