//! The change log: batches appended to segments (docs/disk-format.md, section 5).

use bytes::BytesMut;

use super::batch::{Chain, Marked};
use super::entry::{self, Entry, Part};
use super::error::IoError;
use super::folder::{Folder, NamedFile};
use super::header::{Extent, HEADER_BYTES, Header, Kind};
use super::name;
use super::reader::EntryReader;
use super::state::LogEnd;
use crate::disk::id::{Salt, StorageId};
use crate::store::Staged;

/// A batch is written in one go unless it is larger than this.
const WRITE_BYTES: usize = 4 * 1024 * 1024;
/// Room kept for the next batch.
const KEPT_BYTES: usize = 1024 * 1024;
/// Copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// The log, open at its end.
#[derive(Debug)]
pub(super) struct Log {
    folder: Folder,
    storage_id: StorageId,
    segment_bytes: u64,
    chain: Chain,
    segment: Segment,
    /// Segments before that one, oldest first: synced and full.
    earlier: Vec<Earlier>,
    /// True if a batch was appended since the last sync.
    is_unsynced: bool,
    /// Batches that no snapshot may contain of which the copy began before.
    copy_breaks: u64,
    buffer: BytesMut,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Segment {
    file: NamedFile,
    number: u64,
    salt: Salt,
    length: u64,
    is_empty: bool,
}

/// A segment that is no longer written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Earlier {
    pub(super) number: u64,
    pub(super) bytes: u64,
}

impl Segment {
    /// A new segment, for good, that goes on after `before` bytes of the one before it.
    fn create(
        folder: &Folder,
        storage_id: StorageId,
        number: u64,
        chain: Chain,
        before: u64,
    ) -> Result<Self, IoError> {
        let header = header(storage_id, number, chain, before);
        let name = name::segment(number);
        let file = folder.publish(&name, |file| file.write_all(&header.encode(), 0))?;
        Ok(Self::resume(file, &header, HEADER_BYTES as u64, chain))
    }

    /// A segment that was read to its end, `length`.
    pub(super) fn resume(file: NamedFile, header: &Header, length: u64, chain: Chain) -> Self {
        let is_empty = header.batches == chain.batches;
        Self { file, number: header.number, salt: header.salt(), length, is_empty }
    }

    /// A new segment in place of what follows the last mark of the one before it, up to `end`.
    ///
    /// It is no use to sync that one: after a sync that failed, what can be read need not be on
    /// the disk, and another sync would not bring it there. Nor is it overwritten: the power may
    /// fail again. What it has behind the mark counts no longer once the new one has its name.
    pub(super) fn renew(
        folder: &Folder,
        old: &Header,
        mut entries: EntryReader,
        marked: Marked,
        end: u64,
        chain: Chain,
    ) -> Result<Self, IoError> {
        let header = header(old.storage_id, old.number + 1, marked.chain, marked.at);
        let salt = header.salt();
        let mut buffer = BytesMut::from(&header.encode()[..]);
        let mut length = 0;
        entries.seek(marked.end);
        let file = folder.publish(&name::segment(header.number), |file| {
            while entries.at() < end {
                if let Entry::Piece(part) = entries.next_again()? {
                    entry::put_part(&mut buffer, salt, length, part);
                }
                if buffer.len() >= COPY_BYTES {
                    length += write(file, &mut buffer, length)?;
                }
            }
            // True when it has its name: then all of it has been synced.
            entry::put_mark(&mut buffer, salt, length);
            length += write(file, &mut buffer, length)?;
            Ok(())
        })?;
        Ok(Self::resume(file, &header, length, chain))
    }

    fn write(&mut self, buffer: &mut BytesMut) -> Result<(), IoError> {
        self.length += write(&mut self.file, buffer, self.length)?;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), IoError> {
        self.file.sync()?;
        let mut mark = BytesMut::new();
        entry::put_mark(&mut mark, self.salt, self.length);
        self.write(&mut mark)
    }
}

fn header(storage_id: StorageId, number: u64, chain: Chain, before: u64) -> Header {
    let Chain { batches, position } = chain;
    let extent = Extent { bytes: before, ..Extent::default() };
    Header { kind: Kind::Segment, storage_id, number, batches, position, extent }
}

/// Writes all of a buffer; how much that was.
fn write(file: &mut NamedFile, buffer: &mut BytesMut, at: u64) -> Result<u64, IoError> {
    file.write_all(buffer, at)?;
    let length = buffer.len() as u64;
    buffer.clear();
    Ok(length)
}

