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

/// What a process does that comes back by itself.
async fn until_out(peer: &Peer) {
    let mut events = peer.events_after(0);
    let told = async {
        while let Some(event) = events.next().await {
            if matches!(event.event, Event::CountedOut { .. }) {
                return;
            }
        }
        panic!("it ended before");
    };
    tokio::time::timeout(LONG, told).await.expect("it is told");
}

/// It was refused for ever: its name had been forgotten while it was away.
#[tokio::test(start_paused = true)]
async fn who_was_forgotten_comes_back_under_its_name_with_its_files_set_aside() {
    let network = InProcess::network();
    let disk = SimulatedDisk::new(1);
    let in_dir = |builder: PeerBuilder| builder.state_dir("/simulated");
    let mut others = Vec::new();
    for (seed, name) in (2..).zip(["a", "b"]) {
        let disk = SimulatedDisk::new(seed);
        let builder = in_dir(builder(&network, name)).directory(disk.directory(), 1);
        others.push(builder.start().await.expect("its address is free"));
    }
    let c = in_dir(builder(&network, "c")).directory(disk.directory(), 1);
    let c = c.start().await.expect("its address is free");
    until(&c, |status| counted(status) == "abc").await;
    c.wait_ready(LONG).await.expect("there is a primary");
    add(&c, "k", 7).await.expect("decided");
    c.shutdown().await;
    disk.kill();
    others[0].forget("c").await.expect("it is gone");
    add(&others[1], "k", 1).await.expect("decided");

    let c = in_dir(builder(&network, "c")).directory(disk.directory(), 1);
    let c = c.start().await.expect("its address is free");
    until_out(&c).await;
    assert!(!c.is_to_leave());
    let promises = disk.read("state").expect("it has one");
    c.shutdown().await;
    disk.kill();
    let c = Peer::builder("c", Counter).transport(network.at("c")).tokio_clock().listen("c");
    let c = in_dir(c).directory(disk.directory(), 1).set_aside().join(["a", "b"]);
    let c = c.start().await.expect("its address is free");
    for peer in others.iter().chain([&c]) {
        until(peer, |status| counted(status) == "abc").await;
    }
    c.wait_counted(LONG).await.expect("it is a member again");
    assert_eq!(count(&c, "k").await, 8);
    let told = Event::OlderFilesSetAside { path: "/simulated/removed-state".into() };
    assert!(events(&c).contains(&told), "{:?}", events(&c));
    assert!(!events(&c).iter().any(|event| matches!(event, Event::CountedOut { .. })));
    let aside = disk.read("removed-state").expect("it was set aside");
    assert_eq!(aside.len(), promises.len());
}

/// With data, of the generation that the others are of: it was refused, and never told.
#[tokio::test(start_paused = true)]
async fn who_was_forgotten_comes_back_with_its_data_set_aside() {
    let mut group = Group::of_four().await;
    group.until_members("abcd").await;
    group.peers["d"].wait_ready(LONG).await.expect("there is a primary");
    add(&group.peers["d"], "k", 7).await.expect("decided");
    group.kill("d").await;
    group.peers["a"].forget("d").await.expect("it is gone");
    add(&group.peers["a"], "k", 1).await.expect("decided");
    group.start("d").await;
    until_out(&group.peers["d"]).await;
    group.kill("d").await;
    let builder = Peer::builder("d", Counter).transport(group.network.at("d")).tokio_clock();
    let builder = builder.listen("d").set_aside().join(["a", "b", "c"]);
    let peer = group.on_disk("d", builder).start().await.expect("its disk is free");
    group.peers.insert("d", peer);
    group.until_members("abcd").await;
    let peer = &group.peers["d"];
    peer.wait_counted(LONG).await.expect("it is a member again");
    assert_eq!(count(peer, "k").await, 8);
    let names = group.disks["d"].names();
    for name in ["removed-state", "removed-log-0000000001", "state", "log-0000000001"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}
