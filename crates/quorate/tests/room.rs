//! A store that fills up: new keys are refused by name, at every peer, and the embedder is told.

mod support;

use std::time::Duration;

use quorate::internal::store::CELL_BYTES;
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Answer, Bounded, Bounds, Cell, DecideError, Decision, Delta, Event, Fill,
    GroupTime, Item, Model, Peer, PeerBuilder, Value,
};
use support::{LONG, NAMES, Trio, add, builder, events, until};

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
    let bounds = |b: PeerBuilder| b.bounds(Bounds { max_cells: 10, ..Bounds::default() });
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
    tokio::time::sleep(LONG).await;
    assert_eq!(told(&primary).len(), 2);
    let digests: Vec<_> = trio.peers.iter().map(|peer| peer.digest().digest).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

const MAX_BYTES: usize = 10 * CELL_BYTES;

fn little_memory(builder: PeerBuilder) -> PeerBuilder {
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
    old.wait_ready(LONG).await.expect("it follows");
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

/// How long a cell of [`Brief`] lives.
const LIFETIME: Duration = Duration::from_secs(2);

/// Notes that a key was asked for, for a while.
struct Brief;

impl Model for Brief {
    fn decide(&self, _: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        for cell in cells {
            cell.set(Value { words: [1, 0, 0], expires: now.after(LIFETIME) });
        }
        Answer { code: 1, units: 1, ..Answer::default() }
    }

    fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

    fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
        0
    }
}

/// Three peers that note keys for a while, and so many at a time.
async fn brief(max_cells: usize) -> Vec<Peer> {
    let network = InProcess::network();
    let mut peers = Vec::new();
    for name in NAMES {
        let peer = Peer::builder(name, Brief)
            .members(NAMES.map(|name| (name, name)))
            .transport(network.at(name))
            .bounds(Bounds { max_cells, ..Bounds::default() })
            .tokio_clock();
        peers.push(peer.start().await.expect("the settings are valid"));
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("three peers form a group");
    }
    peers
}

/// It stayed full for ever: the time by which cells go moved with writes only, and what is refused
/// writes nothing.
#[tokio::test(start_paused = true)]
async fn a_store_whose_cells_have_expired_takes_new_keys_again() {
    let peers = brief(1).await;
    for round in 0..3 {
        for (number, peer) in peers.iter().enumerate() {
            let key = format!("{round} {number}");
            add(peer, &key, 1).await.expect("there is room");
            assert_eq!(refused(add(peer, "another", 1).await), Some((Bounded::Cells, 1)));
            tokio::time::sleep(LIFETIME + Duration::from_secs(130)).await;
        }
    }
    for peer in &peers {
        until(peer, |status| status.cells == 0).await;
    }
    // Seen to be expired with the next heartbeat, and not only then where somebody asks.
    add(&peers[0], "last", 1).await.expect("there is room");
    tokio::time::sleep(LIFETIME).await;
    let mut refusals = 0;
    while refused(add(&peers[0], "new", 1).await).is_some() {
        refusals += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refusals <= 3, "{refusals} calls were refused in as many hundredths of a second");
}

/// Two hundred new keys a second, for so long; whether all of them found room.
async fn churn(peer: &Peer, round: &str, seconds: u32) -> bool {
    let mut has_room = true;
    for number in 0..seconds * 200 {
        has_room &= add(peer, &format!("{round} {number}"), 1).await.is_ok();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    has_room
}

/// Replicas kept what had expired for a minute more: the one that was switched to was full.
#[tokio::test(start_paused = true)]
async fn replicas_hold_no_more_than_the_primary_and_take_over_with_as_much_room() {
    // 400 live at a time, and as many expire in two heartbeats.
    let peers = brief(1_000).await;
    let primary = peers[0].status().primary.expect("there is one");
    let primary = peers.iter().find(|peer| *peer.name() == primary).expect("it is one of them");
    assert!(churn(primary, "before", 20).await);
    let cells: Vec<usize> = peers.iter().map(|peer| peer.status().cells).collect();
    assert!(cells.iter().all(|cells| *cells <= 1_000), "{cells:?}");
    let next = peers.iter().find(|peer| peer.name() != primary.name()).expect("two others");
    primary.switch_primary(next.name().clone()).await.expect("it is ready");
    assert!(churn(next, "after", 10).await);
    tokio::time::sleep(LIFETIME + Duration::from_secs(5)).await;
    let cells: Vec<usize> = peers.iter().map(|peer| peer.status().cells).collect();
    assert_eq!(cells, [0, 0, 0], "nobody asks any more");
}
