//! The event loop's longest turn is a number in the status.

mod support;

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use quorate::transport::InProcess;
use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Peer, Policy, Value};
use support::{Counter, LONG};

/// Takes as long over a change of its policy as that says, in seconds.
struct Slow;

impl Model for Slow {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        Counter.decide(items, cells, now)
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

    fn change_policy(
        &self,
        _: &Policy,
        request: &[u8],
        _: GroupTime,
    ) -> Result<Option<Bytes>, String> {
        let seconds = Duration::from_secs(u64::from(request[0]));
        let mut context = Context::from_waker(Waker::noop());
        // The paused clock moves on when this is first asked.
        _ = pin!(tokio::time::advance(seconds)).poll(&mut context);
        Ok(Some(Bytes::copy_from_slice(request)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_turn_is_told_since_the_start_and_of_late() {
    let network = InProcess::network();
    let peer = Peer::builder("a", Slow).members([("a", "a")]).transport(network.at("a"));
    let peer = peer.tokio_clock().start().await.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("a group of one");
    assert_eq!(peer.status().turns.longest_us, 0, "no time passes in a turn");
    peer.change_policy(vec![3]).await.expect("changed");
    let turns = peer.status().turns;
    assert_eq!((turns.longest_us, turns.recent_longest_us), (3_000_000, 3_000_000));
    peer.change_policy(vec![1]).await.expect("changed");
    tokio::time::sleep(Duration::from_secs(180)).await;
    let turns = peer.status().turns;
    assert_eq!((turns.longest_us, turns.recent_longest_us), (3_000_000, 0));
}
