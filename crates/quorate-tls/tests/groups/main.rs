//! Groups of peers over TLS: changed to it and back, and renewed, under load.

mod admin;
mod admission;
mod forced;
#[path = "../../../quorate/tests/support/mod.rs"]
mod peers;
mod renewals;
mod sites;
mod stages;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use peers::{Counter, LONG, NAMES, add, count, events, until};
use quorate::transport::{InProcess, Tcp, Transport};
use quorate::{
    Event, Link, Peer, PeerBuilder, Protection, Refusal, RefusedBy, Shutdown, StartError, Tls,
};
use quorate_tls::{CredentialsError, TlsTransport};
use support::{Authority, Folder, Issued, config, shared};

fn builder(tls: &TlsTransport, name: &str) -> PeerBuilder {
    Peer::builder(name, Counter)
        .members(NAMES.map(|name| (name, name)))
        .transport(shared(tls))
        .tokio_clock()
}

/// Three peers with one CA, each with its transport.
struct Trio {
    network: InProcess,
    ca: Authority,
    tls: Vec<TlsTransport>,
    peers: Vec<Peer>,
}

impl Trio {
    async fn start(stage: Tls) -> Self {
        let (network, ca) = (InProcess::network(), Authority::new("group"));
        let mut trio = Self { network, ca, tls: Vec::new(), peers: Vec::new() };
        for name in NAMES {
            let (tls, peer) = trio.start_one(name, stage).await;
            trio.tls.push(tls);
            trio.peers.push(peer);
        }
        trio.until_whole().await;
        trio
    }

    async fn start_one(&self, name: &str, stage: Tls) -> (TlsTransport, Peer) {
        let tls = support::at(&self.network, &self.ca, name, stage);
        let peer = builder(&tls, name).start().await.expect("the settings are valid");
        (tls, peer)
    }

    /// Ends a peer as an operator does, and starts it with another stage.
    async fn restart(&mut self, index: usize, stage: Tls) {
        let end = self.peers[index].shutdown().await;
        assert!(!matches!(end, Shutdown::NotHandedOver { .. }), "{end:?}");
        (self.tls[index], self.peers[index]) = self.start_one(NAMES[index], stage).await;
        self.until_whole().await;
    }

    async fn until_whole(&self) {
        for peer in &self.peers {
            peer.wait_ready(LONG).await.expect("three peers form a group");
            until(peer, |status| {
                let is_up = |peer: &quorate::PeerStatus| peer.link == Link::Up && peer.is_member;
                status.peers.iter().filter(|peer| is_up(peer)).count() == 2
            })
            .await;
        }
    }

    /// What protects each peer's links to the others.
    fn protections(&self) -> Vec<[Option<Protection>; 2]> {
        let of = |peer: &Peer| {
            let status = peer.status();
            [status.peers[0].protection, status.peers[1].protection]
        };
        self.peers.iter().map(of).collect()
    }
}

/// Calls peers one after the other until it is told to stop; every one is to be answered.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    fn spawn(self: &Arc<Self>, peer: &Peer) -> tokio::task::JoinHandle<()> {
        let (load, peer) = (self.clone(), peer.clone());
        tokio::spawn(async move {
            while !load.is_over.load(Ordering::Relaxed) {
                match add(&peer, "k", 1).await {
                    Ok(_) => load.acknowledged.fetch_add(1, Ordering::Relaxed),
                    Err(quorate::DecideError::ShuttingDown) => return,
                    Err(error) => {
                        eprintln!("{}: {error}", peer.name());
                        load.failed.fetch_add(1, Ordering::Relaxed)
                    }
                };
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}
