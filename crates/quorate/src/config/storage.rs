//! The storage of a peer's cells, and how soon they last.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::config::ConfigError;

/// The place where the cells of a group live, at all of its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StorageKind {
    /// In files as well: a restart goes on from there.
    Disk,
    /// In memory only: a restart is a loss of this peer's data.
    #[default]
    Memory,
}

crate::words! { StorageKind, "kind of storage", Disk => "disk", Memory => "memory" }

/// The place where one peer keeps its cells. The kind is the same at all peers of a group;
/// directory and policy are each peer's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// In a directory as well as in memory.
    Disk {
        /// The directory: of this peer alone, and on a local disk. Made if it is missing, for the
        /// user of this process only; what other users may do in one that is there is taken from
        /// them, unless it holds other things as well.
        dir: PathBuf,
        /// The moment at which what was written is made to outlast a loss of power.
        sync: SyncPolicy,
    },
    /// In memory only.
    #[default]
    Memory,
}

impl Storage {
    /// A directory, with the default [`SyncPolicy`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::{Storage, StorageKind};
    ///
    /// let storage = Storage::disk("/var/lib/service/quota");
    /// assert_eq!(storage.kind(), StorageKind::Disk);
    /// ```
    pub fn disk(dir: impl Into<PathBuf>) -> Self {
        Self::Disk { dir: dir.into(), sync: SyncPolicy::default() }
    }

    /// The kind of storage that it is.
    pub fn kind(&self) -> StorageKind {
        match self {
            Self::Disk { .. } => StorageKind::Disk,
            Self::Memory => StorageKind::Memory,
        }
    }

    /// Checks that it can be used.
    ///
    /// # Errors
    ///
    /// One entry per broken rule.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let Self::Disk { dir, sync } = self else { return Ok(()) };
        let mut errors = Vec::new();
        if dir.as_os_str().is_empty() {
            errors.push(ConfigError::NoDirectory);
        }
        if let SyncPolicy::Every(interval) = *sync
            && !(SyncPolicy::MIN_INTERVAL..=SyncPolicy::MAX_INTERVAL).contains(&interval)
        {
            errors.push(ConfigError::SyncInterval { interval });
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// The moment at which a peer makes what it has written outlast a loss of power. A killed process
/// loses nothing under any of them. What a peer has promised (terms and votes) is always synced
/// first.
///
/// A change counts as held by a peer when it is as safe there as that peer's policy says: under
/// [`Acknowledge::Majority`](crate::Acknowledge::Majority) and `EveryBatch` nothing that was
/// acknowledged is lost even if all machines lose power at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// Before anything is acknowledged: to callers, also under
    /// [`Acknowledge::Primary`](crate::Acknowledge::Primary), and to the primary. One sync serves
    /// all that came while the last one took its time, and every answer waits for one.
    EveryBatch,
    /// At the latest this long after it was written: a machine that goes down takes back up to
    /// this much of what its peer has acknowledged. The peer knows it afterwards, and counts as
    /// another member until it has caught up. That a file system was shut down on a machine that
    /// went on it cannot know. The default, with 1 s; 1 ms to 1 min.
    Every(Duration),
    /// Whenever the system sees fit, often half a minute later; otherwise like
    /// [`SyncPolicy::Every`].
    Os,
}

impl SyncPolicy {
    /// Shortest interval of [`SyncPolicy::Every`].
    pub const MIN_INTERVAL: Duration = Duration::from_millis(1);
    /// Longest interval of [`SyncPolicy::Every`].
    pub const MAX_INTERVAL: Duration = Duration::from_secs(60);
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self::Every(Duration::from_secs(1))
    }
}
