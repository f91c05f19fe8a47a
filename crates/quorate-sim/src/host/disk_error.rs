//! Errors of a disk, each of which stops the storage.

use quorate::internal::disk::{AppendError, SnapshotError, StorageError};

/// Whatever the disk says that stops a round.
#[derive(Debug)]
pub(crate) struct DiskError;

impl From<StorageError> for DiskError {
    fn from(_: StorageError) -> Self {
        Self
    }
}

impl From<AppendError> for DiskError {
    fn from(error: AppendError) -> Self {
        assert!(!matches!(error, AppendError::From { .. }), "{error}");
        Self
    }
}

impl From<SnapshotError> for DiskError {
    fn from(error: SnapshotError) -> Self {
        assert!(!matches!(error, SnapshotError::Position { .. }), "{error}");
        Self
    }
}
