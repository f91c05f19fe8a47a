//! What stands in the way is told as what it is, and of whom.

mod support;

use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{
    ConfigError, DecideError, Mode, NoPrimaryReason, NotCountedError, NotReadyError, Peer,
    PeerBuilder, PeerKind, PeerRole, StartError, SwitchError,
};
use support::{Counter, LONG, NAMES, Trio, add, builder, until};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(5);

async fn start(builder: PeerBuilder) -> Peer {
    builder.start().await.expect("the settings are valid")
}

/// A peer on nobody's list.
fn stranger(network: &InProcess, name: &str) -> PeerBuilder {
    Peer::builder(name, Counter).transport(network.at(name)).tokio_clock()
}

/// Why a peer is not ready, and what a caller is told at the same time.
async fn not_ready(peer: &Peer) -> NotReadyError {
    let error = peer.wait_ready(SOON).await.expect_err("there is no primary");
    let called = add(peer, "k", 1).await.expect_err("there is no primary");
    assert_eq!(called, DecideError::NoPrimary { reason: error.reason });
    error
}

/// It was told that enough members refuse it, and to look at refusals that were none.
#[tokio::test(start_paused = true)]
async fn whoever_reaches_nobody_is_told_so_and_at_which_addresses() {
    let network = InProcess::network();
    let joiner = start(stranger(&network, "d").listen("d").join(["x", "y"])).await;
    let client = start(stranger(&network, "e").client().join(["x"])).await;
    let listed = start(stranger(&network, "f").client().members([("a", "x")])).await;
    for (peer, whom) in [
        (
            &joiner,
            "no member has been found yet at the addresses given (nobody listens at x: connection \
             refused; nobody listens at y: connection refused)",
        ),
        (
            &client,
            "no member has been found yet at the addresses given (nobody listens at x: connection \
             refused)",
        ),
        (&listed, "a (nobody listens at x: connection refused) is not connected"),
    ] {
        let error = not_ready(peer).await;
        assert_eq!(error.reason, NoPrimaryReason::NotReached);
        let expected = format!(
            "not ready after 5s: no member is reached: see `contacts` and `peers` in its status; \
             {whom}"
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.status.refusals, []);
    }
    // Of a switch it was told after half a minute.
    let asked = tokio::time::Instant::now();
    let error = joiner.switch_primary("d").await.expect_err("there is nobody");
    assert_eq!((error, asked.elapsed()), (SwitchError::NotReached, Duration::ZERO));
    // Where somebody refuses it, that is what it is told.
    let _x = start(stranger(&network, "x").members([("x", "x")]).group("other")).await;
    for peer in [&client, &listed] {
        let error = not_ready(peer).await;
        assert_eq!(error.reason, NoPrimaryReason::Refused);
        let said = error.to_string();
        let names_both = said.contains("default here") && said.contains("other there");
        assert!(said.contains("group") && names_both, "{said}");
    }
}

