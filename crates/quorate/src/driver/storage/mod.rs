//! Storage on disk, as the event loop sees it: tasks go out, reports come back.
//!
//! ```text
//!               tasks, in order ──▶ storage thread ──▶ files
//!   event loop                        │       ▲ copied, finished
//!               ◀── reports ──────────┘       │
//!                                     └─▶ snapshot thread, one at a time
//! ```
//!
//! One thread owns the [`disk::Storage`](crate::disk::Storage), for its calls wait for the disk.
//! It takes all tasks that wait, writes them, and then syncs once for all of them: the slower the
//! disk, the more share a sync. The state machine waits for the reports before it says anything
//! that depends on them.

mod compaction;
mod link;
mod opening;
mod snapshots;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{mpsc as reports, oneshot};

pub(super) use link::{Link, next_report};
pub(super) use opening::{OnProgress, Opened, Opening, boot, directory};
use worker::Worker;

use crate::base::id::{PeerName, Sequence};
use crate::config::SyncPolicy;
use crate::disk::{FinishedSnapshot, SnapshotError, SnapshotWriter, Storage, StorageError};
use crate::protocol::io::HardState;
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::{Staged, Store};

/// A task from the event loop; answered by a [`Report`] unless it says otherwise.
#[derive(Debug)]
pub(super) enum StorageTask {
    Append {
        number: u64,
        batch: Staged,
    },
    /// Ends the snapshot of which the copy was reported; nothing is reported of that.
    EndSnapshot {
        records: Records,
        end: BatchEnd,
    },
    Save(HardState),
    /// Makes all that was appended last; nothing is reported.
    Sync,
}

/// A report of the storage thread.
#[derive(Debug)]
pub(super) enum Report {
    /// All batches up to this one are as safe as the policy asks for.
    Appended { number: u64 },
    /// A snapshot has all cells; whatever changed after `since` may be missing from it.
    Copied { since: Sequence },
    /// Nothing is stored any more, and no report follows: what has failed, and what to do.
    Failed(String),
    /// The promise that was to be saved lasts.
    Saved,
    /// Files of an older founding are kept, from this one on.
    SetAside(PathBuf),
}

/// The outcome of closing the storage.
pub(super) type Closed = Result<(), StorageError>;

/// A job for the storage thread, whoever gives it.
#[derive(Debug)]
pub(super) enum Job {
    /// End at once, as if killed.
    Abandon,
    /// End in an orderly way.
    Close(oneshot::Sender<Closed>),
    /// The snapshot thread has copied the cells.
    Copied(Copied),
    /// The snapshot thread has finished.
    Finished(Result<FinishedSnapshot, SnapshotError>),
    Task(StorageTask),
}

/// The end of a copy.
#[derive(Debug)]
pub(super) struct Copied {
    writer: Result<SnapshotWriter, SnapshotError>,
    since: Sequence,
}

/// Sends jobs to the storage thread.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    jobs: mpsc::Sender<(Job, ClockHold)>,
    is_clock_held: bool,
}

impl Queue {
    /// Gives a task to the storage; after it has failed or ended that has no effect.
    pub(super) fn send(&self, task: StorageTask) {
        self.push(Job::Task(task), self.hold());
    }

    /// The hold that keeps a paused clock from running on while a job is done.
    fn hold(&self) -> ClockHold {
        if self.is_clock_held { ClockHold::new() } else { ClockHold::default() }
    }

    fn push(&self, job: Job, hold: ClockHold) {
        // Whoever is gone has said so.
        _ = self.jobs.send((job, hold));
    }
}

/// Keeps tokio's clock, where tests have paused it, from running on while the disk works: the
/// storage threads are none of the runtime's, which would take waiting for them for idleness.
#[derive(Clone, Debug, Default)]
struct ClockHold {
    _released: Option<mpsc::Sender<()>>,
}

impl ClockHold {
    fn new() -> Self {
        let (released, is_released) = mpsc::channel::<()>();
        let Ok(runtime) = Handle::try_current() else { return Self::default() };
        // A paused clock stands still while there is blocking work.
        runtime.spawn_blocking(move || is_released.recv().is_ok());
        Self { _released: Some(released) }
    }
}

/// Keeps the storage thread alive. Dropped without [`Keeper::close`] it ends the storage as the
/// death of the process would: what was asked for and not yet done is not done.
#[derive(Debug)]
pub(crate) struct Keeper {
    queue: Queue,
    is_abandoned: Arc<AtomicBool>,
}

impl Keeper {
    /// Writes what was decided last, syncs everything and notes where the log ends. The directory
    /// is free when this returns.
    ///
    /// # Errors
    ///
    /// If the storage has failed, now or before: as after a crash then.
    pub(crate) async fn close(&self) -> Result<(), StorageError> {
        let (reply, closed) = oneshot::channel();
        self.queue.push(Job::Close(reply), self.queue.hold());
        // Closed before, if nobody answers.
        closed.await.unwrap_or(Ok(()))
    }

    /// Ends the storage as the death of the process would.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
        self.queue.push(Job::Abandon, self.queue.hold());
    }

    /// Waits until a storage that was closed or abandoned is gone, and its directory free.
    pub(crate) async fn gone(&self) {
        let (reply, gone) = oneshot::channel();
        self.queue.push(Job::Close(reply), self.queue.hold());
        // Nobody answers: the thread drops what it has not looked at when all else is dropped.
        _ = gone.await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The things that the storage thread is started with.
pub(super) struct Setup {
    /// This peer, for what is logged.
    pub(super) peer: PeerName,
    pub(super) storage: Storage,
    pub(super) store: Arc<Store>,
    pub(super) sync: SyncPolicy,
    /// True if the cells are in memory only.
    pub(super) is_state_only: bool,
    /// True if a paused clock is to wait for the disk.
    pub(super) is_clock_held: bool,
}

/// Starts the storage thread.
///
/// # Errors
///
/// If the system refuses a thread; the storage ends as in a crash then.
pub(super) fn start(setup: Setup) -> std::io::Result<(Keeper, Link)> {
    let sync = setup.sync;
    let (jobs, inbox) = mpsc::channel();
    let (outbox, reports) = reports::unbounded_channel();
    let queue = Queue { jobs, is_clock_held: setup.is_clock_held };
    let is_abandoned = Arc::new(AtomicBool::new(false));
    let keeper = Keeper { queue: queue.clone(), is_abandoned: is_abandoned.clone() };
    let worker = Worker::new(setup, queue.clone(), outbox, is_abandoned);
    thread::Builder::new().name("quorate-storage".into()).spawn(move || worker.run(inbox))?;
    Ok((keeper, Link { queue, reports, sync }))
}
