//! Peers with storage on disk, on simulated disks and a paused clock: what lasts, what does not,
//! and what a peer does whose disk fails.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::internal::disk::simulated::{Mishap, SimulatedDisk};
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Bounds, DecideError, Event, Item, Link, NoPrimaryReason, Peer, PeerBuilder,
    PeerRole, StartError, Status, Storage, StorageKind, StorageState, SyncPolicy,
};
use support::{LONG, NAMES, add, builder, count, events, until};

/// Three peers, each with a disk that outlives it.
struct Group {
    network: InProcess,
    setup: fn(PeerBuilder) -> PeerBuilder,
    sync: SyncPolicy,
    disks: BTreeMap<&'static str, SimulatedDisk>,
    peers: BTreeMap<&'static str, Peer>,
}

impl Group {
    /// Starts all three and waits until each can decide.
    async fn start(sync: SyncPolicy, setup: fn(PeerBuilder) -> PeerBuilder) -> Self {
        let disk = |(number, name)| (name, SimulatedDisk::new(number));
        let disks = (1..).zip(NAMES).map(disk).collect();
        let network = InProcess::network();
        let mut group = Self { network, setup, sync, disks, peers: BTreeMap::new() };
        group.start_all().await;
        group
    }

    async fn start_all(&mut self) {
        for name in NAMES {
            self.start_one(name).await;
        }
        for peer in self.peers.values() {
            peer.wait_ready(LONG).await.expect("three peers form a group");
        }
    }

    async fn start_one(&mut self, name: &'static str) {
        let peer = self.try_start(name).await.expect("its disk and its address are free");
        self.peers.insert(name, peer);
    }

    async fn try_start(&self, name: &str) -> Result<Peer, StartError> {
        let storage = Storage::Disk { dir: "/simulated".into(), sync: self.sync };
        let (directory, boot) = (self.disks[name].directory(), self.disks[name].boot());
        let builder = builder(&self.network, name).storage(storage).directory(directory, boot);
        (self.setup)(builder).start().await
    }

    fn peer(&self, name: &str) -> &Peer {
        &self.peers[name]
    }

    fn disk(&self, name: &str) -> &SimulatedDisk {
        &self.disks[name]
    }

    fn primary(&self) -> &'static str {
        let primary = self.peers.values().find_map(|peer| peer.status().primary);
        let primary = primary.expect("there is a primary");
        NAMES.into_iter().find(|name| *name == primary.as_str()).expect("it is one of them")
    }

    fn replica(&self) -> &'static str {
        let primary = self.primary();
        NAMES.into_iter().find(|name| *name != primary).expect("not all are primary")
    }

    /// Ends a peer as `kill -9` would.
    async fn kill(&mut self, name: &str) {
        self.end(name).await;
        self.disk(name).kill();
    }

    /// Ends a peer's machine.
    async fn lose_power(&mut self, name: &str) {
        self.end(name).await;
        self.disk(name).lose_power();
    }

    async fn end(&mut self, name: &str) {
        drop(self.peers.remove(name));
        // Time goes on when the storage thread has ended.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn safest(builder: PeerBuilder) -> PeerBuilder {
    builder.acknowledge(Acknowledge::Majority)
}

async fn add_each(group: &Group, key: &str, amount: u64) {
    for peer in group.peers.values() {
        add(peer, key, amount).await.expect("there is a primary");
    }
}

fn recovered(peer: &Peer) -> Option<(u64, bool)> {
    events(peer).into_iter().find_map(|event| match event {
        Event::Recovered { cells, may_lack_acknowledged, .. } => {
            Some((cells, may_lack_acknowledged))
        }
        _ => None,
    })
}

fn has_lost(peer: &Peer) -> bool {
    let is_loss =
        |event: &Event| matches!(event, Event::ChangesLost { .. } | Event::NewGeneration { .. });
    events(peer).iter().any(is_loss)
}

