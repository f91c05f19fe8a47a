//! What is asked with nothing in it: amounts of 0, empty keys and empty ids.

use std::time::Duration;

use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, Limit, Limits};

async fn group() -> TestGroup {
    let limits = Limits::builder()
        .limit("mail", Limit::window(2, Duration::from_secs(3600)))
        .limit("jobs", Limit::concurrent(2));
    let limits = limits.build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    group.expect("the settings are valid")
}

/// Whoever sent none had the answer of whoever had sent none before.
#[tokio::test(start_paused = true)]
async fn an_empty_idempotency_key_is_refused_by_every_call_that_takes_one() {
    let group = group().await;
    let limiter = group.limiter("a");
    let empty = || limiter.idempotency_key("");
    let none = AcquireError::EmptyIdempotencyKey;
    assert_eq!(empty().acquire("mail", "k", 1).await, Err(none.clone()));
    assert_eq!(empty().acquire_up_to("mail", "k", 1).await, Err(none.clone()));
    assert_eq!(empty().acquire_all(&[("mail", "k", 1)]).await, Err(none.clone()));
    assert_eq!(empty().debit("mail", "k", 1).await, Err(none.clone()));
    assert_eq!(empty().refund("mail", "k", 1).await, Err(none));
    assert_eq!(limiter.peek("mail", "k", 1).await.expect("a primary").used(), 0);
    assert_eq!(limiter.stats().totals.errors.invalid, 5);
    let one = limiter.idempotency_key("0").acquire("mail", "k", 1).await.expect("a primary");
    assert!(one.allowed);
}

/// It was allowed, and there was no permit.
#[tokio::test(start_paused = true)]
async fn a_permit_of_no_place_is_refused() {
    let group = group().await;
    let limiter = group.limiter("b");
    let none = limiter.take_permit("jobs", "k", 0).await;
    assert_eq!(none, Err(AcquireError::ZeroPermits));
    assert_eq!(limiter.stats().limits["jobs"].errors.invalid, 1);
    assert!(limiter.take_permit("jobs", "k", 2).await.expect("a primary").1.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_amount_of_nothing_takes_nothing_and_is_answered_as_one_unit_would_be() {
    let group = group().await;
    let limiter = group.limiter("c");
    for (used, allowed) in [(0, true), (2, false)] {
        _ = limiter.acquire_up_to("mail", "k", used).await.expect("a primary");
        let joint = limiter.acquire_all(&[("mail", "k", 0)]).await.expect("a primary");
        let answers = [
            limiter.acquire("mail", "k", 0).await.expect("a primary"),
            limiter.acquire_up_to("mail", "k", 0).await.expect("a primary"),
            limiter.peek("mail", "k", 0).await.expect("a primary"),
            joint.decision,
        ];
        for answer in answers {
            assert_eq!((answer.allowed, answer.granted, answer.used()), (allowed, 0, used));
        }
        // What has been used, or is given back, is not asked for.
        for answer in [
            limiter.debit("mail", "k", 0).await.expect("a primary"),
            limiter.refund("mail", "k", 0).await.expect("a primary"),
        ] {
            assert_eq!((answer.allowed, answer.granted, answer.used()), (true, 0, used));
        }
        let reserved = limiter.reserve("mail", "k", 0).await.expect("a primary");
        assert_eq!((reserved.decision.allowed, reserved.id.is_some()), (allowed, allowed));
    }
    let soon = Duration::from_secs(60);
    let waiting = tokio::time::timeout(soon, limiter.wait("mail", "k", 0));
    assert!(waiting.await.is_err(), "there is none before the window ends");
}

#[tokio::test(start_paused = true)]
async fn a_reservation_of_nothing_is_settled_by_what_was_used() {
    let group = group().await;
    let limiter = group.limiter("a");
    let reserved = limiter.reserve("mail", "k", 0).await.expect("a primary");
    let id = reserved.id.expect("a unit would be admitted");
    assert_eq!(limiter.commit(&id, 5).await.expect("in time").used(), 5);
    let other = limiter.reserve("mail", "l", 2).await.expect("a primary").id.expect("room");
    assert_eq!(limiter.commit(&other, 0).await.expect("in time").used(), 0, "cancelled");
}

/// An empty key is one, for limits that all share.
#[tokio::test(start_paused = true)]
async fn an_empty_key_of_a_caller_is_a_key_and_an_empty_name_is_no_limit() {
    let group = group().await;
    let limiter = group.limiter("b");
    assert_eq!(limiter.acquire("mail", "", 2).await.expect("a primary").used(), 2);
    assert_eq!(limiter.peek("mail", "k", 1).await.expect("a primary").used(), 0);
    let none = limiter.acquire("", "k", 1).await;
    let limit = String::new();
    assert_eq!(none, Err(AcquireError::UnknownLimit { limit }));
}

/// It named what a reservation can hold, which is far beyond the limit.
#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_never_admitted_names_what_the_limit_admits() {
    let group = group().await;
    for amount in [3, u64::MAX] {
        let refused = group.limiter("a").reserve("mail", "k", amount).await;
        let error = refused.map(drop).expect_err("it is beyond the limit");
        assert_eq!(error, AcquireError::NeverAdmitted { limit: "mail".into(), amount, max: 2 });
    }
}
