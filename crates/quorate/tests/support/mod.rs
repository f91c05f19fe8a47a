//! A counter as the replicated thing, and groups of peers in one process.

#![allow(dead_code, reason = "every test file uses its own part of it")]

pub(crate) mod exposed;
pub(crate) mod far;
pub(crate) mod named;
pub(crate) mod raw;

use std::net::TcpListener;
use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{
    Absence, Answer, Cell, DecideError, Decision, Delta, Event, GroupTime, Item, Model,
    NotSafeToStop, Peer, PeerBuilder, StartError, Status, Value,
};

pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Adds `args[0]` to a key's count, up to `args[1]` (0 for no limit): `code` 1 if it did, 0 if
/// the limit would be exceeded; `words[0]` is the count.
pub(crate) struct Counter;

impl Model for Counter {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], _now: GroupTime) -> Answer {
        let mut answer = Answer { code: 1, ..Answer::default() };
        for (item, cell) in items.iter().zip(cells.iter()) {
            let count = count_of(cell) + item.args[0];
            answer.words[0] = count;
            if item.args[1] != 0 && count > item.args[1] {
                answer.code = 0;
                answer.words[0] = count_of(cell);
                return answer;
            }
        }
        for (item, cell) in items.iter().zip(cells) {
            let count = count_of(cell) + item.args[0];
            answer.units += item.args[0];
            cell.set(Value { words: [count, 0, 0], expires: GroupTime::MAX });
        }
        answer
    }

    fn accumulate(
        &self,
        item: &Item<'_>,
        _before: Option<&Value>,
        _after: &Value,
        delta: &mut Delta,
    ) {
        delta.words[0] += item.args[0];
    }

    fn merge(&self, _key: &[u8], delta: &Delta, cell: &mut Cell, _now: GroupTime) -> u64 {
        let count = count_of(cell) + delta.words[0];
        cell.set(Value { words: [count, 0, 0], expires: GroupTime::MAX });
        delta.words[0]
    }
}

fn count_of(cell: &Cell) -> u64 {
    cell.value().map_or(0, |value| value.words[0])
}

/// Three peers, `a`, `b` and `c`, on a network whose links can be cut.
pub(crate) struct Trio {
    pub(crate) network: InProcess,
    pub(crate) setup: fn(PeerBuilder) -> PeerBuilder,
    pub(crate) peers: Vec<Peer>,
}

pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

impl Trio {
    /// Starts all three and waits until each can decide.
    pub(crate) async fn start(setup: fn(PeerBuilder) -> PeerBuilder) -> Self {
        let mut trio = Self { network: InProcess::network(), setup, peers: Vec::new() };
        for name in NAMES {
            let peer = trio.start_one(name).await.expect("the settings are valid");
            trio.peers.push(peer);
        }
        for peer in &trio.peers {
            until(peer, |status| status.primary.is_some() && status.quorum).await;
            peer.wait_ready(LONG).await.expect("three peers form a group");
        }
        trio
    }

    pub(crate) async fn start_one(&self, name: &str) -> Result<Peer, StartError> {
        (self.setup)(builder(&self.network, name)).start().await
    }

    pub(crate) fn peer(&self, name: &str) -> &Peer {
        self.peers.iter().find(|peer| peer.name().as_str() == name).expect("it is running")
    }

    /// Ends a peer as a crash would.
    pub(crate) async fn crash(&mut self, name: &str) {
        drop(self.take(name));
        // The runtime drops its tasks before it runs this one again.
        tokio::task::yield_now().await;
    }

    pub(crate) fn take(&mut self, name: &str) -> Peer {
        let index = self.peers.iter().position(|peer| peer.name().as_str() == name);
        self.peers.remove(index.expect("it is running"))
    }

    pub(crate) fn primary(&self) -> String {
        let primary = self.peers.iter().find_map(|peer| peer.status().primary);
        primary.expect("there is a primary").to_string()
    }

    pub(crate) fn a_replica(&self) -> String {
        let primary = self.primary();
        let mut names = self.peers.iter().map(|peer| peer.name().to_string());
        names.find(|name| *name != primary).expect("not all are primary")
    }
}

pub(crate) fn builder(network: &InProcess, name: &str) -> PeerBuilder {
    Peer::builder(name, Counter)
        .members(NAMES.map(|name| (name, name)))
        .transport(network.at(name))
        .tokio_clock()
}

/// Adds to a key.
pub(crate) async fn add(peer: &Peer, key: &str, amount: u64) -> Result<Decision, DecideError> {
    peer.decide(&[Item { key: key.as_bytes(), args: [amount, 0] }]).await
}

/// What a key's count is, by adding nothing.
pub(crate) async fn count(peer: &Peer, key: &str) -> u64 {
    add(peer, key, 0).await.expect("there is a primary").answer.words[0]
}

/// Three members of a group on loopback, on ports that were free a moment ago.
pub(crate) fn free_addresses() -> [(&'static str, String); 3] {
    let listeners = NAMES.map(|name| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        (name, listener.local_addr().expect("it is bound").to_string(), listener)
    });
    listeners.each_ref().map(|(name, address, _)| (*name, address.clone()))
}

/// Who would be missing if this peer were stopped.
pub(crate) fn missing(peer: &Peer) -> Vec<(String, Absence)> {
    match peer.safe_to_stop() {
        Err(NotSafeToStop::NoMajority { missing, .. }) => {
            missing.into_iter().map(|one| (one.name.to_string(), one.why)).collect()
        }
        other => panic!("{}: {other:?}", peer.name()),
    }
}

/// The names of the members that a peer knows, in a row.
pub(crate) fn members(status: &Status) -> String {
    status.members.iter().map(|member| member.name.as_str()).collect()
}

/// Waits for a status.
pub(crate) async fn until(peer: &Peer, is_wanted: impl FnMut(&Status) -> bool) -> Status {
    let mut watch = peer.watch_status();
    let waited = tokio::time::timeout(LONG, watch.wait_for(is_wanted)).await;
    match waited {
        Ok(status) => status.expect("the peer is running"),
        Err(_) => panic!("still {:#?}", peer.status()),
    }
}

/// The events of a peer, so far.
pub(crate) fn events(peer: &Peer) -> Vec<Event> {
    peer.events_since(0).into_iter().map(|event| event.event).collect()
}
