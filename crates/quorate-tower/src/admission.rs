//! What handlers are told of the limits.

use std::sync::Arc;

use quorate_ratelimit::{AcquireError, Decision};

use crate::admit::{Admitted, Taken};

/// Why a request was passed on. It is in the extensions of the request, for handlers to read.
///
/// # Examples
///
/// ```
/// use axum::Extension;
/// use quorate_tower::Admission;
///
/// async fn quota(Extension(admission): Extension<Admission>) -> String {
///     match admission.decision() {
///         Some(decision) => format!("{} left", decision.remaining),
///         None => "not counted".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Admission {
    /// All limits admit it, and it was counted.
    Counted {
        /// The limit that has the least left of those that were asked.
        limit: Arc<str>,
        /// What was decided under that.
        decision: Decision,
        /// Limits that would have denied it, were they no shadows.
        shadowed: Vec<Arc<str>>,
    },
    /// No rule applies to it, or none whose limit the group has: then there is an [`Unenforced`].
    Exempt,
    /// Nothing was decided, and such requests are admitted
    /// ([`WhenUnavailable::Admit`](crate::WhenUnavailable::Admit)).
    Undecided {
        /// Why not, and whether it may have been counted all the same.
        error: AcquireError,
    },
}

/// Limits of rules that apply to a request, and that it went without, for the group has none of
/// those names ([`MissingLimit::Skip`](crate::MissingLimit::Skip)). In the extensions of the
/// request, for handlers that want to know; there is none if all were asked.
///
/// # Examples
///
/// ```
/// use axum::Extension;
/// use quorate_tower::Unenforced;
///
/// async fn transfer(unenforced: Option<Extension<Unenforced>>) -> &'static str {
///     if unenforced.is_some() { "not now" } else { "done" }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unenforced {
    /// Their names.
    pub limits: Vec<Arc<str>>,
}

impl Admission {
    /// What was decided, if it was.
    ///
    /// # Examples
    ///
    /// See [`Admission`](Admission#examples).
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Counted { decision, .. } => Some(decision),
            Self::Exempt | Self::Undecided { .. } => None,
        }
    }

    /// What handlers are told, and what is kept of it.
    pub(crate) fn of(admitted: Admitted) -> (Self, Vec<Taken>, Option<Unenforced>) {
        let Admitted { told, shadowed, taken, missing: limits } = admitted;
        let admission = match told {
            Some((limit, decision)) => Self::Counted { limit, decision, shadowed },
            None => Self::Exempt,
        };
        (admission, taken, (!limits.is_empty()).then_some(Unenforced { limits }))
    }

    /// The limit and the decision that the response tells of.
    pub(crate) fn told(&self) -> Option<(Arc<str>, Decision)> {
        match self {
            Self::Counted { limit, decision, .. } => Some((limit.clone(), *decision)),
            Self::Exempt | Self::Undecided { .. } => None,
        }
    }
}
