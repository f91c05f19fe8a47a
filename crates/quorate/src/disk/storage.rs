//! The storage of a disk peer, once it has been opened.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::{AppendError, Failure, IoError, SnapshotError, StorageError};
use super::file::DirectoryLock;
use super::folder::Folder;
use super::log::Log;
use super::name::{self, STATE};
use super::snapshot::{FinishedSnapshot, Owner, SealedSnapshot, SnapshotWriter, judge, temporary};
use super::state::State;
use crate::base::id::Position;
use crate::protocol::io::HardState;
use crate::state::BatchEnd;
use crate::store::Staged;

/// Data of one peer on its disk.
///
/// Whoever acknowledges a batch, or sends a vote, waits for [`Storage::sync`], or
/// [`Storage::save`], to return first. After the first failure every call returns it again, and
/// nothing is written any more: see [`StorageError`].
#[derive(Debug)]
pub struct Storage {
    folder: Folder,
    state: State,
    log: Log,
    synced: Position,
    snapshot: Option<Installed>,
    /// Of the next snapshot.
    next_snapshot: u64,
    failure: Failure,
    /// Last, so that the directory is free only when all files are closed.
    lock: Arc<DirectoryLock>,
}

/// The snapshot that the log builds on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installed {
    pub(super) number: u64,
    pub(super) batches: u64,
    pub(super) bytes: u64,
}

/// Bytes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Of the segments that a recovery would read, marks and headers included.
    pub log_bytes: u64,
    /// Of the snapshot before them; 0 if there is none.
    pub snapshot_bytes: u64,
    /// From which size on a segment is full: the log below it is not worth a snapshot.
    pub segment_bytes: u64,
}

impl Usage {
    /// Returns true if a snapshot would pay: the log is larger than a segment and than the last
    /// snapshot, so that no more is written for snapshots than for the log.
    pub fn is_compaction_due(&self) -> bool {
        self.log_bytes > self.segment_bytes.max(self.snapshot_bytes)
    }
}

impl Storage {
    pub(super) fn new(
        folder: Folder,
        lock: DirectoryLock,
        state: State,
        log: Log,
        snapshot: Option<Installed>,
    ) -> Self {
        Self {
            folder,
            state,
            synced: log.chain().position,
            log,
            snapshot,
            next_snapshot: snapshot.map_or(1, |installed| installed.number + 1),
            failure: Failure::default(),
            lock: Arc::new(lock),
        }
    }

    /// The identity of this storage, and its promises.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The end of the last batch appended.
    pub fn position(&self) -> Position {
        self.log.chain().position
    }

    /// The end of the last batch that no crash takes away.
    pub fn synced(&self) -> Position {
        self.synced
    }

    /// The first failure, if there was one.
    pub fn failure(&self) -> Option<&StorageError> {
        self.failure.get()
    }

    /// Bytes on the disk.
    pub fn usage(&self) -> Usage {
        Usage {
            log_bytes: self.log.bytes(),
            snapshot_bytes: self.snapshot.map_or(0, |installed| installed.bytes),
            segment_bytes: self.log.segment_bytes(),
        }
    }

