//! Planned switches lose nothing: callers are held, not failed.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate::{Acknowledge, DecideError, Event, Peer, PeerBuilder, Shutdown, SwitchError};
use support::{LONG, Trio, add, count, events, until};

/// Callers at every peer that go on until they are told to stop.
struct Load {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    callers: tokio::task::JoinSet<Vec<DecideError>>,
}

impl Load {
    fn start(peers: &[Peer]) -> Self {
        let (is_over, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut callers = tokio::task::JoinSet::new();
        for peer in peers {
            for _ in 0..4 {
                let (peer, is_over) = (peer.clone(), is_over.clone());
                let acknowledged = acknowledged.clone();
                callers.spawn(async move {
                    let mut errors = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        match add(&peer, "k", 1).await {
                            Ok(_) => _ = acknowledged.fetch_add(1, Ordering::Relaxed),
                            Err(error) => errors.push(error),
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    errors
                });
            }
        }
        Self { is_over, acknowledged, callers }
    }

    async fn end(self) -> (u64, Vec<DecideError>) {
        self.is_over.store(true, Ordering::Relaxed);
        let errors = self.callers.join_all().await.concat();
        (self.acknowledged.load(Ordering::Relaxed), errors)
    }
}

async fn switch_back_and_forth(setup: fn(PeerBuilder) -> PeerBuilder) {
    let trio = Trio::start(setup).await;
    let load = Load::start(&trio.peers);
    let mut primary = trio.primary();
    for _ in 0..6 {
        let to = if primary == "b" { "c" } else { "b" };
        trio.peer(&primary).switch_primary(to).await.expect("the successor is ready");
        until(trio.peer(to), |s| s.role == quorate::PeerRole::Primary && s.quorum).await;
        primary = to.into();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (acknowledged, errors) = load.end().await;
    assert_eq!(errors, [], "held, not failed");
    assert!(acknowledged > 100, "{acknowledged}");
    assert_eq!(count(&trio.peers[0], "k").await, acknowledged, "nothing lost, nothing twice");
    for peer in &trio.peers {
        let lost = events(peer).into_iter().find(|e| matches!(e, Event::ChangesLost { .. }));
        assert_eq!(lost, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_under_load_fails_no_call_and_loses_no_change() {
    switch_back_and_forth(|builder| builder).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_under_load_and_majority_fails_no_call_and_loses_no_change() {
    switch_back_and_forth(|builder| builder.acknowledge(Acknowledge::Majority)).await;
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_shuts_down_hands_over_first() {
    let mut trio = Trio::start(|builder| builder).await;
    let old = trio.primary();
    let leaving = trio.take(&old);
    let load = Load::start(&trio.peers);
    assert_eq!(add(&leaving, "own", 3).await.expect("it is primary").answer.words[0], 3);
    let end = leaving.shutdown().await;
    let Shutdown::HandedOver { to } = end else { panic!("it had successors: {end:?}") };
    assert_ne!(to.as_str(), old);
    assert_eq!(add(&leaving, "k", 1).await, Err(DecideError::ShuttingDown));
    assert_eq!(leaving.watch_status().changed().await, None);
    let new = trio.peer(to.as_str());
    until(new, |status| status.role == quorate::PeerRole::Primary && status.quorum).await;
    let (acknowledged, errors) = load.end().await;
    assert_eq!(errors, []);
    assert_eq!(count(new, "own").await, 3);
    assert_eq!(count(new, "k").await, acknowledged);
    assert_eq!(leaving.shutdown().await, Shutdown::WasReplica);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_shuts_down_says_so_and_its_name_is_free() {
    let mut trio = Trio::start(|builder| builder).await;
    let name = trio.a_replica();
    let leaving = trio.take(&name);
    assert_eq!(leaving.shutdown().await, Shutdown::WasReplica);
    let back = trio.start_one(&name).await.expect("its address is free");
    back.wait_ready(LONG).await.expect("its name is free too");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_cannot_be_is_refused_with_the_reason() {
    let trio = Trio::start(|builder| {
        builder.priority(100) // all alike
    })
    .await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    let error = trio.peer(&replica).switch_primary("z").await.expect_err("z is no member");
    assert_eq!(error, SwitchError::NotMember { to: "z".into() });
    let error = trio.peer(&primary).switch_primary("z").await.expect_err("z is no member");
    assert_eq!(error, SwitchError::NotMember { to: "z".into() });
    let others: Vec<&str> = support::NAMES.into_iter().filter(|n| *n != primary).collect();
    trio.network.cut(&primary, others[0]);
    let error = trio.peer(&primary).switch_primary(others[0]).await;
    let is_refused =
        matches!(error, Err(SwitchError::NotConnected { .. } | SwitchError::Aborted { .. }));
    assert!(is_refused, "{error:?}");
    // The group goes on.
    until(trio.peer(&primary), |status| status.quorum).await;
    assert_eq!(add(trio.peer(&primary), "k", 1).await.expect("still primary").answer.code, 1);
}

/// It said "ask a", though everything else is passed on.
#[tokio::test(start_paused = true)]
async fn a_switch_may_be_asked_for_at_a_replica() {
    let trio = Trio::start(|builder| builder).await;
    let replica = trio.a_replica();
    trio.peer(&replica).switch_primary(replica.as_str()).await.expect("the primary hands over");
    assert_eq!(trio.primary(), replica);
}

/// SIGTERM to all of a service at once: the primary handed over to a peer that was ending, and
/// waited for it.
#[tokio::test(start_paused = true)]
async fn peers_that_are_shut_down_together_do_not_wait_for_each_other() {
    let trio = Trio::start(|builder| builder).await;
    let heartbeat = Duration::from_secs(1);
    until(trio.peer(&trio.primary()), |status| {
        status.peers.iter().all(|peer| peer.lag == Some(0) && peer.is_member)
    })
    .await;
    let began = tokio::time::Instant::now();
    let [a, b, c] = &trio.peers[..] else { panic!("there are three") };
    let ends = tokio::join!(a.shutdown(), b.shutdown(), c.shutdown());
    assert!(began.elapsed() < heartbeat, "{:?}: {ends:?}", began.elapsed());
}
