//! Why the example `peer` did not carry out a request: a problem document (RFC 9457) with the
//! error, whether anything was counted, and what to do.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quorate::{DecideError, NoPrimaryReason, NotReadyError, RemoveError, SwitchError};
use quorate_ratelimit::{AcquireError, Limits, retry_after_seconds};
use serde_json::json;

use crate::flags::in_flags;

/// What a caller is told to wait where nobody knows: a failover may end at any moment.
const SOON: Duration = Duration::from_secs(1);
/// What a body is: a problem document.
pub(crate) const KIND: [(HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "application/problem+json")];
/// A sentence is no place for thousands of names.
const MAX_NAMES: usize = 10;

/// Why a request was not carried out.
pub(crate) struct Problem {
    status: StatusCode,
    /// For programs; the sentence is for people.
    error: &'static str,
    detail: String,
    /// What there is no primary for, for programs.
    reason: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        Self { status, error, detail: detail.into(), reason: None, retry_after: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    #[cfg(test)]
    pub(crate) fn error(&self) -> &'static str {
        self.error
    }

    /// With what the status says of whoever is missing, and of what differs.
    pub(crate) fn not_ready(error: &NotReadyError) -> Self {
        let detail = format!("{error}; {}", look(error.reason));
        match error.reason {
            NoPrimaryReason::CountedOut => Self::out("counted_out", detail),
            NoPrimaryReason::Removed => Self::out("removed", detail),
            reason => Self::busy("not_ready", &detail).because(reason),
        }
    }

    /// Without Retry-After: it is so for good.
    pub(crate) fn out(error: &'static str, detail: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, detail)
    }

    /// It is not done now, and may be in a moment.
    pub(crate) fn busy(error: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, detail).retry(SOON)
    }

    /// With the names there are, for most such requests are misspelt.
    pub(crate) fn unknown_limit(error: &AcquireError, limits: &Limits) -> Self {
        let detail = format!("{error}; {}", names(limits));
        Self::new(StatusCode::NOT_FOUND, "unknown_limit", detail)
    }

    /// With the word for why there is no primary.
    fn because(self, reason: NoPrimaryReason) -> Self {
        Self { reason: word(reason), ..self }
    }

    fn retry(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The document.
    pub(crate) fn body(&self) -> String {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "error": self.error,
            "detail": self.detail,
        });
        if let Some(reason) = self.reason {
            body["reason"] = json!(reason);
        }
        body.to_string()
    }
}

fn names(limits: &Limits) -> String {
    let names = limits.iter().map(|(name, _)| name).take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    match limits.iter().count().saturating_sub(MAX_NAMES) {
        0 => format!("use one of: {names}"),
        more => format!("use one of: {names}, and {more} more"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, KIND, self.body()).into_response();
        if let Some(wait) = self.retry_after {
            let (name, value) = retry_after(wait);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<AcquireError> for Problem {
    fn from(error: AcquireError) -> Self {
        let advised = |advice| format!("{error}; {advice}");
        match &error {
            AcquireError::UnknownLimit { .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown_limit", advised(SAME_LIMITS))
            }
            // Without Retry-After: it lasts until somebody does what the sentence says.
            AcquireError::MissingLimit { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "missing_limit", advised(MISSING))
            }
            AcquireError::LimitRemoved { .. } => {
                Self::new(StatusCode::GONE, "limit_removed", advised(NOT_COUNTED))
            }
            AcquireError::Undecided(error) => error.clone().into(),
            AcquireError::UnknownAnswer { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", error.to_string())
            }
            AcquireError::Ended => Self::new(StatusCode::GONE, "ended", advised(NOT_COUNTED)),
            _ => Self::bad_request(advised(NOT_COUNTED)),
        }
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        let advised = |advice: &str| format!("{error}; {advice}");
        let unavailable = |name, advice: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, name, advised(advice)).retry(SOON)
        };
        match error {
            DecideError::NoPrimary { reason } => {
                let advice = format!("{NOT_COUNTED}; {}", look(reason));
                match reason {
                    NoPrimaryReason::CountedOut => Self::out("counted_out", advised(&advice)),
                    NoPrimaryReason::Removed => Self::out("removed", advised(&advice)),
                    _ => unavailable("no_primary", &advice).because(reason),
                }
            }
            DecideError::Overloaded { .. } => unavailable("overloaded", NOT_COUNTED),
            DecideError::ShuttingDown => unavailable("shutting_down", NOT_COUNTED),
            DecideError::Invalid { .. } => Self::bad_request(advised(NOT_COUNTED)),
            // Without Retry-After: trying again may count twice, so the caller has to decide.
            _ => Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", error.to_string()),
        }
    }
}

