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

#[tokio::test(start_paused = true)]
async fn settings_may_come_from_around_the_closure_and_by_the_name_of_the_peer() {
    let (first, last) = (String::from("c"), String::from("a"));
    let group = TestGroup::builder(&limits()).names(["a", "b", "c", "d", "e"]).setup_each(
        move |name, peer| peer.priority(if name == first { 1 } else { u8::from(name != last) * 9 }),
    );
    let mut group = group.start().await.expect("the settings are valid");
    for name in ["a", "b", "c", "d", "e"] {
        let status = group.limiter(name).peer().status();
        assert_eq!(status.size, 5);
        let of_c = status.peers.iter().find(|peer| peer.name.as_str() == "c");
        assert!(of_c.is_none_or(|c| c.priority == Some(1)), "{name} knows of {of_c:?}");
    }
    if group.primary().await != "c" {
        let primary = group.primary().await;
        group.kill(&primary);
        assert_eq!(group.primary().await, "c");
    }

    let timeout = Duration::from_secs(2);
    let quick =
        move |peer: quorate::PeerBuilder| peer.failure_timeout(timeout).heartbeat(timeout / 8);
    let mut group = TestGroup::start(&limits(), ["a", "b", "c"], quick).await.expect("valid");
    let primary = group.primary().await;
    let killed = tokio::time::Instant::now();
    group.kill(&primary);
    group.primary().await;
    assert!(killed.elapsed() < timeout * 2, "{:?}", killed.elapsed());
}

fn bursts_of(burst: u64) -> Limits {
    Limits::builder().limit("mail", Limit::per_day(1).burst(burst)).build().expect("usable")
}

/// As a rollout goes: one after the other, each in an orderly way.
#[tokio::test(start_paused = true)]
async fn other_limits_are_rolled_out_and_what_was_taken_stays() {
    let majority = |peer: quorate::PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    let group = TestGroup::start(&bursts_of(100), ["a", "b", "c"], majority).await;
    let mut group = group.expect("the settings are valid");
    group.client("web").await.expect("the settings are valid");
    assert_eq!(group.limiter("web").acquire("mail", "k", 60).await.expect("one").remaining, 40);
    for name in ["a", "b", "c"] {
        group.roll_out(name, &bursts_of(200)).await.expect("the settings are valid");
        // There is a primary as soon as it returns, and what was taken is not lost.
        let decided = group.limiter("web").peek("mail", "k", 1).await.expect("a primary");
        assert!([40, 140].contains(&decided.remaining), "{name}: {decided:?}");
    }
    let primary = group.primary().await;
    let decided = group.limiter(&primary).peek("mail", "k", 1).await.expect("a primary");
    assert_eq!((decided.remaining, decided.limit), (140, 200), "every peer has the new limits");

    // A client too, and a peer that crashes; what it was given last it is started with again.
    group.roll_out("web", &bursts_of(300)).await.expect("the settings are valid");
    group.restart_with("c", &bursts_of(300)).await.expect("the settings are valid");
    group.restart("c").await.expect("the settings are valid");
    group.primary().await;
    for name in ["web", "c"] {
        let limits = group.limiter(name).limits();
        assert_eq!(limits.to_string(), bursts_of(300).to_string(), "{name}");
    }
    assert_ne!(group.limiter("a").limits().to_string(), bursts_of(300).to_string());
}

