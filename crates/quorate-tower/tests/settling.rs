//! Costs that are known afterwards, on virtual time.

mod support;

use http::{HeaderName, Request, Response, StatusCode};
use quorate_ratelimit::{Decision, RateLimiter};
use quorate_tower::{Admission, AllCallers, Header, RateLimitLayer, Rule, Unsettled};
use support::{MINUTE, call, cut_off, group, inside, used};

/// What a request wants to be answered, and when.
fn asks(status: u16, cost: u64) -> Request<()> {
    let request = Request::get("/").header("user", "alice").header("status", status);
    request.header("cost", cost).body(()).expect("a request")
}

/// Answers with the status and the cost that were asked for.
async fn answer(request: Request<()>) -> Response<String> {
    let mut response = Response::new(String::new());
    let status = request.headers()["status"].to_str().expect("digits").parse::<u16>();
    *response.status_mut() = StatusCode::from_u16(status.expect("digits")).expect("a status");
    response.headers_mut().insert("cost", request.headers()["cost"].clone());
    response
}

fn user() -> Header {
    Header(HeaderName::from_static("user"))
}

fn told(response: &http::response::Parts) -> Option<u64> {
    response.headers.get("cost")?.to_str().ok()?.parse().ok()
}

fn successes(response: &http::response::Parts) -> bool {
    response.status.is_success()
}

fn layer(limiter: &RateLimiter, rules: impl IntoIterator<Item = Rule>) -> RateLimitLayer {
    let builder = RateLimitLayer::builder(limiter.clone());
    rules.into_iter().fold(builder, |builder, rule| builder.rule(rule)).build().expect("usable")
}

