//! Strangers over real sockets: what they make a group hold is bounded, and no primary is deposed.
//!
//! The group lives in a process of its own, so that its memory is its own and its descriptors can
//! be few; whoever opens thousands of connections does so from another one. Both are this test's
//! binary, started anew for the test `child`. Memory is judged by what the peers report of
//! themselves, and by the most that the process ever had.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use quorate::internal::protocol::message::Lane;
use quorate::internal::wire::{self, kind};
use quorate::transport::{Protection, Stream, Tcp};
use quorate::{Link, Peer, PeerKind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::raw::{self, Raw};
use support::{Counter, LONG, NAMES, add, count, free_addresses, until};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// What a child is to be.
const ROLE: &str = "QUORATE_HOSTILE_ROLE";
/// Before every line that a child has to say, among those of the test harness.
const MARK: &str = "child says ";
/// As long as nothing else happens: what is not taken by then is not taken.
const MOMENT: Duration = Duration::from_millis(300);
const MIB: u64 = 1024 * 1024;

// --- the parent

/// A process that is a group, or floods one.
struct Child {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Child {
    fn start(role: &str) -> Self {
        let binary = std::env::current_exe().expect("a test has a binary");
        let mut command = Command::new(binary);
        command.args(["--exact", "child", "--nocapture"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process can be started");
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, orders, answers }
    }

    /// The next line that it says.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("the child says text");
            assert!(read > 0, "the child has ended");
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().to_owned();
            }
        }
    }

    fn ask(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("it was not ended");
        writeln!(orders, "{order}").expect("the child listens");
        self.hear()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It may be busy with what it is to do next.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// A group of three in a process that may open `files`, and the address of its primary.
struct Group {
    child: Child,
    addresses: Vec<String>,
    before: BTreeMap<String, u64>,
}

impl Group {
    fn start(files: u64) -> Self {
        let mut child = Child::start(&format!("group {files}"));
        let addresses = child.hear().split(' ').map(str::to_owned).collect();
        let before = numbers(&child.ask("report"));
        Self { child, addresses, before }
    }

    fn primary(&self) -> &str {
        &self.addresses[self.before["primary"] as usize]
    }

    /// What it reports now; whatever has happened, the same peer is primary, in the same term, and
    /// reaches the others.
    fn report(&mut self) -> BTreeMap<String, u64> {
        let now = numbers(&self.child.ask("report"));
        for unchanged in ["primary", "term", "linked"] {
            assert_eq!(now[unchanged], self.before[unchanged], "{unchanged}: {now:?}");
        }
        now
    }

    /// By how much the most memory that the process has ever had is more than what it had at first.
    fn grown(&self, now: &BTreeMap<String, u64>) -> u64 {
        now["peak_bytes"].saturating_sub(self.before["bytes"])
    }
}

fn numbers(line: &str) -> BTreeMap<String, u64> {
    let pairs = line.split(' ').map(|pair| {
        let (name, value) = pair.split_once('=').expect("a name and a number");
        (name.to_owned(), value.parse().expect("a number"))
    });
    pairs.collect()
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("threads can be started")
}

/// A client's connection.
async fn client(address: &str, name: &str, lane: Lane) -> io::Result<Raw> {
    Raw::connect(&Tcp::default(), address, raw::hello(&raw::group(&NAMES), name, lane)).await
}

/// The connection of a client that comes from another host than all others.
async fn client_from(source: &str, address: &str) -> io::Result<Raw> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source.parse().expect("an address"), 0))?;
    let stream = socket.connect(address.parse().expect("an address")).await?;
    let (reader, writer) = stream.into_split();
    let stream = Stream {
        reader: Box::new(reader),
        writer: Box::new(writer),
        peer_address: address.to_owned(),
        protection: Protection::Plain,
        proof: None,
    };
    Raw::over(stream, raw::hello(&raw::group(&NAMES), "elsewhere", Lane::Data)).await
}

/// Somebody from another host is served, whatever is going on.
async fn is_served(address: &str) {
    let served = async {
        let mut client = client_from("127.0.0.2", address).await.expect("it is let in");
        client.send(&raw::calls(0..1, "k")).await.expect("it is open");
        assert_eq!(client.receive_replies().await.expect("it is open"), [(0, true)]);
    };
    timeout(LONG, served).await.expect("nobody waits for others");
}

