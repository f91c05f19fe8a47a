//! How members are looked after, and how a group goes on that has lost its quorum.
//!
//! ```text
//! GET  /v1/monitor                           how many are kept, who is stale, what holds it back
//! POST /v1/monitor {"size":3,"grace_ms":60000}
//!                  {"off":true}              nobody is forgotten any more
//!                  {"pause_ms":7200000}      nobody for so long, at most a day
//!                  {"resume":true}           a pause ends
//! POST /v1/force-primary {"gone":["b","c"]}  this peer is primary, without those for good
//! POST /v1/found {}                          nobody who is missing is waited for
//! ```
//!
//! A change is answered with what GET answers. Force and found concern the peer that is asked, the
//! others go to the primary.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use quorate::admin::MonitorDocument;
use quorate::{ArrangeError, ForceError, Monitor};
use quorate_examples::arguments;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::read;
use crate::flags::in_flags;
use crate::problem::Problem;
use crate::service::{Current, Service};

/// How the group looks after its members, as long as nobody has said anything else.
#[derive(Args)]
pub(crate) struct MonitorOptions {
    /// Have members forgotten that were silent for --monitor-grace, while so many live ones are
    /// there without them: as many as are deployed, the same at all peers. Whatever POST
    /// /v1/monitor says goes before it.
    #[arg(long, value_name = "N")]
    monitor_size: Option<usize>,
    /// The silence that is waited for, at least --failure-timeout; 60s, or three failure timeouts
    /// if that is more, if left out.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration)]
    #[arg(requires = "monitor_size")]
    monitor_grace: Option<Duration>,
}

impl MonitorOptions {
    /// The setting that they make, if they are given.
    pub(crate) fn monitor(&self) -> Option<Monitor> {
        let monitor = Monitor::new(self.monitor_size?);
        Some(self.monitor_grace.map_or(monitor, |grace| monitor.grace(grace)))
    }
}

/// What callers may ask.
pub(crate) fn routes() -> Router<Current> {
    Router::new().route("/v1/monitor", get(monitor))
}

/// What changes the group.
pub(crate) fn admin_routes() -> Router<Current> {
    Router::new()
        .route("/v1/monitor", post(change_monitor))
        .route("/v1/force-primary", post(force_primary))
        .route("/v1/found", post(found))
}

/// Whoever holds no membership knows nothing of how it is looked after.
const NO_MEMBERSHIP: &str = "this peer holds no list of members: it is a client, has not been \
                             taken up yet, or has ended; ask a member";

async fn monitor(State(Service { peer, .. }): State<Service>) -> Result<Json<Value>, Problem> {
    let unknown = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_membership", NO_MEMBERSHIP);
    let monitor = peer.status().monitor.ok_or_else(unknown)?;
    Ok(Json(json!(monitor)))
}

const MONITOR: &str =
    r#"{"size":3,"grace_ms":60000}, {"off":true}, {"pause_ms":7200000} or {"resume":true}"#;

