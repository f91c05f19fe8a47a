//! Reading the entries of a file one after the other, with bounded memory.

use std::io;

use bytes::BytesMut;

use super::entry::{self, Entry};
use super::error::{Action, Fault, IoError, OpenError};
use super::folder::NamedFile;
use super::header::{HEADER_BYTES, Header, Kind, NUMBER_AT, STORAGE_ID_AT, Unreadable};
use crate::disk::id::{Salt, StorageId};

/// Bytes read at once; an entry that is longer is read in one go.
const READ_BYTES: usize = 256 * 1024;

/// The reason why there is no next entry, although the file has not ended.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system refused to read.
    Io(IoError),
    /// These bytes were never written, or no longer are what was: whether that may be is for the
    /// log to say. What can be used ends at `cut_at`.
    Broken { at: u64, cut_at: u64, fault: Fault },
    /// A checksum confirms these bytes, and yet they make no sense here.
    Wrong { at: u64, fault: Fault },
}

impl From<IoError> for ReadError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

/// The entries of one file.
#[derive(Debug)]
pub(super) struct EntryReader {
    file: NamedFile,
    salt: Salt,
    length: u64,
    /// The offset at which the next entry begins, and `buffer` with it.
    at: u64,
    buffer: BytesMut,
}

impl EntryReader {
    /// A reader of the first `length` bytes of a file, behind its header.
    pub(super) fn new(file: NamedFile, salt: Salt, length: u64) -> Self {
        Self { file, salt, length, at: HEADER_BYTES as u64, buffer: BytesMut::new() }
    }

    pub(super) fn file(&self) -> &NamedFile {
        &self.file
    }

    pub(super) fn into_file(self) -> NamedFile {
        self.file
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The offset at which the next entry begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Goes to where an entry begins.
    pub(super) fn seek(&mut self, at: u64) {
        self.at = at;
        self.buffer.clear();
    }

    /// The next entry and where it begins; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Entry)>, ReadError> {
        let at = self.at;
        let left = self.length.saturating_sub(self.at);
        if left == 0 {
            return Ok(None);
        }
        let broken = |fault| ReadError::Broken { at, cut_at: at, fault };
        self.fill(entry::HEADER_BYTES)?;
        let length = entry::length(&self.buffer, at, left).map_err(broken)?;
        self.fill(length)?;
        // Shorter only if the file has become so while it was read.
        let found = self.buffer.get(..length);
        let have = self.buffer.len() as u64;
        let found = found.ok_or_else(|| broken(Fault::CutOff { need: length as u64, have }))?;
        entry::check(found, self.salt).map_err(broken)?;
        let found = self.buffer.split_to(length).freeze();
        self.at += length as u64;
        let entry = entry::decode(found).map_err(|fault| ReadError::Wrong { at, fault })?;
        Ok(Some((at, entry)))
    }

    /// The next entry of a file that has been read before.
    pub(super) fn next_again(&mut self) -> Result<Entry, IoError> {
        match self.next() {
            Ok(Some((_, entry))) => Ok(entry),
            Err(ReadError::Io(error)) => Err(error),
            // It was sound a moment ago.
            Ok(None) | Err(ReadError::Broken { .. } | ReadError::Wrong { .. }) => {
                Err(self.file.error(Action::Read, io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Reads on until the buffer has `need` bytes or the file ends.
    fn fill(&mut self, need: usize) -> Result<(), IoError> {
        let have = self.buffer.len();
        if have >= need {
            return Ok(());
        }
        let left = self.length - self.at;
        // What is made room for is in the file: no length that was read counts here.
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(need.max(READ_BYTES));
        self.buffer.resize(want.max(have), 0);
        let read = self.file.read(&mut self.buffer[have..], self.at + have as u64)?;
        self.buffer.truncate(have + read);
        Ok(())
    }

    /// The offset of the first mark behind `at`, however broken the bytes before it are.
    pub(super) fn mark_behind(&self, at: u64) -> Result<Option<u64>, IoError> {
        // Windows overlap, so that a mark is whole in one of them.
        const STEP: usize = READ_BYTES - entry::HEADER_BYTES;
        let mut window = vec![0; READ_BYTES];
        let mut from = at + 1;
        while from < self.length {
            let read = self.file.read(&mut window, from)?;
            if let Some(mark) = entry::find_mark(&window[..read], from, self.salt) {
                return Ok(Some(mark));
            }
            from += STEP as u64;
        }
        Ok(None)
    }
}

/// Reads the header of a segment or snapshot, and sees that it belongs here.
pub(super) fn read_header(
    file: &NamedFile,
    kind: Kind,
    storage_id: StorageId,
    number: u64,
) -> Result<Header, OpenError> {
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read(&mut bytes, 0)?;
    let header = Header::decode(kind, &bytes[..read]).map_err(|error| unreadable(file, error))?;
    if header.storage_id != storage_id {
        let fault = Fault::Storage { expected: storage_id, found: header.storage_id };
        return Err(OpenError::corrupt(file.path(), STORAGE_ID_AT, fault));
    }
    if header.number != number {
        let fault = Fault::Number { what: "number", expected: number, found: header.number };
        return Err(OpenError::corrupt(file.path(), NUMBER_AT, fault));
    }
    Ok(header)
}

/// Says which file it is that cannot be read.
pub(super) fn unreadable(file: &NamedFile, error: Unreadable) -> OpenError {
    match error {
        Unreadable::Newer { version, newest } => {
            OpenError::NewerVersion { path: file.path().clone(), version, supported: newest }
        }
        Unreadable::Damaged { at, fault } => OpenError::corrupt(file.path(), at, fault),
    }
}