/// It was told that an election had not ended, for as long as the link was down, and the primary
/// was missing from its status.
#[tokio::test(start_paused = true)]
async fn a_client_that_reaches_all_but_the_primary_is_told_so() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    for name in ["x", "d"] {
        trio.network.cut(name, &primary);
    }
    let client = start(stranger(&trio.network, "x").client().join([&*replica])).await;
    let joiner = start(stranger(&trio.network, "d").listen("d").join([&*replica])).await;
    for peer in [&client, &joiner] {
        let error = not_ready(peer).await;
        assert_eq!(error.reason, NoPrimaryReason::NotConnected);
        let listed = error.status.peers.iter().find(|peer| peer.name.as_str() == primary);
        let why = listed.and_then(|peer| peer.link_error.clone()).expect("it is listed").detail;
        let said = error.to_string();
        let expected = format!("; {primary} ({why}) is not connected");
        assert!(said.ends_with(&expected) && !said.contains("election"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_are_not_reached_are_named() {
    let network = InProcess::network();
    let a = start(builder(&network, "a")).await;
    let error = not_ready(&a).await;
    assert_eq!(error.reason, NoPrimaryReason::NoQuorum);
    let said = error.to_string();
    for name in ["b", "c"] {
        let why = format!("{name} (nobody listens at {name}: connection refused");
        assert!(said.contains(&why), "{said}");
    }
}

/// It was told that no majority is reachable.
#[tokio::test(start_paused = true)]
async fn a_group_in_which_nobody_may_be_promoted_is_told_so() {
    let network = InProcess::network();
    let mut peers = Vec::new();
    for name in NAMES {
        peers.push(start(builder(&network, name).priority(0)).await);
    }
    let client = start(stranger(&network, "x").client().join(["a"])).await;
    for peer in peers.iter().chain([&client]) {
        assert_eq!(not_ready(peer).await.reason, NoPrimaryReason::NoCandidate, "{}", peer.name());
    }
    peers[1].set_priority(1).await;
    for peer in peers.iter().chain([&client]) {
        peer.wait_ready(LONG).await.expect("one may be promoted");
    }
}

/// The same after the only one that may be promoted has gone, with a state to go on from.
#[tokio::test(start_paused = true)]
async fn members_that_are_left_and_may_not_be_promoted_are_told_so() {
    let network = InProcess::network();
    let mut peers = Vec::new();
    for (name, priority) in NAMES.into_iter().zip([1, 0, 0]) {
        peers.push(start(builder(&network, name).priority(priority)).await);
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("a may be promoted");
    }
    drop(peers.remove(0));
    until(&peers[0], |status| status.primary.is_none()).await;
    for peer in &peers {
        assert_eq!(not_ready(peer).await.reason, NoPrimaryReason::NoCandidate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_being_founded_says_whom_it_waits_for() {
    let network = InProcess::network();
    let a = start(builder(&network, "a")).await;
    let b = start(builder(&network, "b")).await;
    for peer in [&a, &b] {
        let error = peer.wait_ready(Duration::from_secs(2)).await.expect_err("c may hold a state");
        assert_eq!(error.reason, NoPrimaryReason::Founding);
        let said = error.to_string();
        assert!(
            said.ends_with("; c (nobody listens at c: connection refused) is not connected"),
            "{said}"
        );
    }
    for peer in [&a, &b] {
        peer.wait_ready(LONG).await.expect("they found it without c");
    }
}

/// In memory a restart forgets everything: with a third one away only one counts.
#[tokio::test(start_paused = true)]
async fn members_that_do_not_count_yet_are_no_majority_and_that_is_told() {
    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let others: Vec<_> = NAMES.into_iter().filter(|name| *name != primary).collect();
    trio.crash(&primary).await;
    trio.crash(others[0]).await;
    let back = trio.start_one(others[0]).await.expect("the settings are valid");
    for peer in [&back, trio.peer(others[1])] {
        let error = not_ready(peer).await;
        assert_eq!(error.reason, NoPrimaryReason::NotCounted, "at {}", peer.name());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_left_or_ended_is_told_so() {
    let mut trio = Trio::start(|builder| builder).await;
    let name = trio.a_replica();
    let left = trio.take(&name);
    left.leave().await.expect("the others go on");
    until(&left, |status| status.role == PeerRole::Removed).await;
    for peer in std::mem::take(&mut trio.peers) {
        peer.shutdown().await;
    }
    assert_eq!(not_ready(&left).await.reason, NoPrimaryReason::Removed);
    let said = left.wait_ready(Duration::ZERO).await.expect_err("it has left").to_string();
    assert!(said.starts_with("not ready: this peer was counted out"), "{said}");
    left.shutdown().await;
    let error = left.wait_ready(SOON).await.expect_err("it has ended");
    assert_eq!(error.reason, NoPrimaryReason::ShutDown);
    let error = left.switch_primary("b").await.expect_err("it has ended");
    assert_eq!(error, SwitchError::ShuttingDown);
}

/// It was told of settings that differ, and in relaxed mode it decided alone, for good.
#[tokio::test(start_paused = true)]
async fn whoever_was_forgotten_and_comes_back_is_told_so_and_decides_nothing() {
    let mut trio = Trio::start(|builder| builder.mode(Mode::Relaxed)).await;
    let name = trio.a_replica();
    trio.crash(&name).await;
    let primary = trio.primary();
    let is_gone = |status: &quorate::Status| {
        let gone = status.peers.iter().find(|peer| peer.name.as_str() == name);
        gone.is_some_and(|peer| peer.link == quorate::Link::Down)
    };
    until(trio.peer(&primary), is_gone).await;
    trio.peer(&primary).forget(name.as_str()).await.expect("it is gone");
    let back = trio.start_one(&name).await.expect("the settings are valid");
    until(&back, |status| status.role == PeerRole::Removed).await;
    sleep(Duration::from_secs(60)).await;
    let error = add(&back, "k", 1).await.expect_err("it has been given up");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::Removed });
    assert_eq!(not_ready(&back).await.reason, NoPrimaryReason::Removed);
    match back.wait_counted(Duration::ZERO).await {
        Err(NotCountedError::NotReady(error)) => {
            assert_eq!(error.reason, NoPrimaryReason::Removed);
        }
        other => panic!("{other:?}"),
    }
}

/// It was told that the primary had not counted it in yet, after 0ns.
#[tokio::test(start_paused = true)]
async fn whoever_has_left_does_not_wait_to_be_counted_in() {
    let mut trio = Trio::start(|builder| builder).await;
    let name = trio.a_replica();
    let left = trio.take(&name);
    left.leave().await.expect("the others go on");
    until(&left, |status| status.role == PeerRole::Removed).await;
    for timeout in [Duration::ZERO, LONG] {
        let error = left.wait_counted(timeout).await.expect_err("it has left").to_string();
        assert!(
            error.starts_with(&format!("{name} does not count: it was counted out")),
            "{error}"
        );
    }
}

/// It was told to ask a peer that was dead.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_to_ask_a_primary_that_has_gone() {
    let mut trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    trio.crash(&primary).await;
    let a_moment = |status: &quorate::Status| {
        let lost = status.peers.iter().find(|peer| peer.name.as_str() == primary);
        lost.is_some_and(|peer| peer.link == quorate::Link::Down)
    };
    until(trio.peer(&replica), a_moment).await;
    trio.peer(&replica).switch_primary(&*replica).await.expect("by whoever is elected meanwhile");
    assert_eq!(trio.primary(), replica);
    let alone = InProcess::network();
    let alone = start(builder(&alone, "a")).await;
    let error = alone.switch_primary("b").await.expect_err("there is none");
    assert_eq!(error.to_string(), "no primary within 30s: try again when there is one");
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_successor_is_told() {
    let network = InProcess::network();
    let only = start(stranger(&network, "x").members([("x", "x")])).await;
    only.wait_ready(LONG).await.expect("a group of one is ready");
    let error = no_successor(&only).await;
    assert_eq!(error, SwitchError::OnlyMember);

    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.take(&trio.primary());
    for peer in &trio.peers {
        peer.set_priority(0).await;
    }
    until(&primary, |status| status.peers.iter().all(|peer| peer.priority == Some(0))).await;
    let names = trio.peers.iter().map(|peer| peer.name().clone()).collect::<Vec<_>>();
    let error = primary.switch_primary(names[0].clone()).await.expect_err("it has priority 0");
    assert_eq!(error, SwitchError::PriorityZero { to: names[0].clone() });
    let error = no_successor(&primary).await;
    let said = format!(
        "no successor: {} and {} are ready, and of priority 0, which is never promoted, or about \
         to stop",
        names[0], names[1]
    );
    assert_eq!(error.to_string(), said);
    assert_eq!(error, SwitchError::NoCandidate { members: names });

    let mut trio = Trio::start(|builder| builder).await;
    let (primary, gone) = (trio.primary(), trio.a_replica());
    trio.crash(&gone).await;
    let is_gone = |status: &quorate::Status| {
        let mut peers = status.peers.iter();
        peers.any(|peer| peer.name.as_str() == gone && peer.link == quorate::Link::Down)
    };
    until(trio.peer(&primary), is_gone).await;
    let error = trio.peer(&primary).switch_primary(&*gone).await.expect_err("it has gone");
    assert_eq!(error, SwitchError::NotConnected { members: vec![(&*gone).into()] });
    let said = format!("no successor: {gone} is not connected, or silent: see `link_error`");
    assert!(error.to_string().starts_with(&said), "{error}");
    let other = trio.a_replica();
    let back = trio.start_one(&gone).await.expect("the settings are valid");
    trio.crash(&other).await;
    until(trio.peer(&primary), |status| {
        let mut peers = status.peers.iter();
        peers.any(|peer| peer.name.as_str() == gone && peer.link == quorate::Link::Up)
    })
    .await;
    let error = trio.peer(&primary).switch_primary(&*gone).await.expect_err("it is blank");
    assert_eq!(error, SwitchError::NotReady { to: Some((&*gone).into()) });
    let said = format!("no successor: {gone} is connected, and not up to date and counted yet");
    assert!(error.to_string().starts_with(&said), "{error}");
    drop(back);

    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.take(&trio.primary());
    let name = trio.peers[0].name().clone();
    trio.peers.clear();
    until(&primary, |status| !status.quorum).await;
    let error = primary.switch_primary(name).await.expect_err("nobody is there");
    assert_eq!(error, SwitchError::LeaseEnded);
}

/// What a shutdown says of a primary that hands over to nobody.
async fn no_successor(primary: &Peer) -> SwitchError {
    match primary.shutdown().await {
        quorate::Shutdown::NotHandedOver { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// It was told that its list names it twice.
#[tokio::test(start_paused = true)]
async fn a_client_with_the_name_of_a_member_is_told_so() {
    let network = InProcess::network();
    let error = builder(&network, "b").client().start().await;
    let Err(StartError::Config(errors)) = error else { panic!("b is a member") };
    let expected = ConfigError::OwnNameListed { name: "b".into(), kind: PeerKind::Client };
    assert_eq!(errors, [expected]);
}
