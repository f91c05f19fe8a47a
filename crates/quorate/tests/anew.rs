//! Groups that wait for their members before they begin anew (docs/protocol.md, section 6).

#![cfg(feature = "driver")]

mod support;

use quorate::{DecideError, Event, Loss, NewGenerations, NoPrimaryReason, PeerName};
use support::{LONG, Trio, add, count, events, until};

#[tokio::test(start_paused = true)]
async fn a_patient_group_says_whom_it_waits_for_and_goes_on_without_when_told() {
    let setup =
        |builder: quorate::PeerBuilder| builder.new_generations(NewGenerations::WhenComplete);
    let mut trio = Trio::start(setup).await;
    let primary = trio.primary();
    let restarted = trio.a_replica();
    add(trio.peer(&primary), "k", 7).await.expect("decided");
    for peer in &trio.peers {
        until(peer, |status| status.cells == 1).await;
    }
    let lost = [primary.clone(), restarted.clone()];
    trio.crash(&primary).await;
    trio.crash(&restarted).await;
    let back = trio.start_one(&restarted).await.expect("its address is free");
    trio.peers.push(back);
    for peer in &trio.peers {
        let status = until(peer, |status| !status.waits_for.is_empty()).await;
        assert_eq!(status.waits_for, [PeerName::from(primary.as_str())]);
        let error = add(peer, "k", 1).await.expect_err("there is no primary");
        assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::Incomplete });
    }
    tokio::time::sleep(LONG).await;
    assert!(trio.peers.iter().all(|peer| peer.status().primary.is_none()), "however long");
    for peer in &trio.peers {
        peer.found_new_group().await;
    }
    for peer in &trio.peers {
        peer.wait_ready(LONG).await.expect("they were told to");
        assert_eq!(peer.status().waits_for, []);
    }
    let survivor = trio.peers.iter().find(|peer| !lost.contains(&peer.name().to_string()));
    let survivor = survivor.expect("the third");
    assert_eq!(count(survivor, "k").await, 7);
    let begun = trio.peers.iter().flat_map(events).find_map(|event| match event {
        Event::NewGeneration { unreached, loss, .. } => Some((unreached, loss)),
        _ => None,
    });
    assert_eq!(begun, Some((vec![primary.as_str().into()], Loss::Unknown)));
}
