//! What handlers are told of the limits.

use std::sync::Arc;

use quorate_ratelimit::{AcquireError, Decision};

use crate::taking::{Admitted, Taken};

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
    /// No rule applies to it.
    Exempt,
    /// Nothing was decided, and such requests are admitted
    /// ([`WhenUnavailable::Admit`](crate::WhenUnavailable::Admit)).
    Undecided {
        /// Why not, and whether it may have been counted all the same.
        error: AcquireError,
    },
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
    pub(crate) fn of(admitted: Admitted) -> (Self, Vec<Taken>) {
        let Admitted { told, shadowed, taken } = admitted;
        let admission = match told {
            Some((limit, decision)) => Self::Counted { limit, decision, shadowed },
            None => Self::Exempt,
        };
        (admission, taken)
    }

    /// The limit and the decision that the response tells of.
    pub(crate) fn told(&self) -> Option<(Arc<str>, Decision)> {
        match self {
            Self::Counted { limit, decision, .. } => Some((limit.clone(), *decision)),
            Self::Exempt | Self::Undecided { .. } => None,
        }
    }
}
