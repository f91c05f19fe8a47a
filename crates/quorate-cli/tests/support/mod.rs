//! The built binary, and a group on loopback in the process of the test.

#![allow(dead_code, reason = "every test file uses its own part of it")]

pub(crate) mod papers;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use quorate::{Link, Peer, PeerBuilder, Status};
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use serde_json::Value;

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The members.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) printed: String,
    pub(crate) complained: String,
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.printed).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary with an environment that says nothing of a group.
pub(crate) async fn quorate(words: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for name in ["PEERS", "GROUP", "TLS_CA", "TLS_CERT", "TLS_KEY"] {
        command.env_remove(format!("QUORATE_{name}"));
    }
    command.args(words).stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let Output { status, stdout, stderr } =
        ran.expect("it does not panic").expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    let code = status.code().expect("nobody has ended it");
    Outcome { code, printed: text(stdout), complained: text(stderr) }
}

/// Three peers with a limit.
pub(crate) struct Trio {
    pub(crate) addresses: [(&'static str, String); 3],
    pub(crate) limits: Limits,
    peers: Vec<Peer>,
    limiters: Vec<RateLimiter>,
}

impl Trio {
    /// Starts them on ports that were free a moment ago.
    pub(crate) async fn start(setup: impl Fn(&str, PeerBuilder) -> PeerBuilder) -> Self {
        let listeners = NAMES.map(|name| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
            (name, listener.local_addr().expect("it is bound").to_string(), listener)
        });
        let addresses = listeners.map(|(name, address, _)| (name, address));
        let limits = Limits::builder()
            .limit("api", Limit::per_day(1).burst(3))
            .limit("mail", Limit::window(100, Duration::from_secs(3600)))
            .build()
            .expect("usable");
        let mut peers = Vec::new();
        for name in NAMES {
            let builder = Peer::builder(name, limits.model())
                .group("quota")
                .members(addresses.clone())
                .failure_timeout(Duration::from_secs(3))
                .heartbeat(Duration::from_millis(300));
            peers.push(setup(name, builder).start().await.expect("the ports are free"));
        }
        let limiters = peers.iter().map(|peer| RateLimiter::new(peer.clone(), &limits)).collect();
        let trio = Self { addresses, limits, peers, limiters };
        for peer in &trio.peers {
            peer.wait_counted(LONG).await.expect("three peers form a group");
        }
        let primary = trio.primary();
        // Exit codes are of what the primary sees.
        until(trio.peer(&primary), |status| {
            let is_well = |peer: &quorate::PeerStatus| peer.link == Link::Up && peer.is_current;
            status.quorum && status.peers.iter().all(is_well)
        })
        .await;
        trio
    }

    pub(crate) fn address(&self, name: &str) -> &str {
        let found = self.addresses.iter().find(|(member, _)| *member == name);
        &found.expect("a member").1
    }

    pub(crate) fn peer(&self, name: &str) -> &Peer {
        self.peers.iter().find(|peer| peer.name().as_str() == name).expect("it runs")
    }

    pub(crate) fn limiter(&self, name: &str) -> &RateLimiter {
        let found = self.limiters.iter().find(|limiter| limiter.peer().name().as_str() == name);
        found.expect("it runs")
    }

    pub(crate) fn primary(&self) -> String {
        self.peers[0].status().primary.expect("there is one").to_string()
    }

    /// Those that are not primary, in the order of their names.
    pub(crate) fn replicas(&self) -> [String; 2] {
        let primary = self.primary();
        let mut replicas = NAMES.iter().filter(|name| **name != primary);
        [(); 2].map(|()| (*replicas.next().expect("there are two")).to_owned())
    }

    /// Ends a peer, and waits until the primary has noticed.
    pub(crate) async fn stop(&mut self, name: &str) {
        let gone = self.peers.iter().position(|peer| peer.name().as_str() == name);
        let gone = self.peers.remove(gone.expect("it runs"));
        self.limiters.retain(|limiter| limiter.peer().name().as_str() != name);
        gone.shutdown().await;
        for peer in &self.peers {
            until(peer, |status| {
                status
                    .peers
                    .iter()
                    .all(|peer| peer.name.as_str() != name || peer.link == Link::Down)
            })
            .await;
        }
    }
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
