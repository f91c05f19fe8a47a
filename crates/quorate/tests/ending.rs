//! How peers end, and what is left of one whose end was given up.

mod support;

use std::time::Duration;

use quorate::{Acknowledge, Event, Link, Shutdown, Status, SwitchError};
use support::{LONG, NAMES, Trio, add, until};

const SECOND: Duration = Duration::from_secs(1);

fn priority_of(name: &str, priority: u8) -> impl Fn(&Status) -> bool {
    move |status| {
        let mut peers = status.peers.iter();
        peers.any(|peer| peer.name.as_str() == name && peer.priority == Some(priority))
    }
}

fn others(of: &str) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| *name != of).collect()
}

/// It kept priority 0 for good, where there was no room for the command that took that back.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_given_up_leaves_the_peer_as_it_was() {
    let trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let primary = trio.primary();
    let [one, other] = others(&primary)[..] else { panic!("there are two others") };
    // Nobody is there to take over: it goes on trying.
    trio.network.cut(&primary, one);
    until(trio.peer(&primary), |status| status.peers.iter().any(|p| p.link == Link::Down)).await;
    for name in others(&primary) {
        trio.peer(name).set_priority(0).await;
    }
    until(trio.peer(&primary), priority_of(other, 0)).await;
    let mut ending = Box::pin(trio.peer(&primary).shutdown());
    tokio::select! {
        biased;
        end = &mut ending => panic!("it has ended: {end:?}"),
        _ = until(trio.peer(other), priority_of(&primary, 0)) => {}
    }
    drop(ending);
    until(trio.peer(other), priority_of(&primary, 100)).await;
    add(trio.peer(&primary), "k", 1).await.expect("it decides as before");
}

/// It was made primary again, and told its own callers that it was shutting down.
#[tokio::test(start_paused = true)]
async fn a_peer_whose_calls_have_ended_is_not_promoted_and_ends_when_it_is_asked_again() {
    let mut trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let primary = trio.primary();
    let [one, other] = others(&primary)[..] else { panic!("there are two others") };
    // A call that gets no answer keeps it from ending at once.
    trio.network.cut_one_way(&primary, one);
    let caller = trio.peer(one).clone();
    let call = tokio::spawn(async move { add(&caller, "k", 1).await });
    tokio::task::yield_now().await;
    let ending = tokio::time::timeout(SECOND / 2, trio.peer(one).shutdown()).await;
    ending.expect_err("a call is under way");
    trio.network.heal(&primary, one);
    until(trio.peer(other), priority_of(one, 0)).await;
    let error = trio.peer(other).switch_primary(one).await.expect_err("it is about to end");
    assert!(matches!(error, SwitchError::PriorityZero { .. }), "{error}");
    let ended = trio.take(one);
    assert_eq!(ended.shutdown().await, Shutdown::WasReplica);
    drop(call);
    let back = trio.start_one(one).await.expect("its address is free");
    back.wait_ready(LONG).await.expect("and so is its name");
}

/// It said that it was a replica.
#[tokio::test(start_paused = true)]
async fn a_primary_whose_successor_ends_as_well_says_that_nobody_took_over() {
    let trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let all = |status: &Status| status.peers.iter().all(|peer| peer.lag == Some(0));
    until(trio.peer(&primary), all).await;
    let ends = trio.peers.iter().map(|peer| {
        let peer = peer.clone();
        tokio::spawn(async move { (peer.name().to_string(), peer.shutdown().await) })
    });
    for end in ends.collect::<Vec<_>>() {
        let (name, end) = end.await.expect("no panic");
        let is_told = match end {
            Shutdown::NotHandedOver { .. } | Shutdown::HandedOver { .. } => name == primary,
            _ => name != primary,
        };
        assert!(is_told, "{name}, where {primary} was primary: {end:?}");
    }
}

/// Two tasks end one peer: the second waits until it has ended.
#[tokio::test(start_paused = true)]
async fn a_second_shutdown_waits_for_the_first() {
    let mut trio = Trio::start(|builder| builder).await;
    let name = trio.a_replica();
    let peer = trio.take(&name);
    let (first, second) = tokio::join!(peer.shutdown(), peer.shutdown());
    assert_eq!((first, second), (Shutdown::WasReplica, Shutdown::WasReplica));
    let back = trio.start_one(&name).await.expect("its address is free when both have returned");
    back.wait_ready(LONG).await.expect("and its name");
}

/// A primary, and the two others, which hold what it does: it hands over to the first of them.
async fn with_successors(trio: &Trio) -> (String, &'static str, &'static str) {
    let primary = trio.primary();
    let all = |status: &Status| status.peers.iter().all(|peer| peer.lag == Some(0));
    until(trio.peer(&primary), all).await;
    let [one, other] = others(&primary)[..] else { panic!("there are two others") };
    (primary, one, other)
}

/// The successor that was chosen stops as well: there is another one.
#[tokio::test(start_paused = true)]
async fn a_shutdown_whose_hand_over_is_aborted_hands_over_to_another() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, one, other) = with_successors(&trio).await;
    trio.network.cut_one_way(&primary, one);
    add(trio.peer(&primary), "k", 1).await.expect("it is primary");
    let ending = trio.peer(&primary).clone();
    let ending = tokio::spawn(async move { ending.shutdown().await });
    // It waits for the one that takes nothing.
    tokio::time::sleep(SECOND / 2).await;
    assert!(!ending.is_finished());
    trio.peer(one).shutdown().await;
    let end = ending.await.expect("no panic");
    assert_eq!(end, Shutdown::HandedOver { to: other.into() });
    let told = |event: &Event| *event == Event::SwitchAborted { to: one.into() };
    assert!(trio.peer(&primary).events_since(0).iter().any(|numbered| told(&numbered.event)));
}

/// A switch that somebody has asked for is under way, and comes to nothing.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_switch_that_is_under_way() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, one, other) = with_successors(&trio).await;
    trio.network.cut_one_way(&primary, other);
    add(trio.peer(&primary), "k", 1).await.expect("it is primary");
    let asked = trio.peer(&primary).clone();
    let switching = tokio::spawn(async move { asked.switch_primary(other).await });
    tokio::time::sleep(SECOND / 10).await;
    let started = tokio::time::Instant::now();
    let end = trio.peer(&primary).shutdown().await;
    assert_eq!(end, Shutdown::HandedOver { to: one.into() });
    // A quarter of the failure timeout, less what had passed of it.
    assert!(started.elapsed() >= SECOND * 2, "{:?}", started.elapsed());
    let aborted = SwitchError::Aborted { to: other.into() };
    assert_eq!(switching.await.expect("no panic"), Err(aborted));
}

/// One that succeeds has handed over, whoever had asked for it.
#[tokio::test(start_paused = true)]
async fn a_shutdown_during_a_switch_that_succeeds_says_who_took_over() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, _, other) = with_successors(&trio).await;
    trio.network.cut_one_way(&primary, other);
    add(trio.peer(&primary), "k", 1).await.expect("it is primary");
    let asked = trio.peer(&primary).clone();
    let switching = tokio::spawn(async move { asked.switch_primary(other).await });
    tokio::time::sleep(SECOND / 10).await;
    let ending = trio.peer(&primary).clone();
    let ending = tokio::spawn(async move { ending.shutdown().await });
    tokio::time::sleep(SECOND / 10).await;
    trio.network.heal(&primary, other);
    assert_eq!(switching.await.expect("no panic"), Ok(()));
    assert_eq!(ending.await.expect("no panic"), Shutdown::HandedOver { to: other.into() });
}