    /// Writes a batch, in one go unless it is larger than 4 MiB. It is not synced.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn append(&mut self, batch: &Staged) -> Result<(), AppendError> {
        self.failure.check()?;
        if let Some(from) = batch.from.filter(|from| !self.log.chain().continues(Some(*from))) {
            return Err(AppendError::From { from, end: self.position() });
        }
        let appended = self.log.append(batch);
        Ok(self.failure.note(appended)?)
    }

    /// Makes all that was appended last; returns its end.
    ///
    /// # Errors
    ///
    /// If it failed: whether anything since the last sync lasts is not known.
    pub fn sync(&mut self) -> Result<Position, StorageError> {
        self.failure.check()?;
        let synced = self.log.sync();
        self.failure.note(synced)?;
        self.synced = self.position();
        Ok(self.synced)
    }

    /// Makes a promise last. Costs two syncs, and nothing if it is the one that is there.
    ///
    /// # Errors
    ///
    /// If it failed: whether this promise lasts, or the one before it, is not known.
    pub fn save(&mut self, hard: HardState) -> Result<(), StorageError> {
        self.failure.check()?;
        if self.state.hard == hard {
            return Ok(());
        }
        self.state.hard = hard;
        let published = self.publish_state();
        self.failure.note(published)
    }

    /// Begins a snapshot of the state at a later position; the log goes on meanwhile.
    ///
    /// To be called before the copy of the cells begins.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn begin_snapshot(&mut self) -> Result<SnapshotWriter, SnapshotError> {
        self.failure.check()?;
        let number = self.next_snapshot;
        self.next_snapshot += 1;
        let owner = Owner {
            folder: self.folder.clone(),
            failure: self.failure.clone(),
            _lock: Arc::clone(&self.lock),
        };
        let copy_breaks = self.log.copy_breaks();
        SnapshotWriter::create(owner, self.state.storage_id, number, copy_breaks)
    }

    /// Says what a snapshot is of, after the exact cut that ends it has been written to it and
    /// appended to the log. The log is synced, and goes on in a new segment.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn seal(
        &mut self,
        writer: SnapshotWriter,
        end: BatchEnd,
    ) -> Result<SealedSnapshot, SnapshotError> {
        self.failure.check()?;
        if writer.copy_breaks != self.log.copy_breaks() {
            writer.abandon()?;
            return Err(SnapshotError::Void);
        }
        let position = end.position;
        if position != self.position() {
            writer.abandon()?;
            return Err(SnapshotError::Position { position, end: self.position() });
        }
        let begun = self.log.begin_segment();
        self.failure.note(begun)?;
        self.synced = position;
        let end = BatchEnd { meta: Some(end.meta.unwrap_or_default()), ..end };
        let segment = self.log.segment();
        let chain = self.log.chain();
        Ok(SealedSnapshot { writer, segment, chain, end })
    }

    /// Puts a snapshot in place of the log up to its end, and removes what it replaces.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn install(&mut self, snapshot: FinishedSnapshot) -> Result<(), SnapshotError> {
        self.failure.check()?;
        let FinishedSnapshot { header, segment } = snapshot;
        let number = header.number;
        let batches = header.batches;
        let bytes = header.extent.bytes;
        // The newest by number must be the newest by content: a recovery goes by numbers.
        let is_late =
            |installed: Installed| installed.number > number || installed.batches > batches;
        if self.snapshot.is_some_and(is_late) {
            let removed = self.folder.remove(&temporary(number));
            judge(&self.failure, removed)?;
            return Err(SnapshotError::Void);
        }
        let renamed = self.folder.rename(&temporary(number), &name::snapshot(number));
        self.failure.note(renamed)?;
        let replaced = self.snapshot.replace(Installed { number, batches, bytes });
        let removed = self.remove_replaced(replaced, segment);
        self.failure.note(removed)?;
        Ok(())
    }

    fn remove_replaced(
        &mut self,
        replaced: Option<Installed>,
        segment: u64,
    ) -> Result<(), IoError> {
        if let Some(Installed { number, .. }) = replaced {
            self.folder.remove(&name::snapshot(number))?;
        }
        self.log.remove_before(segment)
    }

    /// Keeps what is stored now under second names, for people, before something else takes its
    /// place: in place of what was kept so before. Returns the second name of the state, with its
    /// directory; `None` if nothing is stored.
    ///
    /// # Errors
    ///
    /// If it failed: nothing may take its place then.
    pub fn set_aside(&mut self) -> Result<Option<PathBuf>, StorageError> {
        self.failure.check()?;
        let begun = self.log.begin_segment();
        self.failure.note(begun)?;
        self.synced = self.position();
        if self.position().is_blank() {
            return Ok(None);
        }
        let linked = self.link_aside();
        self.failure.note(linked).map(Some)
    }

    fn link_aside(&self) -> Result<PathBuf, IoError> {
        for name in self.folder.list()?.iter().filter(|name| name::is_aside(name)) {
            self.folder.remove(name)?;
        }
        let snapshot = self.snapshot.map(|installed| name::snapshot(installed.number));
        // Their content does not change any more: the log is in a new segment, and another state
        // will be another file.
        for name in self.log.earlier().chain(snapshot).chain([STATE.into()]) {
            self.folder.link(&name, &name::aside(&name))?;
        }
        self.folder.sync()?;
        Ok(self.folder.path_of(&name::aside(STATE)))
    }

    /// Syncs all, and notes where the log ends: whatever is missing the next time was lost.
    ///
    /// # Errors
    ///
    /// If it failed: as after a crash then.
    pub fn close(mut self) -> Result<(), StorageError> {
        self.failure.check()?;
        let end = self.log.close();
        self.state.closed = Some(self.failure.note(end)?);
        let published = self.publish_state();
        self.failure.note(published)
    }

    pub(super) fn publish_state(&self) -> Result<(), IoError> {
        let state = self.state.encode();
        self.folder.publish(STATE, |file| file.write_all(&state, 0)).map(drop)
    }
}
