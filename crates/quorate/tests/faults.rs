//! Links that swallow bytes: every call ends, with the outcome that is known.

mod support;

use std::time::Duration;

use quorate::{
    Acknowledge, Bounded, DecideError, Item, Link, LinkErrorReason, NoPrimaryReason, Status,
};
use support::{LONG, NAMES, Trio, add, count, until};
use tokio::time::Instant;

fn cut_off(trio: &Trio, name: &str) {
    for other in NAMES.into_iter().filter(|other| *other != name) {
        trio.network.cut(name, other);
    }
}

fn heal(trio: &Trio, name: &str) {
    for other in NAMES.into_iter().filter(|other| *other != name) {
        trio.network.heal(name, other);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_into_a_black_hole_ends_at_its_deadline() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    trio.network.cut(&primary, &replica);
    let started = Instant::now();
    let timeout = Duration::from_secs(3);
    let items = [Item { key: b"k", args: [1, 0] }];
    let error = trio.peer(&replica).decide_within(&items, timeout).await;
    let error = error.expect_err("the primary does not answer");
    assert!(matches!(error, DecideError::OutcomeUnknown { .. }), "{error}");
    let waited = started.elapsed();
    assert!(waited >= timeout && waited < timeout + Duration::from_millis(50), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_into_a_black_hole_end_when_another_primary_is_known() {
    let trio = Trio::start(|builder| builder.io_timeout(Duration::from_secs(600))).await;
    let (old, replica) = (trio.primary(), trio.a_replica());
    cut_off(&trio, &old);
    let started = Instant::now();
    let error = add(trio.peer(&replica), "k", 1).await.expect_err("nobody answers");
    assert!(matches!(error, DecideError::OutcomeUnknown { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    trio.peer(&replica).wait_ready(LONG).await.expect("the two others elect one of them");
    count(trio.peer(&replica), "k").await;
    // The cut-off primary refuses at once, for its lease has ended.
    let started = Instant::now();
    let error = add(trio.peer(&old), "k", 1).await.expect_err("it reaches no majority");
    assert!(matches!(error, DecideError::NoPrimary { .. }), "{error}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_primary_comes_back_as_a_replica_with_the_counts_of_the_others() {
    let trio = Trio::start(|builder| builder).await;
    let (old, replica) = (trio.primary(), trio.a_replica());
    add(trio.peer(&old), "k", 1).await.expect("there is a primary");
    // Replicated before the cut, not after.
    until(trio.peer(&replica), |status| status.cells == 1).await;
    cut_off(&trio, &old);
    let lost = add(trio.peer(&old), "k", 10).await.expect("its lease still runs");
    assert_eq!(lost.answer.words[0], 11);
    until(trio.peer(&replica), |s| s.primary.as_ref().is_some_and(|p| p.as_str() != old)).await;
    trio.peer(&replica).wait_ready(LONG).await.expect("the two others elect one of them");
    assert_eq!(add(trio.peer(&replica), "k", 2).await.expect("decided").answer.words[0], 3);
    heal(&trio, &old);
    until(trio.peer(&old), |status| status.role == quorate::PeerRole::Replica).await;
    trio.peer(&old).wait_ready(LONG).await.expect("it follows the new primary");
    assert_eq!(count(trio.peer(&old), "k").await, 3);
    let told = support::events(trio.peer(&old));
    let told = told
        .iter()
        .any(|event| matches!(event, quorate::Event::ChangesLost { units: 10, exact: true }));
    assert!(told, "what it gave up is told exactly: {:#?}", support::events(trio.peer(&old)));
    assert_eq!(trio.peer(&old).stats().units_lost, 10);
    let bound = trio.peers.iter().map(|peer| peer.stats().units_lost_at_most).max();
    assert!(bound >= Some(10), "and whoever took over told a bound: {bound:?}");
}

#[tokio::test(start_paused = true)]
async fn under_majority_a_change_that_no_majority_can_hold_is_unknown_at_the_deadline() {
    let trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let primary = trio.primary();
    cut_off(&trio, &primary);
    let started = Instant::now();
    let items = [Item { key: b"k", args: [1, 0] }];
    let timeout = Duration::from_secs(2);
    let error = trio.peer(&primary).decide_within(&items, timeout).await;
    let error = error.expect_err("no majority holds it");
    assert!(matches!(error, DecideError::OutcomeUnknown { .. }), "{error}");
    assert!(started.elapsed() < timeout + Duration::from_millis(50));
    // A denial changes nothing and rests on what is there: it is answered at once.
    let denied = [Item { key: b"k", args: [9, 5] }];
    let denial = trio.peer(&primary).decide_within(&denied, timeout).await;
    assert_eq!(denial.expect("its lease still runs").answer.code, 0);
}

#[tokio::test(start_paused = true)]
async fn the_cap_on_unreplicated_units_makes_answers_wait() {
    let trio = Trio::start(|builder| builder.max_unreplicated(5)).await;
    let primary = trio.peer(&trio.primary()).clone();
    cut_off(&trio, primary.name().as_str());
    for _ in 0..5 {
        add(&primary, "k", 1).await.expect("within the cap");
    }
    assert_eq!(primary.status().unreplicated_units, 5);
    let items = [Item { key: b"k", args: [1, 0] }];
    let error = primary.decide_within(&items, Duration::from_secs(1)).await;
    assert!(matches!(error, Err(DecideError::OutcomeUnknown { .. })), "{error:?}");
    heal(&trio, primary.name().as_str());
    until(&primary, |status| status.unreplicated_units == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_down_refuses_at_once() {
    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let replica = trio.peer(&trio.a_replica()).clone();
    trio.crash(&primary).await;
    until(&replica, |s| s.peers.iter().any(|p| p.link == Link::Down)).await;
    let error = add(&replica, "k", 1).await.expect_err("the primary is gone");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::NotConnected });
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_back_early_and_empty_does_not_empty_the_group() {
    let mut trio = Trio::start(|builder| builder).await;
    let old = trio.primary();
    for number in 0..10 {
        add(trio.peer(&old), &format!("key {number}"), 1).await.expect("there is a primary");
    }
    let replica = trio.peer(&trio.a_replica()).clone();
    until(&replica, |status| status.cells == 10).await;
    let died = Instant::now();
    trio.crash(&old).await;
    let back = trio.start_one(&old).await.expect("its address is free");
    back.wait_ready(LONG).await.expect("its restart ends its reign");
    assert!(
        died.elapsed() < Duration::from_secs(10),
        "not the failure timeout: {:?}",
        died.elapsed()
    );
    assert_ne!(back.status().primary, Some(old.as_str().into()));
    for number in 0..10 {
        assert_eq!(count(&back, &format!("key {number}")).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_waiting_calls_are_refused() {
    let trio = Trio::start(|builder| {
        let bounds = quorate::Bounds { max_waiting_calls: 8, ..quorate::Bounds::default() };
        builder.bounds(bounds)
    })
    .await;
    let (primary, replica) = (trio.primary(), trio.peer(&trio.a_replica()).clone());
    trio.network.cut(&primary, replica.name().as_str());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let replica = replica.clone();
        calls.spawn(async move {
            let items = [Item { key: b"k", args: [1, 0] }];
            replica.decide_within(&items, Duration::from_secs(1)).await
        });
    }
    let results = calls.join_all().await;
    let overloaded = |r: &Result<_, DecideError>| {
        matches!(r, Err(DecideError::Overloaded { what: Bounded::WaitingCalls, bound: 8 }))
    };
    let unknown = |r: &Result<_, DecideError>| matches!(r, Err(DecideError::OutcomeUnknown { .. }));
    assert_eq!(results.iter().filter(|r| overloaded(r)).count(), 12);
    assert_eq!(results.iter().filter(|r| unknown(r)).count(), 8);
}

/// Beyond the bound on what a failover may lose callers wait, by whomever they are answered
/// otherwise: one too many was written all the same, and told that nobody knows what became of it.
#[tokio::test(start_paused = true)]
async fn nothing_is_decided_at_the_primary_that_could_not_wait_for_its_answer() {
    let trio = Trio::start(|builder| {
        let bounds = quorate::Bounds { max_waiting_calls: 8, ..quorate::Bounds::default() };
        builder.bounds(bounds).max_unreplicated(0)
    })
    .await;
    let primary = trio.peer(&trio.primary()).clone();
    cut_off(&trio, primary.name().as_str());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let primary = primary.clone();
        calls.spawn(async move {
            let items = [Item { key: b"k", args: [1, 0] }];
            primary.decide_within(&items, Duration::from_secs(1)).await
        });
    }
    let results = calls.join_all().await;
    let overloaded = |r: &Result<_, DecideError>| {
        matches!(r, Err(DecideError::Overloaded { what: Bounded::WaitingCalls, bound: 8 }))
    };
    let unknown = |r: &Result<_, DecideError>| matches!(r, Err(DecideError::OutcomeUnknown { .. }));
    assert_eq!(results.iter().filter(|r| unknown(r)).count(), 8);
    assert_eq!(results.iter().filter(|r| overloaded(r)).count(), 12);
}

/// Why a link was closed was forgotten in the moment that it was: nothing had been tried yet, it
/// said.
#[tokio::test(start_paused = true)]
async fn whoever_falls_silent_is_said_to_have_done_so() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    trio.network.cut(&primary, &replica);
    let why = |status: &Status| {
        let peer = status.peers.iter().find(|peer| peer.name.as_str() == replica)?;
        (peer.link == Link::Down).then(|| peer.link_error.clone().expect("it is down"))
    };
    let status = until(trio.peer(&primary), |status| why(status).is_some()).await;
    let error = why(&status).expect("it is down");
    assert_eq!(error.reason, LinkErrorReason::TimedOut, "{error}");
    let said = "this peer has closed the connection: nothing came for the failure timeout";
    assert_eq!(error.to_string(), said);
}
