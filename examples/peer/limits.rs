//! What the example `peer` answers about limits.
//!
//! ```text
//! POST /v1/acquire        {"limit","key","amount"}  all of the amount or nothing
//! POST /v1/acquire-up-to  {"limit","key","amount"}  as much as there is; "granted" says it
//! POST /v1/acquire-all    {"items":[{"limit","key","amount"}, ..]}
//!                                                   all or none; "violated" names who refuses
//! POST /v1/peek           {"limit","key","amount"}  what an acquire would come to
//! POST /v1/debit          {"limit","key","amount"}  takes what was used, room for it or not
//! POST /v1/refund         {"limit","key","amount"}  gives back; "granted" says how much
//! POST /v1/reset          {"limit","key"}           forgets what was taken; where --admin-http is
//! ```
//!
//! Each is answered with 200, 429 if it is denied, 503 without a primary, 504 if the outcome is
//! unknown, 400 or 404; all but 200 are problem documents, and that of a 429 has what a decision
//! has. `amount` is 1 if it is left out; an acquire of 0 takes nothing, and is answered as one of 1
//! would be, so is a peek; a debit or refund of 0 says how the key stands. An empty key is one.
//!
//! At a peer that was started with `--accept-ids` a request may have an `"id"` of its own: a retry
//! of any of the first three, of debit or of refund, with the same id, limit, key and amount, is
//! charged once and gets the first answer, with `"repeated": true`, for ten minutes; after sixteen
//! times 429, with the same, for it is the id that is used up and not the limit. What else can be
//! asked, and an item of acquire-all, has no id, and is refused with one; an empty one is refused
//! too. At other peers every id is refused (`ids_not_accepted`), for a caller that sends the same
//! one each time is never denied: ids are for services of your own, which make a new one for each
//! request of theirs, never hand on what a stranger sent, and do not do the work again for an
//! answer that is repeated.

use std::time::SystemTime;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use quorate_ratelimit::{AcquireError, Decision, Limits};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{Object, read};
use crate::problem::{KIND, Problem, retry_after};
use crate::service::{Current, Service};

/// What a body looks like.
pub(crate) const AMOUNT: &str = r#"{"limit":"default","key":"alice","amount":1}"#;

/// The paths about limits.
pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/v1/acquire", post(acquire))
        .route("/v1/acquire-all", post(acquire_all))
        .route("/v1/acquire-up-to", post(acquire_up_to))
        .route("/v1/peek", post(peek))
        .route("/v1/debit", post(debit))
        .route("/v1/refund", post(refund))
}

/// What callers have no say in.
pub(crate) fn admin_routes() -> Router<Current> {
    Router::new().route("/v1/reset", post(reset))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Amount {
    pub(crate) limit: String,
    pub(crate) key: String,
    #[serde(default = "one")]
    pub(crate) amount: u64,
}

/// The same, where a retry can be told from another request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Repeatable {
    limit: String,
    key: String,
    #[serde(default = "one")]
    amount: u64,
    /// Idempotency key, where such are accepted: a retry with it is charged once and gets the first
    /// answer.
    #[serde(default)]
    id: Option<String>,
}

fn one() -> u64 {
    1
}

async fn acquire(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Repeatable { limit, key, amount, id } = read(&body, AMOUNT)?;
    service.check_id(id.as_ref())?;
    let decided = match &id {
        Some(id) => service.limiter.idempotency_key(id).acquire(&limit, &key, amount).await,
        None => service.limiter.acquire(&limit, &key, amount).await,
    };
    answer(&service, &limit, decided)
}

async fn acquire_up_to(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Repeatable { limit, key, amount, id } = read(&body, AMOUNT)?;
    service.check_id(id.as_ref())?;
    let decided = match &id {
        Some(id) => service.limiter.idempotency_key(id).acquire_up_to(&limit, &key, amount).await,
        None => service.limiter.acquire_up_to(&limit, &key, amount).await,
    };
    answer(&service, &limit, decided)
}

async fn peek(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Amount { limit, key, amount } = read(&body, AMOUNT)?;
    answer(&service, &limit, service.limiter.peek(&limit, &key, amount).await)
}

async fn debit(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Repeatable { limit, key, amount, id } = read(&body, AMOUNT)?;
    service.check_id(id.as_ref())?;
    let decided = match &id {
        Some(id) => service.limiter.idempotency_key(id).debit(&limit, &key, amount).await,
        None => service.limiter.debit(&limit, &key, amount).await,
    };
    answer(&service, &limit, decided)
}

