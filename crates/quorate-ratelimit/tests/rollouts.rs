//! Limits that this peer's code has and the group has not, or not yet: told, counted, and over as
//! soon as the limit is there.

mod told;

use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{Acknowledge, Mode, Peer, PeerBuilder};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{
    AcquireError, Carry, Limit, Limits, RateLimiter, ReadyError, WithoutPrimary,
};

use crate::told::Told;

const LONG: Duration = Duration::from_secs(60);

fn set(names: &[&str]) -> Limits {
    let add = |limits: quorate_ratelimit::LimitsBuilder, name: &&str| {
        limits.limit(*name, Limit::per_day(1).burst(5))
    };
    names.iter().fold(Limits::builder(), add).build().expect("usable")
}

/// Three peers, each with limits of its own, of which the first one becomes primary.
async fn rollout(codes: [&[&str]; 3]) -> (InProcess, Vec<RateLimiter>) {
    let network = InProcess::network();
    let names = ["a", "b", "c"];
    let mut limiters = Vec::new();
    for ((name, code), priority) in names.iter().zip(codes).zip([1, 2, 3]) {
        let limits = set(code);
        let peer = Peer::builder(*name, limits.model())
            .members(names.map(|name| (name, name)))
            .transport(network.at(name))
            .priority(priority)
            .tokio_clock()
            .start()
            .await;
        limiters.push(RateLimiter::new(peer.expect("the settings are valid"), &limits));
    }
    for limiter in &limiters {
        limiter.wait_ready(LONG).await.expect("they form a group");
    }
    let primary = limiters[0].peer().status().primary.expect("there is one");
    if primary.as_str() != "a" {
        let index = names.iter().position(|name| *name == primary.as_str()).expect("one of them");
        limiters[index].peer().switch_primary("a").await.expect("it takes over");
    }
    (network, limiters)
}

/// It was "no limit is called "new" at the peer that decides", counted as `other`, and not logged.
#[tokio::test(start_paused = true)]
async fn a_limit_that_only_new_code_has_is_told_counted_and_heals_with_the_primary() {
    let told = Told::here();
    let (_network, limiters) = rollout([&["api"], &["api", "new"], &["api", "new"]]).await;
    let [_, b, _] = &limiters[..] else { panic!("three") };
    for _ in 0..3 {
        let missing = AcquireError::MissingLimit { limit: "new".into(), revision: 0 };
        let text = "this peer has a limit \"new\" and the peer that decides has none in its code: \
                    bring the primary to the code that this peer runs, or change the group's \
                    limits to some with it (change_limits)";
        assert_eq!(missing.to_string(), text);
        assert_eq!(b.acquire("new", "alice", 1).await, Err(missing));
    }
    // Together with others it is counted once, and under its own name.
    let joint = b.acquire_all(&[("api", "alice", 1), ("new", "alice", 1)]).await;
    assert!(matches!(joint, Err(AcquireError::MissingLimit { ref limit, .. }) if limit == "new"));
    let stats = b.stats();
    assert_eq!(stats.limits["new"].errors.missing_limit, 4);
    assert_eq!(stats.totals.errors.all(), 4);
    let metrics = b.metrics();
    let value = |name, label: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).expect("it is there");
        let is_it = |(_, value): &(&str, String)| label == value;
        let sample = metric.samples.iter().find(|s| s.labels.iter().all(is_it)).expect("it too");
        sample.value
    };
    assert_eq!(value("quorate_missing_limit_calls_total", "new"), 4.0);
    assert_eq!(value("quorate_missing_limit_calls_total", "api"), 0.0);
    assert_eq!(value("quorate_errors_total", "missing_limit"), 4.0);
    assert_eq!(value("quorate_missing_limits", ""), 1.0);
    assert_eq!(b.limits_status().missing, ["new"]);
    assert_eq!(told.warnings("limit new"), 1, "{told:?}");
    // Where a rule refuses without it, what it would limit is not let through either.
    assert_eq!(told.warnings("nothing is counted under it"), 1, "{told:?}");

    limiters[0].peer().switch_primary("c").await.expect("it takes over");
    b.wait_ready(LONG).await.expect("there is a primary");
    assert!(b.acquire("new", "alice", 1).await.expect("the primary has it").allowed);
    assert!(b.limits_status().missing.is_empty());
    assert_eq!(b.stats().totals.errors.all(), 4);
    // It was not there before.
    assert_eq!(told.lines("limit new is there now, and is applied"), 1, "{told:?}");
}

