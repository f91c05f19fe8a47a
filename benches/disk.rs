//! Storage on disk: what an append and its sync cost, what a group decides on disk beside one in
//! memory, and how long a million cells take to be read at a start.
//!
//! All of it happens in one process: three peers on an in-process network and their callers share
//! the cores. The directory is made where the system keeps temporary files, or below the folder
//! that `QUORATE_BENCH_DIR` names: a disk of memory says nothing.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use quorate::internal::disk::{self, Options, Storage as Files, StorageId, SystemDirectory};
use quorate::internal::record::{Record, Records};
use quorate::internal::state::BatchEnd;
use quorate::internal::store::{EPOCH, Staged, Store};
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Ballot, Bounds, Generation, GroupTime, Lead, Peer, Position, Sequence, Storage,
    SyncPolicy, Term, Value,
};
use quorate_benches::group::{WINDOW, limits};
use quorate_benches::report::{Table, quantile};
use quorate_benches::{facts, stopwatch};
use quorate_ratelimit::RateLimiter;

const CELLS: u64 = 1_000_000;
const CALLERS: u64 = 64;
/// How long a group decides.
const TURN: Duration = Duration::from_secs(3);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("Storage on disk. {}", facts::machine());
    let folder = Folder::new();
    println!("In {}.\n", folder.0.display());
    println!("{}", appends(&folder)?);
    println!("{}", recoveries(&folder)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("{}", runtime.block_on(decisions(&folder))?);
    Ok(())
}

/// Removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let parent = env::var_os("QUORATE_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
        Self(parent.join(format!("quorate-bench-{}", std::process::id())))
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays.
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// A log that is written directly, as the storage thread does.
struct Log {
    files: Files,
    position: Position,
}

impl Log {
    fn create(path: &Path) -> Result<Self, Box<dyn Error>> {
        let (files, found) = open(path)?.finish()?;
        Ok(Self { files, position: found.position })
    }

    fn append(&mut self, records: Records) -> Result<(), Box<dyn Error>> {
        let from = Some(self.position);
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
        let sequence = Sequence(self.position.sequence.0 + EPOCH);
        self.position = Position { ballot, sequence };
        let end = BatchEnd {
            position: self.position,
            group_time: GroupTime(1),
            lead: Lead::default(),
            expired_before: GroupTime(0),
            meta: None,
        };
        Ok(self.files.append(&Staged { from, records: vec![records], end })?)
    }
}

fn open(path: &Path) -> Result<disk::Recovery, Box<dyn Error>> {
    let options = Options::new("bench", "a".into(), StorageId(1));
    Ok(disk::open(Arc::new(SystemDirectory::new(path)?), options)?)
}

fn records(from: u64, count: u64) -> Records {
    let keys: Vec<_> = (from..from + count).map(|n| format!("\0user {n:08}")).collect();
    let value = Value { words: [1, 2, 3], expires: GroupTime::MAX };
    keys.iter().map(|key| Record { key: key.as_bytes(), value: Some(value) }).collect()
}

fn appends(folder: &Folder) -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new(&["append and sync of", "p50, us", "p99, us"]);
    for count in [1, 100, 10_000] {
        let mut log = Log::create(&folder.join(&format!("append-{count}")))?;
        let mut times = Vec::new();
        for _ in 0..300 {
            let records = records(0, count);
            let before = stopwatch::now();
            log.append(records)?;
            log.files.sync()?;
            times.push(before.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let [p50, p99] = [0.5, 0.99].map(|part| format!("{:.0}", quantile(&times, part)));
        table.row([format!("{count} cell(s)"), p50, p99]);
    }
    Ok(table)
}

fn recoveries(folder: &Folder) -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new(&["1 M cells read from", "MiB", "s", "M records/s"]);
    for (name, each) in [("batches of 1 cell", 1), ("batches of 1,000 cells", 1_000)] {
        let path = folder.join(&format!("recovery-{each}"));
        let mut log = Log::create(&path)?;
        for batch in 0..CELLS / each {
            log.append(records(batch * each, each))?;
        }
        log.files.close()?;
        let (row, store, files) = recover(&path)?;
        table.row([vec![format!("a log with {name}")], row].concat());
        if each > 1 {
            snapshot(&store, files)?;
            let (row, ..) = recover(&path)?;
            table.row([vec!["a snapshot".to_owned()], row].concat());
        }
    }
    Ok(table)
}

