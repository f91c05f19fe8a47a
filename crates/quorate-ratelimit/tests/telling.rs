//! What a group tells of its keys: thresholds that are crossed, and who uses and is denied most;
//! and what limits do without a primary.

use std::time::Duration;

use quorate::{Acknowledge, Basis, DecideError, Event, PeerBuilder};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, Alert, Alerts, Limit, Limits, WithoutPrimary};

const YEAR: Duration = Duration::from_secs(366 * 86_400);

async fn group(limits: &[(&str, Limit)]) -> TestGroup {
    let add = |builder: quorate_ratelimit::LimitsBuilder, (name, limit): &(&str, Limit)| {
        builder.limit(*name, *limit)
    };
    let limits = limits.iter().fold(Limits::builder(), add).build().expect("usable");
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    TestGroup::start(&limits, ["a", "b", "c"], exact).await.expect("the settings are valid")
}

async fn next(alerts: &mut Alerts) -> Option<Alert> {
    tokio::time::timeout(Duration::from_millis(1), alerts.next()).await.ok().flatten()
}

#[tokio::test(start_paused = true)]
async fn a_threshold_is_told_once_where_it_was_crossed_and_not_again_after_a_failover() {
    let plan = Limit::per(1, YEAR).burst(10).alert_at(80).alert_at(100);
    let mut group = group(&[("plan", plan)]).await;
    let primary = group.primary().await;
    let others: Vec<_> = ["a", "b", "c"].into_iter().filter(|name| *name != primary).collect();
    let mut heard: Vec<Alerts> = others.iter().map(|name| group.limiter(name).alerts()).collect();
    for (peer, amount, crossed) in [(0, 7, None), (1, 1, Some(80)), (0, 1, None)] {
        let decision = group.limiter(others[peer]).acquire("plan", "k", amount).await;
        assert_eq!(decision.expect("a primary").crossed, crossed);
    }
    assert_eq!(next(&mut heard[0]).await, None);
    let alert = next(&mut heard[1]).await.expect("it was crossed there");
    assert_eq!((&*alert.limit, &*alert.key, alert.percent), ("plan", &b"k"[..], 80));
    assert_eq!((alert.used, alert.max, alert.basis), (8, 10, Basis::Primary));
    assert_eq!(next(&mut heard[1]).await, None);

    group.kill(&primary);
    group.primary().await;
    let last = group.limiter(others[0]).acquire("plan", "k", 1).await.expect("a primary");
    assert_eq!((last.allowed, last.crossed), (true, Some(100)));
    assert_eq!(next(&mut heard[0]).await.map(|alert| alert.percent), Some(100));
    let denied = group.limiter(others[1]).acquire("plan", "k", 1).await.expect("a primary");
    assert_eq!((denied.allowed, denied.crossed), (false, None));
    // Beyond it a debit crosses nothing more; from below it crosses both.
    _ = group.limiter(others[1]).debit("plan", "k", 5).await.expect("a primary");
    assert_eq!(next(&mut heard[1]).await, None);
    _ = group.limiter(others[1]).reset("plan", "k").await.expect("a primary");
    _ = group.limiter(others[1]).debit("plan", "k", 10).await.expect("a primary");
    let percents = [next(&mut heard[1]).await, next(&mut heard[1]).await];
    assert_eq!(percents.map(|alert| alert.map(|alert| alert.percent)), [Some(80), Some(100)]);
}

#[tokio::test(start_paused = true)]
async fn of_several_limits_each_that_is_crossed_is_told() {
    let limit = |burst| Limit::per(1, YEAR).burst(burst).alert_at(50);
    let group = group(&[("all", limit(10)), ("user", limit(4)), ("wide", limit(100))]).await;
    let limiter = group.limiter("b");
    let mut heard = limiter.alerts();
    let items = [("all", "", 2), ("user", "k", 2), ("wide", "", 2)];
    for crossed in [vec!["user"], vec![], vec![]] {
        let joint = limiter.acquire_all(&items).await.expect("a primary");
        let mut told = Vec::new();
        while let Some(alert) = next(&mut heard).await {
            told.push(alert.limit);
        }
        assert_eq!(told, crossed, "{joint:?}");
    }
    let items = [("all", "", 2), ("user", "other", 3), ("wide", "", 2)];
    _ = limiter.acquire_all(&items).await.expect("a primary");
    let mut told = Vec::new();
    while let Some(alert) = next(&mut heard).await {
        told.push((alert.limit, alert.key));
    }
    let (all, user) = ("all".to_owned(), "user".to_owned());
    assert_eq!(told, [(all, b"".to_vec()), (user, b"other".to_vec())]);
}