/// 310 MiB of calls left 1.2 GiB of answers, in six seconds.
#[test]
fn a_client_that_asks_and_does_not_listen_is_bounded() {
    let mut group = Group::start(1_024);
    let primary = group.primary().to_owned();
    runtime().block_on(async {
        // Its other lane is as it should be.
        let mut control = client(&primary, "deaf", Lane::Control).await.expect("it is let in");
        control.send(&raw::bytes(&raw::ping(1))).await.expect("it is open");
        let mut data = client(&primary, "deaf", Lane::Data).await.expect("it is let in");
        let (mut sent, mut id) = (0, 0);
        while sent < 256 * MIB {
            let frame = raw::calls(id..id + 1_000, "k");
            id += 1_000;
            let taken = data.send_some(&frame, MOMENT).await.expect("it is open");
            sent += taken as u64;
            if taken < frame.len() {
                break;
            }
        }
        // The buffers of both ends' systems, and its part here.
        assert!(sent < 64 * MIB, "{sent} bytes were taken");
        is_served(&primary).await;
        let now = group.report();
        assert!(now["buffered_bytes"] < 2 * MIB, "{now:?}");
        assert!(group.grown(&now) < 48 * MIB, "{} bytes: {now:?}", group.grown(&now));
        assert!(now["paused"] > 0, "{now:?}");
    });
}

#[test]
fn floods_of_heartbeats_are_bounded_and_keep_nobody_waiting() {
    let mut group = Group::start(1_024);
    let primary = group.primary().to_owned();
    runtime().block_on(async {
        let mut floods = Vec::new();
        for number in 0..8 {
            let name = format!("flood{number}");
            let data = client(&primary, &name, Lane::Data).await.expect("it is let in");
            let mut control = client(&primary, &name, Lane::Control).await.expect("it is let in");
            let mut pings = BytesMut::new();
            for number in 0..1_000 {
                pings.unsplit(raw::bytes(&raw::ping(number)));
            }
            let mut sent = 0;
            loop {
                let taken = control.send_some(&pings, MOMENT).await.expect("it is open");
                sent += taken as u64;
                if taken < pings.len() {
                    break;
                }
                assert!(sent < 64 * MIB, "{sent} bytes were taken");
            }
            floods.push((data, control));
        }
        is_served(&primary).await;
        let now = group.report();
        assert!(now["paused"] >= 8, "each of them: {now:?}");
        assert!(now["buffered_bytes"] < 8 * MIB, "{now:?}");
        assert!(group.grown(&now) < 48 * MIB, "{} bytes: {now:?}", group.grown(&now));
    });
}

#[test]
fn garbage_after_the_handshake_ends_each_connection_and_nothing_else() {
    let mut group = Group::start(1_024);
    let primary = group.primary().to_owned();
    runtime().block_on(async {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for number in 0..200_usize {
            let lane = if number % 2 == 0 { Lane::Data } else { Lane::Control };
            let name = format!("garbage{number}");
            let mut raw = client(&primary, &name, lane).await.expect("it is let in");
            let mut garbage: Vec<u8> = (0..4_096)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 56) as u8
                })
                .collect();
            // A length that is believed, and a kind of each.
            garbage[..5].copy_from_slice(&[0, 4, 0, 0, [3, 5, 6, 7, 8, 9][number % 6]]);
            // It may be closed before all of it is sent.
            _ = raw.send(&garbage).await;
            raw.wait_closed().await;
        }
        is_served(&primary).await;
        let now = group.report();
        assert!(now["garbled"] >= 200, "{now:?}");
        assert_eq!(now["buffered_bytes"], 0, "{now:?}");
        assert!(group.grown(&now) < 48 * MIB, "{} bytes: {now:?}", group.grown(&now));
    });
}

/// As many of them as this machine's limit lets a process open, up to ten thousand.
#[test]
fn ten_thousand_connections_find_their_bound() {
    let mut group = Group::start(4_096);
    let primary = group.primary().to_owned();
    let mut flood = Child::start("flood");
    let said = numbers(&flood.ask(&format!("open 10000 {primary}")));
    let opened = said["opened"];
    assert!(opened > 1_000, "{said:?}");
    runtime().block_on(is_served(&primary));
    let now = group.report();
    // A third have shaken hands, and are clients for as long as they are heard.
    assert!(now["open"] <= 1_024, "{now:?}");
    assert!(now["turned_away"] >= opened - 1_024, "{opened} opened: {now:?}");
    assert!(now["handshakes"] <= 128, "{now:?}");
    assert!(group.grown(&now) < 96 * MIB, "{} bytes: {now:?}", group.grown(&now));
    assert!(now["events"] < 1_024, "{now:?}");
    drop(flood);
    assert_eq!(group.child.ask("quiet"), "it is quiet");
    assert_eq!(group.report()["buffered_bytes"], 0);
}

