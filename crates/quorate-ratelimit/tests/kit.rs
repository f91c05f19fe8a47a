//! The test kit for services: what it promises to the tests that use it.

use std::time::Duration;

use quorate::{Acknowledge, Mode};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits};

/// No window, which might end in the middle of a test.
fn limits() -> Limits {
    Limits::builder().limit("mail", Limit::per_day(1).burst(100)).build().expect("usable")
}

#[tokio::test(start_paused = true)]
async fn a_killed_primary_is_replaced_and_comes_back_and_counts_stay() {
    let majority = |peer: quorate::PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    let group = TestGroup::start(&limits(), ["a", "b", "c"], majority).await;
    let mut group = group.expect("the settings are valid");
    let mut taken = 0;
    for _ in 0..4 {
        let primary = group.primary().await;
        let decision = group.limiter(&primary).acquire("mail", "k", 10).await.expect("a primary");
        taken += 10;
        assert_eq!(decision.remaining, 100 - taken);
        group.kill(&primary);
        let next = group.primary().await;
        assert_ne!(next, primary);
        let peeked = group.limiter(&next).peek("mail", "k", 1).await.expect("a primary");
        assert_eq!(peeked.remaining, 100 - taken);
        group.restart(&primary).await.expect("the settings are valid");
        // Until it is counted in again.
        group.pass(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_relaxed_peer_that_is_cut_off_decides_alone_and_is_merged() {
    let relaxed = |peer: quorate::PeerBuilder| peer.mode(Mode::Relaxed);
    let group = TestGroup::start(&limits(), ["a", "b", "c"], relaxed).await;
    let group = group.expect("the settings are valid");
    let primary = group.primary().await;
    let alone = if primary == "c" { "b" } else { "c" };
    group.isolate(&[alone]);
    group.pass(Duration::from_secs(30)).await;
    let local = group.limiter(alone).acquire("mail", "k", 7).await.expect("it decides alone");
    assert!(local.basis.is_local());
    group.heal();
    group.pass(Duration::from_secs(30)).await;
    let merged = group.limiter(&group.primary().await).peek("mail", "k", 1).await;
    assert_eq!(merged.expect("a primary").remaining, 93);
}
