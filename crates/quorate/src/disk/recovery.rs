//! Opening a directory and reading it to its end (docs/disk-format.md, section 8).

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::aside::Aside;
use super::batch::{BatchReader, Chain};
use super::error::{Fault, IoError, OpenError};
use super::file::{Directory, DirectoryLock};
use super::folder::Folder;
use super::header::{BATCHES_AT, Header, Kind, POSITION_AT};
use super::inventory::{Found, Inventory, SegmentFile};
use super::log::{Earlier, Log, Segment};
use super::name::LOCK;
use super::reader::{EntryReader, ReadError, read_header};
use super::snapshot::SnapshotReader;
use super::state::{LogEnd, State};
use super::storage::{Installed, Storage};
use crate::base::id::Position;
use crate::disk::id::StorageId;
use crate::disk::options::Options;
use crate::protocol::io::HardState;
use crate::store::{ApplyError, Staged};

/// The progress of a recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes to read.
    pub total_bytes: u64,
    /// Records handed out; a cell that changed often has many.
    pub records: u64,
}

/// The findings of a recovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The end of the log: where the next batch starts.
    pub position: Position,
    /// True if the directory is used for the first time.
    pub is_new: bool,
    /// Records handed out.
    pub records: u64,
    /// The end that a crash had left half written, and that counts no longer.
    pub torn_tail: Option<TornTail>,
    /// True if the peer may have acknowledged more than this: it acknowledged before it synced,
    /// and the machine may have gone down before it was closed. What it lacks, others must have,
    /// and it is counted as another member: [`State::member_id`].
    pub may_lack_acknowledged: bool,
    /// True if the machine has not been started anew since the directory was last opened: then the
    /// process that had it is known to have ended, for it held the lock.
    pub is_same_boot: bool,
    /// True if other users of the machine may change what is in the directory, and it is not this
    /// process's to forbid it: the directory is another user's, or holds other things as well.
    pub is_open_to_others: bool,
    /// Where the state that was here stands now, if all that was here has made way: the other files
    /// stand beside it, and their names begin in the same way.
    pub set_aside: Option<PathBuf>,
}

/// The end of the log that a crash left half written. It was never known to be synced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// The offset at which the log ends without it.
    pub offset: u64,
    /// Bytes from there on.
    pub bytes: u64,
    /// Their fault.
    pub fault: Fault,
}

/// A directory that is being read. Nothing in it is changed before [`Recovery::finish`].
#[derive(Debug)]
pub struct Recovery {
    folder: Folder,
    lock: DirectoryLock,
    options: Options,
    state: Option<State>,
    source: Source,
    /// Segments still to be read, oldest first.
    segments: VecDeque<SegmentFile>,
    /// Segments read.
    earlier: Vec<Earlier>,
    temporary: Vec<String>,
    obsolete: Vec<String>,
    aside: Option<Aside>,
    snapshot: Option<Installed>,
    chain: Chain,
    progress: Progress,
    /// Bytes of the files read to their end.
    finished_bytes: u64,
    torn_tail: Option<TornTail>,
    error: Option<OpenError>,
}

/// The file that is read at present.
#[derive(Debug)]
enum Source {
    Snapshot(Box<SnapshotReader>),
    Segment(Box<BatchReader>, Header),
    /// All has been read; the last segment, unless there is none yet.
    End(Option<Tail>),
}

/// The end of the log.
#[derive(Debug)]
struct Tail {
    reader: Box<BatchReader>,
    header: Header,
    /// The offset at which the last whole batch ends.
    length: u64,
}

/// Opens a directory: keeps other processes out, sees that it belongs to this peer, and begins to
/// read it.
///
/// # Errors
///
/// See [`OpenError`]. Nothing was changed.
pub fn open(directory: Arc<dyn Directory>, options: Options) -> Result<Recovery, OpenError> {
    let folder = Folder::new(directory);
    let Some(lock) = folder.lock(LOCK)? else {
        return Err(OpenError::InUse { path: folder.path() });
    };
    let inventory = Inventory::take(&folder)?;
    let found = match inventory.state(&folder, &options)? {
        Some(state) if options.set_aside => inventory.set_aside(&folder, &state)?,
        Some(state) => inventory.plan(&folder, state)?,
        None => inventory.unused(&folder)?,
    };
    let Found { state, snapshot, segments, temporary, obsolete, aside } = found;
    let log_bytes: u64 = segments.iter().map(|segment| segment.length).sum();
    let header = snapshot.as_ref().map(|snapshot| *snapshot.header());
    let source = match snapshot {
        Some(snapshot) => Source::Snapshot(Box::new(snapshot)),
        None => Source::End(None),
    };
    let mut recovery = Recovery {
        folder,
        lock,
        options,
        state,
        source,
        segments,
        earlier: Vec::new(),
        temporary,
        obsolete,
        aside,
        snapshot: header.map(Installed::from),
        chain: header.map_or_else(Chain::default, Chain::from),
        progress: Progress {
            total_bytes: log_bytes + header.map_or(0, |header| header.extent.bytes),
            ..Progress::default()
        },
        finished_bytes: 0,
        torn_tail: None,
        error: None,
    };
    if header.is_none() {
        recovery.begin_segment()?;
    }
    Ok(recovery)
}