#[tokio::test(start_paused = true)]
async fn peers_join_come_back_and_are_clients() {
    let majority = |peer: quorate::PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    let group = TestGroup::start(&limits(), ["a", "b", "c"], majority).await;
    let mut group = group.expect("the settings are valid");
    group.join("d").await.expect("the settings are valid");
    group.join("e").await.expect("the settings are valid");
    group.client("web").await.expect("the settings are valid");
    let status = group.limiter("d").peer().status();
    let members: Vec<_> = status.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(members, ["a", "b", "c", "d", "e"]);
    assert!(status.members.iter().all(|member| member.is_counted), "{status:?}");
    assert_eq!(group.limiter("e").acquire("mail", "k", 10).await.expect("one").remaining, 90);

    // Two of five are a minority, whoever they are.
    let primary = group.primary().await;
    group.kill(&primary);
    group.kill(if primary == "e" { "d" } else { "e" });
    let next = group.primary().await;
    assert_eq!(group.limiter("web").acquire("mail", "k", 10).await.expect("one").remaining, 80);
    for name in ["a", "b", "c", "d", "e"] {
        if !group
            .limiter(&next)
            .peer()
            .status()
            .peers
            .iter()
            .any(|peer| *peer.name.as_str() == *name && peer.link == quorate::Link::Up)
            && name != next
        {
            group.restart(name).await.expect("the settings are valid");
            group.pass(Duration::from_secs(60)).await;
        }
    }
    let status = group.limiter(&next).peer().status();
    assert!(status.members.iter().all(|member| member.is_counted), "{status:?}");

    // A client that is cut off has no primary, and has one again.
    group.isolate(&["web"]);
    group.pass(Duration::from_secs(60)).await;
    assert!(group.limiter("web").acquire("mail", "k", 1).await.is_err());
    group.heal();
    group.restart("web").await.expect("the settings are valid");
    group.limiter("web").peer().wait_ready(Duration::from_secs(30)).await.expect("a primary");
    assert_eq!(group.limiter("web").acquire("mail", "k", 10).await.expect("one").remaining, 70);
    let kinds = group.limiter(&next).peer().status().peers;
    let web = kinds.iter().find(|peer| peer.name.as_str() == "web").expect("it is connected");
    assert_eq!(web.kind, Some(quorate::PeerKind::Client));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_stopped_hands_over() {
    let group = TestGroup::start(&limits(), ["a", "b", "c"], |peer| peer).await;
    let mut group = group.expect("the settings are valid");
    assert!(group.limiter("a").acquire("mail", "k", 10).await.expect("one").allowed);
    let primary = group.primary().await;
    let Some(quorate::Shutdown::HandedOver { to }) = group.stop(&primary).await else {
        panic!("{primary} hands over");
    };
    assert_eq!(group.primary().await, to.as_str());
    let left = group.limiter(to.as_str()).peek("mail", "k", 1).await.expect("a primary").remaining;
    assert_eq!(left, 90, "nothing is lost");
    assert_eq!(group.stop(&primary).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_decision_names_the_peer_that_decided() {
    let relaxed = |peer: quorate::PeerBuilder| {
        peer.mode(Mode::Relaxed).bounds(quorate::Bounds { max_cells: 1, ..Default::default() })
    };
    let group = TestGroup::start(&limits(), ["a", "b", "c"], relaxed).await;
    let mut group = group.expect("the settings are valid");
    group.client("web").await.expect("the settings are valid");
    let mut dead = String::new();
    for _ in 0..2 {
        let primary = group.primary().await;
        for name in ["a", "b", "c", "web"].into_iter().filter(|name| !dead.contains(*name)) {
            let limiter = group.limiter(name);
            let decided = limiter.acquire("mail", "k", 1).await.expect("a primary");
            assert_eq!(decided.decided_by.as_str(), primary, "asked at {name}");
            assert!(format!("{decided:?}").contains(&format!("decided_by: {primary}")));
            let joint = limiter.acquire_all(&[("mail", "k", 1)]).await.expect("a primary");
            assert_eq!(joint.decision.decided_by.to_string(), primary);
            let limiter = limiter.clone().at_capacity(quorate_ratelimit::AtCapacity::Admit);
            let uncounted = limiter.acquire("mail", "another", 1).await.expect("admitted");
            assert!(!uncounted.counted);
            assert_eq!(uncounted.decided_by.as_str(), name);
        }
        group.kill(&primary);
        dead.push_str(&primary);
    }
    // One is left, and alone.
    group.pass(Duration::from_secs(60)).await;
    let alone = group.limiter("web").acquire("mail", "k", 1).await.expect("it decides alone");
    assert!(alone.basis.is_local());
    assert_eq!(alone.decided_by.as_str(), "web");
}
