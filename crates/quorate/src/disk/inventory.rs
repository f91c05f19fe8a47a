//! The files of a directory, and those of them that a recovery reads.

use std::collections::{BTreeSet, VecDeque};

use super::aside::Aside;
use super::batch::Chain;
use super::error::{Fault, OpenError};
use super::folder::{Folder, NamedFile};
use super::header::{Extent, HEADER_BYTES, Header, Kind};
use super::name::{self, Name, STATE};
use super::reader::{read_header, unreadable};
use super::snapshot::SnapshotReader;
use super::state::{MAX_BYTES, State};
use crate::disk::id::StorageId;
use crate::disk::options::Options;
use crate::protocol::io::HardState;

/// The files of a directory, by their names.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    has_state: bool,
    segments: BTreeSet<u64>,
    snapshots: BTreeSet<u64>,
    temporary: Vec<String>,
    /// Files that made way for a peer which started blank.
    removed: Vec<String>,
}

/// The files that are to be read, and those that are not needed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) state: Option<State>,
    pub(super) snapshot: Option<SnapshotReader>,
    /// Oldest first.
    pub(super) segments: VecDeque<SegmentFile>,
    /// Left by a crash before they had a name.
    pub(super) temporary: Vec<String>,
    /// Replaced by the snapshot.
    pub(super) obsolete: Vec<String>,
    /// Files that make way: there is no state then, and nothing to be read.
    pub(super) aside: Option<Aside>,
}

/// A segment to be read.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) name: String,
    pub(super) number: u64,
    /// The bytes of it that count: for all but the newest, what the next one says.
    pub(super) length: u64,
}

impl Inventory {
    pub(super) fn take(folder: &Folder) -> Result<Self, OpenError> {
        let mut inventory = Self::default();
        for name in folder.list()? {
            match Name::parse(&name) {
                Name::Segment(number) => _ = inventory.segments.insert(number),
                Name::Snapshot(number) => _ = inventory.snapshots.insert(number),
                Name::Temporary => inventory.temporary.push(name),
                Name::Other if name == STATE => inventory.has_state = true,
                Name::Other if name::before_removal(&name).is_some() => {
                    inventory.removed.push(name);
                }
                Name::Other => {}
            }
        }
        Ok(inventory)
    }

    /// The state, if it is there, and is this peer's.
    pub(super) fn state(
        &self,
        folder: &Folder,
        options: &Options,
    ) -> Result<Option<State>, OpenError> {
        if !self.has_state {
            return Ok(None);
        }
        let file = folder.open(STATE)?;
        let state = State::decode(&read_state(&file)?).map_err(|error| unreadable(&file, error))?;
        if state.group != options.group {
            let found = state.group;
            let expected = options.group.clone();
            return Err(OpenError::OtherGroup { path: folder.path(), found, expected });
        }
        if state.peer != options.peer {
            let found = state.peer;
            let expected = options.peer.clone();
            return Err(OpenError::OtherPeer { path: folder.path(), found, expected });
        }
        Ok(Some(state))
    }

    /// Returns true if there is the first segment of a log only, and nothing in it.
    fn has_empty_log(&self, folder: &Folder) -> Result<bool, OpenError> {
        let is_alone = self.segments.len() == 1 && self.segments.contains(&1);
        Ok(is_alone && folder.open(&name::segment(1))?.length()? == HEADER_BYTES as u64)
    }

    /// A directory without a state: either new, or the state was lost.
    ///
    /// The first use makes an empty log and then the state, so that an empty log may be there.
    ///
    /// Or it is to be set aside, and a crash came when the state had been.
    pub(super) fn unused(self, folder: &Folder) -> Result<Found, OpenError> {
        if self.is_half_aside(folder)? {
            return Ok(self.blank(|files, former| {
                Some(Aside { files, has_state: false, is_kept: true, former })
            }));
        }
        let needed_by = match (self.snapshots.last(), self.segments.last()) {
            (None, None) => None,
            (Some(number), _) => Some(name::snapshot(*number)),
            (None, Some(_)) if self.has_empty_log(folder)? => None,
            (None, Some(number)) => Some(name::segment(*number)),
        };
        if let Some(needed_by) = needed_by {
            return Err(missing(folder, STATE, &needed_by));
        }
        Ok(self.blank(|_, _| None))
    }

    /// All that is here makes way. A set without cells takes no place of one with.
    pub(super) fn set_aside(self, folder: &Folder, state: &State) -> Result<Found, OpenError> {
        let has_cells = !(self.snapshots.is_empty() && self.has_empty_log(folder)?);
        let has_promises = state.hard != HardState::default();
        let is_kept = has_cells || (has_promises && !self.has_removed_cells(folder)?);
        Ok(self.blank(|files, former| Some(Aside { files, has_state: true, is_kept, former })))
    }

