//! Snapshots: all cells at one position, in place of the log up to there
//! (docs/disk-format.md, section 7).
//!
//! ```text
//!  SnapshotWriter ──▶ Storage::seal ──▶ SealedSnapshot ──▶ Storage::install
//!  cells, loosely      the log begins     end, synced,       renamed, what it
//!  and then exactly    a segment here     read back          replaces removed
//! ```
//!
//! The log goes on all the time. The first three may be used on another thread than the storage.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use super::batch::{Chain, Handout, expect};
use super::entry::{self, Entry, Part};
use super::error::{Action, Failure, Fault, IoError, OpenError, SnapshotError};
use super::file::DirectoryLock;
use super::folder::{Folder, NamedFile};
use super::header::{Extent, HEADER_BYTES, Header, Kind};
use super::name::{self, TEMPORARY};
use super::reader::{EntryReader, ReadError, read_header};
use crate::disk::id::{Salt, StorageId};
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::Staged;

/// Written at once.
const WRITE_BYTES: usize = 1024 * 1024;
/// Synced at once, so that a snapshot does not hold up the log's syncs for long at its end.
const SYNC_BYTES: u64 = 16 * 1024 * 1024;

/// The part of its storage that a snapshot has.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) folder: Folder,
    pub(super) failure: Failure,
    /// No other process may use the directory while a snapshot is written, the storage gone or not.
    pub(super) _lock: Arc<DirectoryLock>,
}

/// A snapshot that is being written, under a temporary name.
///
/// Dropping it leaves the temporary file, which is removed when the directory is opened the next
/// time; [`SnapshotWriter::abandon`] removes it now.
#[derive(Debug)]
pub struct SnapshotWriter {
    owner: Owner,
    /// The error by which it is of no use.
    error: Option<SnapshotError>,
    file: NamedFile,
    header: Header,
    salt: Salt,
    /// Pieces so far.
    index: u32,
    written: u64,
    synced: u64,
    buffer: BytesMut,
    /// The log's count when the copy began.
    pub(super) copy_breaks: u64,
}

impl SnapshotWriter {
    pub(super) fn create(
        owner: Owner,
        storage_id: StorageId,
        number: u64,
        copy_breaks: u64,
    ) -> Result<Self, SnapshotError> {
        let Chain { batches, position } = Chain::default();
        let kind = Kind::Snapshot;
        let extent = Extent::default();
        let header = Header { kind, storage_id, number, batches, position, extent };
        let created = owner.folder.create(&temporary(number));
        let mut writer = Self {
            file: judge(&owner.failure, created)?,
            owner,
            error: None,
            header,
            salt: header.salt(),
            index: 0,
            written: 0,
            synced: 0,
            buffer: BytesMut::new(),
            copy_breaks,
        };
        // Written anew at the end, when it is known what to say.
        writer.buffer.extend_from_slice(&header.encode());
        Ok(writer)
    }

