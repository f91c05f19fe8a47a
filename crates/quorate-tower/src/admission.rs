//! The admission of a request, as handlers are told of it.

use std::sync::Arc;

use quorate_ratelimit::{AcquireError, Decision};

use crate::admit::{Admitted, Taken, Told};

/// The reason why a request was passed on. It is in the extensions of the request, for handlers to
/// read.
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
        /// The decision under that limit.
        decision: Decision,
        /// Limits that would have denied it, were they no shadows.
        shadowed: Vec<Arc<str>>,
    },
    /// No rule applies to it, or none whose limit the group has: then there is an [`Unenforced`].
    Exempt,
    /// Nothing was decided, and such requests are admitted
    /// ([`WhenUnavailable::Admit`](crate::WhenUnavailable::Admit)).
    Undecided {
        /// The reason, which says whether it may have been counted all the same.
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
    /// Returns the decision, if there is one.
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

    /// Returns the limit and the decision that the response tells of.
    pub(crate) fn told(&self) -> Option<Told> {
        match self {
            Self::Counted { limit, decision, .. } => {
                Some(Told { limit: limit.clone(), decision: *decision })
            }
            Self::Exempt | Self::Undecided { .. } => None,
        }
    }
}

/// A request on its way to the service inside.
pub(crate) struct Passed {
    pub(crate) admission: Admission,
    /// The items that its response may correct.
    pub(crate) taken: Vec<Taken>,
    pub(crate) unenforced: Option<Unenforced>,
}

impl Passed {
    /// Passes a request on of which nothing was decided.
    pub(crate) fn undecided(error: AcquireError) -> Self {
        Self { admission: Admission::Undecided { error }, taken: Vec::new(), unenforced: None }
    }
}

impl From<Admitted> for Passed {
    fn from(admitted: Admitted) -> Self {
        let Admitted { told, shadowed, taken, missing: limits } = admitted;
        let admission = match told {
            Some(Told { limit, decision }) => Admission::Counted { limit, decision, shadowed },
            None => Admission::Exempt,
        };
        let unenforced = (!limits.is_empty()).then_some(Unenforced { limits });
        Self { admission, taken, unenforced }
    }
}
