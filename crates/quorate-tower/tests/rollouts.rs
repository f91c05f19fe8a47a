//! Rules whose limit the group has not, or not yet; limits that are chosen by the request; and many
//! rules of which few apply.

mod support;

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use quorate::transport::InProcess;
use quorate::{Acknowledge, Peer};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, Carry, Limit, Limits, RateLimiter};
use quorate_tower::{
    Admission, AllCallers, BuildError, Header, MissingLimit, RateLimitLayer, RateLimitLayerBuilder,
    Reason, Rule, Unenforced, WhenUnavailable,
};
use support::{MINUTE, call, inside, used};

fn set<L: AsRef<str>>(names: &[L]) -> Limits {
    let add = |limits: quorate_ratelimit::LimitsBuilder, name: &L| {
        limits.limit(name.as_ref(), Limit::per_day(1).burst(5))
    };
    names.iter().fold(Limits::builder(), add).build().expect("usable")
}

fn layer(limiter: &RateLimiter, rules: impl IntoIterator<Item = Rule>) -> RateLimitLayerBuilder {
    rules.into_iter().fold(RateLimitLayer::builder(limiter.clone()), RateLimitLayerBuilder::rule)
}

/// Says which limits a request went without.
async fn unenforced(request: Request<()>) -> Response<String> {
    let without = request.extensions().get::<Unenforced>();
    Response::new(without.map(|it| it.limits.join(" ")).unwrap_or_default())
}

/// The primary runs the old code, and the two others the new one.
async fn in_a_rollout() -> (InProcess, [RateLimiter; 3]) {
    let network = InProcess::network();
    let (old, new) = (set(&["api"]), set(&["api", "new"]));
    let start = async |name: &str, limits: &Limits, priority| {
        let peer = Peer::builder(name, limits.model())
            .members(["a", "b", "c"].map(|name| (name, name)))
            .transport(network.at(name))
            .acknowledge(Acknowledge::Majority)
            .priority(priority)
            .tokio_clock()
            .start()
            .await;
        RateLimiter::new(peer.expect("the settings are valid"), limits)
    };
    // Those with 0 are not promoted by themselves.
    let limiters =
        [start("a", &old, 1).await, start("b", &new, 0).await, start("c", &new, 0).await];
    for limiter in &limiters {
        limiter.wait_ready(MINUTE).await.expect("they form a group");
    }
    assert_eq!(limiters[0].peer().status().primary, Some("a".into()));
    (network, limiters)
}

/// Every request was answered with 503 until the primary ran the new code, with "try again in a
/// moment".
#[tokio::test(start_paused = true)]
async fn a_rollout_that_brings_a_limit_and_its_rule_is_no_outage() {
    let (_network, [a, b, c]) = in_a_rollout().await;
    let rules = || [Rule::new("new", AllCallers), Rule::new("api", AllCallers)];
    let mut service = inside(&layer(&b, rules()).build().expect("the code has it"), unenforced);
    for left in [4, 3] {
        let response = call(&mut service, Request::new(())).await.expect("infallible");
        assert_eq!((response.status(), &**response.body()), (StatusCode::OK, "new"));
        let told = response.headers()["ratelimit"].to_str().expect("text");
        assert!(told.starts_with(&format!("\"api\";r={left};")), "{told}");
    }
    assert_eq!(b.stats().limits["new"].errors.missing_limit, 2);
    assert_eq!(b.stats().totals.errors.all(), 2);
    assert_eq!(b.limits_status().missing, ["new"]);
    // Alone a rule that is skipped admits, and one that may not be refuses.
    let alone = layer(&b, [Rule::new("new", AllCallers)]).build().expect("the code has it");
    let mut alone = inside(&alone, async |request: Request<()>| {
        assert_eq!(request.extensions().get(), Some(&Admission::Exempt));
        unenforced(request).await
    });
    let response = call(&mut alone, Request::new(())).await.expect("infallible");
    assert_eq!((response.status(), &**response.body()), (StatusCode::OK, "new"));
    let strict = [
        Rule::new("api", AllCallers),
        Rule::new("new", AllCallers).missing_limit(MissingLimit::Refuse),
    ];
    let strict = layer(&b, strict).when_unavailable(WhenUnavailable::Admit).build();
    let mut strict = inside(&strict.expect("the code has it"), unenforced);
    let response = call(&mut strict, Request::new(())).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers().contains_key(RETRY_AFTER), "it may last");
    let error = AcquireError::MissingLimit { limit: "new".into(), revision: 0 };
    let reason = Reason::LimitUnusable { limit: "new".into(), error };
    assert_eq!(response.extensions().get(), Some(&reason));
    assert!(response.body().contains("the service's limit new"), "{}", response.body());
    assert_eq!(used(&b, "api", "").await, 2, "what is refused is not counted");

    // The primary runs the new code.
    c.peer().set_priority(1).await;
    tokio::time::sleep(MINUTE).await;
    a.peer().switch_primary("c").await.expect("it takes over");
    b.wait_ready(MINUTE).await.expect("there is a primary");
    for service in [&mut service, &mut strict] {
        let response = call(service, Request::new(())).await.expect("infallible");
        assert_eq!((response.status(), &**response.body()), (StatusCode::OK, ""));
    }
    assert_eq!(used(&b, "new", "").await, 2);
    assert_eq!(b.limits_status().missing, Vec::<String>::new());
}

