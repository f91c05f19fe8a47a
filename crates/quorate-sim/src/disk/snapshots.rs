//! Snapshots, step by step, while everything else goes on.

use quorate::disk::{FinishedSnapshot, SealedSnapshot, SnapshotError, SnapshotWriter};
use quorate::protocol::io::Input;
use quorate::record::Records;
use quorate::state::BatchEnd;
use quorate::store::CopyCursor;
use quorate::{Position, Sequence};

use super::{Failed, StorageThread};
use crate::world::World;

/// How far a snapshot is. One step in each round of the storage thread.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Snapshot {
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

/// What a step of a snapshot leads to.
enum Step {
    Going,
    Copied(Sequence),
    Installed,
}

impl StorageThread {
    /// Ends the copy at the end of the log; whether the log was synced.
    pub(super) fn end_snapshot(
        &mut self,
        records: &Records,
        end: BatchEnd,
    ) -> Result<bool, Failed> {
        let Snapshot::Ending(mut writer) = std::mem::replace(&mut self.snapshot, Snapshot::None)
        else {
            return Ok(false);
        };
        writer.write(records)?;
        match self.storage.seal(writer, end) {
            Ok(sealed) => {
                self.snapshot = Snapshot::Sealed(sealed);
                Ok(true)
            }
            Err(SnapshotError::Void) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn step(&mut self, store: &quorate::store::Store) -> Result<Step, Failed> {
        let step = match std::mem::replace(&mut self.snapshot, Snapshot::None) {
            Snapshot::None => {
                if self.storage.usage().is_compaction_due() {
                    let since = store.position().sequence;
                    let (writer, cursor) =
                        (self.storage.begin_snapshot()?, CopyCursor::since(Sequence(0)));
                    self.snapshot = Snapshot::Copying { writer, cursor, since };
                }
                Step::Going
            }
            Snapshot::Copying { mut writer, mut cursor, since } => {
                writer.write(&store.copy(&mut cursor, STEP_BYTES))?;
                if cursor.is_done() {
                    self.snapshot = Snapshot::Ending(writer);
                    Step::Copied(since)
                } else {
                    self.snapshot = Snapshot::Copying { writer, cursor, since };
                    Step::Going
                }
            }
            Snapshot::Ending(writer) => {
                self.snapshot = Snapshot::Ending(writer);
                Step::Going
            }
            Snapshot::Sealed(sealed) => {
                self.snapshot = Snapshot::Finished(sealed.finish()?);
                Step::Going
            }
            Snapshot::Finished(finished) => match self.storage.install(finished) {
                Ok(()) => Step::Installed,
                Err(SnapshotError::Void) => Step::Going,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(step)
    }
}

impl World {
    pub(super) fn go_on_with_snapshot(&mut self, peer: usize) {
        let Some(process) = self.process_mut(peer) else { return };
        if process.store.position() == Position::BLANK {
            return;
        }
        let store = process.store.clone();
        let Some(thread) = process.storage.as_mut() else { return };
        match thread.step(&store) {
            Ok(Step::Going) => {}
            Ok(Step::Copied(since)) => self.drive(peer, Input::EndSnapshot { since }),
            Ok(Step::Installed) => self.counters.add("snapshots"),
            Err(Failed) => {
                thread.has_failed = true;
                self.counters.add("storages failed");
                self.drive(peer, Input::StorageFailed);
            }
        }
    }
}
