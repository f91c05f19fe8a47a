//! Requests that are not passed on: why, and as what they are answered.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Response, StatusCode};
use quorate_ratelimit::{
    AcquireError, Decision, HeaderStyle, RateLimiter, quota_exceeded, retry_after_seconds,
};

use crate::fields;

/// The wait that a caller is told where nobody knows one: a failover may end at any moment.
const SOON: HeaderValue = HeaderValue::from_static("1");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The reason why a request was refused. Layers outside find it in the extensions of the response,
/// for their logs and counts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Limits deny it: 429, gRPC 8 (`RESOURCE_EXHAUSTED`). Nothing was counted.
    Denied {
        /// The limits that do.
        limits: Vec<Arc<str>>,
        /// The decision under the limit that denies it for the longest.
        decision: Box<Decision>,
    },
    /// The caller did not send what the request is counted by: 400, gRPC 3 (`INVALID_ARGUMENT`).
    KeyNotSent {
        /// The limit.
        limit: Arc<str>,
        /// The thing that is missing.
        what: Cow<'static, str>,
    },
    /// The service lacks what requests are counted by, and tells every caller so: 500, gRPC 13
    /// (`INTERNAL`).
    KeyNotSupplied {
        /// The limit.
        limit: Arc<str>,
        /// The thing that is missing.
        what: Cow<'static, str>,
    },
    /// A limit that the request may not go without
    /// ([`MissingLimit::Refuse`](crate::MissingLimit::Refuse)) is one that the group has not, or
    /// one of permits: 503 without `Retry-After`, gRPC 9 (`FAILED_PRECONDITION`), for it lasts
    /// until somebody changes that. Nothing was counted.
    LimitUnusable {
        /// The limit.
        limit: Arc<str>,
        /// The reason, and what to do. It tells of the group's inside, so callers are not told.
        error: AcquireError,
    },
    /// The key that the request is counted by is too long: 400, gRPC 3.
    KeyTooLong {
        /// The limit.
        limit: Arc<str>,
        /// The length of the key.
        bytes: usize,
        /// The longest key.
        max: usize,
    },
    /// The key that the request is counted by cannot be read: 400, gRPC 3. It counts as nobody.
    KeyUnreadable {
        /// The limit.
        limit: Arc<str>,
        /// The thing that the caller sent, without its bytes.
        what: Cow<'static, str>,
    },
    /// The request costs more than the limit admits at any time, so that waiting does not help: 400
    /// without `Retry-After`, gRPC 3. Nothing was counted.
    NeverAdmitted {
        /// The limit.
        limit: Arc<str>,
        /// The cost.
        amount: u64,
        /// The most at once.
        max: u64,
    },
    /// More rules apply to the request than are decided together: 500, gRPC 13. Those with an
    /// [`actual_cost`](crate::Rule::actual_cost) are not among them. Nothing was counted.
    TooManyRules {
        /// Limits and keys that it would count under.
        count: usize,
        /// The most.
        max: usize,
    },
    /// Nothing was decided: 503, gRPC 14 (`UNAVAILABLE`). The error says whether something may have
    /// been counted.
    Unavailable {
        /// The reason. It tells of the group's inside, so callers are not told.
        error: AcquireError,
    },
}

/// A request that is refused, to be made into a response.
#[derive(Clone, Debug)]
pub struct Refusal {
    request: Parts,
    reason: Reason,
    fields: HeaderMap,
}

impl Refusal {
    /// Makes a refusal, with the fields of the decision in these styles if there was one.
    pub(crate) fn new(
        limiter: &RateLimiter,
        request: Parts,
        reason: Reason,
        styles: &[HeaderStyle],
    ) -> Self {
        let fields = match &reason {
            Reason::Denied { limits, decision } => {
                limits.first().map(|limit| fields::fields_of(limiter, limit, decision, styles))
            }
            _ => None,
        };
        Self::with_fields(request, reason, fields.unwrap_or_default())
    }

