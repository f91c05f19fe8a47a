//! A peer is ready for a rollout to go on when it counts, and says whom it would hurt to stop it.

mod support;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use quorate::{
    Absence, Acknowledge, Missing, NoPrimaryReason, NotCountedError, NotSafeToStop, Peer, PeerKind,
    PeerName, PeerRole, Status,
};
use support::{LONG, NAMES, Trio, add, missing, until};

fn names<const N: usize>(names: [&str; N]) -> Vec<PeerName> {
    names.map(PeerName::from).to_vec()
}

fn reasons(missing: &[Missing]) -> Vec<(&str, Absence)> {
    missing.iter().map(|one| (one.name.as_str(), one.why)).collect()
}

/// Whether all others are members that keep up, and hear each other.
fn all_current(status: &Status) -> bool {
    let is_well = |peer: &quorate::PeerStatus| peer.is_member && peer.is_current;
    status.peers.iter().all(|peer| is_well(peer) && peer.reaches.len() == 2)
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
        until(peer, all_current).await;
        assert_eq!(peer.safe_to_stop(), Ok(()), "{}", peer.name());
    }
    add(trio.peer(&primary), "k", 7).await.expect("decided");
    trio.crash(one).await;
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|peer| peer.link == quorate::Link::Down)
    })
    .await;
    let missing = match trio.peer(&primary).safe_to_stop() {
        Err(NotSafeToStop::NoMajority { missing, .. }) => missing,
        other => panic!("{other:?}"),
    };
    assert_eq!(reasons(&missing), [(one, Absence::NotConnected)]);
    let unsafe_now = NotSafeToStop::NoMajority {
        peer: primary.as_str().into(),
        size: 3,
        needed: 2,
        left: names([other]),
        missing,
    };
    assert_eq!(trio.peer(&primary).safe_to_stop(), Err(unsafe_now.clone()));
    assert_eq!(
        unsafe_now.to_string(),
        format!(
            "without {primary} only 1 of 3 members would be left, and 2 are needed: {one} is not \
             connected"
        )
    );
    // The other one is out of reach: nobody can count the restarted one in.
    let others = [primary.as_str(), one];
    others.iter().for_each(|name| trio.network.cut(name, other));
    let back = trio.start_one(one).await.expect("its address is free");
    until(&back, |status| status.primary.is_some()).await;
    let error = back.wait_counted(Duration::from_secs(1)).await.expect_err("it does not count");
    match &error {
        NotCountedError::NotCounted { missing, .. } => {
            assert_eq!(reasons(missing), [(other, Absence::NotConnected)]);
        }
        NotCountedError::NotReady(error) => panic!("it has a primary: {error}"),
        _ => panic!("{error}"),
    }
    assert_eq!(
        error.to_string(),
        format!(
            "{one} does not count as a member after 1s: a majority of the members has to count it \
             in, and {other} is not connected"
        )
    );
    assert!(!back.status().is_counted);
    others.iter().for_each(|name| trio.network.heal(name, other));
    let status = back.wait_counted(LONG).await.expect("all three are there");
    assert!(status.is_counted);
    let is_member = |status: &Status| {
        status.peers.iter().any(|peer| peer.name.as_str() == one && peer.is_member)
    };
    until(trio.peer(&primary), is_member).await;
    until(trio.peer(&primary), all_current).await;
    assert_eq!(trio.peer(&primary).safe_to_stop(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_alone_or_can_hand_over_to_nobody_says_so() {
    let trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    for peer in trio.peers.iter().filter(|peer| peer.name().as_str() != primary) {
        peer.set_priority(0).await;
    }
    let is_known = |status: &Status| {
        all_current(status) && status.peers.iter().all(|peer| peer.priority == Some(0))
    };
    until(trio.peer(&primary), is_known).await;
    let peer = PeerName::from(primary.as_str());
    assert_eq!(trio.peer(&primary).safe_to_stop(), Err(NotSafeToStop::NoSuccessor { peer }));

    let network = quorate::transport::InProcess::network();
    let alone = Peer::builder("x", support::Counter)
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

/// The hub of a star said that it may be stopped, handed over to one arm, and neither could decide.
#[tokio::test(start_paused = true)]
async fn whoever_connects_the_others_is_not_safe_to_stop() {
    let trio = Trio::start(|builder| builder).await;
    let hub = trio.primary();
    let arms: Vec<&str> = NAMES.into_iter().filter(|name| *name != hub).collect();
    until(trio.peer(&hub), all_current).await;
    assert_eq!(trio.peer(&hub).safe_to_stop(), Ok(()));
    trio.network.cut(arms[0], arms[1]);
    until(trio.peer(&hub), |status| status.peers.iter().all(|peer| peer.reaches.len() == 1)).await;
    let missing = missing(trio.peer(&hub));
    let [(name, Absence::Apart)] = &missing[..] else { panic!("{missing:?}") };
    assert!(arms.contains(&name.as_str()));
    let is_down =
        |status: &Status| status.peers.iter().any(|peer| peer.link == quorate::Link::Down);
    until(trio.peer(arms[0]), is_down).await;
    // An arm sees the hub only, and cannot tell that the other arm is there.
    assert_eq!(self::missing(trio.peer(arms[0])), [(arms[1].to_owned(), Absence::NotConnected)]);
}

/// Two were asked to stop a moment apart, and both were told that nobody is hurt.
#[tokio::test(start_paused = true)]
async fn whoever_is_stopping_is_not_counted_among_those_that_are_left() {
    let trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let [one, other] = NAMES.into_iter().filter(|name| *name != primary).collect::<Vec<_>>()[..]
    else {
        panic!("there are two others")
    };
    until(trio.peer(other), all_current).await;
    assert_eq!(trio.peer(other).safe_to_stop(), Ok(()));
    let stopping = trio.peer(one).clone();
    let mut call = Box::pin(add(&stopping, "k", 1));
    let is_under_way = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending()));
    assert!(is_under_way.await, "its shutdown waits for that");
    let mut shutdown = Box::pin(stopping.shutdown());
    // It begins, and goes no further as long as nobody polls it.
    let has_begun = poll_fn(|context| Poll::Ready(shutdown.as_mut().poll(context).is_pending()));
    assert!(has_begun.await);
    until(trio.peer(other), |status| status.peers.iter().any(|peer| peer.is_stopping)).await;
    assert_eq!(missing(trio.peer(other)), [(one.to_owned(), Absence::Stopping)]);
    let refused = trio.peer(&primary).switch_primary(one).await.expect_err("it is about to end");
    assert_eq!(
        refused.to_string(),
        format!(
            "{one} is not promoted, for it has priority 0 or is about to stop: choose another one, \
             or give it a priority"
        )
    );
    shutdown.await;
}

/// Another task shut the peer down while one waited, which was told that it counts.
#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_uncounted_does_not_count() {
    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let [one, other] = NAMES.into_iter().filter(|name| *name != primary).collect::<Vec<_>>()[..]
    else {
        panic!("there are two others")
    };
    trio.crash(one).await;
    [primary.as_str(), one].iter().for_each(|name| trio.network.cut(name, other));
    let back = trio.start_one(one).await.expect("its address is free");
    until(&back, |status| status.primary.is_some()).await;
    let waiting = tokio::spawn({
        let back = back.clone();
        async move { back.wait_counted(LONG).await }
    });
    tokio::task::yield_now().await;
    back.shutdown().await;
    match waiting.await.expect("it does not panic") {
        Err(NotCountedError::NotReady(error)) => {
            assert_eq!(error.reason, NoPrimaryReason::ShutDown);
        }
        other => panic!("{other:?}"),
    }
}