impl Log {
    /// An empty log.
    pub(super) fn create(
        folder: &Folder,
        storage_id: StorageId,
        segment_bytes: u64,
    ) -> Result<Self, IoError> {
        let segment = Segment::create(folder, storage_id, 1, Chain::default(), 0)?;
        let chain = Chain::default();
        Ok(Self::resume(folder, storage_id, segment_bytes, chain, segment, Vec::new()))
    }

    /// A log that was read to its end.
    pub(super) fn resume(
        folder: &Folder,
        storage_id: StorageId,
        segment_bytes: u64,
        chain: Chain,
        segment: Segment,
        earlier: Vec<Earlier>,
    ) -> Self {
        Self {
            folder: folder.clone(),
            storage_id,
            segment_bytes,
            chain,
            segment,
            earlier,
            is_unsynced: false,
            copy_breaks: 0,
            buffer: BytesMut::new(),
        }
    }

    /// The end of the log.
    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Number of the segment that is written.
    pub(super) fn segment(&self) -> u64 {
        self.segment.number
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// The number of batches that broke the copies that had begun before them.
    pub(super) fn copy_breaks(&self) -> u64 {
        self.copy_breaks
    }

    /// Length of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segment.length + self.earlier.iter().map(|earlier| earlier.bytes).sum::<u64>()
    }

    /// Writes a batch that continues the chain; it is not synced.
    pub(super) fn append(&mut self, batch: &Staged) -> Result<(), IoError> {
        debug_assert!(self.chain.continues(batch.from), "the storage has looked");
        if self.segment.length >= self.segment_bytes {
            self.begin_segment()?;
        }
        self.is_unsynced = true;
        self.segment.is_empty = false;
        self.write(batch)?;
        if breaks_copies(batch) {
            self.copy_breaks += 1;
        }
        self.chain.advance(&batch.end);
        Ok(())
    }

    fn write(&mut self, batch: &Staged) -> Result<(), IoError> {
        let mut portions = entry::portions(&batch.records);
        if portions.is_empty() {
            portions.push(Default::default());
        }
        let last = portions.len() - 1;
        for (index, records) in portions.into_iter().enumerate() {
            let part = Part {
                batch: self.chain.batches + 1,
                index: u32::try_from(index).expect("a batch is smaller than a petabyte"),
                from: batch.from,
                records,
                end: (index == last).then(|| batch.end.clone()),
            };
            entry::put_part(&mut self.buffer, self.segment.salt, self.segment.length, part);
            if self.buffer.len() >= WRITE_BYTES {
                self.segment.write(&mut self.buffer)?;
            }
        }
        self.segment.write(&mut self.buffer)?;
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Makes all batches last.
    pub(super) fn sync(&mut self) -> Result<(), IoError> {
        if self.is_unsynced {
            self.segment.sync()?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    /// Makes all batches last, and the mark that says so.
    pub(super) fn close(&mut self) -> Result<LogEnd, IoError> {
        self.sync()?;
        self.segment.file.sync()?;
        Ok(LogEnd { segment: self.segment.number, bytes: self.segment.length })
    }

    /// Makes the next batch begin a segment of its own.
    ///
    /// All before is synced first: only the newest segment may have a torn tail.
    pub(super) fn begin_segment(&mut self) -> Result<(), IoError> {
        if self.segment.is_empty {
            return Ok(());
        }
        // Even if all batches have been: the last mark has not.
        self.segment.file.sync()?;
        self.is_unsynced = false;
        let number = self.segment.number + 1;
        let before = self.segment.length;
        let next = Segment::create(&self.folder, self.storage_id, number, self.chain, before)?;
        let full = std::mem::replace(&mut self.segment, next);
        self.earlier.push(Earlier { number: full.number, bytes: full.length });
        Ok(())
    }

    /// Names of the segments that are no longer written.
    pub(super) fn earlier(&self) -> impl Iterator<Item = String> {
        self.earlier.iter().map(|earlier| name::segment(earlier.number))
    }

    /// Removes the segments before one: a snapshot contains them.
    pub(super) fn remove_before(&mut self, segment: u64) -> Result<(), IoError> {
        while let Some(first) = self.earlier.first().filter(|first| first.number < segment) {
            self.folder.remove(&name::segment(first.number))?;
            self.earlier.remove(0);
        }
        Ok(())
    }
}

/// Returns true if a loose copy that began before this batch, and an exact cut after it of what
/// changed since the copy began, may not be all: a cut names no cell that is gone, and none whose
/// stamp is older than the copy.
fn breaks_copies(batch: &Staged) -> bool {
    let end = batch.end.position;
    let goes_back = batch.from.is_none_or(|from| end != from && end.sequence <= from.sequence);
    goes_back || batch.records.iter().flatten().any(|record| record.value.is_none())
}
