//! Relaxed peers decide alone when there is no primary, and say what became of it.

mod support;

use std::time::Duration;

use quorate::{
    Answer, Basis, Cell, Delta, Event, GroupTime, Item, Mode, Model, OnReconnect, Peer, Value,
};
use support::{Counter, LONG, NAMES, Trio, add, count, events, until};

fn cut_off(trio: &Trio, name: &str) {
    for other in NAMES.into_iter().filter(|other| *other != name) {
        trio.network.cut(name, other);
    }
}

fn heal(trio: &Trio, name: &str) {
    for other in NAMES.into_iter().filter(|other| *other != name) {
        trio.network.heal(name, other);
    }
}

/// Cuts a replica off, has it decide alone, and lets it back.
async fn alone(trio: &Trio) -> (Peer, Peer) {
    let primary = trio.peer(&trio.primary()).clone();
    let replica = trio.peer(&trio.a_replica()).clone();
    add(&primary, "k", 100).await.expect("there is a primary");
    until(&replica, |status| status.cells == 1).await;
    cut_off(trio, replica.name().as_str());
    until(&replica, |status| !status.quorum).await;
    // Longer than a lease: the silent connection is not trusted any more.
    tokio::time::sleep(Duration::from_secs(9)).await;
    for number in 1..=10 {
        let local = add(&replica, "k", 1).await.expect("a relaxed peer always answers");
        assert!(local.basis.is_local());
        assert_eq!(local.answer.words[0], 100 + number, "on its own copy");
    }
    add(&replica, "other", 5).await.expect("a relaxed peer always answers");
    assert_eq!(replica.status().overlay_units, 15);
    assert_eq!(add(&primary, "k", 1).await.expect("a majority").answer.words[0], 101);
    heal(trio, replica.name().as_str());
    (primary, replica)
}

async fn told(peer: &Peer, event: &Event) {
    let mut news = peer.events();
    let waited = tokio::time::timeout(LONG, async {
        while !events(peer).contains(event) {
            news.next().await.expect("the peer is running");
        }
    });
    waited.await.unwrap_or_else(|_| panic!("no {event:?} in {:#?}", events(peer)));
}

#[tokio::test(start_paused = true)]
async fn local_decisions_are_merged_when_the_primary_is_back() {
    let trio = Trio::start(|builder| builder.mode(Mode::Relaxed)).await;
    let (primary, replica) = alone(&trio).await;
    told(&replica, &Event::LocalDecisionsMerged { units: 15, dropped: 0 }).await;
    assert_eq!(count(&primary, "k").await, 111);
    assert_eq!(count(&primary, "other").await, 5);
    let decision = add(&replica, "k", 1).await.expect("there is a primary");
    assert_eq!((decision.basis, decision.answer.words[0]), (Basis::Primary, 112));
    assert_eq!(replica.status().overlay_units, 0);
    assert_eq!((replica.stats().units_merged, primary.stats().units_merged), (15, 0));
}

#[tokio::test(start_paused = true)]
async fn local_decisions_are_discarded_if_so_set() {
    let trio =
        Trio::start(|builder| builder.mode(Mode::Relaxed).on_reconnect(OnReconnect::Overwrite))
            .await;
    let (primary, replica) = alone(&trio).await;
    told(&replica, &Event::LocalDecisionsDiscarded { units: 15 }).await;
    assert_eq!(count(&primary, "k").await, 101);
    assert_eq!(count(&replica, "other").await, 0);
    assert_eq!((replica.stats().units_discarded, replica.stats().units_merged), (15, 0));
}