#[tokio::test(start_paused = true)]
async fn the_most_used_and_the_most_denied_keys_are_known() {
    let slow = Limit::per(1, YEAR).burst(50);
    let group = group(&[("api", slow), ("other", slow)]).await;
    let primary = group.primary().await;
    let limiter = group.limiter(&primary);
    for number in 1..=40u64 {
        let key = format!("user {number}");
        _ = limiter.acquire("api", &key, number).await.expect("a primary");
        for _ in 0..number / 10 {
            _ = limiter.acquire("api", &key, 50).await.expect("a primary");
        }
        _ = limiter.acquire("other", &key, 50).await.expect("a primary");
    }
    let top = limiter.top("api", 3).await.expect("known");
    let used: Vec<_> = top.used.iter().map(|used| (&*used.key, used.used)).collect();
    assert_eq!(used, [("user 40", 40), ("user 39", 39), ("user 38", 38)]);
    assert_eq!(top.denied.len(), 3);
    assert_eq!((&*top.denied[0].key, top.denied[0].denied), ("user 40", 4));
    assert_eq!(limiter.top("other", 9).await.expect("known").denied, []);
    assert!(limiter.top("none", 9).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn in_a_strict_group_a_limit_may_go_on_without_a_primary() {
    let slow = Limit::per(1, YEAR).burst(10);
    let mut group = group(&[
        ("strict", slow),
        ("share", slow.without_primary(WithoutPrimary::share(300))),
        ("open", slow.without_primary(WithoutPrimary::Open)),
    ])
    .await;
    let primary = group.primary().await;
    let others: Vec<_> = ["a", "b", "c"].into_iter().filter(|name| *name != primary).collect();
    let (cut, other) = (others[0], others[1]);
    _ = group.limiter(cut).acquire("share", "k", 2).await.expect("a primary");
    group.isolate(&[cut]);
    group.pass(Duration::from_secs(40)).await;
    let limiter = group.limiter(cut);
    let refused = limiter.acquire("strict", "k", 1).await;
    assert!(matches!(refused, Err(AcquireError::Undecided(DecideError::NoPrimary { .. }))));
    let mut admitted = 0;
    for _ in 0..10 {
        let decision = limiter.acquire("share", "k", 1).await.expect("decided alone");
        assert!(decision.basis.is_local());
        admitted += u64::from(decision.allowed);
    }
    assert_eq!(admitted, 3, "three tenths of ten");
    for _ in 0..20 {
        assert!(limiter.acquire("open", "k", 1).await.expect("decided alone").allowed);
    }
    let together = limiter.acquire_all(&[("open", "k", 1), ("strict", "k", 1)]).await;
    assert!(together.is_err(), "one of them refuses");
    group.heal();
    group.pass(Duration::from_secs(30)).await;
    // What was decided alone counts.
    let left = |name: &'static str| group.limiter(other).peek(name, "k", 1);
    assert_eq!(left("share").await.expect("a primary").remaining, 10 - 2 - 3);
    assert_eq!(left("open").await.expect("a primary").remaining, 0);
    group.kill(&primary);
    group.primary().await;
    assert_eq!(
        group.limiter(other).peek("share", "k", 1).await.expect("a primary").remaining,
        10 - 2 - 3
    );
}

#[tokio::test(start_paused = true)]
async fn in_a_relaxed_group_a_limit_may_refuse() {
    let limits = Limits::builder()
        .limit("login", Limit::per_minute(5).without_primary(WithoutPrimary::Refuse))
        .limit("api", Limit::per_minute(5))
        .build()
        .expect("usable");
    let relaxed = |peer: PeerBuilder| peer.mode(quorate::Mode::Relaxed);
    let group = TestGroup::start(&limits, ["a", "b", "c"], relaxed).await;
    let group = group.expect("the settings are valid");
    let primary = group.primary().await;
    let cut = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    group.isolate(&[cut]);
    group.pass(Duration::from_secs(40)).await;
    let alone = group.limiter(cut).acquire("api", "k", 1).await.expect("decided alone");
    let Basis::Local { since } = alone.basis else { panic!("{alone:?}") };
    let now = group.limiter(&primary).peer().alone_since();
    let alone_for = Duration::from_nanos(now.0 - since.0);
    let expected = Duration::from_secs(30)..=Duration::from_secs(50);
    assert!(expected.contains(&alone_for), "{alone_for:?}");
    assert!(group.limiter(cut).acquire("login", "k", 1).await.is_err());
}

/// 25 units beyond a limit of 10 were told to be of windows that had closed.
#[tokio::test(start_paused = true)]
async fn what_an_open_limit_let_through_counts_up_to_it_and_the_rest_is_told() {
    let open = |limit: Limit| limit.without_primary(WithoutPrimary::Open);
    let limits = [("plan", open(Limit::window(10, YEAR))), ("paid", open(Limit::counter()))];
    let group = group(&limits).await;
    let primary = group.primary().await;
    let cut = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("there are three");
    let limiter = group.limiter(cut);
    group.isolate(&[cut]);
    group.pass(Duration::from_secs(30)).await;
    for _ in 0..25 {
        let joint = limiter.acquire_all(&[("plan", "k", 1), ("paid", "k", 1)]).await;
        assert!(joint.is_ok_and(|joint| joint.allowed && joint.decision.basis.is_local()));
    }
    let used = async |limit| limiter.peek(limit, "k", 1).await.expect("it is decided").used();
    assert_eq!((used("plan").await, used("paid").await), (25, 25));
    group.heal();
    group.pass(Duration::from_secs(30)).await;
    assert_eq!((used("plan").await, used("paid").await), (10, 25));
    let merged: Vec<_> = limiter.peer().events_since(0).into_iter().map(|it| it.event).collect();
    let merged = merged.iter().find(|event| matches!(event, Event::LocalDecisionsMerged { .. }));
    let merged = merged.expect("it is told").to_string();
    assert_eq!(
        merged,
        "merged 35 units that were decided alone; 15 were dropped, for they do not count any more \
         or were beyond the limit"
    );
}
