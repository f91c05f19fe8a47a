//! A peer on disk counts when it holds what the others hold, and as long as its disk does.

mod support;

use std::time::Duration;

use quorate::internal::disk::simulated::{Mishap, SimulatedDisk};
use quorate::transport::InProcess;
use quorate::{
    Absence, Acknowledge, NotCountedError, Peer, Status, Storage, StorageState, SyncPolicy,
};
use support::{LONG, NAMES, add, builder, missing, until};

async fn start(network: &InProcess, name: &str, disk: &SimulatedDisk) -> Peer {
    let storage = Storage::Disk { dir: "/simulated".into(), sync: SyncPolicy::EveryBatch };
    let builder = builder(network, name).storage(storage).directory(disk.directory(), disk.boot());
    builder.acknowledge(Acknowledge::Majority).start().await.expect("its disk is free")
}

async fn trio(network: &InProcess, disks: &[SimulatedDisk; 3]) -> Vec<Peer> {
    let mut peers = Vec::new();
    for (name, disk) in NAMES.into_iter().zip(disks) {
        peers.push(start(network, name, disk).await);
    }
    for peer in &peers {
        peer.wait_counted(LONG).await.expect("three peers form a group");
        until(peer, |status| all_but(status, "nobody")).await;
    }
    peers
}

/// Whether all others but this one keep up.
fn all_but(status: &Status, but: &str) -> bool {
    status.peers.iter().all(|peer| peer.is_current == (peer.name.as_str() != but))
}

fn replica(peers: &[Peer]) -> usize {
    let primary = peers[0].status().primary.expect("there is one");
    peers.iter().position(|peer| *peer.name() != primary).expect("not all are primary")
}

/// A replica was restarted after 3,000 writes: it counted at once, with none of them, and the next
/// one was stopped then.
#[tokio::test(start_paused = true)]
async fn a_peer_that_lacks_what_the_others_hold_does_not_count() {
    for writes in [30, 3000] {
        let network = InProcess::network();
        let disks = [1, 2, 3].map(SimulatedDisk::new);
        let mut peers = trio(&network, &disks).await;
        let back = replica(&peers);
        drop(peers.remove(back));
        // Time goes on when the storage thread has ended.
        tokio::time::sleep(Duration::from_millis(1)).await;
        disks[back].kill();
        for number in 0..writes {
            add(&peers[0], &format!("key {number}"), 1).await.expect("two are there");
        }
        let late = start(&network, NAMES[back], &disks[back]).await;
        let status = late.wait_counted(LONG).await.expect("it is brought up to date");
        assert!(status.is_counted && status.is_current, "{status:#?}");
        assert_eq!((status.cells, status.lag), (writes, Some(0)), "{writes}");
        for peer in &peers {
            until(peer, |status| all_but(status, "nobody")).await;
            assert_eq!(peer.safe_to_stop(), Ok(()));
        }
    }
}

/// Whoever stores nothing any more promises and acknowledges nothing: it counted, and the third one
/// was stopped.
#[tokio::test(start_paused = true)]
async fn a_peer_whose_disk_has_failed_does_not_count() {
    let network = InProcess::network();
    let disks = [1, 2, 3].map(SimulatedDisk::new);
    let peers = trio(&network, &disks).await;
    let failing = replica(&peers);
    disks[failing].at_operation(disks[failing].operations() + 1, Mishap::Fail);
    add(&peers[failing], "k", 1).await.expect("two of three store it");
    until(&peers[failing], |status| status.storage_state == StorageState::Failed).await;
    match peers[failing].wait_counted(Duration::ZERO).await {
        Err(NotCountedError::StorageFailed { error, .. }) => {
            assert!(error.contains("simulated input/output error"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let name = NAMES[failing];
    for peer in peers.iter().filter(|peer| peer.name().as_str() != name) {
        until(peer, |status| status.peers.iter().any(|peer| peer.storage_failed)).await;
        assert_eq!(missing(peer), [(name.to_owned(), Absence::StorageFailed)]);
    }
    assert_eq!(peers[failing].safe_to_stop(), Ok(()), "nobody needs it");
}
