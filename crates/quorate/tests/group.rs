//! Three peers in one process: they found a group, decide once for all, and survive a crash.

mod support;

use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Basis, CallTimes, ConfigError, DecideError, Event, Item, NoPrimaryReason,
    StartError,
};
use support::{LONG, Trio, add, builder, count, events, until};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_decision_at_any_peer_is_decided_once_for_all() {
    let trio = Trio::start(|builder| builder).await;
    let mut sequences = Vec::new();
    for (number, peer) in trio.peers.iter().enumerate() {
        let decision = add(peer, "k", 2).await.expect("there is a primary");
        assert_eq!(decision.answer.words[0], 2 * (number as u64 + 1));
        assert_eq!(decision.basis, Basis::Primary);
        assert_eq!(decision.group_id, trio.peers[0].status().group_id);
        assert!(decision.group_id.is_some());
        sequences.push(decision.position);
    }
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
    let status = trio.peers[1].status();
    assert_eq!(status.size, 3);
    assert!(status.quorum);
    assert_eq!(status.peers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operation_on_several_keys_is_all_or_nothing() {
    let trio = Trio::start(|builder| builder).await;
    let peer = trio.peer(&trio.a_replica());
    let items = |amount| {
        [Item { key: b"day", args: [amount, 10] }, Item { key: b"hour", args: [amount, 5] }]
    };
    let decided = peer.decide(&items(4)).await.expect("there is a primary");
    assert_eq!((decided.answer.code, decided.answer.units), (1, 8));
    let denied = peer.decide(&items(2)).await.expect("there is a primary");
    assert_eq!((denied.answer.code, denied.answer.units), (0, 0));
    assert_eq!(count(peer, "day").await, 4);
}

#[tokio::test(start_paused = true)]
async fn replicas_reach_the_same_digest() {
    let trio = Trio::start(|builder| builder).await;
    for number in 0..100 {
        let peer = &trio.peers[number % 3];
        add(peer, &format!("key {number}"), number as u64).await.expect("there is a primary");
    }
    let primary = trio.peer(&trio.primary()).digest();
    for peer in &trio.peers {
        until(peer, |status| status.position >= primary.position).await;
        let digest = peer.digest();
        assert_eq!((digest.cells, digest.digest), (100, primary.digest));
    }
}

#[tokio::test(start_paused = true)]
async fn another_peer_carries_on_with_the_counts_when_the_primary_dies() {
    let mut trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let old = trio.primary();
    for peer in &trio.peers {
        add(peer, "k", 5).await.expect("there is a primary");
    }
    let died = Instant::now();
    trio.crash(&old).await;
    for peer in &trio.peers {
        until(peer, |s| s.peers.iter().any(|p| p.link == quorate::Link::Down)).await;
        let error = add(peer, "k", 1).await.expect_err("the primary is dead");
        let is_refused = matches!(error, DecideError::NoPrimary { .. });
        assert!(is_refused, "refused at once: {error}");
    }
    assert_eq!(died.elapsed(), Duration::ZERO);
    for peer in &trio.peers {
        until(peer, |status| {
            status.primary.as_ref().is_some_and(|primary| primary.as_str() != old)
        })
        .await;
        peer.wait_ready(LONG).await.expect("the others elect one of them");
    }
    let took = died.elapsed();
    assert!(took >= Duration::from_secs(8) && took < Duration::from_secs(13), "{took:?}");
    for peer in &trio.peers {
        assert_eq!(count(peer, "k").await, 15);
    }
    // Under `Majority` nothing that was acknowledged can be lost, and nothing is reported lost.
    for peer in &trio.peers {
        let lost = events(peer).into_iter().find(|e| matches!(e, Event::ChangesLost { .. }));
        assert_eq!(lost, None);
    }
    // It comes back empty and is filled by the others, not the other way round.
    let back = trio.start_one(&old).await.expect("its address is free");
    back.wait_ready(LONG).await.expect("it joins");
    assert_eq!(count(&back, "k").await, 15);
    until(&back, |status| status.role == quorate::PeerRole::Replica).await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_peer_of_three_refuses_at_once() {
    let mut trio = Trio::start(|builder| builder).await;
    let last = trio.take(&trio.a_replica());
    trio.peers.clear();
    until(&last, |status| !status.quorum && status.primary.is_none()).await;
    let started = Instant::now();
    let error = add(&last, "k", 1).await.expect_err("there is no majority");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::NoQuorum });
    assert_eq!(started.elapsed(), Duration::ZERO);
    let error = last.wait_ready(Duration::from_secs(1)).await.expect_err("nobody comes");
    assert_eq!(error.reason, NoPrimaryReason::NoQuorum);
}

#[tokio::test(start_paused = true)]
async fn callers_under_majority_are_answered_in_a_batch() {
    let trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..300 {
        let peer = trio.peers[number % 3].clone();
        calls.spawn(async move { add(&peer, "k", 1).await });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("it does not panic").expect("a majority is there");
    }
    assert_eq!(count(&trio.peers[0], "k").await, 300);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_nothing_behind() {
    let trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    for name in [trio.primary(), trio.a_replica()] {
        let peer = trio.peer(&name);
        for _ in 0..100 {
            // Polled once: the call is on its way, then given up.
            let call = add(peer, "k", 1);
            tokio::select! {
                biased;
                _ = call => {}
                () = std::future::ready(()) => {}
            }
        }
        assert!(count(peer, "k").await > 0, "others are served as before");
    }
}

#[tokio::test(start_paused = true)]
async fn unusable_operations_are_named_at_every_peer() {
    let trio = Trio::start(|builder| builder).await;
    let long = [7; quorate::MAX_KEY_BYTES + 1];
    for peer in &trio.peers {
        for items in [
            vec![],
            vec![Item { key: b"", args: [1, 0] }],
            vec![Item { key: &long, args: [1, 0] }],
            vec![Item { key: b"k", args: [1, 0] }, Item { key: b"k", args: [1, 0] }],
        ] {
            let error = peer.decide(&items).await.expect_err("it is not usable");
            assert!(matches!(error, DecideError::Invalid { .. }), "{error}");
        }
    }
    assert_eq!(count(&trio.peers[0], "k").await, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_somebody_are_counted_by_how_long() {
    let mut trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    let all = |times: CallTimes| times.counts.into_iter().sum::<u64>() + times.longer;
    for _ in 0..3 {
        add(trio.peer(&primary), "k", 1).await.expect("there is a primary");
        add(trio.peer(&replica), "k", 1).await.expect("there is a primary");
    }
    let times = |name: &str| trio.peer(name).stats().call_times;
    assert_eq!(all(times(&primary)), 0, "they are decided at once");
    assert_eq!(all(times(&replica)), 3);
    assert_eq!(times(&replica).longer, 0);
    let quick = times(&replica).sum_us;
    trio.crash(&primary).await;
    // It is sent to a primary that is gone, and ends when its time is over.
    let timeout = Duration::from_secs(2);
    let items = [Item { key: b"k", args: [1, 0] }];
    let lost = trio.peer(&replica).decide_within(&items, timeout).await;
    lost.expect_err("nobody answers");
    let stats = trio.peer(&replica).stats();
    assert_eq!(all(stats.call_times), 4, "{stats:?}");
    assert_eq!(all(stats.forwarded_times), stats.forwarded, "{stats:?}");
    assert!(stats.forwarded_times.sum_us <= stats.call_times.sum_us, "{stats:?}");
    assert!(stats.call_times.sum_us - quick <= 2_100_000, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_majority_are_counted_by_how_long() {
    let trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let primary = trio.primary();
    add(trio.peer(&primary), "k", 1).await.expect("there is a primary");
    let stats = trio.peer(&primary).stats();
    let times = stats.call_times;
    assert_eq!(times.counts.into_iter().sum::<u64>() + times.longer, 1);
    assert_eq!(stats.forwarded_times, CallTimes::default());
}

#[tokio::test(start_paused = true)]
async fn a_peer_counts_what_it_has_done() {
    let mut trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    for _ in 0..3 {
        add(trio.peer(&replica), "k", 1).await.expect("there is a primary");
    }
    add(trio.peer(&primary), "k", 1).await.expect("there is a primary");
    let (here, there) = (trio.peer(&primary).stats(), trio.peer(&replica).stats());
    assert_eq!((here.forwarded, here.served, here.campaigns), (0, 3, 1));
    assert_eq!((there.forwarded, there.served, there.campaigns), (3, 0, 0));
    assert_eq!((there.links_made, there.links_lost, there.primary_changes), (2, 0, 1));
    until(trio.peer(&replica), |status| status.cells == 1).await;
    let here = trio.peer(&primary).stats();
    assert!(here.pieces_sent > 0 && here.piece_bytes_sent > 0);
    assert_eq!(there.pieces_sent, 0);
    trio.crash(&primary).await;
    add(trio.peer(&replica), "k", 1).await.expect_err("there is no primary yet");
    tokio::time::sleep(LONG).await;
    let there = trio.peer(&replica).stats();
    assert!(there.links_lost >= 1 && there.primary_changes >= 2, "{there:?}");
}

/// It was refused: the heartbeat stayed at 1 s, of which nothing was said.
#[tokio::test(start_paused = true)]
async fn a_failure_timeout_is_set_alone_and_the_heartbeat_follows_it() {
    let second = Duration::from_secs(1);
    let network = InProcess::network();
    let peer = |name| builder(&network, name).failure_timeout(second);
    let alone = [peer("a").start().await, peer("b").start().await];
    // Settings that differ would keep it out.
    let said = peer("c").heartbeat(second / 10).start().await;
    for peer in alone.into_iter().chain([said]) {
        let peer = peer.expect("the settings are valid");
        let status = peer.wait_ready(LONG).await.expect("three of three are there");
        assert_eq!((status.size, status.refusals), (3, vec![]));
    }
    let refused = peer("a").heartbeat(second / 2).start().await;
    let too_slow = ConfigError::Heartbeat { heartbeat: second / 2, failure_timeout: second };
    assert!(matches!(refused, Err(StartError::Config(errors)) if errors == [too_slow]));
    let refused = peer("a").failure_timeout(Duration::ZERO).start().await;
    let too_short = ConfigError::FailureTimeout { failure_timeout: Duration::ZERO };
    assert!(matches!(refused, Err(StartError::Config(errors)) if errors == [too_short]));
}