/// It was refused with 503, and said nowhere why.
#[tokio::test(start_paused = true)]
async fn a_limit_that_goes_on_beside_one_that_refuses_is_told() {
    let told = Told::here();
    let share = Limit::per_day(1).without_primary(WithoutPrimary::share(300));
    let limits = Limits::builder().limit("ip", share).limit("name", share);
    let limits = limits.limit("total", Limit::per_day(1)).build().expect("usable");
    for (mode, warnings) in [(Mode::Strict, 1), (Mode::Relaxed, 0)] {
        let told_before = told.warnings("limit ip would go on without a primary");
        let mode = move |peer: PeerBuilder| peer.mode(mode);
        let group = TestGroup::start(&limits, ["a", "b", "c"], mode).await.expect("valid");
        let limiter = group.limiter("a");
        limiter.warn_if_refused_beside("ip", ["name", "total"]);
        limiter.warn_if_refused_beside("ip", ["name"]);
        limiter.warn_if_refused_beside("total", ["ip", "name"]);
        let told_since = told.warnings("without a primary") - told_before;
        assert_eq!(told_since, warnings, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_a_change_takes_away_is_told_where_it_is_used() {
    let told = Told::here();
    let limits = set(&["api", "login", "mail"]);
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("b");
    limiter.expect_limits(["login", "mail"]);
    let changed = group.limiter("c").change_limits(&set(&["mail"]), Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    // Within a moment it is there, and nothing has been asked.
    group.pass(Duration::from_secs(1)).await;
    assert_eq!(limiter.limits_status().missing, ["login"]);
    assert_eq!((told.warnings("limit login"), told.warnings("limit api")), (1, 0), "{told:?}");
    let missing = limiter.acquire("login", "alice", 1).await.expect_err("it is gone");
    assert_eq!(
        missing.to_string(),
        "this peer has a limit \"login\" and the group has none (its limits are at revision 1): \
         change them to some with it (change_limits)"
    );
    assert_eq!(told.warnings("limit login"), 1, "once: {told:?}");
    // What is only asked for is missed from then on.
    _ = group.limiter("a").acquire("api", "alice", 1).await;
    assert_eq!(group.limiter("a").limits_status().missing, ["api"]);
    assert_eq!(group.limiter("c").change_limits(&limits, Carry::Keep).await, Ok(2));
    group.pass(Duration::from_secs(1)).await;
    for name in ["a", "b", "c"] {
        assert_eq!(group.limiter(name).limits_status().missing, Vec::<String>::new(), "{name}");
    }
    // A service that starts by another name is told as well.
    limiter.expect_limits(["lgoin"]);
    assert_eq!(limiter.limits_status().missing, ["lgoin"]);
    assert_eq!(told.warnings("limit lgoin"), 1, "{told:?}");
}

/// It was counted twice: where its key was made, and for the call.
#[tokio::test(start_paused = true)]
async fn an_unknown_limit_among_several_is_one_error() {
    let group = TestGroup::start(&set(&["api"]), ["a"], |peer| peer).await.expect("valid");
    let limiter = group.limiter("a");
    let unknown = limiter.acquire_all(&[("api", "", 1), ("apo", "", 1)]).await;
    assert_eq!(unknown.err(), Some(AcquireError::UnknownLimit { limit: "apo".into() }));
    let twice = limiter.acquire_all(&[("api", "", 1), ("api", "", 1)]).await;
    assert!(matches!(twice, Err(AcquireError::Twice { .. })));
    assert_eq!(
        (limiter.stats().totals.errors.invalid, limiter.stats().totals.errors.all()),
        (2, 2)
    );
}

/// A blank peer decides, by the primary, before it has been sent what the group decides by.
#[tokio::test(start_paused = true)]
async fn a_peer_is_ready_when_it_has_the_limits_of_the_group() {
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    let limits = set(&["api"]);
    let mut group = TestGroup::start(&limits, ["a", "b", "c"], exact).await.expect("valid");
    let primary = group.primary().await;
    let other = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let changed = group.limiter(&primary).change_limits(&set(&["new"]), Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    for _ in 0..3 {
        group.restart(other).await.expect("valid");
        let limiter = group.limiter(other);
        limiter.wait_ready(LONG).await.expect("it is brought up to date");
        assert_eq!(limiter.limits_status().revision, 1);
        assert!(limiter.limits().get("new").is_some());
    }
    group.isolate(&[other]);
    // It said that it was ready: there was a primary as far as it knew.
    let waited = Duration::from_secs(1);
    let cut = group.limiter(other).wait_ready(waited).await;
    assert!(
        matches!(cut, Err(ReadyError::LimitsUnknown { waited: told, .. }) if told == waited),
        "{cut:?}"
    );
    group.pass(LONG).await;
    let alone = group.limiter(other).wait_ready(waited).await;
    assert!(matches!(alone, Err(ReadyError::NoPrimary(_))), "{alone:?}");
}

/// It knew none but those of its code, and said that there were no others.
#[tokio::test(start_paused = true)]
async fn a_limit_that_came_while_the_group_ran_is_asked_for_where_it_is_not_known_yet() {
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    let limits = set(&["api"]);
    let mut group = TestGroup::start(&limits, ["a", "b", "c"], exact).await.expect("valid");
    let primary = group.primary().await;
    let other = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let changed = group.limiter(&primary).change_limits(&set(&["api", "new"]), Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    // It is ready before it has been sent what the group decides by.
    group.restart(other).await.expect("valid");
    let limiter = group.limiter(other);
    limiter.peer().wait_ready(LONG).await.expect("there is a primary");
    assert_eq!(limiter.limits_status().revision, 0);
    assert!(limiter.acquire("new", "alice", 1).await.expect("the primary has it").allowed);
    assert_eq!(limiter.stats().limits["(others)"].allowed, 1);
    let unknown = AcquireError::UnknownLimit { limit: "nwe".into() };
    assert_eq!(limiter.acquire("nwe", "alice", 1).await, Err(unknown.clone()));
    assert_eq!(limiter.top("nwe", 1).await, Err(unknown.clone()));
    assert_eq!(limiter.stats().totals.errors.invalid, 2);
    assert_eq!(limiter.limits_status().missing, Vec::<String>::new());
    // One that something relies on is missed, until it is there.
    limiter.expect_limits(["nwe"]);
    assert_eq!(limiter.acquire("nwe", "alice", 1).await, Err(unknown));
    assert_eq!(limiter.limits_status().missing, ["nwe"]);
    assert_eq!(limiter.stats().limits["(others)"].errors.missing_limit, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_asks_for_limits_that_its_code_does_not_have() {
    let (network, limiters) = rollout([&["api"], &["api"], &["api"]]).await;
    let code = set(&["api"]);
    let client = Peer::builder("web", code.model())
        .members(["a", "b", "c"].map(|name| (name, name)))
        .client()
        .transport(network.at("web"))
        .tokio_clock()
        .start()
        .await;
    let client = RateLimiter::new(client.expect("the settings are valid"), &code);
    client.wait_ready(LONG).await.expect("there is a primary");
    let unknown = AcquireError::UnknownLimit { limit: "new".into() };
    assert_eq!(client.acquire("new", "alice", 1).await, Err(unknown));
    client.expect_limits(["new"]);
    assert_eq!(client.limits_status().missing, Vec::<String>::new(), "who knows");
    assert!(client.acquire("new", "alice", 1).await.is_err());
    assert_eq!(client.limits_status().missing, ["new"]);
    let changed = limiters[1].change_limits(&set(&["api", "new"]), Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    let decision = client.acquire("new", "alice", 2).await.expect("the group has it");
    assert_eq!((decision.allowed, decision.remaining), (true, 3));
    assert_eq!(client.limits_status().missing, Vec::<String>::new());
    // What a change takes away is missed by its revision, which a client does not hold.
    assert_eq!(limiters[1].change_limits(&set(&["new"]), Carry::Keep).await, Ok(2));
    let missing = AcquireError::MissingLimit { limit: "api".into(), revision: 2 };
    assert_eq!(client.acquire("api", "alice", 1).await, Err(missing));
}

/// They panicked: the clock does not go so far.
#[tokio::test(start_paused = true)]
async fn a_caller_may_wait_as_long_as_there_is_time() {
    let group = TestGroup::start(&set(&["api"]), ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    for name in ["a", "b", "c"] {
        let limiter = group.limiter(name);
        limiter.wait_ready(Duration::MAX).await.expect("there is a primary");
        let decision = limiter.acquire_within("api", "k", 1, Duration::MAX).await;
        assert!(decision.expect("there is a primary").allowed);
    }
}
