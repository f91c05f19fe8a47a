//! What is held under a limit that the group has removed meanwhile.

use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, Carry, Limit, Limits};

fn set(limits: &[(&str, Limit)]) -> Limits {
    let with = |builder: quorate_ratelimit::LimitsBuilder, (name, limit): &(&str, Limit)| {
        builder.limit(*name, *limit)
    };
    limits.iter().fold(Limits::builder(), with).build().expect("usable")
}

/// It was told as "(one that is gone)".
#[tokio::test(start_paused = true)]
async fn its_name_is_told_if_this_peer_knows_it_and_nothing_else_in_its_place() {
    let tokens = ("tokens", Limit::per_day(1).burst(10));
    let jobs = ("jobs", Limit::concurrent(2));
    let group = TestGroup::start(&set(&[tokens]), ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let limiter = group.limiter("b");
    let revision = limiter.change_limits(&set(&[tokens, jobs]), Carry::Keep).await;
    assert_eq!(revision, Ok(1));
    let reserved = limiter.reserve("tokens", "k", 3).await.expect("a primary").id.expect("room");
    let permit = limiter.take_permit("jobs", "k", 1).await.expect("a primary").1.expect("room");
    let others = set(&[("mail", Limit::per_second(1))]);
    assert_eq!(limiter.change_limits(&others, Carry::Keep).await, Ok(2));

    let removed = |limit: &str| Err(AcquireError::LimitRemoved { limit: limit.to_owned() });
    assert_eq!(limiter.commit(&reserved, 2).await, removed("tokens"), "its code has it");
    assert_eq!(limiter.cancel(&reserved).await, removed("tokens"));
    assert_eq!(limiter.renew_permit(&permit).await, removed(""));
    let error = limiter.release_permit(&permit).await.expect_err("its limit is removed");
    assert!(error.to_string().starts_with("the limit under which this was taken"), "{error}");
}
