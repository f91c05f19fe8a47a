//! What callers of the example are answered.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use quorate::Mode;
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Carry, HeaderStyle, Limit, Limits};
use serde_json::{Value, json};
use tower_service::Service as _;

use super::*;
use crate::group::member_names;
use crate::service::Service;

async fn group() -> TestGroup {
    let limits = Limits::builder().limit("mail", Limit::per_day(1).burst(5)).build();
    let group = TestGroup::start(&limits.expect("usable"), ["a", "b", "c"], |peer| peer).await;
    group.expect("the settings are valid")
}

pub(crate) fn service(group: &TestGroup, name: &str) -> Service {
    Service::new(group.limiter(name).clone(), HeaderStyle::RetryAfter, false)
}

/// The status and the body of an answer; of what is refused, always a problem document.
pub(crate) async fn ask(routes: &Router, request: (&str, &str), body: &str) -> (u16, Value) {
    let (method, path) = request;
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
    let answer = routes.clone().call(request.expect("a request")).await.expect("infallible");
    let status = answer.status().as_u16();
    let kind = answer.headers().get(CONTENT_TYPE).expect("every answer says what it is").clone();
    assert_eq!(kind == "application/problem+json", status >= 400, "{method} {path}: {kind:?}");
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("it is all there");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

const ADMIN: [((&str, &str), &str); 13] = [
    (("GET", "/v1/top?limit=mail"), ""),
    (("GET", "/v1/digest"), ""),
    (("PUT", "/v1/limits?carry=keep"), "limits.mail.rate = \"7/s\""),
    (("POST", "/v1/reset"), r#"{"limit":"mail","key":"alice"}"#),
    (("POST", "/v1/priority"), r#"{"priority":7}"#),
    (("POST", "/v1/monitor"), r#"{"size":3}"#),
    (("POST", "/v1/force-primary"), r#"{"gone":["nobody"]}"#),
    (("POST", "/v1/found"), "{}"),
    (("POST", "/v1/site"), r#"{"mode":"active"}"#),
    (("POST", "/v1/site/switch"), "{}"),
    (("POST", "/v1/switch-primary"), r#"{"to":"nobody"}"#),
    (("POST", "/v1/forget"), r#"{"peer":"nobody"}"#),
    (("POST", "/v1/leave"), ""),
];

/// `["mail","alice",1]` was taken for an object: whoever leaves one out takes another's place.
#[tokio::test(start_paused = true)]
async fn an_array_is_no_object() {
    let group = group().await;
    let service = service(&group, "a");
    let routes = routes(service.clone(), Face::Whole);
    for (path, body) in [
        ("/v1/acquire", r#"["mail","alice",1]"#),
        ("/v1/acquire-all", r#"[[{"limit":"mail","key":"alice"}]]"#),
        ("/v1/acquire-all", r#"{"items":[["mail","alice",1]]}"#),
        ("/v1/reset", r#"["mail","alice"]"#),
        ("/v1/reserve", r#"["mail","alice",1]"#),
        ("/v1/forget", r#"["nobody"]"#),
    ] {
        let (status, problem) = ask(&routes, ("POST", path), body).await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{path} {body}: {problem}");
        assert!(said.contains("expected an object"), "{said}");
    }
    assert_eq!(service.limiter.peek("mail", "alice", 1).await.expect("a primary").used(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_callers_have_no_part_in_is_served_at_the_address_for_it_only() {
    let group = group().await;
    let service = service(&group, "a");
    let callers = routes(service.clone(), Face::Callers);
    let taken = ask(&callers, ("POST", "/v1/acquire"), r#"{"limit":"mail","key":"alice"}"#);
    assert_eq!(taken.await.0, 200);
    for (request, body) in ADMIN {
        let (status, problem) = ask(&callers, request, body).await;
        assert_eq!((status, &problem["error"]), (403, &json!("admin_elsewhere")), "{request:?}");
    }
    assert_eq!(service.limiter.peek("mail", "alice", 1).await.expect("a primary").used(), 1);
    assert_eq!(service.limiter.limits_status().revision, 0);
    assert_eq!(member_names(&service.peer).len(), 3);

    let whole = routes(service.clone(), Face::Whole);
    for (request, body) in ADMIN {
        let (status, answer) = ask(&whole, request, body).await;
        let understood = ["not_member", "has_quorum", "no_site"];
        let is_understood = understood.iter().any(|error| answer["error"] == *error);
        let is_done = status / 100 == 2 || is_understood;
        assert!(is_done, "{request:?}: {status} {answer}");
    }
    assert_eq!(service.limiter.limits_status().revision, 1);
    assert_eq!(member_names(&service.peer).len(), 2);
}

/// It would be set back within a second, and who asked would not know.
#[tokio::test(start_paused = true)]
async fn limits_that_a_file_decides_are_not_changed_by_a_request() {
    let group = group().await;
    let service = service(&group, "a");
    let file = std::env::temp_dir().join(format!("quorate-wins-{}.toml", std::process::id()));
    std::fs::write(&file, "limits.mail.rate = \"1/d\"\nlimits.mail.burst = 5").expect("written");
    let followed = service.limiter.limits_file(&file, rules::spec).wins();
    let following = tokio::spawn(followed.watch(|change| panic!("nothing differs: {change}")));
    group.pass(Duration::from_secs(5)).await;
    let routes = routes(service, Face::Whole);
    let (status, problem) = ask(&routes, ("PUT", "/v1/limits"), "limits.mail.rate = \"7/s\"").await;
    assert_eq!((status, &problem["error"]), (409, &json!("file_wins")));
    let (_, status) = ask(&routes, ("GET", "/v1/status"), "").await;
    let limits = json!({
        "revision": 0, "differing": [], "source": "winning-file", "missing": [],
    });
    assert_eq!(status["limits"], limits);
    assert!(!following.is_finished());
    following.abort();
    std::fs::remove_file(&file).expect("it is there");
}

/// It was worked out where connections are served, as often as anybody asked.
#[tokio::test(start_paused = true)]
async fn one_digest_is_worked_out_at_a_time_and_elsewhere() {
    let group = group().await;
    let routes = routes(service(&group, "a"), Face::Whole);
    let first = ask(&routes, ("GET", "/v1/digest"), "");
    tokio::pin!(first);
    tokio::select! {
        biased;
        answer = &mut first => panic!("it was worked out here: {answer:?}"),
        () = std::future::ready(()) => {}
    }
    let (status, problem) = ask(&routes, ("GET", "/v1/digest"), "").await;
    assert_eq!((status, &problem["error"]), (503, &json!("digest_running")));
    let (status, answer) = first.await;
    assert_eq!((status, &answer["cells"]), (200, &json!(0)), "{answer}");
    assert_eq!(ask(&routes, ("GET", "/v1/digest"), "").await.0, 200);
}

/// 20 of 20 were let through under a limit of 5 by whoever sent the same id each time.
#[tokio::test(start_paused = true)]
async fn an_id_lifts_no_limit_unless_that_was_asked_for() {
    let group = group().await;
    let routes = routes(service(&group, "a"), Face::Whole);
    let amount = r#"{"limit":"mail","key":"alice","amount":1,"id":"one"}"#;
    let items = r#"{"items":[{"limit":"mail","key":"alice"}],"id":"one"}"#;
    for (path, body) in [
        ("/v1/acquire", amount),
        ("/v1/acquire-up-to", amount),
        ("/v1/acquire-all", items),
        ("/v1/debit", amount),
        ("/v1/refund", amount),
    ] {
        for _ in 0..20 {
            let (status, problem) = ask(&routes, ("POST", path), body).await;
            assert_eq!((status, &problem["error"]), (400, &json!("ids_not_accepted")), "{path}");
            assert!(problem["detail"].as_str().is_some_and(|it| it.contains("--accept-ids")));
        }
    }
    let used = group.limiter("a").peek("mail", "alice", 1).await.expect("a primary").used();
    assert_eq!(used, 0);
    let none = r#"{"limit":"mail","key":"alice","amount":1,"id":null}"#;
    assert_eq!(ask(&routes, ("POST", "/v1/acquire"), none).await.0, 200);
}

/// It was read and ignored: a retry was counted twice, and nothing said so.
#[tokio::test(start_paused = true)]
async fn an_id_is_refused_by_name_where_there_is_none() {
    let group = group().await;
    for accepts_ids in [false, true] {
        let routes = routes(Service { accepts_ids, ..service(&group, "a") }, Face::Whole);
        let amount = r#"{"limit":"mail","key":"alice","amount":1,"id":"one"}"#;
        let items = r#"{"items":[{"limit":"mail","key":"alice","id":"one"}]}"#;
        for (path, body) in [
            ("/v1/peek", amount),
            ("/v1/reserve", amount),
            ("/v1/permit", amount),
            ("/v1/reset", r#"{"limit":"mail","key":"alice","id":"one"}"#),
            ("/v1/commit", r#"{"reservation":"x","actual":1,"id":"one"}"#),
            ("/v1/cancel", r#"{"reservation":"x","id":"one"}"#),
            ("/v1/acquire-all", items),
        ] {
            let (status, problem) = ask(&routes, ("POST", path), body).await;
            assert_eq!((status, &problem["error"]), (400, &json!("bad_request")), "{path}");
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.contains("unknown field `id`"), "{path}: {detail}");
        }
    }
    let used = group.limiter("a").peek("mail", "alice", 1).await.expect("a primary").used();
    assert_eq!(used, 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_asked_for_is_charged_once_for_its_key_and_amount() {
    let group = group().await;
    let service = Service { accepts_ids: true, ..service(&group, "a") };
    let routes = routes(service, Face::Whole);
    for (key, amount, is_repeated) in
        [("alice", 1, false), ("alice", 1, true), ("bob", 1, false), ("alice", 2, false)]
    {
        let body = json!({ "limit": "mail", "key": key, "amount": amount, "id": "one" });
        let (status, answer) = ask(&routes, ("POST", "/v1/acquire"), &body.to_string()).await;
        assert_eq!((status, &answer["repeated"]), (200, &json!(is_repeated)), "{body}");
    }
    let used = group.limiter("a").peek("mail", "alice", 1).await.expect("a primary").used();
    assert_eq!(used, 3);
}

/// Some were text, and a denial was no problem.
#[tokio::test(start_paused = true)]
async fn whatever_is_not_done_is_answered_with_a_problem_document() {
    let limits = Limits::builder()
        .limit("mail", Limit::per_day(1).burst(5))
        .limit("jobs", Limit::concurrent(1))
        .build();
    let group = TestGroup::start(&limits.expect("usable"), ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let routes = routes(Service { accepts_ids: true, ..service(&group, "a") }, Face::Whole);
    let item = |amount: u64| json!({"limit": "mail", "key": "k", "amount": amount}).to_string();
    let long = json!({"limit": "mail", "key": "k".repeat(600)}).to_string();
    let job = |amount: u64| json!({"limit": "jobs", "key": "k", "amount": amount}).to_string();
    assert_eq!(ask(&routes, ("POST", "/v1/permit"), &job(1)).await.0, 200);
    for (request, body, expected, error) in [
        (("POST", "/v1/acquire"), "", 400, "bad_request"),
        (("POST", "/v1/acquire"), "{", 400, "bad_request"),
        (("POST", "/v1/acquire"), "[]", 400, "bad_request"),
        (("POST", "/v1/acquire"), "{\"limit\":\"mail\"}", 400, "bad_request"),
        (("POST", "/v1/acquire"), &*item(6), 400, "bad_request"),
        (("POST", "/v1/acquire"), &long, 400, "bad_request"),
        (("POST", "/v1/acquire"), r#"{"limit":"mail","key":"k","id":""}"#, 400, "bad_request"),
        (("POST", "/v1/acquire"), r#"{"limit":"","key":"k"}"#, 404, "unknown_limit"),
        (("POST", "/v1/acquire-all"), r#"{"items":[]}"#, 400, "bad_request"),
        (("POST", "/v1/permit"), &job(0), 400, "bad_request"),
        (("POST", "/v1/permit"), &item(1), 400, "bad_request"),
        (("POST", "/v1/permit/none/renew"), "", 400, "bad_request"),
        (("POST", "/v1/permit/%FF/renew"), "", 400, "bad_request"),
        (("DELETE", "/v1/permit/%FF"), "", 400, "bad_request"),
        (("POST", "/v1/commit"), r#"{"reservation":"","actual":1}"#, 400, "bad_request"),
        (("POST", "/v1/switch-primary"), r#"{"to":""}"#, 400, "not_member"),
        (("POST", "/v1/forget"), r#"{"peer":""}"#, 404, "not_member"),
        (("POST", "/v1/priority"), r#"{"priority":256}"#, 400, "bad_request"),
        (("PUT", "/v1/limits"), "limits.api.rate = 5", 400, "bad_request"),
        (("PUT", "/v1/limits?carry=all"), "", 400, "bad_request"),
        (("GET", "/v1/top"), "", 400, "bad_request"),
        (("GET", "/v1/top?limit=none"), "", 404, "unknown_limit"),
        (("GET", "/v1/events?since=x"), "", 400, "bad_request"),
        (("GET", "/v1/acquire"), "", 405, "method_not_allowed"),
        (("PATCH", "/v1/limits"), "", 405, "method_not_allowed"),
        (("GET", "/"), "", 404, "not_found"),
    ] {
        let (status, problem) = ask(&routes, request, body).await;
        assert_eq!((status, &problem["error"]), (expected, &json!(error)), "{request:?}");
        assert_eq!(problem["status"], json!(status), "{request:?}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        let is_told = !detail.is_empty() && !detail.contains("  ") && !detail.contains('\n');
        assert!(is_told, "{request:?}: {detail:?}");
    }
    for (request, body, violated) in [
        (("POST", "/v1/peek"), item(5), "mail"),
        (("POST", "/v1/permit"), job(1), "jobs"),
        (("POST", "/v1/acquire"), item(5), "mail"),
        (("POST", "/v1/acquire-all"), format!("{{\"items\":[{}]}}", item(5)), "mail"),
        (("POST", "/v1/acquire-up-to"), item(5), "mail"),
        (("POST", "/v1/reserve"), item(5), "mail"),
    ] {
        if violated == "mail" {
            _ = ask(&routes, ("POST", "/v1/acquire-up-to"), &item(9)).await;
        }
        let (status, denial) = ask(&routes, request, &body).await;
        assert_eq!((status, &denial["status"]), (429, &json!(429)), "{request:?}");
        assert_eq!(denial["violated-policies"], json!([violated]), "{request:?}");
        let kind = denial["type"].as_str().expect("a type");
        assert!(kind.ends_with("#quota-exceeded"), "{kind}");
        // What a decision says is all there.
        assert_eq!((&denial["allowed"], &denial["remaining"]), (&json!(false), &json!(0)));
    }
}

/// A denial under a limit of the group that a client's code has not said nothing of when.
#[tokio::test(start_paused = true)]
async fn a_client_says_when_to_come_again_of_limits_that_it_does_not_hold() {
    let mut group = group().await;
    group.client("web").await.expect("the settings are valid");
    let code = Limits::builder().limit("mail", Limit::per_day(1).burst(5));
    let changed = code.limit("later", Limit::window(1, Duration::from_secs(60))).build();
    let changed = changed.expect("usable");
    group.limiter("a").change_limits(&changed, Carry::Keep).await.expect("a primary");
    let routes = routes(service(&group, "web"), Face::Callers);
    let item = r#"{"limit":"later","key":"alice"}"#;
    for (status, is_told) in [(200, false), (429, true)] {
        let request = Request::post("/v1/acquire").body(Body::from(item)).expect("a request");
        let answer = routes.clone().call(request).await.expect("infallible");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), is_told);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_are_served_at_both_addresses() {
    let group = group().await;
    let item = r#"{"limit":"mail","key":"alice","amount":1}"#;
    for face in [Face::Callers, Face::Whole] {
        let routes = routes(service(&group, "a"), face);
        for (request, body) in [
            (("GET", "/v1/status"), ""),
            (("GET", "/v1/limits"), ""),
            (("GET", "/v1/events?since=0"), ""),
            (("GET", "/metrics"), ""),
            (("GET", "/healthz"), ""),
            (("GET", "/readyz"), ""),
            (("GET", "/readyz?settled=60"), ""),
            (("GET", "/v1/monitor"), ""),
            (("GET", "/v1/site"), ""),
            (("GET", "/v1/safe-to-stop"), ""),
            (("POST", "/v1/acquire"), item),
            (("POST", "/v1/peek"), item),
            (("POST", "/v1/debit"), item),
            (("POST", "/v1/refund"), item),
        ] {
            let (status, answer) = ask(&routes, request, body).await;
            assert_eq!(status, 200, "{request:?} at {face:?}: {answer}");
        }
        let (_, status) = ask(&routes, ("GET", "/v1/status"), "").await;
        assert!(status["turns"]["longest_us"].is_u64(), "{status}");
        assert_eq!(ask(&routes, ("GET", "/v1/forget"), "").await.0 / 100, 4);
        assert_eq!(ask(&routes, ("GET", "/nowhere"), "").await.0, 404);
    }
}

/// A restarted relaxed peer was ready at once, for it decides alone before it counts.
#[tokio::test(start_paused = true)]
async fn a_relaxed_peer_is_ready_when_it_counts_and_stays_so_alone() {
    let limits = Limits::builder().limit("mail", Limit::per_day(1).burst(5)).build();
    let names = ["a", "b", "c"];
    let relaxed = |peer: quorate::PeerBuilder| peer.mode(Mode::Relaxed);
    let group = TestGroup::start(&limits.expect("usable"), names, relaxed).await;
    let mut group = group.expect("the settings are valid");

    let primary = group.primary().await;
    let [one, other] = names.into_iter().filter(|name| *name != primary).collect::<Vec<_>>()[..]
    else {
        panic!("there are two others")
    };
    group.pass(Duration::from_secs(5)).await;
    group.kill(one);
    group.restart(one).await.expect("its address is free");
    let back = routes(service(&group, one), Face::Callers);
    let (status, problem) = ask(&back, ("GET", "/readyz"), "").await;
    assert_eq!((status, &problem["error"]), (503, &json!("not_ready")), "{problem}");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.starts_with("not ready: ") && !detail.contains("0ns"), "{detail}");
    group.limiter(one).peer().wait_counted(Duration::from_secs(60)).await.expect("counted in");
    assert_eq!(ask(&back, ("GET", "/readyz"), "").await.0, 200);

    group.kill(&primary);
    group.kill(other);
    group.pass(Duration::from_secs(60)).await;
    assert_eq!(group.limiter(one).peer().status().primary, None);
    assert_eq!(ask(&back, ("GET", "/readyz"), "").await.0, 200, "it decides alone");
    // One that starts now has not counted, and nobody is there to count it in.
    group.restart(other).await.expect("its address is free");
    group.kill(one);
    let late = routes(service(&group, other), Face::Callers);
    assert_eq!(ask(&late, ("GET", "/readyz"), "").await.0, 503);
}

/// Whoever went on from a number of an earlier start was told nothing for so many events.
#[tokio::test(start_paused = true)]
async fn whoever_comes_with_the_number_of_an_earlier_start_goes_on_from_the_newest() {
    let group = group().await;
    let routes = routes(service(&group, "a"), Face::Callers);
    let (_, all) = ask(&routes, ("GET", "/v1/events?since=0"), "").await;
    let (_, none) = ask(&routes, ("GET", "/v1/events?since=100000"), "").await;
    assert_eq!((&none["events"], &none["next"]), (&json!([]), &all["next"]));
}

#[tokio::test(start_paused = true)]
async fn the_status_says_why_a_peer_is_not_linked() {
    let mut group = group().await;
    let routes = routes(service(&group, "a"), Face::Callers);
    group.kill("c");
    group.pass(Duration::from_secs(20)).await;
    let (_, status) = ask(&routes, ("GET", "/v1/status"), "").await;
    let peers = status["peers"].as_array().expect("a list").iter();
    let told = peers.map(|peer| (&peer["name"], &peer["link"], &peer["link_error"]["reason"]));
    let (up, down, none) = (json!("up"), json!("down"), Value::Null);
    let (b, c, refused) = (json!("b"), json!("c"), json!("connection_refused"));
    assert_eq!(told.collect::<Vec<_>>(), [(&b, &up, &none), (&c, &down, &refused)]);
    assert_eq!(status["contacts"], Value::Null, "it knows its members");
}
