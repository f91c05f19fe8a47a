//! Settings of the model may differ while they roll: nothing is refused, and both sides say so.

mod support;

use quorate::transport::InProcess;
use quorate::{
    Answer, Cell, ConfigError, Delta, Difference, Event, GroupTime, Item, Link, Model, Peer,
    StartError, Status, Value,
};
use support::{Counter, LONG, NAMES, Trio, add, count, events, until};

/// A counter whose model has settings.
struct Revised(Vec<(String, String)>);

impl Revised {
    fn new(revision: &str) -> Self {
        let settings = [("limits", revision), ("same", "everywhere")];
        Self(settings.map(|(field, value)| (field.to_owned(), value.to_owned())).to_vec())
    }
}

impl Model for Revised {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        Counter.decide(items, cells, now)
    }

    fn accumulate(&self, item: &Item<'_>, before: Option<&Value>, after: &Value, to: &mut Delta) {
        Counter.accumulate(item, before, after, to);
    }

    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64 {
        Counter.merge(key, delta, cell, now)
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.0.clone()
    }
}

async fn start(network: &InProcess, name: &str, model: impl Model) -> Peer {
    let peer = Peer::builder(name, model)
        .members(NAMES.map(|name| (name, name)))
        .transport(network.at(name))
        .tokio_clock()
        .start()
        .await
        .expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("a majority is there, or comes");
    peer
}

/// `a` and `b` with one revision, `c` with the next.
async fn half_rolled() -> Trio {
    let network = InProcess::network();
    let (a, b, c) = tokio::join!(
        start(&network, "a", Revised::new("1")),
        start(&network, "b", Revised::new("1")),
        start(&network, "c", Revised::new("2")),
    );
    let trio = Trio { network, setup: |builder| builder, peers: vec![a, b, c] };
    for peer in &trio.peers {
        until(peer, |status| status.peers.iter().all(|peer| peer.link == Link::Up)).await;
    }
    trio
}

fn differs(status: &Status, name: &str) -> Vec<(String, String, String)> {
    let peer = status.peers.iter().find(|peer| peer.name.as_str() == name);
    let differs = &peer.expect("it is a member").differs;
    let told = |Difference { field, ours, theirs, .. }: &Difference| {
        (field.clone(), ours.clone(), theirs.clone())
    };
    differs.iter().map(told).collect()
}

/// What `peer` sees of each of the others.
fn seen(peer: &Peer, others: [&str; 2]) -> [Vec<(String, String, String)>; 2] {
    others.map(|name| differs(&peer.status(), name))
}

fn limits(ours: &str, theirs: &str) -> Vec<(String, String, String)> {
    vec![("limits".into(), ours.into(), theirs.into())]
}

fn told(peer: &Peer) -> Vec<Event> {
    let is_it = |event: &Event| matches!(event, Event::ModelDiffers { .. });
    events(peer).into_iter().filter(is_it).collect()
}

fn event(peer: &str, ours: &str, theirs: &str) -> Event {
    let (field, ours, theirs) = ("limits".into(), ours.into(), theirs.into());
    Event::ModelDiffers { peer: peer.into(), field, ours, theirs }
}

#[tokio::test(start_paused = true)]
async fn other_settings_of_the_model_are_named_on_both_sides_while_decisions_go_on() {
    let trio = half_rolled().await;
    assert_eq!(seen(trio.peer("a"), ["b", "c"]), [vec![], limits("1", "2")]);
    assert_eq!(seen(trio.peer("b"), ["a", "c"]), [vec![], limits("1", "2")]);
    assert_eq!(seen(trio.peer("c"), ["a", "b"]), [limits("2", "1"), limits("2", "1")]);
    // Those who watch see it too, not only those who ask.
    let watched = trio.peer("a").watch_status().current();
    assert_eq!(differs(&watched, "c"), limits("1", "2"));
    for (total, peer) in (1..).zip(&trio.peers) {
        assert_eq!(add(peer, "k", 1).await.expect("there is a primary").answer.words[0], total);
        assert_eq!(peer.status().refusals, []);
    }
    assert_eq!(told(trio.peer("a")), [event("c", "1", "2")]);
    assert_eq!(told(trio.peer("b")), [event("c", "1", "2")]);
    let (of_a, of_b) = (event("a", "2", "1"), event("b", "2", "1"));
    let told_by_c = told(trio.peer("c"));
    assert!(told_by_c == [of_a.clone(), of_b.clone()] || told_by_c == [of_b, of_a]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_comes_back_is_no_news_and_a_new_start_is() {
    let mut trio = half_rolled().await;
    for other in ["a", "b"] {
        trio.network.cut(other, "c");
    }
    let is_alone = |status: &Status| status.peers.iter().all(|peer| peer.link == Link::Down);
    until(trio.peer("c"), is_alone).await;
    assert_eq!(seen(trio.peer("a"), ["b", "c"]), [vec![], limits("1", "2")], "as it was last");
    for other in ["a", "b"] {
        trio.network.heal(other, "c");
    }
    let is_whole = |status: &Status| status.peers.iter().all(|peer| peer.link == Link::Up);
    until(trio.peer("c"), is_whole).await;
    assert_eq!(told(trio.peer("a")).len(), 1);
    assert_eq!(told(trio.peer("c")).len(), 2);
    // A new start with the same difference.
    trio.crash("c").await;
    let c = start(&trio.network, "c", Revised::new("2")).await;
    until(&c, is_whole).await;
    assert_eq!(told(trio.peer("a")), [event("c", "1", "2"), event("c", "1", "2")]);
    // And one with the settings of the others.
    drop(c);
    tokio::task::yield_now().await;
    let c = start(&trio.network, "c", Revised::new("1")).await;
    until(&c, is_whole).await;
    until(trio.peer("a"), |status| differs(status, "c").is_empty()).await;
    assert_eq!(seen(trio.peer("b"), ["a", "c"]), [vec![], vec![]]);
    assert_eq!(seen(&c, ["a", "b"]), [vec![], vec![]]);
    assert_eq!((told(trio.peer("a")).len(), told(&c).len()), (2, 0));
    assert_eq!(count(&c, "k").await, 0);
}

#[tokio::test(start_paused = true)]
async fn with_a_peer_that_names_no_settings_there_is_nothing_to_compare() {
    let mut trio = half_rolled().await;
    trio.crash("c").await;
    let c = start(&trio.network, "c", Counter).await;
    until(&c, |status| status.peers.iter().all(|peer| peer.link == Link::Up)).await;
    until(trio.peer("a"), |status| differs(status, "c").is_empty()).await;
    assert_eq!(seen(&c, ["a", "b"]), [vec![], vec![]]);
    assert_eq!(told(&c), []);
}

#[tokio::test]
async fn a_model_with_more_settings_than_can_be_told_is_not_started() {
    let model = Revised(vec![("f".into(), "v".repeat(1024)); 17]);
    let started = Peer::builder("a", model).members([("a", "127.0.0.1:0")]).start().await;
    let Err(StartError::Config(errors)) = started else { panic!("a bound is broken") };
    assert_eq!(errors[0], ConfigError::ModelSettings { count: 17, max: 16 });
    let long = ConfigError::ModelSetting { field: "f".into(), bytes: 1025, max: 1024 };
    assert_eq!(errors[1..], vec![long; 17]);
}
