//! A store that fills up: new keys are refused by name, at every peer, and the embedder is told.

mod support;

use quorate::store::CELL_BYTES;
use quorate::{Acknowledge, Bounded, Bounds, DecideError, Decision, Event, Fill, Item, Peer};
use support::{Trio, add, builder, events, until};

fn refused(result: Result<Decision, DecideError>) -> Option<(Bounded, u64)> {
    match result {
        Err(DecideError::Overloaded { what, bound }) => Some((what, bound)),
        _ => None,
    }
}

/// Adds one to each of these keys.
async fn fill(peer: &Peer, keys: std::ops::Range<usize>) {
    for key in keys {
        add(peer, &key.to_string(), 1).await.expect("there is room");
    }
}

fn told(peer: &Peer) -> Vec<Event> {
    let is_told =
        |event: &Event| matches!(event, Event::StoreNearlyFull { .. } | Event::StoreFull { .. });
    events(peer).into_iter().filter(is_told).collect()
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_full_of_cells_says_so_once_and_refuses_new_keys_at_every_peer() {
    let bounds = |b: quorate::PeerBuilder| b.bounds(Bounds { max_cells: 10, ..Bounds::default() });
    let trio = Trio::start(bounds).await;
    let primary = trio.peer(&trio.primary()).clone();
    fill(&primary, 0..7).await;
    for peer in &trio.peers {
        until(peer, |status| status.cells == 7).await;
        assert_eq!((told(peer), peer.status().fill), (vec![], Fill::Roomy));
    }
    fill(&primary, 7..9).await;
    let max_bytes = Bounds::default().max_bytes;
    let bytes = |cells| cells * CELL_BYTES;
    for peer in &trio.peers {
        let status = until(peer, |status| status.fill == Fill::Nearly).await;
        assert_eq!((status.cells, status.max_cells), (9, 10));
        assert_eq!((status.bytes, status.max_bytes), (bytes(9), max_bytes));
        let near = Event::StoreNearlyFull { cells: 9, max_cells: 10, bytes: bytes(9), max_bytes };
        assert_eq!(told(peer), [near]);
    }
    fill(&primary, 9..10).await;
    for peer in &trio.peers {
        until(peer, |status| status.fill == Fill::Full).await;
        let full = Event::StoreFull { cells: 10, max_cells: 10, bytes: bytes(10), max_bytes };
        assert_eq!(told(peer)[1..], [full]);
        assert_eq!(refused(add(peer, "new", 1).await), Some((Bounded::Cells, 10)));
        assert!(add(peer, "0", 1).await.is_ok(), "a key that is there goes on");
    }
    tokio::time::sleep(support::LONG).await;
    assert_eq!(told(&primary).len(), 2);
    let digests: Vec<_> = trio.peers.iter().map(|peer| peer.digest().digest).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

const MAX_BYTES: usize = 10 * CELL_BYTES;

fn little_memory(builder: quorate::PeerBuilder) -> quorate::PeerBuilder {
    builder.bounds(Bounds { max_bytes: MAX_BYTES, ..Bounds::default() })
}

#[tokio::test(start_paused = true)]
async fn memory_that_is_used_up_is_named_at_every_peer_that_knows_the_word() {
    let mut trio = Trio::start(little_memory).await;
    let replica = trio.a_replica();
    fill(trio.peer(&replica), 0..9).await;
    let long = "k".repeat(100);
    let all = Some((Bounded::Bytes, MAX_BYTES as u64));
    for peer in &trio.peers {
        assert_eq!(refused(add(peer, &long, 1).await), all);
        until(peer, |status| status.fill == Fill::Nearly || status.fill == Fill::Full).await;
    }
    // The first version of the protocol has one word for all of it.
    trio.crash(&replica).await;
    let old = little_memory(builder(&trio.network, &replica)).wire_version(1).start().await;
    let old = old.expect("its address is free");
    old.wait_ready(support::LONG).await.expect("it follows");
    assert_eq!(refused(add(&old, &long, 1).await), Some((Bounded::Cells, MAX_BYTES as u64)));
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_has_too_many_calls_is_not_taken_for_a_full_store() {
    let trio = Trio::start(|builder| {
        let bounds = Bounds { max_waiting_calls: 8, ..Bounds::default() };
        builder.bounds(bounds).acknowledge(Acknowledge::Majority)
    })
    .await;
    let primary = trio.primary();
    let mut calls = tokio::task::JoinSet::new();
    for peer in trio.peers.iter().filter(|peer| peer.name().as_str() != primary) {
        for _ in 0..8 {
            let peer = peer.clone();
            calls.spawn(async move { peer.decide(&[Item { key: b"k", args: [1, 0] }]).await });
        }
    }
    let results = calls.join_all().await;
    let (decided, rest): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(decided.len() >= 8 && !rest.is_empty(), "{} were decided", decided.len());
    assert!(rest.into_iter().all(|result| {
        result.as_ref().is_err_and(|error| !error.is_store_full())
            && refused(result) == Some((Bounded::WaitingCalls, 8))
    }));
}