async fn refund(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Repeatable { limit, key, amount, id } = read(&body, AMOUNT)?;
    service.check_id(id.as_ref())?;
    let decided = match &id {
        Some(id) => service.limiter.idempotency_key(id).refund(&limit, &key, amount).await,
        None => service.limiter.refund(&limit, &key, amount).await,
    };
    answer(&service, &limit, decided)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Reset {
    limit: String,
    key: String,
}

async fn reset(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Reset { limit, key } = read(&body, r#"{"limit":"default","key":"alice"}"#)?;
    answer(&service, &limit, service.limiter.reset(&limit, &key).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct All {
    items: Vec<Object<Amount>>,
    #[serde(default)]
    id: Option<String>,
}

async fn acquire_all(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let All { items, id } =
        read(&body, r#"{"items":[{"limit":"default","key":"alice","amount":1}]}"#)?;
    let items: Vec<Amount> = items.into_iter().map(|Object(item)| item).collect();
    service.check_id(id.as_ref())?;
    let asked: Vec<_> =
        items.iter().map(|Amount { limit, key, amount }| (&**limit, key, *amount)).collect();
    let joint = match &id {
        Some(id) => service.limiter.idempotency_key(id).acquire_all(&asked).await,
        None => service.limiter.acquire_all(&asked).await,
    };
    let joint = joint.map_err(|error| refused(error, &service.limiter.limits()))?;
    let mut body = described(&joint.decision);
    let violated: Vec<_> = joint.violated.iter().map(|item| &items[*item].limit).collect();
    body["violated"] = json!(violated);
    body["tightest"] = json!(items.get(joint.tightest).map(|item| &item.limit));
    let name = items.get(joint.tightest).map_or("", |item| &*item.limit);
    Ok(told(&service, name, &joint.decision, body))
}

fn answer(
    service: &Service,
    limit: &str,
    decided: Result<Decision, AcquireError>,
) -> Result<Response, Problem> {
    let decision = decided.map_err(|error| refused(error, &service.limiter.limits()))?;
    Ok(told(service, limit, &decision, described(&decision)))
}

/// 200 or 429, with the fields that were asked for by `--headers`.
pub(crate) fn told(service: &Service, name: &str, decision: &Decision, body: Value) -> Response {
    let mut response = if decision.allowed {
        Json(body).into_response()
    } else {
        denied(violated(name, &body), body)
    };
    let limit = service.limiter.limits().get(name);
    let headers = limit.map(|limit| decision.headers(name, &limit, service.headers, now()));
    for (name, value) in headers.into_iter().flatten() {
        let value = HeaderValue::try_from(value);
        // Names of limits are printable ASCII.
        let pair =
            HeaderName::from_lowercase(name.to_ascii_lowercase().as_bytes()).ok().zip(value.ok());
        if let Some((name, value)) = pair {
            response.headers_mut().insert(name, value);
        }
    }
    // Of a limit that this peer does not hold, as a client does not hold the group's, that much is
    // known.
    if let Some(wait) = decision.retry_after {
        let (name, value) = retry_after(wait);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// The limits that deny: those that are named, or else the one that was asked.
fn violated(name: &str, body: &Value) -> Value {
    body.get("violated").cloned().unwrap_or_else(|| json!([name]))
}

/// A denial: a problem document that has all that a decision has.
fn denied(violated: Value, mut body: Value) -> Response {
    let status = StatusCode::TOO_MANY_REQUESTS;
    body["type"] = json!(QUOTA_EXCEEDED);
    body["title"] = json!(status.canonical_reason());
    body["status"] = json!(status.as_u16());
    body["violated-policies"] = violated;
    (status, KIND, body.to_string()).into_response()
}

/// The type of a problem that is a quota (IETF draft 11 of the RateLimit fields).
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

#[expect(clippy::disallowed_methods, reason = "an epoch in a header is of this machine's clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Only here is it known which limits there are.
pub(crate) fn refused(error: AcquireError, limits: &Limits) -> Problem {
    match &error {
        AcquireError::UnknownLimit { .. } => Problem::unknown_limit(&error, limits),
        _ => error.into(),
    }
}

pub(crate) fn described(decision: &Decision) -> Value {
    json!(decision)
}