    /// A directory of which nothing is read; what becomes of its files, by their names and those of
    /// what made way before.
    fn blank(self, aside: impl FnOnce(Vec<String>, Vec<String>) -> Option<Aside>) -> Found {
        let segments = self.segments.iter().map(|number| name::segment(*number));
        let snapshots = self.snapshots.iter().map(|number| name::snapshot(*number));
        let files = segments.chain(snapshots).collect();
        Found {
            state: None,
            snapshot: None,
            segments: VecDeque::new(),
            temporary: self.temporary,
            obsolete: Vec::new(),
            aside: aside(files, self.removed),
        }
    }

    /// Returns true if the files that are here belong to the state that was set aside last.
    fn is_half_aside(&self, folder: &Folder) -> Result<bool, OpenError> {
        let aside = name::removed(STATE);
        if !self.removed.contains(&aside) {
            return Ok(false);
        }
        let Ok(State { storage_id, .. }) = State::decode(&read_state(&folder.open(&aside)?)?)
        else {
            return Ok(false);
        };
        let segments = self.segments.iter().map(|n| (name::segment(*n), Kind::Segment, *n));
        let snapshots = self.snapshots.iter().map(|n| (name::snapshot(*n), Kind::Snapshot, *n));
        let mut is_any = false;
        for (name, kind, number) in segments.chain(snapshots) {
            match read_header(&folder.open(&name)?, kind, storage_id, number) {
                Ok(_) => is_any = true,
                Err(error @ OpenError::Io(_)) => return Err(error),
                // Another's, or damaged: not for this layer to say what it is.
                Err(_) => return Ok(false),
            }
        }
        Ok(is_any)
    }

    /// Returns true if there were cells in what made way before.
    fn has_removed_cells(&self, folder: &Folder) -> Result<bool, OpenError> {
        for name in &self.removed {
            let has_cells = match name::before_removal(name).map(Name::parse) {
                Some(Name::Snapshot(_)) => true,
                Some(Name::Segment(1)) => folder.open(name)?.length()? > HEADER_BYTES as u64,
                Some(Name::Segment(_)) => true,
                _ => false,
            };
            if has_cells {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The newest snapshot, and the log from there.
    ///
    /// Older snapshots and segments are left by a crash before they could be removed.
    pub(super) fn plan(mut self, folder: &Folder, state: State) -> Result<Found, OpenError> {
        let snapshot = match self.snapshots.pop_last() {
            Some(number) => Some(open_snapshot(folder, state.storage_id, number)?),
            None => None,
        };
        let start = snapshot.as_ref().map_or_else(Chain::default, |it| Chain::from(*it.header()));
        let last = self.last_segment(folder, &state)?;
        let mut segments = VecDeque::new();
        let mut counted = None;
        for number in (1..=last).rev() {
            let name = name::segment(number);
            if !self.segments.remove(&number) {
                return Err(missing(folder, &name, &name::segment(number + 1)));
            }
            let file = folder.open(&name)?;
            let header = read_header(&file, Kind::Segment, state.storage_id, number)?;
            let have = file.length()?;
            let length = counted.replace(header.extent.bytes).unwrap_or(have);
            if have < length {
                let fault = Fault::CutOff { need: length, have };
                return Err(OpenError::corrupt(file.path(), have, fault));
            }
            segments.push_front(SegmentFile { name, number, length });
            if header.batches <= start.batches {
                break;
            }
        }
        let older = self.snapshots.iter().map(|number| name::snapshot(*number));
        let obsolete = older.chain(self.segments.iter().map(|number| name::segment(*number)));
        Ok(Found {
            state: Some(state),
            snapshot,
            segments,
            temporary: self.temporary,
            obsolete: obsolete.collect(),
            aside: None,
        })
    }

    /// Where there is a state there is a log, up to where it was closed, if it was.
    fn last_segment(&self, folder: &Folder, state: &State) -> Result<u64, OpenError> {
        let found = self.segments.last().copied().unwrap_or(0);
        let Some(closed) = state.closed else {
            return if found > 0 {
                Ok(found)
            } else {
                Err(missing(folder, &name::segment(1), STATE))
            };
        };
        if found < closed.segment {
            return Err(missing(folder, &name::segment(closed.segment), STATE));
        }
        if found > closed.segment {
            let what = "a segment behind the last, number";
            let fault = Fault::Number { what, expected: closed.segment, found };
            return Err(OpenError::corrupt(&folder.path_of(&name::segment(found)), 0, fault));
        }
        Ok(found)
    }
}

/// The bytes of a state.
fn read_state(file: &NamedFile) -> Result<Vec<u8>, OpenError> {
    // One byte more than it can have: what is longer is found to be wrong.
    let mut bytes = vec![0; MAX_BYTES + 1];
    let read = file.read(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn open_snapshot(
    folder: &Folder,
    storage_id: StorageId,
    number: u64,
) -> Result<SnapshotReader, OpenError> {
    let Chain { batches, position } = Chain::default();
    let kind = Kind::Snapshot;
    let extent = Extent::default();
    let expected = Header { kind, storage_id, number, batches, position, extent };
    SnapshotReader::open(folder.open(&name::snapshot(number))?, &expected)
}

fn missing(folder: &Folder, name: &str, needed_by: &str) -> OpenError {
    OpenError::Missing { path: folder.path_of(name), needed_by: folder.path_of(needed_by) }
}
