//! Snapshots that the storage thread begins, and a thread beside it copies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::compaction::Step;
use super::worker::Worker;
use super::{ClockHold, Copied, Job, Report};
use crate::base::id::Sequence;
use crate::base::telling::Chain;
use crate::disk::{FinishedSnapshot, SealedSnapshot, SnapshotError, SnapshotWriter, StorageError};
use crate::driver::report::journal::{STORAGE, plain};
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::{CopyCursor, Store};

/// Bytes that are copied at once.
const COPY_BYTES: usize = 256 * 1024;

impl Worker {
    /// Begins a snapshot if one is due. Time waits for it where time waits for the disk.
    pub(super) fn compact(&mut self, hold: ClockHold) -> Result<(), StorageError> {
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
        let store = self.store.clone();
        let queue = self.queue.clone();
        let is_abandoned = self.is_abandoned.clone();
        self.compaction.run(&self.peer, move || {
            let writer = copy(&store, writer, &is_abandoned);
            queue.push(Job::Copied(Copied { writer, since }), hold);
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
        let queue = self.queue.clone();
        let hold = queue.hold();
        self.compaction.run(&self.peer, move || queue.push(Job::Finished(sealed.finish()), hold));
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

    /// Gives a snapshot up, on which nothing was promised; but a disk that fails at it cannot be
    /// trusted.
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
    fn give_up(&mut self, given_up: &SnapshotError) {
        let peer = &self.peer;
        let error = plain(Chain(given_up));
        if matches!(given_up, SnapshotError::Full(_)) {
            tracing::warn!(target: STORAGE, %peer, %error, "gave a snapshot up");
        } else {
            tracing::info!(target: STORAGE, %peer, %error, "gave a snapshot up");
        }
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