impl Recovery {
    /// The promises; `None` if the directory is new.
    pub fn hard_state(&self) -> Option<&HardState> {
        self.state.as_ref().map(|state| &state.hard)
    }

    /// Its progress.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The next batch, or the next piece of one, of at most 256 KiB of records: to be applied, in
    /// order, to a store that nobody uses yet. `None` at the end.
    ///
    /// Batches are handed out whole: after an error between two pieces the store is of no use.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Once it has failed, the recovery fails for good.
    pub fn next_batch(&mut self) -> Result<Option<Staged>, OpenError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let next = self.read();
        self.progress.bytes = self.finished_bytes + self.source.at();
        match &next {
            Ok(Some(batch)) => {
                let records = batch.records.iter().map(|records| records.len() as u64);
                self.progress.records += records.sum::<u64>();
            }
            Ok(None) => {}
            Err(error) => self.error = Some(error.clone()),
        }
        next
    }

    /// Names the directory in which something was found that is sound and yet cannot be applied.
    pub fn refuse(&self, source: ApplyError) -> OpenError {
        OpenError::Unusable { path: self.folder.path(), source }
    }

    /// Readies the directory for writing: what was not yet taken is read and dropped, a torn tail
    /// is left behind, all else is synced, and this start is counted.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn finish(mut self) -> Result<(Storage, Recovered), OpenError> {
        while self.next_batch()?.is_some() {}
        let is_new = self.state.is_none();
        let is_open_to_others = self.folder.protect()?;
        let mut report = Recovered {
            position: self.chain.position,
            is_new,
            records: self.progress.records,
            torn_tail: self.torn_tail.clone(),
            may_lack_acknowledged: self.may_lack_acknowledged(),
            is_same_boot: self.is_same_boot(),
            is_open_to_others,
            set_aside: None,
        };
        // First, for what follows needs room.
        remove_all(&self.folder, &self.temporary)?;
        if let Some(aside) = self.aside.take() {
            report.set_aside = aside.carry_out(&self.folder)?;
        }
        let storage = self.into_storage()?;
        Ok((storage, report))
    }

    fn read(&mut self) -> Result<Option<Staged>, OpenError> {
        loop {
            let next = match &mut self.source {
                Source::Snapshot(reader) => reader.next()?,
                Source::Segment(reader, _) => match reader.next(&mut self.chain) {
                    Ok(next) => next,
                    Err(error) => {
                        self.judge(error)?;
                        return Ok(None);
                    }
                },
                Source::End(_) => return Ok(None),
            };
            if next.is_some() {
                return Ok(next);
            }
            self.advance()?;
        }
    }

    /// Goes on to the next file.
    fn advance(&mut self) -> Result<(), OpenError> {
        self.finished_bytes += self.source.at();
        match std::mem::replace(&mut self.source, Source::End(None)) {
            Source::Segment(reader, header) if self.segments.is_empty() => {
                let length = reader.entries().at();
                self.end(reader, header, length)
            }
            Source::Segment(reader, header) => {
                let bytes = reader.entries().length();
                self.earlier.push(Earlier { number: header.number, bytes });
                self.begin_segment()
            }
            Source::Snapshot(_) | Source::End(_) => self.begin_segment(),
        }
    }

    /// Opens the next segment, which must go on where the file before it ended.
    fn begin_segment(&mut self) -> Result<(), OpenError> {
        let Some(SegmentFile { name, number, length }) = self.segments.pop_front() else {
            return Ok(());
        };
        let storage_id = self.storage_id();
        let file = self.folder.open(&name)?;
        let header = read_header(&file, Kind::Segment, storage_id, number)?;
        let found = Chain::from(header);
        if found != self.chain {
            let Chain { batches: expected, position } = self.chain;
            let (at, fault) = if found.batches == expected {
                (POSITION_AT, Fault::Chain { expected: position, found: found.position })
            } else {
                let what = "batches before it";
                let found = found.batches;
                (BATCHES_AT, Fault::Number { what, expected, found })
            };
            return Err(OpenError::corrupt(file.path(), at, fault));
        }
        let entries = EntryReader::new(file, header.salt(), length);
        self.source = Source::Segment(Box::new(BatchReader::new(entries, self.chain)), header);
        Ok(())
    }

    /// Says what it means that the log cannot be read on.
    fn judge(&mut self, error: ReadError) -> Result<(), OpenError> {
        let source = std::mem::replace(&mut self.source, Source::End(None));
        let Source::Segment(reader, header) = source else {
            return Ok(());
        };
        let path = reader.entries().file().path().clone();
        let (at, cut_at, fault) = match error {
            ReadError::Io(error) => return Err(error.into()),
            ReadError::Wrong { at, fault } => return Err(OpenError::corrupt(&path, at, fault)),
            ReadError::Broken { at, cut_at, fault } => (at, cut_at, fault),
        };
        let is_open_end = self.segments.is_empty() && self.closed().is_none();
        if !is_open_end || reader.entries().mark_behind(at)?.is_some() {
            return Err(OpenError::corrupt(&path, at, fault));
        }
        let bytes = reader.entries().length() - cut_at;
        self.torn_tail = Some(TornTail { path, offset: cut_at, bytes, fault });
        self.finished_bytes = self.progress.total_bytes;
        self.end(reader, header, cut_at)
    }

    /// Ends the log, where it had been closed if it was.
    fn end(
        &mut self,
        reader: Box<BatchReader>,
        header: Header,
        length: u64,
    ) -> Result<(), OpenError> {
        if let Some(LogEnd { bytes: need, .. }) = self.closed().filter(|end| end.bytes != length) {
            let fault = Fault::Number { what: "its end at byte", expected: need, found: length };
            return Err(OpenError::corrupt(reader.entries().file().path(), length, fault));
        }
        self.source = Source::End(Some(Tail { reader, header, length }));
        Ok(())
    }

    /// Returns true if the directory was last opened since the machine was started, by a process
    /// that has ended then: it held the lock.
    fn is_same_boot(&self) -> bool {
        let boot = self.options.boot;
        self.state.as_ref().is_some_and(|state| boot != 0 && boot == state.boot)
    }

    fn may_lack_acknowledged(&self) -> bool {
        // A process that was killed while it wrote leaves half a batch, which it had not
        // acknowledged. It cannot be told from a whole one that is damaged.
        let is_torn = self.torn_tail.is_some();
        self.state.as_ref().is_some_and(|state| {
            let is_other_boot = !self.is_same_boot();
            state.acknowledges_unsynced && state.closed.is_none() && (is_other_boot || is_torn)
        })
    }

    fn closed(&self) -> Option<LogEnd> {
        self.state.as_ref().and_then(|state| state.closed)
    }

    fn storage_id(&self) -> StorageId {
        self.state.as_ref().map_or(self.options.new_storage_id, |state| state.storage_id)
    }

    fn into_storage(self) -> Result<Storage, OpenError> {
        let storage_id = self.storage_id();
        let is_closed = self.closed().is_some();
        let losses = u64::from(self.may_lack_acknowledged());
        let Self { folder, lock, options, source, chain, mut earlier, snapshot, .. } = self;
        let Options { segment_bytes, .. } = options;
        // The state comes last: where there is one, there is a log.
        let log = match source {
            Source::End(Some(Tail { reader, header, length })) => {
                let marked = reader.marked();
                let entries = reader.into_entries();
                let is_sound = is_closed || marked.end == entries.length();
                let segment = if is_sound {
                    Segment::resume(entries.into_file(), &header, length, chain)
                } else {
                    earlier.push(Earlier { number: header.number, bytes: marked.at });
                    Segment::renew(&folder, &header, entries, marked, length, chain)?
                };
                Log::resume(&folder, storage_id, segment_bytes, chain, segment, earlier)
            }
            _ => Log::create(&folder, storage_id, segment_bytes)?,
        };
        let state = State {
            group: options.group,
            peer: options.peer,
            storage_id,
            starts: self.state.as_ref().map_or(0, |state| state.starts) + 1,
            losses: self.state.as_ref().map_or(0, |state| state.losses) + losses,
            boot: options.boot,
            hard: self.state.map_or_else(HardState::default, |state| state.hard),
            acknowledges_unsynced: options.acknowledges_unsynced,
            closed: None,
        };
        let storage = Storage::new(folder.clone(), lock, state, log, snapshot);
        storage.publish_state()?;
        // Names that a crash left unsynced have been synced with that of the state.
        remove_all(&folder, &self.obsolete)?;
        Ok(storage)
    }
}

/// Removes what crashes have left.
fn remove_all(folder: &Folder, names: &[String]) -> Result<(), IoError> {
    names.iter().try_for_each(|name| folder.remove(name))
}

impl Source {
    /// The offset up to which the present file was read.
    fn at(&self) -> u64 {
        match self {
            Self::Snapshot(reader) => reader.at(),
            Self::Segment(reader, _) => reader.entries().at(),
            Self::End(_) => 0,
        }
    }
}

impl From<Header> for Chain {
    fn from(Header { batches, position, .. }: Header) -> Self {
        Self { batches, position }
    }
}

impl From<Header> for Installed {
    fn from(Header { number, batches, extent, .. }: Header) -> Self {
        Self { number, batches, bytes: extent.bytes }
    }
}