/// Whoever stops one after the other would have stopped the second while the first was away.
#[tokio::test(start_paused = true)]
async fn a_peer_is_settled_when_the_group_can_do_without_one_more() {
    let mut trio = Trio::start(|builder| builder).await;
    for peer in &trio.peers {
        peer.wait_settled(LONG).await.expect("all three are there");
        assert!(peer.is_settled(Duration::MAX), "{}", peer.name());
    }
    let primary = trio.primary();
    let [one, other] = NAMES.into_iter().filter(|name| *name != primary).collect::<Vec<_>>()[..]
    else {
        panic!("there are two others")
    };
    // Both go, and one comes back: with the third it is a majority, and no more than that.
    trio.crash(one).await;
    let third = trio.take(other);
    let back = trio.start_one(one).await.expect("its address is free");
    assert!(!back.is_settled(Duration::ZERO), "it does not count yet");
    back.wait_counted(LONG).await.expect("there are three names, and two others");
    until(&back, |status| status.spare == 1).await;
    assert!(back.is_settled(Duration::MAX));
    drop(third);
    until(&back, |status| status.spare == 0).await;
    for peer in [&back, trio.peer(&primary)] {
        assert!(peer.is_settled(Duration::MAX), "{} was settled before", peer.name());
    }
    // One that has never been settled is, when nobody has come for so long.
    trio.crash(&primary).await;
    drop(back);
    tokio::task::yield_now().await;
    let network = &trio.network;
    let (first, second) = tokio::join!(trio.start_one(&primary), trio.start_one(one));
    let alone = [first.expect("it is free"), second.expect("it is free")];
    alone[0].wait_counted(LONG * 2).await.expect("they found the group anew");
    let begun = alone[0].time();
    let patience = Duration::from_secs(30);
    assert!(!alone[0].is_settled(Duration::MAX));
    let status = alone[0].wait_settled(patience).await.expect("it counts itself");
    assert_eq!((alone[0].time().since(begun), status.spare), (patience, 0));
    assert!(alone[0].is_settled(patience), "it has run for so long");
    assert!(!alone[0].is_settled(Duration::MAX), "and would be settled only by another");
    network.cut(&primary, one);
    until(&alone[0], |status| status.primary.is_none()).await;
    assert!(!alone[0].is_settled(Duration::ZERO));
    let error = alone[0].wait_settled(patience).await.expect_err("nothing is decided here");
    assert!(matches!(error, NotCountedError::NotReady(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_relaxed_peer_that_was_settled_stays_so_alone() {
    let mut trio = Trio::start(|builder| builder.mode(quorate::Mode::Relaxed)).await;
    trio.peer("a").wait_settled(LONG).await.expect("all three are there");
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    until(trio.peer("a"), |status| status.primary.is_none()).await;
    assert!(trio.peer("a").is_settled(Duration::MAX), "it goes on");
    let late = trio.start_one("b").await.expect("its address is free");
    trio.crash("a").await;
    tokio::time::sleep(LONG).await;
    assert!(!late.is_settled(Duration::ZERO), "it has never counted");
    late.shutdown().await;
    assert!(!late.is_settled(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_only_member_is_settled_when_it_counts() {
    let network = quorate::transport::InProcess::network();
    let alone = Peer::builder("x", support::Counter)
        .members([("x", "x")])
        .transport(network.at("x"))
        .tokio_clock();
    let alone = alone.start().await.expect("the settings are valid");
    let status = alone.wait_settled(LONG).await.expect("it counts as the only one");
    assert_eq!(status.spare, 0);
    assert!(alone.is_settled(Duration::MAX));
}
