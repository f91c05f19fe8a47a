//! Errors of files: one enum per operation, each with the file, and what to do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use crate::base::id::{PeerName, Position};
use crate::disk::id::StorageId;
use crate::store::ApplyError;
use crate::wire::WireError;

crate::told_to_people! { IoError, OpenError, StorageError }

/// An action on a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Make it.
    Create,
    /// Give it a second name.
    Link,
    /// List its files.
    List,
    /// Keep other processes out of it.
    Lock,
    /// Open it.
    Open,
    /// Keep other users out of it.
    Protect,
    /// Read it.
    Read,
    /// Remove it.
    Remove,
    /// Give it its final name.
    Rename,
    /// Make it outlast a loss of power.
    Sync,
    /// Write it.
    Write,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Link => "link",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Open => "open",
            Self::Protect => "protect",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Sync => "sync",
            Self::Write => "write",
        })
    }
}

/// The system refused an operation on a file.
#[derive(Clone, thiserror::Error)]
#[error("cannot {action} {}: {source}{}", path.display(), advice(*action, source))]
pub struct IoError {
    /// The action.
    pub action: Action,
    /// With which file or directory.
    pub path: PathBuf,
    /// The system's error.
    pub source: Arc<io::Error>,
}

/// Advice on a path that is of another kind than it should be.
fn advice(action: Action, error: &io::Error) -> &'static str {
    match (action, error.kind()) {
        (Action::Create, io::ErrorKind::AlreadyExists) | (_, io::ErrorKind::NotADirectory) => {
            "; it is a file, and a directory is needed: name another place"
        }
        _ => "",
    }
}

impl IoError {
    pub(super) fn new(action: Action, path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self { action, path: path.into(), source: Arc::new(error) }
    }

    /// Returns true if there was no room: on the disk, or in what this user may use of it.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded)
    }
}

/// A fault of bytes of a file; the values are those found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A batch starts from a position that the log does not stand at.
    #[error("starts from {found}, the log stands at {expected}")]
    Chain {
        /// The position at which the log stands.
        expected: Position,
        /// The position that the batch, or the segment, starts from.
        found: Position,
    },
    /// Bytes are not those that were written.
    #[error("has the checksum {stored:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// The checksum in the file.
        stored: u32,
        /// That of the bytes in the file.
        computed: u32,
    },
    /// Nothing that can be read, although a checksum confirms it.
    #[error("cannot be read: {0}")]
    Content(#[from] WireError),
    /// Bytes are missing.
    #[error("needs {need} bytes, {have} are there")]
    CutOff {
        /// Bytes that should be there.
        need: u64,
        /// Bytes that are.
        have: u64,
    },
    /// The file does not begin as its name says.
    #[error("is not the beginning of such a file")]
    Magic,
    /// An entry was written for another place.
    #[error("belongs at byte {belongs}")]
    Misplaced {
        /// The offset it was written for.
        belongs: u64,
    },
    /// A name is not a name.
    #[error("holds no name of a {0}")]
    Name(&'static str),
    /// A number is not what the rest of the directory says.
    #[error("has {what} {found}, not {expected}")]
    Number {
        /// The name of what is numbered.
        what: &'static str,
        /// The number that it should be.
        expected: u64,
        /// The number that it is.
        found: u64,
    },
    /// A count that nothing ever reaches.
    #[error("has {what} {found}, more than can be")]
    OutOfRange {
        /// The name of what is counted.
        what: &'static str,
        /// The count.
        found: u64,
    },
    /// A file of another directory.
    #[error("belongs to the storage {found}, not to {expected}")]
    Storage {
        /// The storage of the directory.
        expected: StorageId,
        /// That of the file.
        found: StorageId,
    },
    /// More bytes than anything of this kind has.
    #[error("is {bytes} bytes long, at most {max} are possible")]
    TooLong {
        /// The length.
        bytes: u64,
        /// The longest possible.
        max: u64,
    },
    /// An entry that has no business where it is.
    #[error("is no {0}")]
    Unexpected(&'static str),
    /// A batch without its last piece.
    #[error("is a batch of which the last piece is missing")]
    Unfinished,
}

/// Advice on a directory that cannot be used. An older copy of it has forgotten votes.
const MEND: &str = "Move the whole directory away, and keep it: the peer then starts blank, and \
                    the others bring it up to date. Restore directories from a copy only if those \
                    of all peers are lost, and then all of them, with all peers stopped";

/// The reason why a directory could not be opened. Nothing in it was lost by trying.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Bytes that had been synced are not what was written, or files of two times are mixed.
    #[error(
        "{} is damaged: what stands at byte {offset} {fault}. {MEND}",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The offset in it.
        offset: u64,
        /// The fault.
        fault: Fault,
    },
    /// Another process uses the directory.
    #[error(
        "{} is in use by another process: every peer needs a directory of its own", path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused an operation.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file is missing that the others need.
    #[error(
        "{} is missing, but {} is there. {MEND}",
        path.display(), needed_by.display()
    )]
    Missing {
        /// The file that is missing.
        path: PathBuf,
        /// A file that makes no sense without it.
        needed_by: PathBuf,
    },
    /// A newer version of this library has written the directory.
    #[error(
        "{} has format version {version}, this library reads {supported} and older: run the \
         newer version of it, or give the peer an empty directory",
        path.display()
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// The directory belongs to another group.
    #[error(
        "{} belongs to the group {found}, this peer is of {expected}: give it a directory of its \
         own",
        path.display()
    )]
    OtherGroup {
        /// The directory.
        path: PathBuf,
        /// The group it belongs to.
        found: String,
        /// The group of this peer.
        expected: String,
    },
    /// The directory belongs to another peer.
    #[error(
        "{} belongs to the peer {found}, this is {expected}: give it a directory of its own",
        path.display()
    )]
    OtherPeer {
        /// The directory.
        path: PathBuf,
        /// The peer it belongs to.
        found: PeerName,
        /// This peer.
        expected: PeerName,
    },
    /// Bytes with right checksums that are yet nothing that a peer writes.
    #[error(
        "{} holds what cannot be used: {source}. {MEND}",
        path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The reason why it cannot be applied.
        source: ApplyError,
    },
}

