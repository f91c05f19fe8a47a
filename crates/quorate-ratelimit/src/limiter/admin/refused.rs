//! Why an ask about limits was not carried out.

use std::fmt;

use quorate::admin::Refused;

use crate::model::error::AcquireError;
use crate::model::limits::Limits;

/// A sentence is no place for thousands of names.
const MAX_NAMES: usize = 10;

/// The refusal of an ask that was not decided; of an unknown limit with the names that there are.
pub(super) fn acquire(error: AcquireError, limits: &Limits) -> Refused {
    let detail = error.to_string();
    let name = match error {
        AcquireError::Undecided(error) => return error.into(),
        AcquireError::UnknownAnswer { .. } => {
            return Refused::new("unknown_answer", detail).unknown();
        }
        AcquireError::UnknownLimit { .. } => {
            return Refused::new("unknown_limit", format!("{detail}; {}", names(limits)));
        }
        AcquireError::MissingLimit { .. } => "missing_limit",
        AcquireError::KeyTooLong { .. } => "key_too_long",
        AcquireError::NeverAdmitted { .. } => "never_admitted",
        AcquireError::EmptyIdempotencyKey => "empty_idempotency_key",
        AcquireError::ZeroPermits => "zero_permits",
        AcquireError::Items { .. } => "items",
        AcquireError::Twice { .. } => "twice",
        AcquireError::UnknownOperation => "unknown_operation",
        AcquireError::Ended => "ended",
        AcquireError::LimitRemoved { .. } => "limit_removed",
        AcquireError::Unsupported { .. } => "unsupported",
    };
    Refused::new(name, detail)
}

fn names(limits: &Limits) -> String {
    let names = limits.iter().map(|(name, _)| name).take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    match limits.iter().count().saturating_sub(MAX_NAMES) {
        0 => format!("use one of: {names}"),
        more => format!("use one of: {names}, and {more} more"),
    }
}

/// The refusal of limits that cannot be used.
pub(super) fn unusable(error: &dyn fmt::Display) -> Refused {
    Refused::new("limits_unusable", error.to_string())
}

/// The refusal of no limits at all, by which every call would be refused.
pub(super) fn nothing_in_it() -> Refused {
    unusable(&"there is no limit in it: write one, like {\"api\":{\"rate\":\"100/s\"}}")
}
