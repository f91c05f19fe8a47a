//! The group and this peer in it: how they are, what happened, and what an operator changes.
//!
//! ```text
//! GET  /v1/status                   role, term, primary, members, peers, refusals, TLS and
//!                                   certificates, how limits of others differ
//! GET  /v1/events?since=N           what happened after event N
//! GET  /readyz                      this peer decides, and counts as a member
//! GET  /readyz?settled=SECONDS      and one more may fail, or it has run for so long
//! GET  /v1/safe-to-stop             the group goes on without it, or whom it waits for
//! GET  /v1/digest                   equal at peers that hold equal cells
//! POST /v1/switch-primary {"to"}    a planned hand-over
//! POST /v1/leave                    this peer is counted out, for good
//! POST /v1/forget {"peer"}          so is one that is gone
//! POST /v1/priority {"priority"}    who is promoted first, until this peer ends
//! ```
//!
//! With `settled` it paces a rollout: the next peer is stopped when the group can do without it.
//! After so many seconds whoever counts is ready all the same, for nobody else may come. Once a
//! peer was settled it stays ready while calls are decided. Only readiness goes by it: a startup or
//! liveness probe that does kills a good member because another is missing.
//!
//! One digest is worked out at a time, on a thread for that; who asks for another meanwhile is
//! answered with 503 `digest_running`.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use quorate::{Mode, NoPrimaryReason, NotCountedError, NotReadyError, Peer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::body::read;
use crate::problem::Problem;
use crate::service::{Current, Service};

/// What callers may ask.
pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .route("/readyz", get(ready))
        .route("/v1/safe-to-stop", get(stoppable))
}

/// What changes the group, or is work for as long as there are cells.
pub(crate) fn admin_routes() -> Router<Current> {
    Router::new()
        .route("/v1/digest", get(digest))
        .route("/v1/switch-primary", post(switch_primary))
        .route("/v1/leave", post(leave))
        .route("/v1/forget", post(forget))
        .route("/v1/priority", post(priority))
}

/// All that the peer says of itself, and its limits; the position is a bare number here, whose
/// reign stands beside it.
async fn status(State(Service { peer, limiter, .. }): State<Service>) -> Json<Value> {
    let status = peer.status();
    let mut shown = json!(status);
    shown["position"] = json!(status.position.sequence);
    shown["limits"] = json!(limiter.limits_status());
    Json(shown)
}

const SINCE: &str = "since is the number of an event: give it once and as a whole number, like \
                     GET /v1/events?since=0, which answers all that are kept";

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn events(
    State(Service { peer, .. }): State<Service>,
    query: Result<Query<Since>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(Since { since }) = query.map_err(|_| Problem::bad_request(SINCE))?;
    let events = peer.events_since(since);
    // Numbers are of one start: one kept from an earlier start stands for the newest.
    let newest = || peer.events_since(0).last().map_or(0, |event| event.number);
    let next = events.last().map_or_else(|| since.min(newest()), |event| event.number);
    Ok(Json(json!({ "events": events, "next": next })))
}

const DIGESTING: &str = "a digest is being worked out, and replication waits for it: one at a \
                         time; try again when it is there";

async fn digest(State(service): State<Service>) -> Result<Json<Value>, Problem> {
    let Service { peer, digesting, .. } = service;
    let busy = |_| Problem::busy("digest_running", DIGESTING);
    let turn = digesting.try_acquire_owned().map_err(busy)?;
    // It goes on, and has its turn, if nobody waits for it any more.
    let (digest, _turn) = spawn_blocking(move || (peer.digest(), turn)).await.map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "the peer is ending")
    })?;
    Ok(Json(json!({
        "generation": digest.position.ballot.generation,
        "term": digest.position.ballot.term,
        "position": digest.position.sequence,
        "cells": digest.cells,
        "digest": format!("{:016x}", digest.digest),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Switch {
    to: String,
}

async fn switch_primary(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Switch { to } = read(&body, r#"{"to":"b"}"#)?;
    peer.switch_primary(to.as_str()).await?;
    Ok(Json(json!({ "primary": to })))
}

async fn leave(State(Service { peer, .. }): State<Service>) -> Result<Json<Value>, Problem> {
    peer.leave().await?;
    Ok(Json(json!({ "left": peer.name(), "members": member_names(&peer) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Forget {
    peer: String,
}

async fn forget(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Forget { peer: gone } = read(&body, r#"{"peer":"b"}"#)?;
    peer.forget(gone.as_str()).await?;
    Ok(Json(json!({ "forgotten": gone, "members": member_names(&peer) })))
}

/// As this peer knows them at this moment: the last change may still be on its way to it.
pub(crate) fn member_names(peer: &Peer) -> Vec<String> {
    peer.status().members.iter().map(|member| member.name.to_string()).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Priority {
    priority: u8,
}

async fn priority(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Priority { priority } = read(&body, r#"{"priority":10}"#)?;
    peer.set_priority(priority).await;
    Ok(Json(json!({ "priority": priority })))
}

/// Ready when it decides and counts as a member: whoever stops one peer after the other waits for
/// that. Where the others are gone a relaxed peer decides alone: one that has counted stays ready
/// then, so that the service goes on, and one that has just started is not ready before it counts.
async fn ready(
    State(Service { peer, .. }): State<Service>,
    query: Result<Query<Patience>, QueryRejection>,
) -> Result<&'static str, Problem> {
    let Query(Patience { settled }) = query.map_err(|_| Problem::bad_request(SETTLED))?;
    match settled.map(Duration::from_secs) {
        Some(patience) if peer.is_settled(patience) => Ok("ready\n"),
        Some(_) => {
            counted(&peer).await?;
            Err(unsettled(&peer))
        }
        None => counted(&peer).await,
    }
}

const SETTLED: &str = "settled is how many seconds a peer that counts is waited for until the \
                       group can do without one more: give it once and as a whole number, like \
                       GET /readyz?settled=120";

#[derive(Deserialize)]
struct Patience {
    settled: Option<u64>,
}

/// Why a peer that counts is not settled: who is missing.
fn unsettled(peer: &Peer) -> Problem {
    let detail = match peer.safe_to_stop() {
        Err(missing) => format!("this peer counts, and no other member may fail: {missing}"),
        Ok(()) => "this peer counts, and no other member may fail yet".to_owned(),
    };
    Problem::busy("not_settled", &detail)
}

async fn counted(peer: &Peer) -> Result<&'static str, Problem> {
    match peer.wait_counted(Duration::ZERO).await {
        Ok(_) => Ok("ready\n"),
        Err(NotCountedError::NotReady(error)) if decides_alone(&error) => Ok("ready\n"),
        Err(NotCountedError::NotReady(error)) => Err(Problem::not_ready(&error)),
        // For good: nobody is to come again.
        Err(error @ NotCountedError::Removed { .. }) => {
            Err(Problem::out("removed", error.to_string()))
        }
        Err(error) => Err(Problem::busy("not_counted", &error.to_string())),
    }
}

fn decides_alone(NotReadyError { reason, status, .. }: &NotReadyError) -> bool {
    use NoPrimaryReason::{CountedOut, Removed, ShutDown};
    let is_out = matches!(reason, CountedOut | Removed | ShutDown);
    status.mode == Mode::Relaxed && status.has_counted && !is_out
}

/// Whether the group goes on if this peer is stopped.
async fn stoppable(State(Service { peer, .. }): State<Service>) -> Result<&'static str, Problem> {
    match peer.safe_to_stop() {
        Ok(()) => Ok("safe to stop\n"),
        Err(whom) => Err(Problem::busy("not_safe_to_stop", &whom.to_string())),
    }
}