    /// Adds cells. A later record of a key replaces an earlier one, so that the exact cut may
    /// follow the loose copy.
    ///
    /// # Errors
    ///
    /// If they could not be written: the snapshot is of no use then.
    pub fn write(&mut self, records: &Records) -> Result<(), SnapshotError> {
        self.check()?;
        for records in entry::portions(std::slice::from_ref(records)) {
            self.header.extent.records += records.len() as u64;
            self.put(records, None);
            if self.buffer.len() >= WRITE_BYTES {
                let flushed = self.flush();
                self.note(flushed)?;
            }
        }
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Gives it up and removes its file.
    ///
    /// # Errors
    ///
    /// If the file could not be removed; it is when the directory is opened the next time.
    pub fn abandon(self) -> Result<(), SnapshotError> {
        let removed = self.owner.folder.remove(&temporary(self.header.number));
        judge(&self.owner.failure, removed)
    }

    fn check(&self) -> Result<(), SnapshotError> {
        self.owner.failure.check()?;
        self.error.clone().map_or(Ok(()), Err)
    }

    fn put(&mut self, records: Records, end: Option<BatchEnd>) {
        let part = Part { batch: self.header.number, index: self.index, from: None, records, end };
        entry::put_part(&mut self.buffer, self.salt, self.written, part);
        self.index += 1;
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.file.write_all(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Ends the file and makes it last, still under its temporary name.
    fn finish(&mut self, chain: Chain, end: BatchEnd) -> Result<(), IoError> {
        self.header.batches = chain.batches;
        self.header.position = chain.position;
        self.header.extent.end_at = self.bytes();
        self.put(Records::default(), Some(end));
        self.header.extent.bytes = self.bytes();
        self.flush()?;
        self.file.write_all(&self.header.encode(), 0)?;
        self.file.sync()
    }

    /// Reads it back: nothing older is removed for a snapshot that cannot be read.
    fn verify(&self) -> Result<(), IoError> {
        let name = temporary(self.header.number);
        let mut reader = match SnapshotReader::open(self.owner.folder.open(&name)?, &self.header) {
            Ok(reader) => reader,
            Err(OpenError::Io(error)) => return Err(error),
            Err(error) => return Err(self.misread(error)),
        };
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(OpenError::Io(error)) => return Err(error),
                Err(error) => return Err(self.misread(error)),
            }
        }
    }

    fn misread(&self, error: OpenError) -> IoError {
        self.file.error(Action::Read, io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Makes room again at once if there was none.
    fn note<T>(&mut self, result: Result<T, IoError>) -> Result<T, SnapshotError> {
        judge(&self.owner.failure, result).inspect_err(|error| {
            self.error = Some(error.clone());
            // What cannot be removed now is when the directory is opened the next time.
            _ = self.owner.folder.remove(&temporary(self.header.number));
        })
    }
}

/// A snapshot with nothing to come but its end.
#[derive(Debug)]
pub struct SealedSnapshot {
    pub(super) writer: SnapshotWriter,
    /// The segment that goes on where the snapshot ends.
    pub(super) segment: u64,
    pub(super) chain: Chain,
    pub(super) end: BatchEnd,
}

impl SealedSnapshot {
    /// Writes the end, makes all of it last, and reads it back. Takes as long as the disk needs.
    ///
    /// # Errors
    ///
    /// If any of that failed: the snapshot is of no use then.
    pub fn finish(self) -> Result<FinishedSnapshot, SnapshotError> {
        let Self { mut writer, segment, chain, end } = self;
        writer.check()?;
        let finished = writer.finish(chain, end).and_then(|()| writer.verify());
        writer.note(finished)?;
        Ok(FinishedSnapshot { header: writer.header, segment })
    }
}

/// A snapshot that is whole and synced, and has only to be given its name.
#[derive(Debug)]
pub struct FinishedSnapshot {
    pub(super) header: Header,
    pub(super) segment: u64,
}

/// A failure of what concerns a snapshot alone: nothing was promised on it, so that a full disk
/// costs the snapshot and not the log. Anything else says that the disk cannot be trusted.
pub(super) fn judge<T>(failure: &Failure, result: Result<T, IoError>) -> Result<T, SnapshotError> {
    match result {
        Err(error) if error.is_full() => Err(SnapshotError::Full(error)),
        result => Ok(failure.note(result)?),
    }
}

/// The name of a snapshot until it is installed.
pub(super) fn temporary(number: u64) -> String {
    name::snapshot(number) + TEMPORARY
}

/// The pieces of a snapshot.
#[derive(Debug)]
pub(super) struct SnapshotReader {
    entries: EntryReader,
    header: Header,
    handout: Handout,
    index: u32,
    records: u64,
    is_done: bool,
}

impl SnapshotReader {
    /// Opens a snapshot of the same storage and number as `expected`, and reads its end first:
    /// what it is a snapshot of goes out with the first piece.
    pub(super) fn open(file: NamedFile, expected: &Header) -> Result<Self, OpenError> {
        let Header { storage_id, number, .. } = *expected;
        let header = read_header(&file, Kind::Snapshot, storage_id, number)?;
        let Extent { bytes, end_at, .. } = header.extent;
        let have = file.length()?;
        if have < bytes {
            return Err(OpenError::corrupt(file.path(), have, Fault::CutOff { need: bytes, have }));
        }
        if have > bytes {
            let fault = Fault::TooLong { bytes: have, max: bytes };
            return Err(OpenError::corrupt(file.path(), bytes, fault));
        }
        let mut entries = EntryReader::new(file, header.salt(), bytes);
        let wrong = |fault| ReadError::Wrong { at: end_at, fault };
        entries.seek(end_at);
        let end = match entries.next() {
            Ok(Some((_, Entry::Piece(Part { end: Some(end), .. })))) => Ok(end),
            Ok(_) => Err(wrong(Fault::Unexpected("end of a snapshot"))),
            Err(error) => Err(error),
        };
        let end = end.and_then(|end| {
            let expected = header.position;
            let found = end.position;
            let is_it = entries.at() == bytes && expected == found && end.meta.is_some();
            if is_it { Ok(end) } else { Err(wrong(Fault::Chain { expected, found })) }
        });
        let end = end.map_err(|error| damaged(&entries, error))?;
        entries.seek(HEADER_BYTES as u64);
        let handout = Handout::new(None, end);
        Ok(Self { entries, header, handout, index: 0, records: 0, is_done: false })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The offset up to which it was read.
    pub(super) fn at(&self) -> u64 {
        self.entries.at()
    }

    /// The next piece; the first replaces everything. `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Staged>, OpenError> {
        if self.is_done {
            return Ok(None);
        }
        let next = self.next_part().map_err(|error| damaged(&self.entries, error))?;
        Ok(Some(self.handout.piece(next)))
    }

    fn next_part(&mut self) -> Result<Records, ReadError> {
        let at = self.entries.at();
        let wrong = |fault| ReadError::Wrong { at, fault };
        let Some((_, Entry::Piece(part))) = self.entries.next()? else {
            return Err(wrong(Fault::Unexpected("piece of a snapshot")));
        };
        expect("the snapshot number", self.header.number, part.batch).map_err(wrong)?;
        expect("the piece number", self.index.into(), part.index.into()).map_err(wrong)?;
        self.index += 1;
        self.records += part.records.len() as u64;
        if part.end.is_some() {
            let Extent { end_at, records, .. } = self.header.extent;
            expect("its end at byte", end_at, at).map_err(wrong)?;
            expect("records", records, self.records).map_err(wrong)?;
            self.is_done = true;
        }
        Ok(part.records)
    }
}

/// A snapshot got its name when it was whole and synced: whatever is wrong with it came later.
fn damaged(entries: &EntryReader, error: ReadError) -> OpenError {
    match error {
        ReadError::Io(error) => error.into(),
        ReadError::Broken { at, fault, .. } | ReadError::Wrong { at, fault } => {
            OpenError::corrupt(entries.file().path(), at, fault)
        }
    }
}
