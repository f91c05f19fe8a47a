//! The test kit for services: what it promises to the tests that use it.

use std::time::Duration;

use quorate::{Acknowledge, DecideError, Mode};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, Limit, Limits};
use tokio::runtime::Handle;

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

/// The service under test holds clones, in its layer and its tasks. A kill that left the peer
/// running for as long as one of them lived tested nothing.
#[tokio::test(start_paused = true)]
async fn a_killed_peer_is_dead_whoever_still_holds_a_clone_of_its_limiter() {
    let majority = |peer: quorate::PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    let before = Handle::current().metrics().num_alive_tasks();
    let group = TestGroup::start(&limits(), ["a", "b", "c"], majority).await;
    let mut group = group.expect("the settings are valid");
    let primary = group.primary().await;
    let dead = group.limiter(&primary).clone();
    assert_eq!(dead.acquire("mail", "k", 10).await.expect("a primary").remaining, 90);
    let all = Handle::current().metrics().num_alive_tasks() - before;

    // One call is on its way, and one waits for the group.
    let cut: Vec<&str> = ["a", "b", "c"].into_iter().filter(|name| *name != primary).collect();
    group.isolate(&cut);
    let waiting = {
        let dead = dead.clone();
        tokio::spawn(async move { dead.acquire("mail", "k", 1).await })
    };
    group.pass(Duration::from_millis(10)).await;
    group.kill(&primary);
    group.heal();

    let over = AcquireError::Undecided(DecideError::ShuttingDown);
    let killed = tokio::time::Instant::now();
    assert_eq!(dead.acquire("mail", "k", 1).await, Err(over.clone()));
    let waited = waiting.await.expect("it does not panic");
    let is_unknown = |error: &AcquireError| {
        matches!(error, AcquireError::Undecided(DecideError::OutcomeUnknown { .. }))
    };
    assert!(waited.as_ref().is_err_and(is_unknown), "{waited:?}");
    assert!(killed.elapsed() < Duration::from_secs(1), "at once: {:?}", killed.elapsed());
    let status = dead.peer().status();
    assert!(status.primary.is_none() && !status.quorum, "{status:?}");
    assert!(dead.peer().wait_ready(Duration::from_secs(1)).await.is_err());
    let left = Handle::current().metrics().num_alive_tasks() - before;
    assert!(left <= all * 2 / 3, "its tasks are gone: {left} of {all} are left");

    let next = group.primary().await;
    assert_ne!(next, primary);
    let status = group.limiter(&next).peer().status();
    let is_down = |peer: &quorate::PeerStatus| peer.link == quorate::Link::Down;
    assert!(status.peers.iter().any(|peer| *peer.name.as_str() == *primary && is_down(peer)));
    let left = group.limiter(&next).acquire("mail", "k", 10).await.expect("a primary");
    assert!(left.allowed && left.remaining >= 79, "{left:?}");

    group.restart(&primary).await.expect("the settings are valid");
    group.pass(Duration::from_secs(30)).await;
    let again = group.limiter(&primary).acquire("mail", "k", 10).await.expect("a primary");
    assert!(again.remaining >= 69, "{again:?}");
    assert_eq!(dead.acquire("mail", "k", 1).await, Err(over), "the dead stay dead");
}

/// In relaxed mode a dead peer decides nothing alone either.
#[tokio::test(start_paused = true)]
async fn a_killed_relaxed_peer_decides_nothing() {
    let relaxed = |peer: quorate::PeerBuilder| peer.mode(Mode::Relaxed);
    let group = TestGroup::start(&limits(), ["a", "b", "c"], relaxed).await;
    let mut group = group.expect("the settings are valid");
    let dead = ["a", "b", "c"].map(|name| group.limiter(name).clone());
    for (name, dead) in ["a", "b", "c"].into_iter().zip(&dead) {
        group.kill(name);
        let decided = dead.acquire("mail", "k", 1).await;
        assert_eq!(decided, Err(AcquireError::Undecided(DecideError::ShuttingDown)), "{name}");
        assert!(dead.peer().wait_ready(Duration::from_secs(1)).await.is_err());
        assert_eq!(dead.peer().shutdown().await, quorate::Shutdown::WasReplica);
    }
}