/// What to do where there is no primary: to try again only where the group comes out of it by
/// itself.
fn look(reason: NoPrimaryReason) -> &'static str {
    use NoPrimaryReason::{CountedOut, Incomplete, NoCandidate, Refused, Removed, ShutDown};
    use NoPrimaryReason::{SitePassive, SitePending, SiteSealed, SiteUnconfirmed};
    match reason {
        Refused => {
            "it lasts until they are set alike: GET /v1/status shows under refusals both values"
        }
        NoCandidate => "POST /v1/priority at one of them gives it another",
        Incomplete => "it lasts until they are back: GET /v1/status names them under waits_for",
        CountedOut | Removed | ShutDown => "ask another peer",
        SitePassive => "with --at-passive forward its peers answer for the other site",
        SitePending => "POST /v1/site {\"mode\":\"active\"} at a peer of it tells it to",
        SiteSealed => "POST /v1/site {\"mode\":\"active\"} at a peer of it promotes a site",
        SiteUnconfirmed => {
            "it lasts until the other site is reached: GET /v1/site says how it stands"
        }
        _ => {
            "try again in a moment; GET /v1/status shows which peers are up, under link_error why \
             others are not and, under refusals, who was turned away"
        }
    }
}

/// The word for why there is no primary.
fn word(reason: NoPrimaryReason) -> Option<&'static str> {
    Some(match reason {
        NoPrimaryReason::NoQuorum => "no_quorum",
        NoPrimaryReason::Refused => "refused",
        NoPrimaryReason::NotReached => "not_reached",
        NoPrimaryReason::NoCandidate => "no_candidate",
        NoPrimaryReason::Founding => "founding",
        NoPrimaryReason::NotCounted => "not_counted",
        NoPrimaryReason::Removed => "removed",
        NoPrimaryReason::CountedOut => "counted_out",
        NoPrimaryReason::ShutDown => "shut_down",
        NoPrimaryReason::Incomplete => "incomplete",
        NoPrimaryReason::Electing => "electing",
        NoPrimaryReason::LeaseEnded => "lease_ended",
        NoPrimaryReason::SitePassive => "site_passive",
        NoPrimaryReason::SiteSealed => "site_sealed",
        NoPrimaryReason::SiteUnconfirmed => "site_unconfirmed",
        NoPrimaryReason::SitePending => "site_pending",
        NoPrimaryReason::NotConnected => "not_connected",
        _ => return None,
    })
}

const NOT_COUNTED: &str = "nothing was counted";
const SAME_LIMITS: &str =
    "nothing was counted; GET /v1/status shows under differs whose are others";
const MISSING: &str = "nothing was counted; PUT /v1/limits changes the group's limits, GET \
                       /v1/status shows under limits what is missing and under differs whose are \
                       others";

impl From<SwitchError> for Problem {
    fn from(error: SwitchError) -> Self {
        let (status, name) = match error {
            SwitchError::NotMember { .. } => (StatusCode::BAD_REQUEST, "not_member"),
            SwitchError::NotPrimary { .. } => (StatusCode::CONFLICT, "not_primary"),
            SwitchError::NotAllowed => (StatusCode::FORBIDDEN, "client"),
            SwitchError::NoPrimary { .. } | SwitchError::NotReached => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_primary")
            }
            // It may be done already: the primary in the status tells.
            SwitchError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            SwitchError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            _ => (StatusCode::CONFLICT, "not_switched"),
        };
        let said = in_flags(&error.to_string());
        Self::new(status, name, format!("{said}; {}", advice(&error)))
    }
}

