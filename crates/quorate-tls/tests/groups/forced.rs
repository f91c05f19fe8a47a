use quorate::internal::disk::simulated::SimulatedDisk;
use quorate::{ForceError, Mode, Storage, SyncPolicy};

use super::*;

fn on_disk(builder: PeerBuilder, disk: &SimulatedDisk) -> PeerBuilder {
    let storage = Storage::Disk { dir: "/simulated".into(), sync: SyncPolicy::EveryBatch };
    builder.storage(storage).directory(disk.directory(), disk.boot())
}

async fn ended(peer: Peer) {
    drop(peer);
    // Time goes on when the storage thread has ended.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// One has come, and holds what was decided since, while another was cut off, which does not know
/// it. That one has other settings now. Its certificate says that it may be a member, and its
/// history that it is of this group.
#[tokio::test(start_paused = true)]
async fn nobody_is_forced_past_a_holder_that_it_has_never_heard_of() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let tls = |name: &str| support::at(&network, &ca, name, Tls::Required);
    let disks: Vec<_> = (1..=4).map(SimulatedDisk::new).collect();
    let mut peers = Vec::new();
    for (name, disk) in NAMES.into_iter().zip(&disks) {
        let peer = on_disk(builder(&tls(name), name), disk).start().await;
        peers.push(peer.expect("the settings are valid"));
    }
    for peer in &peers {
        peer.wait_counted(LONG).await.expect("they found a group");
    }
    for other in ["b", "c", "d"] {
        network.cut("a", other);
    }
    until(&peers[1], |s| s.primary.as_ref().is_some_and(|primary| primary.as_str() != "a")).await;
    let d = Peer::builder("d", Counter).listen("d").join(["b", "c"]).tokio_clock();
    let d = on_disk(d.transport(shared(&tls("d"))), &disks[3]).start().await;
    let d = d.expect("the settings are valid");
    d.wait_counted(LONG).await.expect("it is counted in");
    add(&d, "k", 7).await.expect("there is a primary");
    for _ in 0..3 {
        ended(peers.pop().expect("three have founded")).await;
    }
    disks[0].kill();
    network.heal("a", "d");
    let a = on_disk(builder(&tls("a"), "a"), &disks[0]).mode(Mode::Relaxed).start().await;
    let a = a.expect("its disk is free");
    until(&a, |status| status.lost.is_some()).await;
    tokio::time::sleep(LONG).await;
    let passed_over = a.force_primary(["b", "c"]).await.expect_err("d holds more");
    let ForceError::Refused { peer, why } = &passed_over else { panic!("{passed_over}") };
    assert_eq!(peer.as_str(), "a");
    assert!(why.contains("holds a later state"), "{why}");
    ended(d).await;
    tokio::time::sleep(LONG).await;
    a.force_primary(["b", "c"]).await.expect("nobody has met it for a failure timeout");
}