    fn with_fields(request: Parts, reason: Reason, mut fields: HeaderMap) -> Self {
        if matches!(reason, Reason::Unavailable { .. }) {
            fields.insert(RETRY_AFTER, SOON);
        }
        Self { request, reason, fields }
    }

    /// Returns the head of the request, for answers in the form that it asks for.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::Refusal;
    ///
    /// fn is_from_a_script(refusal: &Refusal) -> bool {
    ///     refusal.request().uri.path().starts_with("/api/")
    /// }
    /// ```
    pub fn request(&self) -> &Parts {
        &self.request
    }

    /// Returns the reason why it is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{Reason, Refusal};
    ///
    /// fn is_about_money(refusal: &Refusal) -> bool {
    ///     matches!(refusal.reason(), Reason::Denied { limits, .. } if *limits == ["plan".into()])
    /// }
    /// ```
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Returns the fields that say when to come again.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::header::RETRY_AFTER;
    /// use quorate_tower::Refusal;
    ///
    /// fn is_worth_a_retry(refusal: &Refusal) -> bool {
    ///     refusal.fields().contains_key(RETRY_AFTER)
    /// }
    /// ```
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// Returns the status of the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::Refusal;
    ///
    /// fn is_the_callers_fault(refusal: &Refusal) -> bool {
    ///     refusal.status().is_client_error()
    /// }
    /// ```
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Denied { .. } => StatusCode::TOO_MANY_REQUESTS,
            Reason::KeyNotSupplied { .. } | Reason::TooManyRules { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Reason::LimitUnusable { .. } | Reason::Unavailable { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Reason::KeyNotSent { .. }
            | Reason::KeyTooLong { .. }
            | Reason::KeyUnreadable { .. }
            | Reason::NeverAdmitted { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// Makes a response with a problem document (RFC 9457).
    ///
    /// # Examples
    ///
    /// For a body that no text can be made into by `From`:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::{BodyExt, Full, combinators::BoxBody};
    /// use quorate_ratelimit::RateLimiter;
    /// use quorate_tower::{RateLimitLayer, Refusal};
    ///
    /// fn layer(limiter: RateLimiter) {
    ///     let builder = RateLimitLayer::builder(limiter).refuse_with(|refusal: Refusal| {
    ///         refusal.problem().map(|text| BoxBody::new(Full::<Bytes>::from(text)))
    ///     });
    /// #   let _ = builder;
    /// }
    /// ```
    pub fn problem(self) -> Response<String> {
        let body = match &self.reason {
            Reason::Denied { limits, .. } => quota_exceeded(limits.iter().map(|limit| &**limit)),
            _ => self.problem_of_its_own(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
        self.finish(response)
    }

    /// Writes the document of a refusal that no registered type is for.
    fn problem_of_its_own(&self) -> String {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or_default();
        let mut detail = String::new();
        for c in self.sentence().chars() {
            match c {
                // A name of a limit has whatever a person gave it, and the rest is ours.
                '"' | '\\' => detail.extend(['\\', c]),
                c if c.is_control() => detail.push(' '),
                c => detail.push(c),
            }
        }
        format!(
            "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\
             \"detail\":\"{detail}\"}}",
            status.as_u16()
        )
    }

    /// Makes a response for gRPC: 200, and the status of the call in its head, with an empty body.
    ///
    /// # Examples
    ///
    /// Where one service answers both:
    ///
    /// ```
    /// use axum::body::Body;
    /// use http::{Response, header::CONTENT_TYPE};
    /// use quorate_tower::Refusal;
    ///
    /// fn answer(refusal: Refusal) -> Response<Body> {
    ///     let kind = refusal.request().headers.get(CONTENT_TYPE);
    ///     if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
    ///         return refusal.grpc();
    ///     }
    ///     refusal.problem().map(Body::from)
    /// }
    /// ```
    pub fn grpc<B: Default>(self) -> Response<B> {
        let code = match self.reason {
            Reason::Denied { .. } => 8,
            Reason::LimitUnusable { .. } => 9,
            Reason::KeyNotSupplied { .. } | Reason::TooManyRules { .. } => 13,
            Reason::Unavailable { .. } => 14,
            Reason::KeyNotSent { .. }
            | Reason::KeyTooLong { .. }
            | Reason::KeyUnreadable { .. }
            | Reason::NeverAdmitted { .. } => 3,
        };
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(GRPC_STATUS, code.into());
        if let Ok(message) = HeaderValue::try_from(percent_encoded(&self.sentence())) {
            headers.insert(GRPC_MESSAGE, message);
        }
        self.finish(response)
    }

    fn finish<B>(self, mut response: Response<B>) -> Response<B> {
        response.headers_mut().extend(self.fields);
        response.extensions_mut().insert(self.reason);
        response
    }

    /// Says the reason to people, in one sentence.
    fn sentence(&self) -> String {
        match &self.reason {
            Reason::Denied { limits, decision } => {
                let seconds = retry_after_seconds(decision.retry_after.unwrap_or_default());
                format!("denied by {}: come again in {seconds} s", limits.join(", "))
            }
            Reason::KeyNotSent { limit, what } => {
                format!("the request lacks {what}, by which limit {limit} counts: send it")
            }
            Reason::KeyNotSupplied { limit, what } => {
                format!("the service lacks {what}, by which limit {limit} counts")
            }
            Reason::LimitUnusable { limit, .. } => {
                format!("the service's limit {limit}, which has to hold for this, is not in force")
            }
            Reason::TooManyRules { count, max } => {
                format!("the service counts this under {count} limits, and {max} is most")
            }
            Reason::KeyTooLong { limit, bytes, max } => {
                format!(
                    "limit {limit} counts by a key that has {bytes} bytes here, and {max} at most: \
                     send a shorter one"
                )
            }
            Reason::KeyUnreadable { limit, what } => {
                format!("the request has {what} where limit {limit} counts by one key: send that")
            }
            Reason::NeverAdmitted { limit, amount, max } => {
                format!(
                    "it costs {amount} units, and limit {limit} admits {max} at most at once: ask \
                     for less"
                )
            }
            Reason::Unavailable { .. } => {
                "whether this is within its limits cannot be decided now; try again in a moment"
                    .to_owned()
            }
        }
    }
}

/// Encodes a message as gRPC wants it: bytes beyond printable ASCII, and the percent sign, as
/// `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

/// Makes responses of refusals, with bodies of the type that the service inside has.
///
/// A closure that takes a [`Refusal`] is one: see
/// [`refuse_with`](crate::RateLimitLayerBuilder::refuse_with).
pub trait Refuse<B>: Send + Sync + 'static {
    /// Makes the response to a request that is refused.
    fn refuse(&self, refusal: Refusal) -> Response<B>;
}

/// Refuses with a problem document (RFC 9457, `application/problem+json`), as [`Refusal::problem`]
/// has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Problems;

impl<B: From<String>> Refuse<B> for Problems {
    fn refuse(&self, refusal: Refusal) -> Response<B> {
        refusal.problem().map(B::from)
    }
}

/// Refuses as gRPC does, as [`Refusal::grpc`] has it.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::RateLimiter;
/// use quorate_tower::{Grpc, RateLimitLayer};
///
/// fn for_tonic(limiter: RateLimiter) {
///     let builder = RateLimitLayer::builder(limiter).refusals(Grpc);
/// #   let _ = builder;
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grpc;

impl<B: Default> Refuse<B> for Grpc {
    fn refuse(&self, refusal: Refusal) -> Response<B> {
        refusal.grpc()
    }
}

impl<B, F: Fn(Refusal) -> Response<B> + Send + Sync + 'static> Refuse<B> for F {
    fn refuse(&self, refusal: Refusal) -> Response<B> {
        self(refusal)
    }
}

#[cfg(test)]
mod tests {
    use quorate::{DecideError, NoPrimaryReason};
    use serde_json::{Value, json};

    use super::*;

    /// One of each kind but `Denied`, with its status, its gRPC code, and whether to come again.
    fn kinds() -> [(Reason, u16, &'static str, bool); 8] {
        let (limit, what) = (Arc::from("a \"b\\"), Cow::Borrowed("the field \u{1} x-ä%"));
        let missing = AcquireError::MissingLimit { limit: "a".into(), revision: 1 };
        let no_primary = DecideError::NoPrimary { reason: NoPrimaryReason::NoQuorum };
        [
            (Reason::KeyNotSent { limit: Arc::clone(&limit), what: what.clone() }, 400, "3", false),
            (Reason::KeyUnreadable { limit: limit.clone(), what: what.clone() }, 400, "3", false),
            (Reason::KeyNotSupplied { limit: limit.clone(), what }, 500, "13", false),
            (Reason::KeyTooLong { limit: limit.clone(), bytes: 509, max: 508 }, 400, "3", false),
            (Reason::NeverAdmitted { limit, amount: 5, max: 3 }, 400, "3", false),
            (Reason::LimitUnusable { limit: "a".into(), error: missing }, 503, "9", false),
            (Reason::TooManyRules { count: 17, max: 16 }, 500, "13", false),
            (Reason::Unavailable { error: no_primary.into() }, 503, "14", true),
        ]
    }

    fn refusal(reason: Reason) -> Refusal {
        let request = http::Request::new(()).into_parts().0;
        Refusal::with_fields(request, reason, HeaderMap::new())
    }

    #[test]
    fn every_refusal_is_a_problem_document() {
        for (reason, status, _, retry) in kinds() {
            let response = refusal(reason.clone()).problem();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), retry, "{reason:?}");
            assert_eq!(response.extensions().get(), Some(&reason));
            let body: Value = serde_json::from_str(response.body()).expect("JSON");
            assert_eq!((&body["status"], &body["type"]), (&json!(status), &json!("about:blank")));
            assert!(body["detail"].as_str().is_some_and(|detail| !detail.contains("majority")));
        }
    }

    #[test]
    fn every_refusal_is_a_status_of_grpc() {
        for (reason, _, code, retry) in kinds() {
            let response: Response<()> = refusal(reason).grpc();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
            assert_eq!(response.headers()[GRPC_STATUS], code);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), retry);
            assert!(!response.headers()[GRPC_MESSAGE].is_empty());
        }
    }