/// As many connections as there were descriptors left a peer none for its files and its links.
#[test]
fn strangers_do_not_take_the_descriptors_that_members_need() {
    let files = 256;
    let mut group = Group::start(files);
    let primary = group.primary().to_owned();
    let mut flood = Child::start("flood");
    let said = numbers(&flood.ask(&format!("greet 300 {primary}")));
    assert_eq!(said["opened"], 300, "so many were tried");
    let now = group.report();
    // Each that greets has one lane, and places for three.
    assert!((files / 8..=files / 2).contains(&now["open"]), "{now:?}");
    assert_eq!(now["accepts_failed"], 0, "{now:?}");
    // A member comes back, and finds all others.
    assert_eq!(group.child.ask("restart"), "it is back");
    group.report();
}

/// Whoever has taken them: the embedder, for one.
#[test]
fn a_peer_goes_on_without_descriptors_and_lets_others_in_when_there_are_some() {
    let mut group = Group::start(256);
    let primary = group.primary().to_owned();
    assert_eq!(group.child.ask("exhaust"), "none is left");
    runtime().block_on(async {
        // The system accepts, and nobody answers.
        let waiting = Raw::open(&Tcp::default(), &primary).await.expect("it listens");
        assert_eq!(group.child.ask("fail"), "an accept has failed");
        let now = group.report();
        assert!(now["accepts_failed"] > 0, "{now:?}");
        drop(waiting);
        assert_eq!(group.child.ask("free"), "there are some");
        is_served(&primary).await;
    });
    group.report();
}

// --- the children

/// Nothing by itself: what the tests above start in other processes.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let runtime = runtime();
    match role.split_once(' ') {
        Some(("group", files)) => be_group(&runtime, files.parse().expect("a number")),
        _ => be_flood(&runtime),
    }
}

fn say(line: impl std::fmt::Display) {
    println!("{MARK}{line}");
    io::stdout().flush().expect("the parent listens");
}

fn orders() -> impl Iterator<Item = String> {
    io::stdin().lines().map_while(Result::ok)
}

/// Sets how many files this process may open; to as many as it can if that is more.
fn set_files(files: u64) -> u64 {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let files = maximum.map_or(files, |maximum| files.min(maximum));
    let limit = Rlimit { current: Some(files), maximum };
    setrlimit(Resource::Nofile, limit).expect("it is within the limit");
    files
}

fn be_group(runtime: &Runtime, files: u64) {
    set_files(files);
    // Opened now: there may be no descriptor for it later.
    let process = File::open("/proc/self/status").expect("Linux has it");
    let (members, mut peers) = runtime.block_on(async {
        let members = free_addresses();
        let mut peers = BTreeMap::new();
        for name in NAMES {
            let peer = Peer::builder(name, Counter).members(members.clone()).start().await;
            peers.insert(name, peer.expect("the ports are free"));
        }
        for peer in peers.values() {
            peer.wait_ready(LONG).await.expect("three peers form a group");
            until(peer, |status| links(status) == 2).await;
        }
        (members, peers)
    });
    let addresses: Vec<_> = members.iter().map(|(_, address)| address.as_str()).collect();
    say(addresses.join(" "));
    let mut eaten = Vec::new();
    for order in orders() {
        let primary = peers["a"].status().primary.expect("there is a primary");
        let primary = NAMES.into_iter().find(|name| primary.as_str() == *name);
        let primary = primary.expect("it is one of them");
        match order.as_str() {
            "report" => say(report(&peers, primary, &process)),
            "quiet" => {
                let quiet = until(&peers[primary], |status| {
                    status.connections.open <= 6 && status.peers.len() == 2
                });
                runtime.block_on(quiet);
                say("it is quiet");
            }
            "restart" => {
                let name = NAMES.into_iter().find(|name| *name != primary).expect("another");
                drop(peers.remove(name));
                let back = runtime.block_on(async {
                    let start = || Peer::builder(name, Counter).members(members.clone()).start();
                    let back = async {
                        loop {
                            if let Ok(peer) = start().await {
                                return peer;
                            }
                            tokio::task::yield_now().await;
                        }
                    };
                    let peer = timeout(LONG, back).await.expect("its port is free again");
                    peer.wait_ready(LONG).await.expect("it finds the others");
                    until(&peer, |status| links(status) == 2).await;
                    peer
                });
                peers.insert(name, back);
                for peer in peers.values() {
                    runtime.block_on(until(peer, |status| links(status) == 2));
                }
                say("it is back");
            }
            "exhaust" => {
                while let Ok(file) = File::open("/dev/null") {
                    eaten.push(file);
                }
                say("none is left");
            }
            "fail" => {
                let failed = async {
                    while peers[primary].stats().accepts_failed == 0 {
                        tokio::task::yield_now().await;
                    }
                };
                let failed = runtime.block_on(async { timeout(LONG, failed).await });
                failed.expect("a connection waits to be accepted");
                runtime.block_on(add(&peers[primary], "k", 1)).expect("there is a primary");
                say("an accept has failed");
            }
            "free" => {
                eaten.clear();
                runtime.block_on(count(&peers[primary], "k"));
                say("there are some");
            }
            order => panic!("what is {order}?"),
        }
    }
}