fn recover(path: &Path) -> Result<(Vec<String>, Store, Files), Box<dyn Error>> {
    let store = Store::new(Bounds::default());
    let before = stopwatch::now();
    let mut recovery = open(path)?;
    while let Some(batch) = recovery.next_batch()? {
        store.restore(batch)?;
    }
    let progress = recovery.progress();
    let (files, _) = recovery.finish()?;
    let seconds = before.elapsed().as_secs_f64();
    assert_eq!(store.cells() as u64, CELLS, "all cells were read");
    let mib = progress.total_bytes as f64 / 1024.0 / 1024.0;
    let rate = progress.records as f64 / seconds / 1e6;
    Ok((vec![format!("{mib:.0}"), format!("{seconds:.2}"), format!("{rate:.2}")], store, files))
}

/// Puts a snapshot in place of the log.
fn snapshot(store: &Store, mut files: Files) -> Result<(), Box<dyn Error>> {
    let mut writer = files.begin_snapshot()?;
    let mut cursor = quorate::internal::store::CopyCursor::since(Sequence(0));
    while !cursor.is_done() {
        writer.write(&store.copy(&mut cursor, 256 * 1024))?;
    }
    let cut = store.cut(store.group_time(), Sequence(u64::MAX), &[], 0);
    let end = cut.batch_end(Some(store.meta()));
    let sealed = files.seal(writer, end)?;
    let finished = sealed.finish()?;
    files.install(finished)?;
    Ok(files.close()?)
}

async fn decisions(folder: &Folder) -> Result<Table, Box<dyn Error>> {
    let storages = [
        ("memory", None),
        ("disk, os", Some(SyncPolicy::Os)),
        ("disk, 1s", Some(SyncPolicy::default())),
        ("disk, every-batch", Some(SyncPolicy::EveryBatch)),
    ];
    let mut table =
        Table::new(&["storage", "answered after", "1,000 decisions/s", "p50, us", "p99, us"]);
    for acknowledge in [Acknowledge::Primary, Acknowledge::Majority] {
        for (name, sync) in storages {
            let path = folder.join(&format!("{acknowledge:?}-{name}"));
            let row = turn(acknowledge, sync, &path).await?;
            let after = format!("{acknowledge:?}").to_lowercase();
            table.row([vec![name.to_owned(), after], row].concat());
        }
    }
    Ok(table)
}

/// What a group of three decides for its callers, who all ask the primary.
async fn turn(
    acknowledge: Acknowledge,
    sync: Option<SyncPolicy>,
    path: &Path,
) -> Result<Vec<String>, Box<dyn Error>> {
    let (network, limits) = (InProcess::network(), limits());
    let mut peers = Vec::new();
    for name in NAMES {
        let dir = path.join(name);
        let storage = sync.map_or(Storage::Memory, |sync| Storage::Disk { dir, sync });
        let peer = Peer::builder(name, limits.model())
            .members(NAMES.map(|name| (name, name)))
            .transport(network.at(name))
            .priority(if name == NAMES[0] { 1 } else { 2 })
            .acknowledge(acknowledge)
            .storage(storage);
        peers.push(peer.start().await?);
    }
    for peer in &peers {
        peer.wait_ready(Duration::from_secs(30)).await?;
    }
    let limiter = RateLimiter::new(peers[0].clone(), &limits);
    let before = stopwatch::now();
    let callers = (0..CALLERS).map(|number| tokio::spawn(call(limiter.clone(), number)));
    let mut times = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        times.extend(caller.await?);
    }
    let rate = times.len() as f64 / before.elapsed().as_secs_f64() / 1e3;
    for peer in &peers {
        peer.shutdown().await;
    }
    times.sort_by(f64::total_cmp);
    let [p50, p99] = [0.5, 0.99].map(|part| format!("{:.0}", quantile(&times, part)));
    Ok(vec![format!("{rate:.0}"), p50, p99])
}

/// One caller with keys of its own: how long each of its calls took, in microseconds.
async fn call(limiter: RateLimiter, number: u64) -> Vec<f64> {
    let (mut times, start) = (Vec::new(), stopwatch::now());
    while start.elapsed() < TURN {
        let key = format!("caller {number} key {}", times.len() % 1_000);
        let before = stopwatch::now();
        let decision = limiter.acquire(WINDOW, &key, 1).await.expect("there is a primary");
        assert!(decision.allowed, "the limit is out of reach");
        times.push(before.elapsed().as_secs_f64() * 1e6);
        if times.len().is_multiple_of(64) {
            // Others have a turn too where an answer takes no waiting.
            tokio::task::yield_now().await;
        }
    }
    times
}