    #[test]
    fn every_refusal_says_what_to_do_in_one_sentence() {
        let limit = || Arc::from("api");
        let said = |reason| {
            let problem: Value =
                serde_json::from_str(refusal(reason).problem().body()).expect("JSON");
            problem["detail"].as_str().expect("a sentence").to_owned()
        };
        let error = DecideError::NoPrimary { reason: NoPrimaryReason::NoQuorum }.into();
        for (reason, sentence) in [
            (
                Reason::KeyNotSent { limit: limit(), what: "the field x-api-key".into() },
                "the request lacks the field x-api-key, by which limit api counts: send it",
            ),
            (
                Reason::KeyNotSent { limit: limit(), what: "a key".into() },
                "the request lacks a key, by which limit api counts: send it",
            ),
            (
                Reason::KeyUnreadable { limit: limit(), what: "an empty field x-api-key".into() },
                "the request has an empty field x-api-key where limit api counts by one key: send \
                 that",
            ),
            (
                Reason::KeyNotSupplied { limit: limit(), what: "a path".into() },
                "the service lacks a path, by which limit api counts",
            ),
            (
                Reason::KeyTooLong { limit: limit(), bytes: 509, max: 508 },
                "limit api counts by a key that has 509 bytes here, and 508 at most: send a \
                 shorter one",
            ),
            (
                Reason::NeverAdmitted { limit: limit(), amount: 5, max: 3 },
                "it costs 5 units, and limit api admits 3 at most at once: ask for less",
            ),
            (
                Reason::Unavailable { error },
                "whether this is within its limits cannot be decided now; try again in a moment",
            ),
        ] {
            assert_eq!(said(reason), sentence);
        }
    }

    #[test]
    fn messages_of_grpc_are_percent_encoded() {
        assert_eq!(percent_encoded("100 % ä\n"), "100 %25 %C3%A4%0A");
    }
}