/// What to do after a switch that did not take place.
fn advice(error: &SwitchError) -> &'static str {
    match error {
        SwitchError::NotMember { .. } => "GET /v1/status lists them",
        SwitchError::NotPrimary { primary: Some(_) } => "send the same request there",
        SwitchError::PriorityZero { .. } => {
            "choose another; if it is not about to stop, POST /v1/priority there gives it another"
        }
        SwitchError::NotAllowed => "nothing was changed",
        SwitchError::NoCandidate { .. } => "POST /v1/priority at one of them gives it another",
        SwitchError::OnlyMember => "start another with --join",
        SwitchError::ShuttingDown => "ask another peer",
        _ => "GET /v1/status shows which peers are up and who is primary",
    }
}

impl From<RemoveError> for Problem {
    fn from(error: RemoveError) -> Self {
        let (status, name) = match error {
            RemoveError::NotAllowed { .. } => (StatusCode::FORBIDDEN, "client"),
            RemoveError::NotMember { .. } => (StatusCode::NOT_FOUND, "not_member"),
            RemoveError::NoPrimary { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_primary"),
            // It may be done already: the members in the status tell.
            RemoveError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            RemoveError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            _ => (StatusCode::CONFLICT, "not_removed"),
        };
        let said = in_flags(&error.to_string());
        Self::new(status, name, format!("{said}; GET /v1/status shows under members who counts"))
    }
}

/// In whole seconds, rounded up: a caller that comes earlier is denied again.
pub(crate) fn retry_after(wait: Duration) -> (HeaderName, HeaderValue) {
    (header::RETRY_AFTER, retry_after_seconds(wait).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client was told to call a method.
    #[test]
    fn who_may_not_is_told_by_which_flag_it_may() {
        let said = Problem::from(SwitchError::NotAllowed).detail;
        assert!(said.contains("at every member by --clients-may-switch-primary"), "{said}");
        let said = Problem::from(RemoveError::NotAllowed { peer: "b".into() }).detail;
        assert!(said.contains("at every member by --clients-may-remove-members"), "{said}");
    }

    #[test]
    fn whoever_was_counted_out_is_told_so_and_nobody_comes_again() {
        use NoPrimaryReason::{CountedOut, Removed};
        for (reason, name) in [(CountedOut, "counted_out"), (Removed, "removed")] {
            let problem = Problem::from(DecideError::NoPrimary { reason });
            assert_eq!((problem.status.as_u16(), problem.error), (503, name));
            assert_eq!(problem.retry_after, None);
            assert!(problem.detail.contains("nothing was counted"), "{}", problem.detail);
            assert!(!problem.detail.contains("try again"), "{}", problem.detail);
        }
    }

    /// What lasts until somebody changes something was told to be over in a moment.
    #[test]
    fn callers_are_told_to_come_again_where_it_ends_by_itself() {
        use NoPrimaryReason::{Electing, Incomplete, NoCandidate, NoQuorum, Refused, Removed};
        use NoPrimaryReason::{SitePassive, SiteSealed};
        let said = |reason| Problem::from(DecideError::NoPrimary { reason }).detail;
        for reason in [Electing, NoQuorum] {
            assert!(said(reason).contains("try again in a moment"), "{reason}");
        }
        for reason in [Incomplete, NoCandidate, Refused, Removed, SitePassive, SiteSealed] {
            assert!(!said(reason).contains("try again"), "{reason}");
        }
        assert!(said(Refused).contains("under refusals both values"));
    }

    #[test]
    fn why_there_is_no_primary_is_a_word_for_programs() {
        use NoPrimaryReason::{Electing, SitePassive, SitePending, SiteSealed, SiteUnconfirmed};
        for (reason, word) in [
            (Electing, "electing"),
            (SitePassive, "site_passive"),
            (SitePending, "site_pending"),
            (SiteSealed, "site_sealed"),
            (SiteUnconfirmed, "site_unconfirmed"),
        ] {
            let body = Problem::from(DecideError::NoPrimary { reason }).body();
            assert!(body.contains(&format!(r#""reason":"{word}""#)), "{body}");
        }
        assert!(!Problem::from(DecideError::ShuttingDown).body().contains("reason"));
    }
}