#[tokio::test(start_paused = true)]
async fn a_peer_says_where_its_cells_live_and_what_it_has_read() {
    let group = Group::start(SyncPolicy::EveryBatch, |builder| builder).await;
    for peer in group.peers.values() {
        let status = peer.status();
        assert_eq!(status.storage, StorageKind::Disk);
        assert_eq!(status.storage_state, StorageState::Ok);
        assert_eq!((status.storage_error, status.recovered_cells), (None, 0));
        assert_eq!(recovered(peer), Some((0, false)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_peer_comes_back_as_the_member_it_was_and_from_where_it_stood() {
    let mut group = Group::start(SyncPolicy::EveryBatch, safest).await;
    for number in 0..20 {
        add_each(&group, &format!("key {number}"), 1).await;
    }
    let name = group.replica();
    until(group.peer(name), |status| status.cells == 20).await;
    group.kill(name).await;
    let primary = group.primary();
    until(group.peer(primary), |s| s.peers.iter().any(|p| p.link == Link::Down)).await;
    add(group.peer(primary), "meanwhile", 1).await.expect("two of three are there");
    group.start_one(name).await;
    let status = group.peer(name).wait_ready(LONG).await.expect("it follows");
    assert_eq!(status.recovered_cells, 20);
    assert_eq!(recovered(group.peer(name)), Some((20, false)));
    until(group.peer(name), |status| status.cells == 21).await;
    // The same member: nobody was replaced.
    let replaced = |event: &Event| matches!(event, Event::MemberReplaced { .. });
    assert!(!events(group.peer(primary)).iter().any(replaced));
}

#[tokio::test(start_paused = true)]
async fn nothing_acknowledged_is_lost_when_all_machines_lose_power_at_once() {
    let mut group = Group::start(SyncPolicy::EveryBatch, safest).await;
    let id = group.peer("a").status().group_id;
    for round in 1..=5 {
        add_each(&group, "k", 1).await;
        for name in NAMES {
            group.lose_power(name).await;
        }
        group.start_all().await;
        for peer in group.peers.values() {
            assert_eq!(count(peer, "k").await, 3 * round, "round {round}");
            assert!(!has_lost(peer), "{:#?}", events(peer));
        }
        assert_eq!(group.peer("a").status().group_id, id, "the group is the one it was");
    }
}

#[tokio::test(start_paused = true)]
async fn a_majority_may_lose_power_and_the_group_goes_on_where_it_was() {
    let mut group = Group::start(SyncPolicy::EveryBatch, safest).await;
    add_each(&group, "k", 2).await;
    let (primary, replica) = (group.primary(), group.replica());
    group.lose_power(primary).await;
    group.lose_power(replica).await;
    group.start_one(primary).await;
    group.start_one(replica).await;
    for peer in group.peers.values() {
        peer.wait_ready(LONG).await.expect("all three are back");
        assert_eq!(count(peer, "k").await, 6);
        assert!(!has_lost(peer), "{:#?}", events(peer));
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_group_loses_nothing_under_any_policy() {
    for sync in [SyncPolicy::Every(Duration::from_secs(1)), SyncPolicy::Os] {
        let mut group = Group::start(sync, safest).await;
        add_each(&group, "k", 1).await;
        for name in NAMES {
            group.kill(name).await;
        }
        group.start_all().await;
        for peer in group.peers.values() {
            assert_eq!(count(peer, "k").await, 3, "{sync:?}");
            assert!(!has_lost(peer), "{:#?}", events(peer));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_of_all_keeps_what_the_last_one_decided_alone() {
    let mut group = Group::start(SyncPolicy::Os, |builder| builder).await;
    let primary = group.primary();
    for name in NAMES.into_iter().filter(|name| *name != primary) {
        group.network.cut(primary, name);
    }
    add(group.peer(primary), "k", 7).await.expect("its lease still runs");
    for name in NAMES {
        group.peer(name).shutdown().await;
        group.lose_power(name).await;
    }
    for name in NAMES {
        group.network.heal(primary, name);
    }
    // Alone it can be elected by nobody else: with all three the freshest state wins.
    group.start_all().await;
    for peer in group.peers.values() {
        assert_eq!(count(peer, "k").await, 7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_may_have_lost_what_it_said_comes_back_as_another_member() {
    let mut group = Group::start(SyncPolicy::Os, safest).await;
    add_each(&group, "k", 1).await;
    let name = group.replica();
    group.lose_power(name).await;
    group.start_one(name).await;
    let (_, may_lack) = recovered(group.peer(name)).expect("it has read its disk");
    assert!(may_lack, "it acknowledged before it synced");
    group.peer(name).wait_ready(LONG).await.expect("it follows");
    assert_eq!(count(group.peer(name), "k").await, 3);
    let replaced = |event: &Event| matches!(event, Event::MemberReplaced { .. });
    let primary = group.peer(group.primary());
    until(primary, |_| events(primary).iter().any(replaced)).await;
    // A killed process takes nothing back, and its peer is the member that it was.
    group.kill(name).await;
    group.start_one(name).await;
    let (_, may_lack) = recovered(group.peer(name)).expect("it has read its disk");
    assert!(!may_lack);
}

#[tokio::test(start_paused = true)]
async fn under_every_interval_a_sync_is_no_later_than_that() {
    let interval = Duration::from_secs(1);
    let mut group = Group::start(SyncPolicy::Every(interval), safest).await;
    add_each(&group, "k", 1).await;
    tokio::time::sleep(interval + Duration::from_millis(10)).await;
    for name in NAMES {
        group.lose_power(name).await;
    }
    group.start_all().await;
    for peer in group.peers.values() {
        assert_eq!(count(peer, "k").await, 3);
    }
}

/// Waits until a peer's storage has failed: what it says of that.
async fn failed(peer: &Peer) -> Status {
    until(peer, |status| status.storage_state == StorageState::Failed).await
}

#[tokio::test(start_paused = true)]
async fn a_primary_whose_disk_fails_makes_room_and_goes_on_as_one_that_forwards() {
    let group = Group::start(SyncPolicy::EveryBatch, safest).await;
    add_each(&group, "k", 1).await;
    let old = group.primary();
    group.disk(old).at_operation(group.disk(old).operations() + 1, Mishap::Fail);
    // Unknown or held: whichever it is, nothing that fails is acknowledged.
    let outcome = add(group.peer(old), "k", 1).await;
    let status = failed(group.peer(old)).await;
    let error = status.storage_error.expect("it says why");
    assert!(error.contains("simulated input/output error"), "{error}");
    let told = Event::StorageFailed { error };
    assert!(events(group.peer(old)).contains(&told), "{:#?}", events(group.peer(old)));
    let moved = |s: &Status| s.primary.as_ref().is_some_and(|primary| primary.as_str() != old);
    for peer in group.peers.values() {
        until(peer, moved).await;
        peer.wait_ready(LONG).await.expect("two of three still store");
    }
    let counted = count(group.peer(old), "k").await;
    assert!(counted == 4 || (counted == 3 && outcome.is_err()), "{counted} after {outcome:?}");
    assert_eq!(group.peer(old).status().role, PeerRole::Replica);
    add(group.peer(old), "k", 1).await.expect("it forwards");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_acknowledgements_and_says_so_and_loses_none() {
    let mut group = Group::start(SyncPolicy::EveryBatch, safest).await;
    for name in NAMES {
        let bytes: usize = group
            .disk(name)
            .names()
            .iter()
            .map(|name_of_file| {
                group.disk(name).read(name_of_file).map_or(0, |content| content.len())
            })
            .sum();
        group.disk(name).set_capacity(bytes as u64 + 2000);
    }
    let mut acknowledged = 0;
    while add(group.peer("a"), "k", 1).await.is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 1000, "the disks are full long before");
    }
    let failures = group.peers.values().map(Peer::status);
    let failures: Vec<_> = failures.filter_map(|status| status.storage_error).collect();
    assert!(!failures.is_empty() && failures.iter().all(|e| e.contains("the disk is full")));
    // With room again, and each peer started anew, all is there.
    for name in NAMES {
        group.kill(name).await;
        group.disk(name).set_capacity(u64::MAX);
    }
    group.start_all().await;
    let counted = count(group.peer("a"), "k").await;
    assert!((acknowledged..=acknowledged + 1).contains(&counted), "{counted} of {acknowledged}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_grows_is_replaced_by_snapshots_and_read_back() {
    let mut group = Group::start(SyncPolicy::EveryBatch, |builder| {
        builder.bounds(Bounds { max_segment_bytes: 64 * 1024, ..Bounds::default() })
    })
    .await;
    for round in 0..40 {
        for number in 0..100 {
            let key = format!("key {number:40}");
            add(group.peer(group.primary()), &key, 1).await.expect("there is a primary");
        }
        let _ = round;
    }
    for name in NAMES {
        let names = group.disk(name).names();
        assert!(names.iter().any(|name| name.starts_with("snapshot-")), "{names:?}");
        let first = names.iter().find(|name| name.starts_with("log-"));
        assert_ne!(first.map(String::as_str), Some("log-0000000001"), "{names:?}");
    }
    for name in NAMES {
        group.kill(name).await;
    }
    group.start_all().await;
    for peer in group.peers.values() {
        assert_eq!(count(peer, &format!("key {:40}", 7)).await, 40);
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_in_use_is_refused() {
    let group = Group::start(SyncPolicy::EveryBatch, |builder| builder).await;
    let error = group.try_start("a").await.expect_err("it is in use").to_string();
    assert!(error.contains("in use by another process"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_mix_of_storage_kinds_is_refused_by_name() {
    let network = InProcess::network();
    let disk = SimulatedDisk::new(1);
    let a =
        builder(&network, "a").storage(Storage::disk("/simulated")).directory(disk.directory(), 1);
    let a = a.start().await.expect("its disk is free");
    let b = builder(&network, "b").start().await.expect("its address is free");
    for (peer, ours) in [(&a, "disk"), (&b, "memory")] {
        let has_refused = |s: &Status| s.refusals.iter().any(|r| r.field == "storage");
        let status = until(peer, has_refused).await;
        assert!(status.refusals.iter().any(|r| r.ours == ours), "{:#?}", status.refusals);
    }
}

#[tokio::test(start_paused = true)]
async fn files_of_an_older_founding_are_kept_beside_what_takes_their_place() {
    let mut group = Group::start(SyncPolicy::EveryBatch, safest).await;
    add_each(&group, "old", 1).await;
    for name in NAMES {
        group.kill(name).await;
    }
    for name in ["a", "b"] {
        group.disks.insert(name, SimulatedDisk::new(9));
        group.start_one(name).await;
    }
    group.peer("a").wait_ready(LONG).await.expect("a blank majority founds a group");
    add(group.peer("a"), "new", 1).await.expect("there is a primary");
    group.start_one("c").await;
    let is_set_aside = |event: &Event| matches!(event, Event::OlderFilesSetAside { .. });
    group.peer("c").wait_ready(LONG).await.expect("it follows");
    let id = group.peer("a").status().group_id;
    until(group.peer("c"), |status| status.group_id == id && !status.position.is_blank()).await;
    assert_eq!(count(group.peer("c"), "new").await, 1);
    until(group.peer("c"), |_| events(group.peer("c")).iter().any(is_set_aside)).await;
    let names = group.disk("c").names();
    for name in ["older-state", "older-log-0000000001"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    for name in ["a", "b"] {
        assert!(!events(group.peer(name)).iter().any(is_set_aside));
    }
}

#[tokio::test(start_paused = true)]
async fn under_every_batch_a_primary_answers_for_nothing_that_its_own_disk_may_lose() {
    let mut group = Group::start(SyncPolicy::EveryBatch, |builder| builder).await;
    let primary = group.primary();
    for name in NAMES.into_iter().filter(|name| *name != primary) {
        group.network.cut(primary, name);
    }
    for _ in 0..3 {
        add(group.peer(primary), "k", 1).await.expect("its lease still runs");
    }
    let status = group.peer(primary).status();
    assert_eq!((status.unreplicated_units, status.unacknowledged_units), (3, 3));
    // A sync that fails acknowledges nothing. It is tried for less than an election takes.
    group.disk(primary).at_operation(group.disk(primary).operations() + 2, Mishap::Fail);
    let items = [Item { key: b"k", args: [1, 0] }];
    let call = group.peer(primary).decide_within(&items, Duration::from_secs(1));
    call.await.expect_err("it is not synced");
    for name in NAMES {
        group.lose_power(name).await;
        group.network.heal(primary, name);
    }
    group.start_all().await;
    for peer in group.peers.values() {
        let counted = count(peer, "k").await;
        assert!((3..=4).contains(&counted), "{counted}");
    }
}

/// Starts a peer in memory that keeps its ballot and its vote on a disk.
async fn start_with_state(network: &InProcess, name: &str, disk: &SimulatedDisk) -> Peer {
    let builder = builder(network, name).state_dir("/simulated");
    let peer = builder.directory(disk.directory(), disk.boot()).start().await;
    peer.expect("its disk and its address are free")
}

#[tokio::test(start_paused = true)]
async fn a_peer_in_memory_remembers_its_ballot_where_it_is_told_to() {
    let network = InProcess::network();
    let disks = [1, 2, 3].map(SimulatedDisk::new);
    let mut terms = Vec::new();
    for round in 0..3 {
        let mut peers = Vec::new();
        for (name, disk) in NAMES.into_iter().zip(&disks) {
            peers.push(start_with_state(&network, name, disk).await);
        }
        for peer in &peers {
            let status = peer.wait_ready(LONG).await.expect("three peers form a group");
            assert_eq!(status.storage_state, StorageState::Memory);
        }
        // Cells are kept in memory only.
        assert_eq!(count(&peers[0], "k").await, 0, "round {round}");
        add(&peers[0], "k", 1).await.expect("there is a primary");
        terms.push(peers[0].status().term);
        drop(peers);
        tokio::time::sleep(Duration::from_millis(1)).await;
        disks.iter().for_each(SimulatedDisk::lose_power);
    }
    assert!(terms.is_sorted_by(|one, next| one < next), "{terms:?}");
}

/// Two of three had restarted while the third was away, and founded the group anew without it.
#[tokio::test(start_paused = true)]
async fn a_peer_in_memory_remembers_that_it_has_acknowledged_and_waits_for_who_may_have_it() {
    let network = InProcess::network();
    let disks = [1, 2, 3].map(SimulatedDisk::new);
    let mut peers = Vec::new();
    for (name, disk) in NAMES.into_iter().zip(&disks) {
        peers.push(start_with_state(&network, name, disk).await);
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("three peers form a group");
        add(peer, "k", 1).await.expect("there is a primary");
    }
    for peer in &peers {
        until(peer, |status| status.cells == 1 && status.unreplicated_units == 0).await;
    }
    drop(peers);
    tokio::time::sleep(Duration::from_millis(1)).await;
    disks.iter().for_each(SimulatedDisk::lose_power);
    let mut back = Vec::new();
    for (name, disk) in NAMES.into_iter().zip(&disks).take(2) {
        back.push(start_with_state(&network, name, disk).await);
    }
    for peer in &back {
        until(peer, |status| status.waits_for == ["c".into()]).await;
        let error = add(peer, "k", 1).await.expect_err("the third may have the count");
        assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::Incomplete });
    }
    tokio::time::sleep(LONG).await;
    assert!(back.iter().all(|peer| peer.status().primary.is_none()));
    back.push(start_with_state(&network, "c", &disks[2]).await);
    for peer in &back {
        peer.wait_ready(LONG).await.expect("all are there");
        assert_eq!(count(peer, "k").await, 0, "all have lost it");
    }
    let is_told = |event: &Event| matches!(event, Event::Founded { lost: Some(_), .. });
    assert!(back.iter().flat_map(events).any(|event| is_told(&event)), "and say so");
}

#[tokio::test(start_paused = true)]
async fn the_cells_of_a_disk_peer_are_not_taken_for_the_state_of_one_in_memory() {
    let mut group = Group::start(SyncPolicy::EveryBatch, safest).await;
    add_each(&group, "k", 1).await;
    group.kill("a").await;
    let disk = group.disk("a");
    let builder = builder(&group.network, "a").state_dir("/simulated");
    let refused = builder.directory(disk.directory(), disk.boot()).start().await;
    assert!(matches!(refused, Err(StartError::StateDirHasCells { .. })), "{refused:?}");
}
