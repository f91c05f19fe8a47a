//! A peer is ready for a rollout to go on when it counts, and says whom it would hurt to stop it.

mod support;

use std::time::Duration;

use quorate::{Acknowledge, NotCountedError, NotSafeToStop, PeerKind, PeerName, PeerRole};
use support::{LONG, NAMES, Trio, add, until};

fn names<const N: usize>(names: [&str; N]) -> Vec<PeerName> {
    names.map(PeerName::from).to_vec()
}

/// The story: a restarted peer in memory was ready as soon as it could forward, before it counted.
/// The next one was stopped at that moment, and nothing was decided for 27 s.
#[tokio::test(start_paused = true)]
async fn a_restarted_peer_is_counted_before_the_next_one_is_stopped() {
    let mut trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let primary = trio.primary();
    let [one, other] = NAMES.into_iter().filter(|name| *name != primary).collect::<Vec<_>>()[..]
    else {
        panic!("there are two others")
    };
    for peer in &trio.peers {
        peer.wait_counted(LONG).await.expect("all have met");
        let all = |status: &quorate::Status| status.peers.iter().all(|peer| peer.is_member);
        until(peer, all).await;
        assert_eq!(peer.safe_to_stop(), Ok(()), "{}", peer.name());
    }
    add(trio.peer(&primary), "k", 7).await.expect("decided");
    trio.crash(one).await;
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|peer| peer.link == quorate::Link::Down)
    })
    .await;
    let unsafe_now = NotSafeToStop::NoMajority {
        peer: primary.as_str().into(),
        size: 3,
        needed: 2,
        left: names([other]),
        missing: names([one]),
    };
    assert_eq!(trio.peer(&primary).safe_to_stop(), Err(unsafe_now.clone()));
    assert_eq!(
        unsafe_now.to_string(),
        format!(
            "without {primary} only 1 of 3 members would be left, and 2 are needed: {one} is not \
             connected, or does not count yet"
        )
    );
    // The other one is out of reach: nobody can count the restarted one in.
    let others = [primary.as_str(), one];
    others.iter().for_each(|name| trio.network.cut(name, other));
    let back = trio.start_one(one).await.expect("its address is free");
    until(&back, |status| status.primary.is_some()).await;
    let error = back.wait_counted(Duration::from_secs(1)).await.expect_err("it does not count");
    match &error {
        NotCountedError::NotCounted { missing, .. } => assert_eq!(*missing, names([other])),
        NotCountedError::NotReady(error) => panic!("it has a primary: {error}"),
        _ => panic!("{error}"),
    }
    assert_eq!(
        error.to_string(),
        format!(
            "{one} does not count as a member after 1s: a majority of the members has to count it \
             in, and {other} is not connected, or does not count yet"
        )
    );
    assert!(!back.status().is_counted);
    others.iter().for_each(|name| trio.network.heal(name, other));
    let status = back.wait_counted(LONG).await.expect("all three are there");
    assert!(status.is_counted);
    let is_member = |status: &quorate::Status| {
        status.peers.iter().any(|peer| peer.name.as_str() == one && peer.is_member)
    };
    until(trio.peer(&primary), is_member).await;
    assert_eq!(trio.peer(&primary).safe_to_stop(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_alone_or_can_hand_over_to_nobody_says_so() {
    let trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    for peer in trio.peers.iter().filter(|peer| peer.name().as_str() != primary) {
        peer.set_priority(0).await;
    }
    let is_known = |status: &quorate::Status| {
        status.peers.iter().all(|peer| peer.priority == Some(0) && peer.is_member)
    };
    until(trio.peer(&primary), is_known).await;
    let peer = PeerName::from(primary.as_str());
    assert_eq!(trio.peer(&primary).safe_to_stop(), Err(NotSafeToStop::NoSuccessor { peer }));

    let network = quorate::transport::InProcess::network();
    let alone = quorate::Peer::builder("x", support::Counter)
        .members([("x", "x")])
        .transport(network.at("x"))
        .tokio_clock();
    let alone = alone.start().await.expect("the settings are valid");
    alone.wait_counted(LONG).await.expect("it counts as the only one");
    let peer = PeerName::from("x");
    assert_eq!(alone.safe_to_stop(), Err(NotSafeToStop::OnlyMember { peer }));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_counted_nowhere_and_hurts_nobody() {
    let trio = Trio::start(|builder| builder).await;
    let client = support::builder(&trio.network, "x").client().start().await;
    let client = client.expect("the settings are valid");
    let status = client.wait_counted(LONG).await.expect("it is ready when it is connected");
    assert_eq!((status.role, status.is_counted), (PeerRole::Client, false));
    assert!(status.peers.iter().all(|peer| peer.kind != Some(PeerKind::Client)));
    assert_eq!(client.safe_to_stop(), Ok(()));
}
