//! Snapshots in place of the log's beginning, while the log goes on
//! (docs/disk-format.md, section 7).
//!
//! ```text
//!  due ──▶ copy (snapshot thread) ──▶ the machine's exact cut ──▶ finish (snapshot thread) ──▶ install
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::worker::Worker;
use super::{Copied, Hold, Orders, Report, Task};
use crate::disk::{
    FinishedSnapshot, SealedSnapshot, SnapshotError, SnapshotWriter, StorageError, Usage,
};
use crate::driver::journal::STORAGE;
use crate::id::Sequence;
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::{CopyCursor, Store};

/// Copied at once.
const COPY_BYTES: usize = 256 * 1024;

/// How far the snapshot is; there is one at a time.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    step: Step,
    thread: Option<JoinHandle<()>>,
    /// After one that was given up: not before the log has this size.
    not_below: u64,
}

#[derive(Debug, Default)]
enum Step {
    /// The snapshot thread copies the cells, or finishes the file.
    Busy,
    /// Waiting for the cut that ends it.
    Copied(Box<SnapshotWriter>),
    #[default]
    Idle,
}

impl Compaction {
    fn is_due(&self, usage: Usage) -> bool {
        let is_idle = matches!(self.step, Step::Idle);
        is_idle && usage.is_compaction_due() && usage.log_bytes >= self.not_below
    }

    /// Waits for the snapshot thread.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // One that has panicked has printed why; its snapshot is removed at the next start.
            _ = thread.join();
        }
    }

    /// One thread after the other: the one before has said its last word.
    fn run(&mut self, job: impl FnOnce() + Send + 'static) {
        self.join();
        match thread::Builder::new().name("quorate-snapshot".into()).spawn(job) {
            Ok(thread) => (self.step, self.thread) = (Step::Busy, Some(thread)),
            Err(error) => {
                tracing::warn!(target: STORAGE, %error, "no thread for a snapshot: tried again later");
                self.step = Step::Idle;
            }
        }
    }
}

impl Worker {
    /// Begins a snapshot if one is due. Time waits for it where time waits for the disk.
    pub(super) fn compact(&mut self, hold: Hold) -> Result<(), StorageError> {
        let usage = self.storage().usage();
        if !self.compaction.is_due(usage) {
            return Ok(());
        }
        // Before the copy: what changes from here on is part of the cut that ends it.
        let since = self.store.position().sequence;
        let writer = match self.storage().begin_snapshot() {
            Ok(writer) => writer,
            Err(error) => return self.on_snapshot_error(error),
        };
        let (store, orders) = (self.store.clone(), self.orders.clone());
        let is_abandoned = self.is_abandoned.clone();
        self.compaction.run(move || {
            let writer = copy(&store, writer, &is_abandoned);
            report(&orders, hold, Task::Copied(Copied { writer, since }));
        });
        Ok(())
    }

    pub(super) fn on_copied(&mut self, copied: Copied) -> Result<(), StorageError> {
        match copied.writer {
            Ok(writer) => {
                self.compaction.step = Step::Copied(Box::new(writer));
                self.report(Report::Copied { since: copied.since });
                Ok(())
            }
            Err(error) => self.on_snapshot_error(error),
        }
    }

    /// Ends the snapshot with the exact cut, which is the end of the log as well.
    pub(super) fn on_end(&mut self, records: &Records, end: BatchEnd) -> Result<(), StorageError> {
        let Step::Copied(mut writer) = std::mem::take(&mut self.compaction.step) else {
            return Ok(());
        };
        let written = writer.write(records);
        let sealed = written.and_then(|()| self.storage().seal(*writer, end));
        match sealed {
            Ok(sealed) => {
                self.finish(sealed);
                Ok(())
            }
            Err(error) => self.on_snapshot_error(error),
        }
    }

    fn finish(&mut self, sealed: SealedSnapshot) {
        let orders = self.orders.clone();
        let hold = if orders.is_clock_held { Hold::new() } else { Hold::default() };
        self.compaction.run(move || report(&orders, hold, Task::Finished(sealed.finish())));
    }

    pub(super) fn on_finished(
        &mut self,
        finished: Result<FinishedSnapshot, SnapshotError>,
    ) -> Result<(), StorageError> {
        self.compaction.step = Step::Idle;
        match finished.and_then(|snapshot| self.storage().install(snapshot)) {
            Ok(()) => {
                self.compaction.not_below = 0;
                Ok(())
            }
            Err(error) => self.on_snapshot_error(error),
        }
    }

    /// Nothing was promised on a snapshot; but a disk that fails at it cannot be trusted.
    fn on_snapshot_error(&mut self, error: SnapshotError) -> Result<(), StorageError> {
        match error {
            SnapshotError::Storage(error) => Err(error),
            error => {
                self.give_up(&error);
                Ok(())
            }
        }
    }

    /// Another one is begun when the log has grown by half a segment: whatever was in the way of
    /// this one may still be.
    fn give_up(&mut self, error: &SnapshotError) {
        tracing::info!(target: STORAGE, %error, "a snapshot was given up");
        self.compaction.step = Step::Idle;
        let usage = self.storage().usage();
        self.compaction.not_below = usage.log_bytes + usage.segment_bytes / 2;
    }
}

/// Copies all cells loosely, a few at a time, so that nobody waits long for a shard.
fn copy(
    store: &Store,
    mut writer: SnapshotWriter,
    is_abandoned: &AtomicBool,
) -> Result<SnapshotWriter, SnapshotError> {
    let mut cursor = CopyCursor::since(Sequence(0));
    while !cursor.is_done() {
        if is_abandoned.load(Ordering::Acquire) {
            writer.abandon()?;
            return Err(SnapshotError::Void);
        }
        writer.write(&store.copy(&mut cursor, COPY_BYTES))?;
        thread::yield_now();
    }
    Ok(writer)
}

fn report(orders: &Orders, hold: Hold, task: Task) {
    // The storage thread has ended if nobody listens.
    _ = orders.queue.send((task, hold));
}