/// Links to other members.
fn links(status: &quorate::Status) -> usize {
    let is_linked = |peer: &&quorate::PeerStatus| {
        peer.link == Link::Up && peer.kind == Some(PeerKind::Member) && peer.is_member
    };
    status.peers.iter().filter(is_linked).count()
}

fn report(peers: &BTreeMap<&str, Peer>, primary: &str, process: &File) -> String {
    let peer = &peers[primary];
    let (status, stats) = (peer.status(), peer.stats());
    let index = NAMES.iter().position(|name| *name == primary).expect("it is one of them");
    let numbers = [
        ("primary", index as u64),
        ("term", status.term.0),
        ("linked", links(&status) as u64),
        ("bytes", memory(process, "VmRSS")),
        ("peak_bytes", memory(process, "VmHWM")),
        ("open", status.connections.open as u64),
        ("handshakes", status.connections.handshakes as u64),
        ("buffered_bytes", status.connections.buffered_bytes as u64),
        ("events", peer.events_since(0).len() as u64),
        ("paused", stats.reads_paused),
        ("garbled", stats.closed_garbled),
        ("turned_away", stats.turned_away),
        ("accepts_failed", stats.accepts_failed),
    ];
    numbers.map(|(name, value)| format!("{name}={value}")).join(" ")
}

/// Memory of this process, in bytes, by what the system calls it.
fn memory(process: &File, name: &str) -> u64 {
    let mut status = [0; 4096];
    let read = process.read_at(&mut status, 0).expect("Linux has it");
    let status = String::from_utf8_lossy(&status[..read]);
    let line = status.lines().find(|line| line.starts_with(name)).expect("it has that");
    let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    kib.expect("a number of KiB") * 1024
}

/// Opens connections, and keeps them until it is killed.
fn be_flood(runtime: &Runtime) {
    let files = set_files(u64::MAX);
    let mut held: Vec<Raw> = Vec::new();
    for order in orders() {
        let parts: Vec<&str> = order.split(' ').collect();
        let [what, wanted, address] = parts[..] else { panic!("what is {order}?") };
        let wanted: u64 = wanted.parse().expect("a number");
        let wanted = wanted.min(files.saturating_sub(64));
        let mut opened = 0;
        for number in 0..wanted {
            let opening = async {
                let name = format!("flood{number}");
                if what == "greet" {
                    return client(address, &name, Lane::Control).await;
                }
                let mut raw = Raw::open(&Tcp::default(), address).await?;
                let hello = raw::hello(&raw::group(&NAMES), &name, Lane::Control);
                let hello = raw::bytes(&wire::Frame::Hello(hello));
                let verdict = [0, 0, 0, 0, kind::CALLS];
                match number % 3 {
                    0 => raw.send(&[&hello[..], &verdict].concat()).await?,
                    1 => raw.send(&hello[..hello.len() / 2]).await?,
                    _ => {}
                }
                io::Result::Ok(raw)
            };
            opened += 1;
            // Whoever is turned away finds its connection reset.
            held.extend(runtime.block_on(opening));
        }
        say(format!("opened={opened}"));
    }
}
