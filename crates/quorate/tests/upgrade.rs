//! A group is upgraded peer by peer, from one version of the protocol to the next, under load
//! (docs/wire.md, section 2).

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{DecideError, Peer, RemoveError, Shutdown};
use support::{LONG, NAMES, add, builder, count, until};

const SECOND: Duration = Duration::from_secs(1);

async fn start(network: &InProcess, name: &str, version: u32) -> Peer {
    let peer = builder(network, name).wire_version(version).start().await;
    let peer = peer.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("a majority is there, or comes");
    peer
}

/// Adds 1 again and again, until it is told to stop or its peer is shut down: what was done.
async fn load(peer: Peer, is_over: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    while !is_over.load(Ordering::Relaxed) {
        match add(&peer, "k", 1).await {
            Ok(_) => _ = done.fetch_add(1, Ordering::Relaxed),
            // Nothing was written.
            Err(DecideError::ShuttingDown) => return,
            Err(error) => panic!("{} refuses: {error}", peer.name()),
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_upgraded_under_load_and_no_decision_is_refused_or_lost() {
    let network = InProcess::network();
    let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut loads = Vec::new();
    let mut peers = Vec::new();
    let (a, b, c) =
        tokio::join!(start(&network, "a", 1), start(&network, "b", 1), start(&network, "c", 1));
    for peer in [a, b, c] {
        loads.push(tokio::spawn(load(peer.clone(), is_over.clone(), done.clone())));
        peers.push(peer);
    }
    tokio::time::sleep(SECOND).await;
    let mut hand_overs = 0;
    for name in NAMES {
        let old = peers.remove(0);
        let end = old.shutdown().await;
        assert!(!matches!(end, Shutdown::NotHandedOver { .. }), "{end:?}");
        hand_overs += u64::from(matches!(end, Shutdown::HandedOver { .. }));
        drop(old);
        let new = start(&network, name, 2).await;
        until(&new, |status| status.peers.iter().filter(|peer| peer.is_member).count() == 2).await;
        until(&peers[0], |status| status.peers.iter().all(|peer| peer.is_member)).await;
        loads.push(tokio::spawn(load(new.clone(), is_over.clone(), done.clone())));
        peers.push(new);
        tokio::time::sleep(SECOND).await;
    }
    assert!(hand_overs >= 1, "the primary was upgraded as well");
    is_over.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.expect("nothing was refused");
    }
    let done = done.load(Ordering::Relaxed);
    assert!(done > 1_000, "{done}");
    assert_eq!(count(&peers[0], "k").await, done);
}

#[tokio::test(start_paused = true)]
async fn members_change_when_all_are_upgraded() {
    let network = InProcess::network();
    let (a, b, c) =
        tokio::join!(start(&network, "a", 2), start(&network, "b", 2), start(&network, "c", 1));
    for peer in [&a, &b, &c] {
        until(peer, |status| status.primary.is_some() && status.peers.iter().all(|p| p.is_member))
            .await;
    }
    for peer in [&a, &b] {
        let error = peer.forget("c").await.expect_err("c cannot follow that, were it there or not");
        let is_it = matches!(error, RemoveError::OldVersion { .. } | RemoveError::Alive { .. });
        assert!(is_it, "{error}");
    }
    let error = c.leave().await.expect_err("nor can it leave");
    assert!(matches!(error, RemoveError::OldVersion { .. }), "{error}");
    // As soon as it is upgraded it can.
    c.shutdown().await;
    drop(c);
    let c = start(&network, "c", 2).await;
    until(&a, |status| status.peers.iter().all(|peer| peer.is_member)).await;
    until(&b, |status| status.peers.iter().all(|peer| peer.is_member)).await;
    c.leave().await.expect("all follow");
    until(&a, |status| status.size == 2).await;
}
