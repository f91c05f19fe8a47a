//! Peers with storage on disk, on the system's files and clock: kills, damage, and what a peer says
//! of a directory that it cannot use.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate::internal::disk::{Directory as _, OpenError, SystemDirectory};
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Bounds, ConfigError, DecideError, Event, Peer, StartError, Storage, StorageState,
    SyncPolicy,
};
use support::{Counter, LONG, NAMES, add, count, events};

/// A folder of the test's own, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("quorate-files-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn of(&self, peer: &str) -> PathBuf {
        self.0.join(peer)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

async fn try_start(
    network: &InProcess,
    names: &[&'static str],
    name: &str,
    dir: &Path,
) -> Result<Peer, StartError> {
    let members = names.iter().map(|name| (*name, *name));
    Peer::builder(name, Counter)
        .members(members)
        .transport(network.at(name))
        .acknowledge(Acknowledge::Majority)
        .heartbeat(Duration::from_millis(50))
        .failure_timeout(Duration::from_millis(500))
        .bounds(Bounds { max_segment_bytes: 64 * 1024, ..Bounds::default() })
        .storage(Storage::Disk { dir: dir.to_owned(), sync: SyncPolicy::EveryBatch })
        .start()
        .await
}

/// Starts a peer whose last start may not quite have ended.
async fn start(network: &InProcess, names: &[&'static str], name: &str, folder: &Folder) -> Peer {
    let started = tokio::time::timeout(LONG, async {
        loop {
            match try_start(network, names, name, &folder.of(name)).await {
                Err(StartError::Storage(OpenError::InUse { .. }) | StartError::Bind { .. }) => {
                    tokio::task::yield_now().await;
                }
                result => return result,
            }
        }
    });
    let started = started.await.expect("a dropped peer frees its directory");
    started.unwrap_or_else(|error| panic!("{name} does not start: {error}"))
}

/// A group of one.
async fn alone(folder: &Folder) -> Peer {
    let peer = start(&InProcess::network(), &["a"], "a", folder).await;
    peer.wait_ready(LONG).await.expect("a group of one is ready");
    peer
}

/// Waits until a peer that was dropped has written its last.
async fn freed(dir: &Path) {
    let directory = SystemDirectory::new(dir).expect("the directory is there");
    let free = async {
        while directory.lock("lock").expect("it can be tried").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, free).await.expect("a dropped peer frees its directory");
}

fn files(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let is_wanted = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    let mut paths: Vec<_> = paths.filter(is_wanted).collect();
    paths.sort();
    paths
}

/// One more than was acknowledged may have been counted for each call without an outcome.
#[derive(Default)]
struct Ledger {
    acknowledged: AtomicU64,
    unknown: AtomicU64,
}

impl Ledger {
    /// Adds ones until the peer is gone.
    async fn load(self: Arc<Self>, peer: Peer, mut calls: u64) {
        while calls > 0 {
            calls -= 1;
            match add(&peer, "k", 1).await {
                Ok(_) => _ = self.acknowledged.fetch_add(1, Ordering::Relaxed),
                Err(DecideError::NoPrimary { .. } | DecideError::ShuttingDown) => {
                    tokio::task::yield_now().await;
                }
                Err(_) => _ = self.unknown.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    fn check(&self, counted: u64) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let unknown = self.unknown.load(Ordering::Relaxed);
        assert!(
            acknowledged <= counted && counted <= acknowledged + unknown,
            "{counted} counted, {acknowledged} acknowledged, {unknown} unknown"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_under_load_every_acknowledged_unit_is_counted() {
    let folder = Folder::new("kill");
    let network = InProcess::network();
    let ledger = Arc::new(Ledger::default());
    let mut peers = Vec::new();
    for name in NAMES {
        peers.push(start(&network, &NAMES, name, &folder).await);
    }
    for round in 0..6 {
        for peer in &peers {
            peer.wait_ready(LONG).await.expect("three peers form a group");
        }
        let before = ledger.acknowledged.load(Ordering::Relaxed);
        let call = |peer: &Peer| tokio::spawn(ledger.clone().load(peer.clone(), 200));
        let calls: Vec<_> = peers.iter().map(|peer| [call(peer), call(peer)]).collect();
        let mut calls = calls.into_iter();
        while ledger.acknowledged.load(Ordering::Relaxed) < before + 50 {
            tokio::task::yield_now().await;
        }
        // One, two, or all three at once, with their callers.
        let killed = round % NAMES.len() + 1;
        for caller in calls.by_ref().take(killed).flatten() {
            caller.abort();
            if caller.await.is_err() {
                ledger.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
        peers.drain(..killed);
        for name in NAMES {
            if !peers.iter().any(|peer| peer.name().as_str() == name) {
                peers.push(start(&network, &NAMES, name, &folder).await);
            }
        }
        // The others go on all the time.
        for caller in calls.flatten() {
            caller.await.expect("it does not panic");
        }
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("three peers form a group");
        ledger.check(count(peer, "k").await);
    }
}

#[tokio::test]
async fn a_group_of_one_comes_back_with_all_its_cells() {
    let folder = Folder::new("one");
    let peer = alone(&folder).await;
    for number in 0..3000 {
        add(&peer, &format!("key {number}"), 1).await.expect("it is primary");
    }
    drop(peer);
    let peer = alone(&folder).await;
    let status = peer.status();
    assert_eq!((status.recovered_cells, status.storage_state), (3000, StorageState::Ok));
    assert_eq!(count(&peer, "key 2999").await, 1);
    peer.shutdown().await;
    // An orderly end leaves nothing half written, and the directory free at once.
    let peer = try_start(&InProcess::network(), &["a"], "a", &folder.of("a")).await;
    let peer = peer.expect("its directory is free");
    let told = events(&peer).into_iter().find(|e| matches!(e, Event::Recovered { .. }));
    let Some(Event::Recovered { cells, torn_bytes, .. }) = told else { panic!("it was told") };
    assert_eq!((cells, torn_bytes), (3000, 0));
}

#[tokio::test]
async fn progress_is_told_while_a_directory_is_read() {
    let folder = Folder::new("progress");
    let peer = alone(&folder).await;
    for number in 0..200 {
        add(&peer, &format!("key {number}"), 1).await.expect("it is primary");
    }
    peer.shutdown().await;
    let (tell, told) = std::sync::mpsc::channel();
    let peer = Peer::builder("a", Counter)
        .members([("a", "a")])
        .transport(InProcess::network().at("a"))
        .storage(Storage::disk(folder.of("a")))
        .on_recovery(move |progress| tell.send(progress).expect("the test listens"));
    let peer = peer.start().await.expect("its directory is free");
    let told: Vec<_> = told.try_iter().collect();
    assert!((2..=101).contains(&told.len()), "{} times", told.len());
    assert!(told.windows(2).all(|pair| pair[0].bytes <= pair[1].bytes));
    let last = told.last().expect("there are several");
    assert_eq!((last.bytes, last.records), (last.total_bytes, 200));
    assert_eq!(peer.status().recovered_cells, 200);
}

#[tokio::test]
async fn a_flipped_byte_is_refused_with_its_file_and_its_place() {
    let folder = Folder::new("flip");
    let peer = alone(&folder).await;
    for number in 0..50 {
        add(&peer, &format!("key {number}"), 1).await.expect("it is primary");
    }
    peer.shutdown().await;
    let log = files(&folder.of("a"), "log-").pop().expect("there is a log");
    let mut bytes = fs::read(&log).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).expect("it can be written");
    let error = try_start(&InProcess::network(), &["a"], "a", &folder.of("a")).await;
    let Err(StartError::Storage(OpenError::Corrupt { path, offset, .. })) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(path, &log);
    assert!(*offset <= middle as u64 && middle as u64 - offset < 4096, "{offset} for {middle}");
    let said = error.expect_err("it was refused").to_string();
    assert!(said.contains(&log.display().to_string()) && said.contains("Move the whole"), "{said}");
    // Nothing was changed: mended, it is read.
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).expect("it can be written");
    assert_eq!(alone(&folder).await.status().recovered_cells, 50);
}

#[tokio::test]
async fn a_torn_tail_is_left_out_and_told() {
    let folder = Folder::new("torn");
    let peer = alone(&folder).await;
    add(&peer, "k", 5).await.expect("it is primary");
    drop(peer);
    freed(&folder.of("a")).await;
    let log = files(&folder.of("a"), "log-").pop().expect("there is a log");
    let mut bytes = fs::read(&log).expect("it can be read");
    bytes.extend_from_slice(&[7; 100]);
    fs::write(&log, &bytes).expect("it can be written");
    let peer = alone(&folder).await;
    assert_eq!(count(&peer, "k").await, 5);
    let is_told = |e: &Event| matches!(e, Event::Recovered { torn_bytes: 100, .. });
    assert!(events(&peer).iter().any(is_told), "{:#?}", events(&peer));
}

#[tokio::test]
async fn a_second_peer_on_a_directory_is_refused_while_the_first_one_runs() {
    let folder = Folder::new("lock");
    let peer = alone(&folder).await;
    let second = try_start(&InProcess::network(), &["a"], "a", &folder.of("a")).await;
    let said = second.expect_err("it is in use").to_string();
    assert!(said.contains("in use by another process"), "{said}");
    add(&peer, "k", 1).await.expect("the first is not disturbed");
}

#[tokio::test]
async fn a_directory_of_a_newer_version_or_of_another_peer_is_refused_by_name() {
    let folder = Folder::new("newer");
    alone(&folder).await.shutdown().await;
    let other = try_start(&InProcess::network(), &["b"], "b", &folder.of("a")).await;
    let said = other.expect_err("it is another's").to_string();
    assert!(said.contains("belongs to the peer a, this is b"), "{said}");
    // The version stands behind the kind, and its checksum behind that.
    let state = folder.of("a").join("state");
    let mut bytes = fs::read(&state).expect("it can be read");
    bytes[8] = 9;
    let checksum = crc32c::crc32c(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&checksum);
    fs::write(&state, &bytes).expect("it can be written");
    let newer = try_start(&InProcess::network(), &["a"], "a", &folder.of("a")).await;
    let said = newer.expect_err("it is newer").to_string();
    assert!(said.contains("has format version 9") && said.contains("run the newer"), "{said}");
}

#[tokio::test]
async fn the_log_stays_in_proportion_to_the_cells() {
    let folder = Folder::new("compact");
    let peer = alone(&folder).await;
    let mut number = 0;
    while files(&folder.of("a"), "snapshot-").is_empty() {
        number += 1;
        assert!(number < 100_000, "a snapshot is due after a segment of 64 KiB");
        add(&peer, &format!("key {}", number % 20), 1).await.expect("it is primary");
    }
    drop(peer);
    let peer = alone(&folder).await;
    let mut sum = 0;
    for key in 0..20 {
        sum += count(&peer, &format!("key {key}")).await;
    }
    assert_eq!(sum, number);
}

#[tokio::test]
async fn unusable_settings_of_a_directory_are_named() {
    let start = async |storage| {
        let builder = Peer::builder("a", Counter).members([("a", "a")]);
        let builder = builder.transport(InProcess::network().at("a")).storage(storage);
        match builder.start().await {
            Err(StartError::Config(errors)) => errors,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(start(Storage::disk("")).await, [ConfigError::NoDirectory]);
    let sync = SyncPolicy::Every(Duration::ZERO);
    let errors = start(Storage::Disk { dir: "d".into(), sync }).await;
    assert!(errors[0].to_string().contains("a sync interval of 0 is out of range: use 1ms to"));
}

#[tokio::test]
async fn a_taken_address_leaves_the_directory_as_after_an_orderly_end() {
    let folder = Folder::new("address");
    let peer = alone(&folder).await;
    add(&peer, "k", 2).await.expect("it is primary");
    peer.shutdown().await;
    let network = InProcess::network();
    let other = Peer::builder("a", Counter).members([("a", "a")]).transport(network.at("a"));
    let other = other.start().await.expect("the address is free");
    let taken = try_start(&network, &["a"], "a", &folder.of("a")).await;
    assert!(matches!(taken, Err(StartError::Bind { .. })), "{taken:?}");
    drop(other);
    let peer = try_start(&InProcess::network(), &["a"], "a", &folder.of("a")).await;
    assert_eq!(peer.expect("the directory is free at once").status().recovered_cells, 1);
}

/// A directory is locked by the process that uses it: a dead one uses none, whoever has a handle of
/// it.
#[tokio::test]
async fn a_peer_that_is_aborted_leaves_its_directory_free_and_loses_nothing() {
    let folder = Folder::new("aborted");
    let peer = alone(&folder).await;
    let handle = peer.clone();
    add(&peer, "k", 3).await.expect("it decides");
    peer.abort();
    assert_eq!(peer.shutdown().await, quorate::Shutdown::WasReplica);
    assert_eq!(add(&handle, "k", 1).await, Err(DecideError::ShuttingDown));
    let again = try_start(&InProcess::network(), &["a"], "a", &folder.of("a")).await;
    let again = again.expect("the directory is free");
    again.wait_ready(LONG).await.expect("a group of one is ready");
    assert_eq!(count(&again, "k").await, 3);
    assert!(handle.wait_ready(Duration::ZERO).await.is_err(), "the dead stay dead");
}
