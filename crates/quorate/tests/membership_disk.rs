//! Members that come and go in a group on disk: who has joined stays a member through restarts, and
//! who has left does not come back as what it was.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::internal::disk::simulated::SimulatedDisk;
use quorate::transport::InProcess;
use quorate::{Acknowledge, Event, Peer, PeerBuilder, PeerRole, Status, Storage, SyncPolicy};
use support::{Counter, LONG, NAMES, add, builder, count, events, until};

/// Peers by name, and the disks that outlive them.
struct Group {
    network: InProcess,
    disks: BTreeMap<&'static str, SimulatedDisk>,
    peers: BTreeMap<&'static str, Peer>,
}

impl Group {
    /// Three founders, and a fourth that joins.
    async fn of_four() -> Self {
        let names = [NAMES[0], NAMES[1], NAMES[2], "d"];
        let disks = (1..).zip(names).map(|(number, name)| (name, SimulatedDisk::new(number)));
        let network = InProcess::network();
        let mut group = Self { network, disks: disks.collect(), peers: BTreeMap::new() };
        for name in names {
            group.start(name).await;
        }
        group
    }

    async fn start(&mut self, name: &'static str) {
        let builder = match name {
            "d" => Peer::builder(name, Counter)
                .transport(self.network.at(name))
                .tokio_clock()
                .listen(name)
                .join(["a"]),
            _ => builder(&self.network, name),
        };
        let peer = self.on_disk(name, builder).start().await.expect("its disk is free");
        self.peers.insert(name, peer);
    }

    fn on_disk(&self, name: &str, builder: PeerBuilder) -> PeerBuilder {
        let storage = Storage::Disk { dir: "/simulated".into(), sync: SyncPolicy::EveryBatch };
        let disk = &self.disks[name];
        let builder = builder.acknowledge(Acknowledge::Majority).storage(storage);
        builder.directory(disk.directory(), disk.boot())
    }

    /// Ends a peer as `kill -9` would.
    async fn kill(&mut self, name: &'static str) {
        drop(self.peers.remove(name));
        // Time goes on when the storage thread has ended.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.disks[name].kill();
    }

    async fn until_members(&self, names: &str) {
        for name in names.chars() {
            let name = name.to_string();
            until(&self.peers[&*name], |status| counted(status) == names).await;
        }
    }
}

/// The names of the members, if all of them are counted.
fn counted(status: &Status) -> String {
    let members = status.members.iter().filter(|member| member.is_counted);
    members.map(|member| member.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_has_joined_is_a_member_after_all_have_restarted() {
    let mut group = Group::of_four().await;
    group.until_members("abcd").await;
    group.peers["d"].wait_ready(LONG).await.expect("there is a primary");
    add(&group.peers["d"], "k", 7).await.expect("decided");
    for name in ["a", "b", "c", "d"] {
        group.kill(name).await;
    }
    for name in ["d", "c", "b", "a"] {
        group.start(name).await;
    }
    group.until_members("abcd").await;
    let replaced =
        |e: &Event| matches!(e, Event::MemberReplaced { .. } | Event::MemberAdded { .. });
    for (name, peer) in &group.peers {
        peer.wait_ready(LONG).await.expect("there is a primary again");
        assert_eq!(count(peer, "k").await, 7, "at {name}");
        assert!(!events(peer).iter().any(replaced), "it is the member that it was");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_left_is_refused_with_its_old_directory_and_taken_with_a_new_one() {
    let mut group = Group::of_four().await;
    group.until_members("abcd").await;
    group.peers["d"].leave().await.expect("the others are a majority");
    until(&group.peers["d"], |status| status.role == PeerRole::Removed).await;
    group.kill("d").await;
    group.start("d").await;
    let removed = "d was removed from the group";
    until(&group.peers["d"], |s| s.refusals.iter().any(|r| r.theirs == removed)).await;
    group.until_members("abc").await;
    group.kill("d").await;
    group.disks.insert("d", SimulatedDisk::new(9));
    group.start("d").await;
    group.until_members("abcd").await;
}