#[tokio::test(start_paused = true)]
async fn what_all_peers_decided_alone_is_merged_after_the_election() {
    let mut trio = Trio::start(|builder| builder.mode(Mode::Relaxed)).await;
    let old = trio.primary();
    trio.crash(&old).await;
    // No primary for ten seconds: both others decide alone.
    let mut alone = 0;
    for peer in &trio.peers {
        until(peer, |status| status.peers.iter().any(|p| p.link == quorate::Link::Down)).await;
        for _ in 0..5 {
            let decision = add(peer, "k", 1).await.expect("a relaxed peer always answers");
            assert!(decision.basis.is_local());
            alone += 1;
        }
    }
    for peer in &trio.peers {
        told(peer, &Event::LocalDecisionsMerged { units: 5, dropped: 0 }).await;
    }
    for peer in &trio.peers {
        assert_eq!(count(peer, "k").await, alone);
        assert_eq!(peer.status().overlay_units, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_relaxed_peer_is_ready_alone_and_never_crowns_itself() {
    let network = quorate::transport::InProcess::network();
    let peer = support::builder(&network, "a").mode(Mode::Relaxed).start().await;
    let peer = peer.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("it decides alone");
    assert!(add(&peer, "k", 1).await.expect("it decides alone").basis.is_local());
    tokio::time::sleep(LONG).await;
    assert!(add(&peer, "k", 1).await.expect("it decides alone").basis.is_local());
    assert_eq!(peer.status().primary, None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_starts_waits_for_its_group_before_it_counts_alone() {
    let network = quorate::transport::InProcess::network();
    let mut peers = Vec::new();
    for name in NAMES {
        let peer = support::builder(&network, name).mode(Mode::Relaxed).start().await;
        peers.push(peer.expect("the settings are valid"));
    }
    for peer in &peers {
        let status = peer.wait_ready(LONG).await.expect("three peers form a group");
        assert!(status.primary.is_some());
        let decision = add(peer, "k", 1).await.expect("there is a primary");
        assert_eq!(decision.basis, Basis::Primary);
    }
}

/// The sum of both used to overflow: a panic of whoever looked at the status, or a small number.
#[tokio::test(start_paused = true)]
async fn units_of_any_size_add_up_in_the_status_of_a_peer_that_lost_its_majority() {
    let trio = Trio::start(|builder| builder.mode(Mode::Relaxed)).await;
    let primary = trio.peer(&trio.primary()).clone();
    cut_off(&trio, primary.name().as_str());
    let unanswered = primary.clone();
    tokio::spawn(async move { add(&unanswered, "k", u64::MAX).await });
    until(&primary, |status| status.unreplicated_units == u64::MAX).await;
    until(&primary, |status| !status.quorum).await;
    let local = add(&primary, "other", u64::MAX).await.expect("a relaxed peer always answers");
    assert!(local.basis.is_local());
    let status = primary.status();
    assert_eq!((status.overlay_units, status.unacknowledged_units), (u64::MAX, u64::MAX));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(primary.status().unacknowledged_units, u64::MAX, "it goes on");
}

/// Decides alone whatever mode the group is in.
struct Lenient;

impl Model for Lenient {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        Counter.decide(items, cells, now)
    }

    fn mode_of(&self, _: &[Item<'_>], _: Mode) -> Mode {
        Mode::Relaxed
    }

    fn accumulate(
        &self,
        item: &Item<'_>,
        before: Option<&Value>,
        after: &Value,
        delta: &mut Delta,
    ) {
        Counter.accumulate(item, before, after, delta);
    }

    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64 {
        Counter.merge(key, delta, cell, now)
    }
}

/// Any client could have cells written in a strict group that said that it had decided alone.
#[tokio::test(start_paused = true)]
async fn a_strict_group_merges_nothing_and_says_so() {
    let trio = Trio::start(|builder| builder).await;
    let client = Peer::builder("x", Lenient)
        .client()
        .members(NAMES.map(|name| (name, name)))
        .transport(trio.network.at("x"))
        .tokio_clock();
    let client = client.start().await.expect("the settings are valid");
    client.wait_ready(LONG).await.expect("there is a primary");
    cut_off(&trio, "x");
    until(&client, |status| !status.quorum).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    for key in ["k", "l"] {
        assert!(add(&client, key, 5).await.expect("it decides alone").basis.is_local());
    }
    heal(&trio, "x");
    let reason = "nobody decides alone in this group: its mode is strict".to_owned();
    told(&client, &Event::LocalDecisionsRefused { units: 10, reason }).await;
    assert_eq!((client.status().overlay_units, trio.peers[0].status().cells), (0, 0));
    assert_eq!((client.stats().units_refused, client.stats().units_discarded), (10, 0));
}