async fn change_monitor(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let document: MonitorDocument = read(&body, MONITOR)?;
    let change = document.change().map_err(|refused| Problem::bad_request(refused.detail))?;
    let change = change.ok_or_else(|| Problem::bad_request(format!("send one of {MONITOR}")))?;
    Ok(Json(json!(peer.change_monitor(change).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Gone {
    gone: Vec<String>,
}

async fn force_primary(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Gone { gone } = read(&body, r#"{"gone":["b","c"]}"#)?;
    let forced = peer.force_primary(gone).await?;
    Ok(Json(json!({
        "primary": peer.name(),
        "generation": forced.generation,
        "group_id": forced.group_id,
        "as_of_ms": forced.as_of.as_millis(),
        "gone": forced.gone,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Nothing {}

async fn found(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !body.is_empty() {
        let Nothing {} = read(&body, "{}")?;
    }
    peer.found_new_group().await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "founding": true }))))
}

impl From<ForceError> for Problem {
    fn from(error: ForceError) -> Self {
        let (status, name) = match error {
            ForceError::Blank => (StatusCode::CONFLICT, "blank"),
            ForceError::StorageFailed => (StatusCode::SERVICE_UNAVAILABLE, "storage_failed"),
            ForceError::NotMember { .. } => (StatusCode::NOT_FOUND, "not_member"),
            ForceError::HasQuorum { .. } => (StatusCode::CONFLICT, "has_quorum"),
            ForceError::Alive { .. } => (StatusCode::CONFLICT, "alive"),
            ForceError::Unaccounted { .. } => (StatusCode::CONFLICT, "unaccounted"),
            // Whoever does not answer does not vote.
            ForceError::Refused { .. } | ForceError::NoAnswer { .. } => {
                (StatusCode::CONFLICT, "refused")
            }
            ForceError::OldVersion { .. } => (StatusCode::CONFLICT, "old_version"),
            ForceError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            ForceError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            _ => (StatusCode::CONFLICT, "busy"),
        };
        let advice = "GET /v1/status shows under lost whom there is to wait for, and who has most";
        Self::new(status, name, format!("{error}; {advice}"))
    }
}

impl From<ArrangeError> for Problem {
    fn from(error: ArrangeError) -> Self {
        let said = in_flags(&error.to_string());
        match error {
            ArrangeError::Invalid { .. } => Self::bad_request(said),
            ArrangeError::NoPrimary { .. } => Self::busy("no_primary", &said),
            // It may be changed already: GET tells.
            ArrangeError::TimedOut { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", said)
            }
            ArrangeError::NotAllowed => Self::new(StatusCode::FORBIDDEN, "client", said),
            ArrangeError::OldVersion => Self::new(StatusCode::CONFLICT, "old_version", said),
            ArrangeError::Busy { .. } => Self::busy("busy", &said),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", said),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use quorate::{Mode, PeerBuilder};
    use quorate_ratelimit::testing::TestGroup;
    use quorate_ratelimit::{Limit, Limits};

    use super::*;
    use crate::Options;
    use crate::http::tests::{ask, service};
    use crate::http::{Face, routes as all_routes};

    async fn group(mode: Mode) -> TestGroup {
        let limits = Limits::builder().limit("mail", Limit::per_day(1).burst(5)).build();
        let setup = move |peer: PeerBuilder| peer.mode(mode).io_timeout(Duration::from_secs(5));
        let group = TestGroup::start(&limits.expect("usable"), ["a", "b", "c"], setup).await;
        group.expect("the settings are valid")
    }

    fn at(group: &TestGroup, name: &str) -> Router {
        all_routes(service(group, name), Face::Whole)
    }

    fn read_options(more: &[&str]) -> Result<Options, String> {
        let always = ["peer", "--name", "a", "--peers", "a=127.0.0.1:1", "--http", "127.0.0.1:2"];
        let options = Options::try_parse_from(always.iter().chain(more));
        options.map_err(|error| error.to_string())
    }

    #[test]
    fn a_grace_goes_with_a_size() {
        let monitor = |more: &[&str]| read_options(more).map(|options| options.monitor.monitor());
        assert_eq!(monitor(&[]), Ok(None));
        assert_eq!(monitor(&["--monitor-size", "3"]), Ok(Some(Monitor::new(3))));
        let with_grace = monitor(&["--monitor-size", "3", "--monitor-grace", "2s"]);
        assert_eq!(with_grace, Ok(Some(Monitor::new(3).grace(Duration::from_secs(2)))));
        let alone = monitor(&["--monitor-grace", "2s"]).expect_err("of nothing");
        assert!(alone.contains("--monitor-size"), "{alone}");
    }

    #[tokio::test(start_paused = true)]
    async fn how_members_are_looked_after_is_changed_through_any_peer() {
        let group = group(Mode::Strict).await;
        let (a, b) = (at(&group, "a"), at(&group, "b"));
        let (status, answer) = ask(&a, ("GET", "/v1/monitor"), "").await;
        let expected = json!({
            "size": 0, "grace_ms": 60_000, "paused_until_ms": null, "revision": 0, "live": 3,
            "spare": 1, "stale": [], "waiting": [], "blocked": answer["blocked"],
        });
        assert_eq!((status, &answer), (200, &expected));
        let change = r#"{"size":3,"grace_ms":30000}"#;
        let (status, answer) = ask(&b, ("POST", "/v1/monitor"), change).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["size"], 3);
        assert_eq!(answer["grace_ms"], 30_000);
        assert_eq!(answer["revision"], 1);
        let (_, paused) = ask(&a, ("POST", "/v1/monitor"), r#"{"pause_ms":60000}"#).await;
        assert!(paused["paused_until_ms"].is_u64(), "{paused}");
        let (_, resumed) = ask(&a, ("POST", "/v1/monitor"), r#"{"resume":true}"#).await;
        assert_eq!(resumed["paused_until_ms"], Value::Null);
        let (_, off) = ask(&b, ("POST", "/v1/monitor"), r#"{"off":true}"#).await;
        assert_eq!((&off["size"], &off["revision"]), (&json!(0), &json!(4)));
        group.pass(Duration::from_secs(2)).await;
        for peer in [&a, &b] {
            let (_, answer) = ask(peer, ("GET", "/v1/monitor"), "").await;
            assert_eq!(answer["revision"], 4, "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_none_is_refused_with_what_to_send() {
        let group = group(Mode::Strict).await;
        let routes = at(&group, "a");
        for (body, says) in [
            ("", "not valid JSON"),
            ("[]", "expected an object"),
            ("{}", "send one of"),
            (r#"{"size":0}"#, "out of range"),
            (r#"{"size":8}"#, "out of range"),
            (r#"{"size":-1}"#, "does not fit"),
            (r#"{"size":3,"grace_ms":1}"#, "out of range"),
            (r#"{"grace_ms":60000}"#, "goes with a size"),
            (r#"{"size":3,"off":true}"#, "at a time"),
            (r#"{"size":3,"size":4}"#, "duplicate field"),
            (r#"{"pause_ms":0}"#, "out of range"),
            (r#"{"pause_ms":86400001}"#, "out of range"),
            (r#"{"of":true}"#, "unknown field `of`"),
        ] {
            let (status, problem) = ask(&routes, ("POST", "/v1/monitor"), body).await;
            assert_eq!((status, &problem["error"]), (400, &json!("bad_request")), "{body}");
            let detail = problem["detail"].as_str().expect("a sentence");
            assert!(detail.contains(says), "{body}: {detail}");
        }
        for (path, body) in [
            ("/v1/force-primary", "{}"),
            ("/v1/force-primary", r#"{"gone":"b"}"#),
            ("/v1/force-primary", r#"{"gone":[],"yes":true}"#),
            ("/v1/found", r#"{"gone":["b"]}"#),
            ("/v1/found", "[]"),
        ] {
            let (status, problem) = ask(&routes, ("POST", path), body).await;
            assert_eq!((status, &problem["error"]), (400, &json!("bad_request")), "{path} {body}");
        }
        let (_, answer) = ask(&routes, ("GET", "/v1/monitor"), "").await;
        assert_eq!(answer["revision"], 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_forced_while_a_majority_is_there_and_founding_is_always_taken() {
        let group = group(Mode::Strict).await;
        let routes = at(&group, "a");
        let gone = r#"{"gone":["b","c"]}"#;
        let (status, problem) = ask(&routes, ("POST", "/v1/force-primary"), gone).await;
        assert_eq!((status, &problem["error"]), (409, &json!("has_quorum")), "{problem}");
        for body in ["", "{}"] {
            let answer = ask(&routes, ("POST", "/v1/found"), body).await;
            assert_eq!(answer, (202, json!({ "founding": true })));
        }
        let (_, status) = ask(&routes, ("GET", "/v1/status"), "").await;
        assert_eq!(status["lost"], Value::Null);
    }

    /// Two of three are cut off, the third is forced, and the two hear of it.
    #[tokio::test(start_paused = true)]
    async fn what_is_left_goes_on_by_force_and_who_was_given_up_says_so_for_good() {
        for mode in [Mode::Strict, Mode::Relaxed] {
            let group = group(mode).await;
            let a = at(&group, "a");
            let item = r#"{"limit":"mail","key":"alice"}"#;
            assert_eq!(ask(&a, ("POST", "/v1/acquire"), item).await.0, 200);
            group.pass(Duration::from_secs(2)).await;
            group.isolate(&["a"]);
            group.pass(Duration::from_secs(60)).await;
            let (_, status) = ask(&a, ("GET", "/v1/status"), "").await;
            let lost = &status["lost"];
            assert_eq!(lost["waiting_for"], json!(["b", "c"]), "{lost}");
            assert_eq!((&lost["best"], &lost["would_force"]), (&json!("a"), &Value::Null));
            for (gone, expected) in [
                (r#"{"gone":["b"]}"#, (409, "unaccounted")),
                (r#"{"gone":["b","x"]}"#, (404, "not_member")),
                (r#"{"gone":["a","b","c"]}"#, (409, "alive")),
            ] {
                let (status, problem) = ask(&a, ("POST", "/v1/force-primary"), gone).await;
                assert_eq!((status, problem["error"].as_str()), (expected.0, Some(expected.1)));
            }
            let gone = r#"{"gone":["b","c"]}"#;
            let (status, forced) = ask(&a, ("POST", "/v1/force-primary"), gone).await;
            assert_eq!(status, 200, "{forced}");
            let (_, now) = ask(&a, ("GET", "/v1/status"), "").await;
            let expected = json!({
                "primary": "a", "generation": now["generation"], "group_id": now["group_id"],
                "as_of_ms": forced["as_of_ms"], "gone": ["b", "c"],
            });
            assert_eq!(forced, expected);
            assert!(forced["as_of_ms"].is_u64(), "{forced}");
            let again = ask(&a, ("POST", "/v1/force-primary"), gone).await;
            assert_eq!(again, (200, forced), "the same again");

            let b = at(&group, "b");
            assert_eq!(ask(&b, ("GET", "/readyz"), "").await.0, 200, "nobody has told it");
            group.heal();
            group.pass(Duration::from_secs(30)).await;
            for name in ["b", "c"] {
                let out = at(&group, name);
                for (request, body) in [
                    (("POST", "/v1/acquire"), item),
                    (("GET", "/readyz"), ""),
                    (("GET", "/readyz?settled=0"), ""),
                ] {
                    let (status, problem) = ask(&out, request, body).await;
                    assert_eq!(
                        (status, &problem["error"]),
                        (503, &json!("counted_out")),
                        "{mode:?} {name} {request:?}: {problem}"
                    );
                }
                assert_eq!(ask(&out, ("GET", "/healthz"), "").await.0, 200);
            }
            let (status, taken) = ask(&a, ("POST", "/v1/acquire"), item).await;
            assert_eq!((status, &taken["remaining"]), (200, &json!(3)), "it was kept: {taken}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_knows_of_no_members_to_look_after() {
        let mut group = group(Mode::Strict).await;
        group.client("web").await.expect("the settings are valid");
        let web = at(&group, "web");
        let (status, problem) = ask(&web, ("GET", "/v1/monitor"), "").await;
        assert_eq!((status, &problem["error"]), (503, &json!("no_membership")), "{problem}");
        let (status, problem) = ask(&web, ("POST", "/v1/monitor"), r#"{"off":true}"#).await;
        assert_eq!((status, &problem["error"]), (403, &json!("client")));
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains("--clients-may-remove-members"), "{detail}");
        let (status, problem) = ask(&web, ("POST", "/v1/force-primary"), r#"{"gone":[]}"#).await;
        assert_eq!(status / 100, 4, "{problem}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_primary_nothing_is_changed() {
        let mut group = group(Mode::Strict).await;
        group.kill("b");
        group.kill("c");
        group.pass(Duration::from_secs(60)).await;
        let a = at(&group, "a");
        let (status, problem) = ask(&a, ("POST", "/v1/monitor"), r#"{"off":true}"#).await;
        assert_eq!((status, &problem["error"]), (503, &json!("no_primary")), "{problem}");
    }

    /// A peer was restarted while another one was missing, and the next one was stopped then.
    #[tokio::test(start_paused = true)]
    async fn a_peer_is_settled_when_one_more_may_fail_or_its_time_has_come() {
        let mut group = group(Mode::Strict).await;
        group.pass(Duration::from_secs(5)).await;
        let settled = ("GET", "/readyz?settled=120");
        assert_eq!(ask(&at(&group, "a"), settled, "").await.0, 200);
        group.kill("b");
        group.kill("c");
        group.restart("b").await.expect("its address is free");
        let peer = group.limiter("b").peer().clone();
        let b = at(&group, "b");
        let (status, problem) = ask(&b, settled, "").await;
        assert_eq!((status, &problem["error"]), (503, &json!("not_ready")), "{problem}");
        let counted = peer.wait_counted(Duration::from_secs(100)).await;
        counted.expect("a new generation begins with it");
        assert_eq!(ask(&b, ("GET", "/readyz"), "").await.0, 200);
        let (status, problem) = ask(&b, settled, "").await;
        assert_eq!((status, &problem["error"]), (503, &json!("not_settled")), "{problem}");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains("c is not connected"), "{detail}");
        assert_eq!(ask(&at(&group, "a"), settled, "").await.0, 200, "it was settled");
        // At its usual pace: how long it has run is what counts.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let (status, problem) = ask(&b, settled, "").await;
        assert_eq!(status, 200, "nobody comes any more: {problem}");
        for wrong in ["", "-1", "1.5", "soon", "1&settled=2"] {
            let path = format!("/readyz?settled={wrong}");
            let (status, problem) = ask(&b, ("GET", &path), "").await;
            assert_eq!((status, &problem["error"]), (400, &json!("bad_request")), "{wrong}");
        }
    }
}
