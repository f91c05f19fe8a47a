//! Places for members where clients take all that there are (docs/operations.md, section 9).

#![cfg(feature = "driver")]

mod support;

use std::time::Duration;

use quorate::{Acknowledge, Bounds, Peer, PeerBuilder, RefusedBy};
use support::{Counter, LONG, NAMES, add, count, free_addresses, until};

/// A peer of three on loopback; a dozen clients would take all of its connections.
fn builder(name: &str, members: &[(&'static str, String)]) -> PeerBuilder {
    Peer::builder(name, Counter)
        .members(members.to_vec())
        .acknowledge(Acknowledge::Majority)
        .heartbeat(Duration::from_millis(50))
        .failure_timeout(Duration::from_secs(2))
        .bounds(Bounds { max_connections: 32, ..Bounds::default() })
}

/// Clients on the members' own host had taken every connection, those of a member that was being
/// restarted as well, and it never came back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_restarts_gets_in_whatever_clients_take() {
    let members = free_addresses();
    let mut peers = Vec::new();
    for name in NAMES {
        peers.push(builder(name, &members).start().await.expect("the ports are free"));
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("three peers form a group");
    }
    let replica = peers.iter().position(|peer| peer.status().role == quorate::PeerRole::Replica);
    let gone = peers.remove(replica.expect("one is primary")).name().to_string();
    let mut clients = Vec::new();
    for number in 0..16 {
        let client = builder(&format!("client-{number}"), &members).client();
        clients.push(client.start().await.expect("it listens nowhere"));
    }
    // Clients take what there is, and some find no place, time and again.
    for peer in &peers {
        let before = peer.stats().turned_away;
        until(peer, |_| peer.stats().turned_away >= before + 20).await;
    }
    let back = builder(&gone, &members).start().await.expect("its port is free");
    let status = back.wait_ready(LONG).await.expect("a place is kept for it");
    assert!(status.primary.is_some());
    for peer in &peers {
        let is_back = |status: &quorate::Status| {
            status.peers.iter().any(|peer| peer.name.as_str() == gone && peer.is_member)
        };
        until(peer, is_back).await;
        let connections = peer.status().connections;
        assert_eq!(connections.max_guests, 20);
        assert!(connections.guests <= 20, "{connections:?}");
    }
    add(&back, "k", 7).await.expect("there is a primary");
    assert_eq!(count(&peers[0], "k").await, 7);
    // Whoever found no place is told so, and finds one when others go.
    let refused = |client: &Peer| {
        let refusals = client.status().refusals;
        refusals.into_iter().find(|refusal| refusal.field == "max_connections")
    };
    let left_out =
        clients.iter().find_map(|client| Some((client.name().clone(), refused(client)?)));
    let (name, refusal) = left_out.expect("not all have a place");
    assert_eq!((refusal.by, &refusal.ours[..]), (RefusedBy::Them, "no member"));
    assert!(refusal.theirs.starts_with("20 of clients"), "{}", refusal.theirs);
    clients.retain(|client| *client.name() == name);
    clients[0].wait_ready(LONG).await.expect("there is a place now");
    until(&clients[0], |_| refused(&clients[0]).is_none()).await;
    assert_eq!(count(&clients[0], "k").await, 7);
}
