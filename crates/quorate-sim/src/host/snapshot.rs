//! Snapshots, step by step, while everything else goes on.

use quorate::Sequence;
use quorate::internal::disk::{
    FinishedSnapshot, SealedSnapshot, SnapshotError, SnapshotWriter, Storage,
};
use quorate::internal::record::Records;
use quorate::internal::state::BatchEnd;
use quorate::internal::store::{CopyCursor, Store};

use crate::host::disk_error::DiskError;

/// The progress of a snapshot: one step in each round of the storage thread.
#[derive(Debug)]
pub(crate) enum Snapshot {
    None,
    Copying {
        writer: SnapshotWriter,
        cursor: CopyCursor,
        since: Sequence,
    },
    /// The state machine has been asked for the cut that ends it.
    Ending(SnapshotWriter),
    Sealed(SealedSnapshot),
    Finished(FinishedSnapshot),
}

/// Bytes of one step of copying.
const STEP_BYTES: usize = 200;

/// The outcome of a step of a snapshot.
pub(crate) enum Step {
    Going,
    Copied(Sequence),
    Installed,
}

impl Snapshot {
    /// Ends the copy at the end of the log; whether the log was synced.
    pub(crate) fn end(
        &mut self,
        storage: &mut Storage,
        records: &Records,
        end: BatchEnd,
    ) -> Result<bool, DiskError> {
        let Self::Ending(mut writer) = std::mem::replace(self, Self::None) else {
            return Ok(false);
        };
        writer.write(records)?;
        match storage.seal(writer, end) {
            Ok(sealed) => {
                *self = Self::Sealed(sealed);
                Ok(true)
            }
            Err(SnapshotError::Void) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn step(&mut self, storage: &mut Storage, store: &Store) -> Result<Step, DiskError> {
        let step = match std::mem::replace(self, Self::None) {
            Self::None => {
                if storage.usage().is_compaction_due() {
                    let since = store.position().sequence;
                    let writer = storage.begin_snapshot()?;
                    let cursor = CopyCursor::since(Sequence(0));
                    *self = Self::Copying { writer, cursor, since };
                }
                Step::Going
            }
            Self::Copying { mut writer, mut cursor, since } => {
                writer.write(&store.copy(&mut cursor, STEP_BYTES))?;
                if cursor.is_done() {
                    *self = Self::Ending(writer);
                    Step::Copied(since)
                } else {
                    *self = Self::Copying { writer, cursor, since };
                    Step::Going
                }
            }
            Self::Ending(writer) => {
                *self = Self::Ending(writer);
                Step::Going
            }
            Self::Sealed(sealed) => {
                *self = Self::Finished(sealed.finish()?);
                Step::Going
            }
            Self::Finished(finished) => match storage.install(finished) {
                Ok(()) => Step::Installed,
                Err(SnapshotError::Void) => Step::Going,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(step)
    }
}