impl OpenError {
    pub(super) fn corrupt(path: &Path, offset: u64, fault: Fault) -> Self {
        Self::Corrupt { path: path.into(), offset, fault }
    }
}

/// The reason why the storage takes nothing any more: its first failure, given again by every later
/// call.
///
/// What was synced before is safe. Whether anything since is on the disk is not known: nothing of
/// it may be acknowledged. Drop the storage and open the directory anew when the cause is gone.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no room on the disk.
    #[error(
        "{0}: the disk is full, and nothing more is stored: make room, and start this peer again"
    )]
    Full(#[source] IoError),
    /// The system refused an operation.
    #[error(
        "{0}: the storage has failed, and nothing more is stored: mend it, and start this peer \
         again"
    )]
    Io(#[source] IoError),
}

impl From<IoError> for StorageError {
    fn from(error: IoError) -> Self {
        if error.is_full() { Self::Full(error) } else { Self::Io(error) }
    }
}

/// The reason why a batch was not appended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The batch does not start where the log ends: nothing was written, the log goes on.
    #[error("the batch starts from {from}, the log ends at {end}")]
    From {
        /// The position that the batch starts from.
        from: Position,
        /// The position at which the log ends.
        end: Position,
    },
    /// The storage has failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The reason why there is no new snapshot. The old one and the log are as they were.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is no room for it. The log goes on for as long as it finds room.
    #[error("{0}: there is no room on the disk for a snapshot")]
    Full(#[source] IoError),
    /// Its end is not where the log ends: append the cut that it ends with first.
    #[error("the snapshot ends at {position}, the log at {end}")]
    Position {
        /// The position at which the snapshot ends.
        position: Position,
        /// The position at which the log ends.
        end: Position,
    },
    /// The storage has failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Meanwhile the log went on in another history or lost cells, so that the copy is not exact,
    /// or a later snapshot was installed: begin anew.
    #[error("the state was replaced while it was copied")]
    Void,
}

/// The first failure, shared by all that writes into a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<OnceLock<StorageError>>);

impl Failure {
    pub(super) fn get(&self) -> Option<&StorageError> {
        self.0.get()
    }

    /// # Errors
    ///
    /// If there was a failure.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        self.get().cloned().map_or(Ok(()), Err)
    }

    /// Remembers a failure for good; the first one is what everybody gets.
    pub(super) fn note<T>(&self, result: Result<T, IoError>) -> Result<T, StorageError> {
        result.map_err(|error| self.0.get_or_init(|| error.into()).clone())
    }
}
