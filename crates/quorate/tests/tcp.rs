//! A group over real sockets, on a runtime with several threads.

mod support;

use quorate::{Acknowledge, Peer, PeerBuilder, Shutdown};
use support::{Counter, LONG, NAMES, add, count, free_addresses, until};
use tokio::task::JoinSet;

/// Three peers on ports that were free a moment ago.
async fn trio(setup: fn(PeerBuilder) -> PeerBuilder) -> Vec<Peer> {
    let members = free_addresses();
    let mut peers = Vec::new();
    for name in NAMES {
        let builder = setup(Peer::builder(name, Counter).members(members.clone()));
        peers.push(builder.start().await.expect("the ports are free"));
    }
    for peer in &peers {
        let status = peer.wait_ready(LONG).await.expect("three peers form a group");
        assert!(status.primary.is_some(), "{status:?}");
    }
    peers
}

async fn many_callers(setup: fn(PeerBuilder) -> PeerBuilder) {
    let peers = trio(setup).await;
    let mut callers = JoinSet::new();
    for number in 0..96_u64 {
        let peer = peers[number as usize % 3].clone();
        callers.spawn(async move {
            let mut last = 0;
            for _ in 0..100 {
                let decision = add(&peer, "all", 1).await.expect("there is a primary");
                assert!(decision.answer.words[0] > last, "one caller sees the count grow");
                last = decision.answer.words[0];
                add(&peer, &format!("own {number}"), 2).await.expect("there is a primary");
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("it does not panic");
    }
    for peer in &peers {
        assert_eq!(count(peer, "all").await, 9_600);
        assert_eq!(count(peer, "own 7").await, 200);
    }
    let primary = peers.iter().find(|peer| peer.status().role == quorate::PeerRole::Primary);
    let primary = primary.expect("one of them is").clone();
    let Shutdown::HandedOver { to } = primary.shutdown().await else {
        panic!("it had successors");
    };
    let new = peers.iter().find(|peer| *peer.name() == to).expect("it is one of them");
    until(new, |status| status.role == quorate::PeerRole::Primary && status.quorum).await;
    assert_eq!(count(new, "all").await, 9_600, "no change is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_all_peers_are_counted_exactly() {
    many_callers(|builder| builder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_all_peers_are_counted_exactly_under_majority() {
    many_callers(|builder| builder.acknowledge(Acknowledge::Majority)).await;
}

/// Its followers have not said where they stand, perhaps: they are given a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_has_just_begun_hands_over_when_it_is_shut_down() {
    for _ in 0..12 {
        let peers = trio(|builder| builder).await;
        let is_primary = |peer: &&Peer| peer.status().role == quorate::PeerRole::Primary;
        let primary = peers.iter().find(is_primary).expect("one of them is");
        let next = peers.iter().find(|peer| peer.name() != primary.name()).expect("another");
        until(primary, |status| status.peers.iter().all(|peer| peer.lag.is_some())).await;
        primary.switch_primary(next.name().clone()).await.expect("it follows");
        let end = next.shutdown().await;
        assert!(matches!(end, Shutdown::HandedOver { .. }), "{end:?}");
    }
}
