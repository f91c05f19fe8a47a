//! What the example `peer` lets a caller hold: units that are reserved, and permits.
//!
//! ```text
//! POST   /v1/reserve {"limit","key","amount"}   takes units for now: {"reservation", ..}
//! POST   /v1/commit  {"reservation","actual"}   settles it by what was used
//! POST   /v1/cancel  {"reservation"}            nothing was used
//! POST   /v1/permit  {"limit","key","amount"}   a place: {"permit","lease_ms", ..}
//! POST   /v1/permit/ID/renew                    for another lease
//! DELETE /v1/permit/ID                          given back
//! ```
//!
//! A permit of 0 is refused with 400, and a reservation of 0 is settled by what was used. A
//! reservation or permit that has ended is answered with 410. What names them works at any peer.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, post};
use quorate_ratelimit::{AcquireError, Decision, PermitId, ReservationAnswer, ReservationId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{millis, read};
use crate::limits::{AMOUNT, Amount, described, refused, told};
use crate::problem::Problem;
use crate::service::{Current, Service};

/// The paths about what is held.
pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/v1/reserve", post(reserve))
        .route("/v1/commit", post(commit))
        .route("/v1/cancel", post(cancel))
        .route("/v1/permit", post(permit))
        .route("/v1/permit/{id}/renew", post(renew))
        .route("/v1/permit/{id}", delete(release))
}

async fn reserve(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Amount { limit, key, amount } = read(&body, AMOUNT)?;
    let reserved = service.limiter.reserve(&limit, &key, amount).await;
    let ReservationAnswer { decision, id, .. } =
        reserved.map_err(|error| problem(error, &service))?;
    let mut body = described(&decision);
    body["reservation"] = json!(id.map(|id| id.to_string()));
    if decision.allowed {
        body["lasts_ms"] = json!(millis(decision.reset_after));
    }
    Ok(told(&service, &limit, &decision, body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Commit {
    reservation: String,
    actual: u64,
}

async fn commit(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Commit { reservation, actual } = read(&body, r#"{"reservation":"..","actual":3}"#)?;
    settle(&service, &reservation, actual).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Cancel {
    reservation: String,
}

async fn cancel(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Cancel { reservation } = read(&body, r#"{"reservation":".."}"#)?;
    settle(&service, &reservation, 0).await
}

async fn settle(service: &Service, reservation: &str, actual: u64) -> Result<Response, Problem> {
    let id: ReservationId = reservation.parse().map_err(|_| {
        Problem::bad_request("this is no reservation: send what POST /v1/reserve has answered")
    })?;
    let settled = service.limiter.commit(&id, actual).await;
    let decision = settled.map_err(|error| problem(error, service))?;
    Ok(told(service, "", &decision, described(&decision)))
}

async fn permit(State(service): State<Service>, body: Bytes) -> Result<Response, Problem> {
    let Amount { limit, key, amount } = read(&body, AMOUNT)?;
    let taken = service.limiter.take_permit(&limit, &key, amount).await;
    let (decision, id) = taken.map_err(|error| problem(error, &service))?;
    let mut body = held(&decision);
    body["permit"] = json!(id.map(|id| id.to_string()));
    Ok(told(&service, &limit, &decision, body))
}

async fn renew(
    State(service): State<Service>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::bad_request(NO_PERMIT))?;
    let renewed = service.limiter.renew_permit(&permit_id(&id)?).await;
    let decision = renewed.map_err(|error| problem(error, &service))?;
    let mut body = held(&decision);
    body["permit"] = json!(id);
    Ok(told(&service, "", &decision, body))
}

async fn release(
    State(service): State<Service>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::bad_request(NO_PERMIT))?;
    let released = service.limiter.release_permit(&permit_id(&id)?).await;
    let decision = released.map_err(|error| problem(error, &service))?;
    let mut body = described(&decision);
    body["released"] = json!(decision.granted);
    Ok(told(&service, "", &decision, body))
}

fn held(decision: &Decision) -> Value {
    let mut body = described(decision);
    if decision.allowed {
        body["lease_ms"] = json!(millis(decision.reset_after));
    }
    body
}

const NO_PERMIT: &str = "this is no permit: use what POST /v1/permit has answered";

fn permit_id(text: &str) -> Result<PermitId, Problem> {
    text.parse().map_err(|_| Problem::bad_request(NO_PERMIT))
}

fn problem(error: AcquireError, service: &Service) -> Problem {
    refused(error, &service.limiter.limits())
}