#[tokio::test(start_paused = true)]
async fn only_outcomes_that_count_are_counted() {
    let group = group().await;
    let limiter = group.limiter("a");
    for limit in ["ten", "minute"] {
        let rules = [Rule::new(limit, user()).cost(2).count_if(successes)];
        let mut service = inside(&layer(limiter, rules), answer);
        for (status, counted) in [(500, 0), (200, 2), (404, 2), (204, 4)] {
            call(&mut service, asks(status, 0)).await.expect("infallible");
            assert_eq!(used(limiter, limit, "alice").await, counted, "{limit} after {status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_rules_each_counts_its_own_outcomes() {
    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [
        Rule::new("ten", user()),
        Rule::new("minute", user()).cost(2).count_if(successes),
        Rule::new("two", user()).count_if(|response| response.status == 401),
    ];
    let mut service = inside(&layer(limiter, rules), answer);
    for (status, [ten, minute, two]) in
        [(500, [1, 0, 0]), (200, [2, 2, 0]), (401, [3, 2, 1]), (500, [4, 2, 1])]
    {
        call(&mut service, asks(status, 0)).await.expect("infallible");
        assert_eq!(used(limiter, "ten", "alice").await, ten, "after {status}");
        assert_eq!(used(limiter, "minute", "alice").await, minute, "after {status}");
        assert_eq!(used(limiter, "two", "alice").await, two, "after {status}");
    }
}

/// Units that were taken from a window that has ended are nobody's: given back to the next window
/// they would admit as many too many.
#[tokio::test(start_paused = true)]
async fn nothing_is_given_back_to_a_window_that_it_was_not_taken_from() {
    let group = group().await;
    let limiter = group.limiter("a");
    // By itself, and as one of two of which the other one is the tightest.
    for rules in [
        vec![Rule::new("minute", user()).cost(2).count_if(successes)],
        vec![
            Rule::new("minute", user()).cost(2).count_if(successes),
            Rule::new("two", AllCallers).cost(2).count_if(successes),
        ],
    ] {
        let served_by = limiter.clone();
        let mut service = inside(&layer(limiter, rules), move |request: Request<()>| {
            let limiter = served_by.clone();
            async move {
                tokio::time::sleep(MINUTE).await;
                // Somebody else's, in the window that has begun since.
                let other = limiter.acquire("minute", "alice", 2).await;
                assert!(other.expect("a primary").allowed);
                answer(request).await
            }
        });
        call(&mut service, asks(500, 0)).await.expect("infallible");
        assert_eq!(used(limiter, "minute", "alice").await, 2);
        assert_eq!(used(limiter, "two", "").await, 0);
        group.pass(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_request_cost_in_the_end_is_what_counts() {
    let group = group().await;
    let limiter = group.limiter("b");
    let rules = [Rule::new("ten", user()).cost(3).actual_cost(told)];
    let mut service = inside(&layer(limiter, rules), answer);
    for (cost, counted) in [(1, 1), (3, 4), (5, 9)] {
        let response = call(&mut service, asks(200, cost)).await.expect("infallible");
        assert_eq!(used(limiter, "ten", "alice").await, counted);
        // The response tells of what is left since.
        let told = response.headers()["ratelimit"].to_str().expect("text");
        assert!(told.starts_with(&format!("\"ten\";r={};", 10 - counted)), "{told}");
    }
    // Nothing of it lapses as what nobody has settled would.
    group.pass(10 * MINUTE).await;
    // There is no room for what would be held before.
    let response = call(&mut service, asks(200, 1)).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_is_not_known_before_waits_for_debts_to_be_paid() {
    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [Rule::new("ten", user()).cost(0).actual_cost(told)];
    let mut service = inside(&layer(limiter, rules), answer);
    for (cost, status) in [(9, 200), (50, 200), (0, 429)] {
        let response = call(&mut service, asks(200, cost)).await.expect("infallible");
        assert_eq!(response.status(), status, "{cost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_taken_back_when_another_rule_denies() {
    let group = group().await;
    let limiter = group.limiter("b");
    let rules = [
        Rule::new("two", user()).cost(2),
        Rule::new("ten", user()).cost(3).actual_cost(told),
        Rule::new("minute", AllCallers).cost(1).actual_cost(told),
    ];
    let mut service = inside(&layer(limiter, rules), answer);
    let response = call(&mut service, asks(200, 2)).await.expect("infallible");
    // What has the least left: that of the rule that is not settled.
    let told = response.headers()["ratelimit"].to_str().expect("text");
    assert!(told.starts_with("\"two\";r=0;"), "{told}");
    let denied = call(&mut service, asks(200, 2)).await.expect("infallible");
    assert!(denied.body().contains(r#"["two"]"#), "{}", denied.body());
    assert_eq!(used(limiter, "two", "alice").await, 2);
    assert_eq!(used(limiter, "ten", "alice").await, 2);
    assert_eq!(used(limiter, "minute", "").await, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_when_a_reservation_is_denied() {
    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [
        Rule::new("two", user()),
        Rule::new("minute", AllCallers).cost(1).actual_cost(told),
        Rule::new("ten", user()).cost(6).actual_cost(told),
    ];
    let mut service = inside(&layer(limiter, rules), answer);
    call(&mut service, asks(200, 5)).await.expect("infallible");
    group.pass(MINUTE).await;
    let denied = call(&mut service, asks(200, 5)).await.expect("infallible");
    assert!(denied.body().contains(r#"["ten"]"#), "{}", denied.body());
    assert_eq!(used(limiter, "two", "alice").await, 1);
    assert_eq!(used(limiter, "minute", "").await, 0);
    assert_eq!(used(limiter, "ten", "alice").await, 5);
}

/// As long as nobody knows what it costs it holds what it has reserved, and some minutes more.
#[tokio::test(start_paused = true)]
async fn a_reservation_whose_response_never_comes_lapses() {
    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [Rule::new("ten", user()).cost(10).actual_cost(told)];
    let mut service = inside(&layer(limiter, rules), async |_| std::future::pending().await);
    let gone = tokio::time::timeout(MINUTE, call(&mut service, asks(200, 1))).await;
    assert!(gone.is_err());
    let denied = limiter.acquire("ten", "alice", 10).await.expect("a primary");
    assert!(!denied.allowed);
    group.pass(10 * MINUTE).await;
    assert!(limiter.acquire("ten", "alice", 10).await.expect("a primary").allowed);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_comes_when_its_reservation_has_lapsed_is_counted_all_the_same() {
    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [Rule::new("ten", user()).cost(4).actual_cost(told)];
    let mut service = inside(&layer(limiter, rules), async |request| {
        tokio::time::sleep(10 * MINUTE).await;
        answer(request).await
    });
    let response = call(&mut service, asks(200, 3)).await.expect("infallible");
    assert!(response.extensions().get::<Unsettled>().is_none());
    assert_eq!(used(limiter, "ten", "alice").await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_says_nothing_of_its_cost_cost_what_was_taken() {
    let group = group().await;
    let limiter = group.limiter("a");
    let rules = [Rule::new("ten", user()).cost(4).actual_cost(told)];
    let mut service = inside(&layer(limiter, rules), async |_| Response::new(String::new()));
    call(&mut service, asks(200, 0)).await.expect("infallible");
    assert_eq!(used(limiter, "ten", "alice").await, 4);
}

/// A shadow that would have denied has taken nothing: to give that back would give what others
/// took.
#[tokio::test(start_paused = true)]
async fn a_shadow_that_would_have_denied_gives_nothing_back() {
    let group = group().await;
    let limiter = group.limiter("a");
    for key in ["alice", ""] {
        let taken = limiter.acquire("shadow", key, 1).await.expect("a primary");
        assert!(!taken.shadow);
    }
    for rules in [
        vec![Rule::new("shadow", user()).count_if(successes)],
        // Only one of the two is what the group's answer speaks of.
        vec![
            Rule::new("shadow", AllCallers).count_if(successes),
            Rule::new("shadow", user()).count_if(successes),
        ],
    ] {
        call(&mut inside(&layer(limiter, rules), answer), asks(500, 0)).await.expect("infallible");
        assert_eq!(used(limiter, "shadow", "alice").await, 1);
        assert_eq!(used(limiter, "shadow", "").await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_settled_stays_counted_and_the_response_says_so() {
    let group = group().await;
    let rules = [Rule::new("ten", user()).count_if(successes)];
    let group = std::sync::Arc::new(group);
    let served_by = group.clone();
    let mut service = inside(&layer(group.limiter("a"), rules), move |request: Request<()>| {
        let group = served_by.clone();
        async move {
            let decision = request.extensions().get().and_then(Admission::decision).copied();
            assert!(decision.is_some_and(|Decision { allowed, .. }| allowed));
            _ = cut_off(&group).await;
            answer(request).await
        }
    });
    let response = call(&mut service, asks(500, 0)).await.expect("infallible");
    assert_eq!(response.status(), 500);
    let unsettled = response.extensions().get::<Unsettled>().expect("it was not settled");
    assert_eq!(&*unsettled.limits[0].0, "ten");
    group.heal();
    group.pass(MINUTE).await;
    assert_eq!(used(group.limiter("a"), "ten", "alice").await, 1);
}