/// Reservations, and what may be given back, are asked for in other ways.
#[tokio::test(start_paused = true)]
async fn rules_that_settle_by_the_response_go_without_a_missing_limit_too() {
    let (_network, [_a, b, _c]) = in_a_rollout().await;
    let rules = [
        Rule::new("new", AllCallers).cost(3).actual_cost(|_| Some(1)),
        Rule::new("new", Header(HeaderName::from_static("user"))).count_if(|_| true),
        Rule::new("api", AllCallers).cost(3).actual_cost(|_| Some(1)),
        Rule::new("api", Header(HeaderName::from_static("user"))).count_if(|_| false),
    ];
    let mut service = inside(&layer(&b, rules).build().expect("the code has it"), unenforced);
    let request = || Request::get("/").header("user", "alice").body(()).expect("a request");
    let response = call(&mut service, request()).await.expect("infallible");
    assert_eq!((response.status(), &**response.body()), (StatusCode::OK, "new"));
    assert_eq!((used(&b, "api", "").await, used(&b, "api", "alice").await), (1, 0));
}

/// It lasted for ever: the code's limits are not asked after a change.
#[tokio::test(start_paused = true)]
async fn after_a_change_of_the_groups_limits_a_new_limit_waits_for_the_next_one() {
    let code = set(&["api", "new"]);
    let group = TestGroup::start(&code, ["a", "b", "c"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("b");
    let rules = || [Rule::new("new", AllCallers), Rule::new("api", AllCallers)];
    let before = layer(limiter, rules()).build().expect("the code has it");
    let changed = group.limiter("a").change_limits(&set(&["api"]), Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    group.pass(Duration::from_secs(1)).await;
    assert_eq!(limiter.limits_status().missing, ["new"], "before anything was asked");
    // Whether the policy has arrived or not.
    let after = layer(limiter, rules()).build().expect("the code has it");
    for layer in [&before, &after] {
        let response = call(&mut inside(layer, unenforced), Request::new(())).await;
        assert_eq!(response.expect("infallible").body(), "new");
    }
    assert_eq!(group.limiter("c").change_limits(&code, Carry::Keep).await, Ok(2));
    for layer in [&before, &after] {
        let response = call(&mut inside(layer, unenforced), Request::new(())).await;
        assert_eq!(response.expect("infallible").body(), "");
    }
    assert_eq!((used(limiter, "api", "").await, used(limiter, "new", "").await), (4, 2));
    // One that only the group has is known once it has arrived.
    let later = set(&["api", "new", "later"]);
    assert_eq!(limiter.change_limits(&later, Carry::Keep).await, Ok(3));
    limiter.wait_ready(MINUTE).await.expect("there is a primary");
    assert!(layer(limiter, [Rule::new("later", AllCallers)]).build().is_ok());
    let never = layer(limiter, [Rule::new("latre", AllCallers)]).build().err();
    assert_eq!(never, Some(BuildError::UnknownLimit { limit: "latre".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_becomes_one_of_permits_is_gone_without() {
    let group = TestGroup::start(&set(&["api", "jobs"]), ["a"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("a");
    let rules = [Rule::new("jobs", AllCallers), Rule::new("api", AllCallers)];
    let mut service = inside(&layer(limiter, rules).build().expect("usable"), unenforced);
    let reserving = [Rule::new("jobs", AllCallers).actual_cost(|_| Some(1))];
    let mut reserving = inside(&layer(limiter, reserving).build().expect("usable"), unenforced);
    let permits = Limits::builder()
        .limit("api", Limit::per_day(1).burst(5))
        .limit("jobs", Limit::concurrent(2))
        .build()
        .expect("usable");
    limiter.change_limits(&permits, Carry::Reset).await.expect("it is primary");
    let missed = |limiter: &RateLimiter| limiter.stats().limits["jobs"].errors.missing_limit;
    for count in [1, 2] {
        let response = call(&mut service, Request::new(())).await.expect("infallible");
        assert_eq!((response.status(), &**response.body()), (StatusCode::OK, "jobs"));
        assert_eq!((used(limiter, "api", "").await, missed(limiter)), (count, count));
        // It was neither counted nor shown, and whoever takes a permit does not bring it back.
        assert_eq!(limiter.limits_status().missing, ["jobs"]);
        drop(limiter.permit("jobs", "").await.expect("a primary"));
        assert_eq!(limiter.limits_status().missing, ["jobs"]);
    }
    let response = call(&mut reserving, Request::new(())).await.expect("infallible");
    assert_eq!(response.body(), "jobs");
    limiter.change_limits(&set(&["api", "jobs"]), Carry::Reset).await.expect("it is primary");
    let response = call(&mut service, Request::new(())).await.expect("infallible");
    assert_eq!(&**response.body(), "");
    assert_eq!((limiter.limits_status().missing, missed(limiter)), (vec![], 3));
}

#[tokio::test(start_paused = true)]
async fn a_chosen_limit_of_permits_is_shown_as_missing() {
    let limits = Limits::builder().limit("jobs", Limit::concurrent(2)).build().expect("usable");
    let group = TestGroup::start(&limits, ["a"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("a");
    let chosen = layer(limiter, [Rule::limit_by(|_| Some("jobs"), AllCallers)]).build();
    let mut service = inside(&chosen.expect("usable"), unenforced);
    let response = call(&mut service, Request::new(())).await.expect("infallible");
    assert_eq!(response.body(), "jobs");
    assert_eq!(limiter.limits_status().missing, ["jobs"]);
    assert_eq!(limiter.stats().limits["jobs"].errors.missing_limit, 1);
}

/// A customer of a plan.
#[derive(Clone)]
struct Plan(Arc<str>);

#[tokio::test(start_paused = true)]
async fn a_rule_takes_its_limit_from_the_request() {
    let group = TestGroup::start(&set(&["gold", "free"]), ["a"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("a");
    let plan = |request: &http::request::Parts| {
        request.extensions.get::<Plan>().map(|Plan(name)| name.clone())
    };
    let rules = || {
        [
            Rule::limit_by(plan, Header(HeaderName::from_static("user"))),
            Rule::limit_by(|_| None::<Arc<str>>, Header(HeaderName::from_static("absent"))),
        ]
    };
    let mut service = inside(&layer(limiter, rules()).build().expect("usable"), unenforced);
    let request = |plan: Option<&str>| {
        let mut request = Request::get("/").header("user", "alice").body(()).expect("a request");
        if let Some(name) = plan {
            request.extensions_mut().insert(Plan(name.into()));
        }
        request
    };
    let mut body = async |plan| {
        let response = call(&mut service, request(plan)).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    };
    assert_eq!(body(Some("gold")).await, "");
    assert_eq!(body(Some("free")).await, "");
    assert_eq!(body(Some("gold")).await, "");
    assert_eq!(body(None).await, "");
    // A name that nobody has is as one that is missing: told, and counted.
    assert_eq!(body(Some("silver")).await, "silver");
    assert_eq!(body(Some("silver")).await, "silver");
    assert_eq!(
        (used(limiter, "gold", "alice").await, used(limiter, "free", "alice").await),
        (2, 1)
    );
    assert_eq!(limiter.limits_status().missing, ["silver"]);
    assert_eq!(limiter.stats().limits["(others)"].errors.missing_limit, 2);
    let with_silver = set(&["gold", "free", "silver"]);
    limiter.change_limits(&with_silver, Carry::Keep).await.expect("it is primary");
    assert_eq!(body(Some("silver")).await, "");
    assert_eq!(used(limiter, "silver", "alice").await, 1);
    let [rule, _] = rules();
    let strict =
        layer(limiter, [rule.missing_limit(MissingLimit::Refuse)]).build().expect("usable");
    let response = call(&mut inside(&strict, unenforced), request(Some("tin"))).await;
    let response = response.expect("infallible");
    let error = AcquireError::UnknownLimit { limit: "tin".into() };
    let reason = Reason::LimitUnusable { limit: "tin".into(), error };
    assert_eq!(response.extensions().get(), Some(&reason));
}

/// They were more than 16, and so no layer could be built, though four apply to each request.
#[tokio::test(start_paused = true)]
async fn rules_that_apply_count_and_not_those_that_are_there() {
    let names: Vec<String> =
        (0..20).map(|number| format!("{}-{}", number / 4, number % 4)).collect();
    let group = TestGroup::start(&set(&names), ["a"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("a");
    let rule = |name: &String| {
        let plan = name[..1].to_owned();
        Rule::new(name.as_str(), AllCallers).when(move |request| request.uri.path()[1..] == *plan)
    };
    let five_plans = layer(limiter, names.iter().map(rule)).build().expect("four apply");
    let request = Request::get("/3").body(()).expect("a request");
    let response = call(&mut inside(&five_plans, unenforced), request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    for name in &names {
        assert_eq!(used(limiter, name, "").await, u64::from(name.starts_with('3')), "{name}");
    }
    // What is too many for a request is the service's mistake, and said so.
    let all = names.iter().map(|name| Rule::new(name.as_str(), AllCallers).when(|_| true));
    let all = layer(limiter, all).build().expect("who knows when they apply");
    let response = call(&mut inside(&all, unenforced), Request::new(())).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let reason = Reason::TooManyRules { count: 20, max: 16 };
    assert_eq!(response.extensions().get(), Some(&reason));
    let sixteen = names[..16].iter().map(|name| Rule::new(name.as_str(), AllCallers));
    let sixteen = layer(limiter, sixteen).build().expect("as many as are decided together");
    let response = call(&mut inside(&sixteen, unenforced), Request::new(())).await;
    assert_eq!(response.expect("infallible").status(), StatusCode::OK);
    let always = names.iter().map(|name| Rule::new(name.as_str(), AllCallers));
    let refused = layer(limiter, always).build().err();
    assert_eq!(refused, Some(BuildError::Rules { count: 20, max: 16 }));
}

/// It said 429, and not when to come again.
#[tokio::test(start_paused = true)]
async fn a_denial_says_when_to_come_again_whatever_this_peers_code_knows_of_the_limit() {
    let code = set(&["api"])
        .iter()
        .fold(Limits::builder(), |limits, (name, limit)| limits.limit(name, limit));
    let code = code.limit("visits", Limit::counter()).build().expect("usable");
    let mut group = TestGroup::start(&code, ["a", "b", "c"], |peer| peer).await.expect("valid");
    group.client("web").await.expect("valid");
    // The client's code has the first not at all, and the other as what denies nothing.
    let changed = set(&["api", "gold", "visits"]);
    assert_eq!(group.limiter("a").change_limits(&changed, Carry::Reset).await, Ok(1));
    let limiter = group.limiter("web");
    for rule in [Rule::limit_by(|_| Some("gold"), AllCallers), Rule::new("visits", AllCallers)] {
        let layer = layer(limiter, [rule.cost(5)]).build().expect("usable");
        let mut service = inside(&layer, unenforced);
        let mut answer = async || call(&mut service, Request::new(())).await.expect("infallible");
        assert_eq!(answer().await.status(), StatusCode::OK);
        let denied = answer().await;
        assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
        let seconds = denied.headers().get(RETRY_AFTER).expect("it is said").to_str();
        let seconds: u64 = seconds.expect("text").parse().expect("seconds");
        // Five units flow in as many days.
        assert!((86_400 * 4..=86_400 * 5).contains(&seconds), "{seconds}");
    }
}
