//! Options for opening a data directory.

use crate::base::id::PeerName;
#[cfg(doc)]
use crate::disk::Recovered;
use crate::disk::id::StorageId;

/// Options for opening a directory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the group. A directory serves one only.
    pub group: String,
    /// This peer. A directory serves one only.
    pub peer: PeerName,
    /// Becomes the id of the directory if it is used for the first time: drawn at random.
    pub new_storage_id: StorageId,
    /// A segment of the log is full at this size. Default 64 MiB: smaller ones cost a sync of the
    /// directory each, larger ones stay longer after a snapshot.
    pub segment_bytes: u64,
    /// True if the peer acknowledges before it syncs. Then a crash of the machine may take back
    /// what it said, and the next opening says so.
    pub acknowledges_unsynced: bool,
    /// A number that every start of the machine has of its own; 0 if it is not known. What was
    /// written and not synced outlives the process, and not the machine.
    pub boot: u64,
    /// True if what is in the directory makes way, under names of its own, for a peer that starts
    /// blank; see [`Recovered::set_aside`].
    pub set_aside: bool,
}

impl Options {
    /// The defaults, for a peer that syncs before it acknowledges.
    pub fn new(group: impl Into<String>, peer: PeerName, new_storage_id: StorageId) -> Self {
        Self {
            group: group.into(),
            peer,
            new_storage_id,
            segment_bytes: 64 * 1024 * 1024,
            acknowledges_unsynced: false,
            boot: 0,
            set_aside: false,
        }
    }
}
