//! Data on disk: a change log, snapshots in place of its beginning, and a state that is synced
//! before any message that depends on it.
//!
//! ```text
//!  open ──▶ Recovery ── next_batch, next_batch, .. ──▶ finish ──▶ Storage
//!           newest snapshot, then the log              a torn      append, sync: the log
//!                                                      tail is     save: the state
//!                                                      cut off     begin_snapshot .. install
//! ```
//!
//! Batches are those that travel (`protocol/message.rs`, `Piece`), and in the same form: the log
//! is one more cursor over the change feed. Everything has a checksum; what was synced and cannot
//! be read is refused with its place, and only what never was is cut off. After the first failure
//! to write or sync the storage takes nothing any more.
//!
//! Calls wait for the disk; there are no threads, tasks or clocks here. Files come through
//! [`Directory`], so that tests can end the world at every write. The format to the byte, and why
//! it is so, is in [docs/disk-format.md].
//!
//! [docs/disk-format.md]: https://github.com/quorate/quorate/blob/main/docs/disk-format.md

mod aside;
mod batch;
mod entry;
mod error;
mod file;
mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod header;
mod id;
mod inventory;
mod log;
mod name;
mod options;
mod reader;
mod recovery;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;
mod snapshot;
mod state;
mod storage;
#[cfg(all(unix, feature = "driver"))]
mod system;
#[cfg(test)]
mod tests;

pub use error::{Action, AppendError, Fault, IoError, OpenError, SnapshotError, StorageError};
pub use file::{Directory, DirectoryLock, File};
pub use id::StorageId;
pub use options::Options;
pub use recovery::{Progress, Recovered, Recovery, TornTail, open};
pub use snapshot::{FinishedSnapshot, SealedSnapshot, SnapshotWriter};
pub use state::State;
pub use storage::{Storage, Usage};
#[cfg(all(unix, feature = "driver"))]
pub use system::SystemDirectory;
