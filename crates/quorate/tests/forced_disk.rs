//! Force in a group on disk: who was given up comes back with its data, and with other settings.

mod support;

use std::time::Duration;

use quorate::internal::disk::simulated::SimulatedDisk;
use quorate::transport::InProcess;
use quorate::{
    DecideError, Event, ForceError, Mode, NoPrimaryReason, Peer, PeerBuilder, Storage, SyncPolicy,
};
use support::{LONG, NAMES, add, builder, count, events, until};

fn on_disk(builder: PeerBuilder, disk: &SimulatedDisk) -> PeerBuilder {
    let storage = Storage::Disk { dir: "/simulated".into(), sync: SyncPolicy::EveryBatch };
    builder.storage(storage).directory(disk.directory(), disk.boot())
}

async fn start(network: &InProcess, name: &str, disk: &SimulatedDisk, mode: Mode) -> Peer {
    let builder = on_disk(builder(network, name), disk).mode(mode);
    builder.start().await.expect("its disk is free")
}

/// Three that have founded a group, and counted to 7.
async fn founded(network: &InProcess) -> (Vec<SimulatedDisk>, Vec<Peer>) {
    let disks: Vec<_> = (1..=3).map(SimulatedDisk::new).collect();
    let mut peers = Vec::new();
    for (name, disk) in NAMES.into_iter().zip(&disks) {
        peers.push(start(network, name, disk, Mode::Strict).await);
    }
    for peer in &peers {
        peer.wait_counted(LONG).await.expect("they found a group");
    }
    add(&peers[0], "k", 7).await.expect("there is a primary");
    (disks, peers)
}

/// It was refused for its setting before anybody had looked who it is, and never heard that it had
/// been counted out: in relaxed mode it decided alone, for ever.
#[tokio::test(start_paused = true)]
async fn who_was_given_up_hears_of_it_whatever_else_differs() {
    let network = InProcess::network();
    let (disks, mut peers) = founded(&network).await;
    for index in [2, 1] {
        drop(peers.remove(index));
        // Time goes on when the storage thread has ended.
        tokio::time::sleep(Duration::from_millis(1)).await;
        disks[index].kill();
    }
    until(&peers[0], |status| status.lost.is_some()).await;
    tokio::time::sleep(LONG).await;
    peers[0].force_primary(["b", "c"]).await.expect("it is all that is left");

    let back = start(&network, "b", &disks[1], Mode::Relaxed).await;
    tokio::time::sleep(LONG).await;
    let told = events(&back).into_iter();
    let told = told.filter(|event| matches!(event, Event::CountedOut { by: Some(_), .. }));
    assert_eq!(told.count(), 1);
    let error = add(&back, "k", 1).await.expect_err("it decides nothing, alone neither");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::CountedOut });
    assert_eq!(count(&peers[0], "k").await, 7);
}

/// It said that a majority was in reach, and that nothing was to be forced.
#[tokio::test(start_paused = true)]
async fn just_started_a_peer_says_that_it_may_be_bound_still() {
    let network = InProcess::network();
    let (disks, peers) = founded(&network).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(peers);
    tokio::time::sleep(Duration::from_millis(1)).await;
    disks.iter().for_each(SimulatedDisk::kill);

    let a = start(&network, "a", &disks[0], Mode::Strict).await;
    let error = a.force_primary(["b", "c"]).await.expect_err("it may have voted for one of them");
    let ForceError::Refused { peer, why } = error else { panic!("{error}") };
    assert!(
        peer.as_str() == "a" && why.contains("may be bound by an earlier vote"),
        "{peer}: {why}"
    );
    tokio::time::sleep(LONG).await;
    a.force_primary(["b", "c"]).await.expect("that time is over");
    assert_eq!(count(&a, "k").await, 7);
}
