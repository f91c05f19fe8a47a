//! What becomes of requests, on virtual time and without a network.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use quorate::DecideError;
use quorate_ratelimit::{AcquireError, Carry, HeaderStyle, Limit, Limits, RateLimiter, Reset};
use quorate_tower::{
    Admission, AllCallers, BuildError, Grpc, Header, MissingKey, MissingLimit, RateLimitLayer,
    RateLimitLayerBuilder, Reason, Refusal, Rule, WhenUnavailable,
};
use support::{call, cut_off, group, inside, used};

fn user() -> Header {
    Header(HeaderName::from_static("user"))
}

fn of(user: &str) -> Request<()> {
    Request::get("/").header("user", user).body(()).expect("a request")
}

async fn ok(_: Request<()>) -> Response<String> {
    Response::new("ok".to_owned())
}

fn layer(limiter: &RateLimiter, rules: impl IntoIterator<Item = Rule>) -> RateLimitLayerBuilder {
    rules.into_iter().fold(RateLimitLayer::builder(limiter.clone()), RateLimitLayerBuilder::rule)
}

#[tokio::test(start_paused = true)]
async fn what_is_admitted_is_served_and_what_is_denied_is_not() {
    let group = group().await;
    let rules = [Rule::new("two", user())];
    let layer = layer(group.limiter("a"), rules).build().expect("usable");
    let served = Arc::new(AtomicUsize::new(0));
    let mut service = inside(&layer, {
        let served = served.clone();
        move |_| {
            served.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Response::new("ok".to_owned()))
        }
    });
    for left in [1, 0] {
        let response = call(&mut service, of("alice")).await.expect("infallible");
        assert_eq!((response.status(), &**response.body()), (StatusCode::OK, "ok"));
        assert!(
            response.headers()["ratelimit"]
                .as_bytes()
                .starts_with(format!("\"two\";r={left};").as_bytes())
        );
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }
    let denied = call(&mut service, of("alice")).await.expect("infallible");
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denied.headers()[CONTENT_TYPE], "application/problem+json");
    assert!(denied.body().contains(r#""violated-policies":["two"]"#));
    // The next unit comes in a day.
    assert!(denied.headers()[RETRY_AFTER].len() == 5 && denied.headers().contains_key("ratelimit"));
    let reason = denied.extensions().get::<Reason>();
    assert!(matches!(reason, Some(Reason::Denied { decision, .. }) if !decision.allowed));
    assert_eq!(served.load(Ordering::Relaxed), 2);
    // Each user has a count of their own.
    let other = call(&mut service, of("bob")).await.expect("infallible");
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn several_rules_count_all_or_nothing() {
    let group = group().await;
    let limiter = group.limiter("b");
    let rules = [Rule::new("ten", AllCallers).cost(3), Rule::new("two", user())];
    let mut service = inside(&layer(limiter, rules).build().expect("usable"), ok);
    for left in [1, 0] {
        let response = call(&mut service, of("alice")).await.expect("infallible");
        // What has the least left is what is told.
        let told = response.headers()["ratelimit"].to_str().expect("text");
        assert!(told.starts_with(&format!("\"two\";r={left};")), "{told}");
    }
    let denied = call(&mut service, of("alice")).await.expect("infallible");
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(denied.body().contains(r#"["two"]"#), "{}", denied.body());
    assert_eq!(used(limiter, "ten", "").await, 6);
    call(&mut service, of("bob")).await.expect("infallible");
    let both = call(&mut service, of("alice")).await.expect("infallible");
    assert!(both.body().contains("\"ten\"") && both.body().contains("\"two\""), "{}", both.body());
}

#[tokio::test(start_paused = true)]
async fn one_key_under_two_rules_of_a_limit_takes_the_sum() {
    let group = group().await;
    let rules = [
        Rule::new("ten", user()),
        Rule::new("ten", user()).cost(5).when(|request| request.method == Method::POST),
    ];
    let mut service = inside(&layer(group.limiter("a"), rules).build().expect("usable"), ok);
    call(&mut service, of("alice")).await.expect("infallible");
    let post = Request::post("/").header("user", "alice").body(()).expect("a request");
    call(&mut service, post).await.expect("infallible");
    assert_eq!(used(group.limiter("a"), "ten", "alice").await, 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_admitted_is_the_callers_mistake_and_not_a_denial() {
    let group = group().await;
    let cost = |request: &http::request::Parts| request.uri.path().len() as u64;
    for rules in [
        vec![Rule::new("ten", AllCallers).cost_of(cost)],
        vec![Rule::new("minute", user()), Rule::new("ten", AllCallers).cost_of(cost)],
    ] {
        let mut service = inside(&layer(group.limiter("a"), rules).build().expect("usable"), ok);
        let long = Request::get("/0123456789").header("user", "a").body(()).expect("a request");
        let response = call(&mut service, long).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        let reason = Reason::NeverAdmitted { limit: "ten".into(), amount: 11, max: 10 };
        assert_eq!(response.extensions().get(), Some(&reason));
    }
    assert_eq!(used(group.limiter("a"), "minute", "a").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_key_is_refused_unless_the_rule_says_otherwise() {
    let group = group().await;
    let without = || Request::get("/").body(()).expect("a request");
    let limiter = group.limiter("a");
    let refuse = layer(limiter, [Rule::new("two", user())]).build().expect("usable");
    let response = call(&mut inside(&refuse, ok), without()).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(
        response
            .body()
            .contains("the request lacks the field user, by which limit two counts: send it")
    );
    let rule = Rule::new("two", user()).missing_key(MissingKey::Share);
    let share = layer(limiter, [rule]).build().expect("usable");
    for expected in [200, 200, 429] {
        let response = call(&mut inside(&share, ok), without()).await.expect("infallible");
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_read_why_a_request_was_admitted() {
    let group = group().await;
    let rules = [
        Rule::new("two", user()).missing_key(MissingKey::Skip),
        Rule::new("shadow", AllCallers).when(|it| it.method == Method::PUT).cost(2),
    ];
    let mut service = inside(
        &layer(group.limiter("a"), rules).build().expect("usable"),
        async |request: Request<()>| {
            let told = match request.extensions().get::<Admission>() {
                Some(Admission::Counted { limit, decision, shadowed }) => {
                    format!("{limit} {} {shadowed:?}", decision.remaining)
                }
                other => format!("{other:?}"),
            };
            Response::new(told)
        },
    );
    let mut told =
        async |request| call(&mut service, request).await.expect("infallible").into_body();
    assert_eq!(told(of("alice")).await, "two 1 []");
    assert_eq!(told(Request::new(())).await, "Some(Exempt)");
    let put = Request::put("/").header("user", "bob").body(()).expect("a request");
    assert!(told(put).await.ends_with("[\"shadow\"]"));
    let put = Request::put("/").body(()).expect("a request");
    assert_eq!(told(put).await, "shadow 1 [\"shadow\"]");
}

/// Once it was used up every client read that nothing was left.
#[tokio::test(start_paused = true)]
async fn a_shadow_is_told_to_no_client() {
    let group = group().await;
    let limiter = group.limiter("a");
    let both = [Rule::new("two", user()), Rule::new("shadow", AllCallers)];
    let both = layer(limiter, both).build().expect("usable");
    for left in [1, 0] {
        let response = call(&mut inside(&both, ok), of("alice")).await.expect("infallible");
        let told = response.headers()["ratelimit"].to_str().expect("text").to_owned();
        assert!(told.starts_with(&format!("\"two\";r={left};")), "{told}");
    }
    let alone = layer(limiter, [Rule::new("shadow", AllCallers)]).build().expect("usable");
    let response = call(&mut inside(&alone, ok), of("alice")).await.expect("infallible");
    assert_eq!((response.status().as_u16(), response.headers().len()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn the_fields_are_those_that_were_chosen() {
    let group = group().await;
    let rules = || [Rule::new("two", user())];
    let styles = [HeaderStyle::XRateLimit { reset: Reset::Delta }, HeaderStyle::IetfDraft11];
    let both = layer(group.limiter("a"), rules()).headers(styles).build().expect("usable");
    let response = call(&mut inside(&both, ok), of("alice")).await.expect("infallible");
    assert_eq!(response.headers()["x-ratelimit-remaining"], "1");
    assert_eq!(response.headers()["ratelimit-policy"], "\"two\";q=2;w=172800");

    let layer = layer(group.limiter("a"), rules()).headers_on_denials_only().build();
    let mut service = inside(&layer.expect("usable"), ok);
    let response = call(&mut service, of("alice")).await.expect("infallible");
    assert!(response.headers().is_empty());
    let denied = call(&mut service, of("alice")).await.expect("infallible");
    assert!(denied.headers().contains_key("ratelimit"));
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_requests_are_refused_as_unavailable_and_not_as_too_many() {
    let group = group().await;
    let limiter = cut_off(&group).await;
    for rules in [
        vec![Rule::new("two", user())],
        vec![Rule::new("two", user()), Rule::new("ten", AllCallers).count_if(|_| false)],
    ] {
        let mut service = inside(&layer(&limiter, rules).build().expect("usable"), ok);
        let response = call(&mut service, of("alice")).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(matches!(response.extensions().get(), Some(Reason::Unavailable { .. })));
    }
}

/// Limits change while the group runs, and the layer does not know.
#[tokio::test(start_paused = true)]
async fn a_limit_that_became_smaller_admits_less_and_one_that_is_gone_is_as_the_rule_says() {
    let group = group().await;
    let limiter = group.limiter("b");
    let rules = [Rule::new("two", user()).cost(2).missing_limit(MissingLimit::Refuse)];
    let mut service = inside(&layer(limiter, rules).build().expect("usable"), ok);
    let smaller = Limits::builder().limit("two", Limit::per_day(1)).build().expect("usable");
    limiter.change_limits(&smaller, Carry::Keep).await.expect("a primary");
    let response = call(&mut service, of("alice")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let others = Limits::builder().limit("three", Limit::per_day(3)).build().expect("usable");
    limiter.change_limits(&others, Carry::Keep).await.expect("a primary");
    let response = call(&mut service, of("alice")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error = AcquireError::MissingLimit { limit: "two".into(), revision: 2 };
    let reason = Reason::LimitUnusable { limit: "two".into(), error };
    assert_eq!(response.extensions().get(), Some(&reason));
}

/// The link to the primary falls silent, and nobody knows yet.
#[tokio::test(start_paused = true)]
async fn a_request_whose_outcome_is_unknown_is_refused_as_unavailable() {
    let group = group().await;
    let primary = group.primary().await;
    let name = if primary == "a" { "b" } else { "a" };
    let rules = [Rule::new("two", user())];
    let mut service = inside(&layer(group.limiter(name), rules).build().expect("usable"), ok);
    group.isolate(&[name]);
    let response = call(&mut service, of("alice")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let unknown = matches!(
        response.extensions().get(),
        Some(Reason::Unavailable {
            error: AcquireError::Undecided(DecideError::OutcomeUnknown { .. })
        })
    );
    assert!(unknown, "{:?}", response.extensions().get::<Reason>());
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_requests_are_admitted_where_that_was_chosen() {
    let group = group().await;
    let limiter = cut_off(&group).await;
    let rules = [Rule::new("two", user()).count_if(|_| false)];
    let layer = layer(&limiter, rules).when_unavailable(WhenUnavailable::Admit).build();
    let mut service = inside(&layer.expect("usable"), async |request: Request<()>| {
        let admission = request.extensions().get::<Admission>();
        assert!(matches!(admission, Some(Admission::Undecided { .. })));
        Response::new("ok".to_owned())
    });
    for _ in 0..3 {
        let response = call(&mut service, of("alice")).await.expect("infallible");
        assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
    }
    // Only what is undecided: a key that is missing is refused all the same.
    let response = call(&mut service, Request::new(())).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_grpc_have_their_status_in_the_head() {
    let group = group().await;
    let rules = || [Rule::new("two", user()).cost(2)];
    let grpc = layer(group.limiter("b"), rules()).refusals(Grpc).build().expect("usable");
    let mut service = inside(&grpc, ok);
    call(&mut service, of("alice")).await.expect("infallible");
    let denied = call(&mut service, of("alice")).await.expect("infallible");
    assert_eq!((denied.status(), &**denied.body()), (StatusCode::OK, ""));
    assert_eq!(denied.headers()["grpc-status"], "8");
    assert_eq!(denied.headers()["grpc-message"], "denied by two: come again in 172800 s");
    assert_eq!(denied.headers()[CONTENT_TYPE], "application/grpc");
    assert!(denied.headers().contains_key(RETRY_AFTER));
    let limiter = cut_off(&group).await;
    let grpc = layer(&limiter, rules()).refusals(Grpc).build().expect("usable");
    let unavailable = call(&mut inside(&grpc, ok), of("alice")).await.expect("infallible");
    assert_eq!(unavailable.headers()["grpc-status"], "14");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_written_by_a_closure_where_there_is_one() {
    let group = group().await;
    let layer = layer(group.limiter("a"), [Rule::new("two", user())]);
    let layer = layer.refuse_with(|refusal: Refusal| refusal.problem().map(|text| text + "!"));
    let mut service = inside(&layer.build().expect("usable"), ok);
    let response = call(&mut service, Request::new(())).await.expect("infallible");
    assert!(response.status() == StatusCode::BAD_REQUEST && response.body().ends_with('!'));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_could_never_work_is_not_built() {
    let group = group().await;
    let limiter = group.limiter("a");
    let error = |rules: Vec<Rule>| layer(limiter, rules).build().err();
    assert_eq!(error(vec![]), Some(BuildError::Rules { count: 0, max: 4096 }));
    let many = (0..17).map(|_| Rule::new("two", AllCallers)).collect();
    assert_eq!(error(many), Some(BuildError::Rules { count: 17, max: 16 }));
    let unknown = BuildError::UnknownLimit { limit: "tow".into() };
    assert_eq!(error(vec![Rule::new("tow", AllCallers)]), Some(unknown));
    let never = BuildError::NeverAdmitted { limit: "two".into(), cost: 3, max: 2 };
    assert_eq!(error(vec![Rule::new("two", AllCallers).cost(3)]), Some(never));
    assert_eq!(error(vec![Rule::new("shadow", AllCallers).cost(3)]), None);
    let permits = BuildError::Concurrency { limit: "permits".into() };
    assert_eq!(error(vec![Rule::new("permits", AllCallers)]), Some(permits));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_before_it_was_polled_took_nothing_and_later_what_it_took() {
    use tower_service::Service;

    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [Rule::new("ten", user()).count_if(|_| false)];
    let mut service = inside(&layer(limiter, rules).build().expect("usable"), async |_| {
        std::future::pending::<()>().await;
        Response::new(String::new())
    });
    drop(service.call(of("alice")));
    assert_eq!(used(limiter, "ten", "alice").await, 0);
    let waiting = service.call(of("alice"));
    // The client goes away after a minute.
    let gone = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(gone.is_err());
    assert_eq!(used(limiter, "ten", "alice").await, 1);
}
