//! The disk of a host, and the storage thread of the process that uses it.

use std::collections::VecDeque;

use quorate::Position;
use quorate::internal::disk::Storage;
use quorate::internal::disk::simulated::{Mishap, SimulatedDisk};
use quorate::internal::protocol::io::HardState;
use quorate::internal::record::Records;
use quorate::internal::state::BatchEnd;
use quorate::internal::store::Staged;

use crate::host::disk_error::DiskError;
use crate::host::snapshot::Snapshot;

/// A disk, which outlives the processes that use it.
#[derive(Debug)]
pub(crate) struct HostDisk {
    pub(crate) disk: SimulatedDisk,
    /// Grows with every loss of power.
    pub(crate) boot: u64,
    /// A bit was flipped since it was last read: it may be refused.
    pub(crate) is_damaged: bool,
    /// The ends of the log since the last start, in order; the first is what was recovered.
    pub(crate) ends: Vec<Position>,
    /// Of these: the last that was written, the last that was synced, and the last that the end of
    /// the process must have left.
    pub(crate) written: usize,
    pub(crate) synced: usize,
    pub(crate) left: usize,
    /// The state that was saved last, and the one that may have been.
    pub(crate) saved: HardState,
    pub(crate) tried: HardState,
}

impl HostDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            disk: SimulatedDisk::new(seed),
            boot: 1,
            is_damaged: false,
            ends: vec![Position::BLANK],
            written: 0,
            synced: 0,
            left: 0,
            saved: HardState::default(),
            tried: HardState::default(),
        }
    }
}

impl HostDisk {
    /// It refuses nothing any more.
    pub(crate) fn mend(&self) {
        self.disk.set_capacity(u64::MAX);
        self.disk.at_operation(u64::MAX, Mishap::Fail);
    }
}

/// A task for the storage thread of a process.
#[derive(Debug)]
pub(crate) enum StorageTask {
    Save(HardState),
    Append { number: u64, batch: Staged },
    EndSnapshot { records: Records, end: BatchEnd },
}

/// The storage thread of a process.
#[derive(Debug)]
pub(crate) struct StorageThread {
    pub(crate) storage: Storage,
    pub(crate) tasks: VecDeque<StorageTask>,
    pub(crate) is_busy: bool,
    pub(crate) has_failed: bool,
    pub(crate) snapshot: Snapshot,
}

/// The news that a round of the storage thread has for the state machine.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) is_saved: bool,
    pub(crate) appended: Option<u64>,
}

impl StorageThread {
    /// Does all that has been ordered, and syncs once.
    pub(crate) fn round(&mut self, disk: &mut HostDisk, syncs: bool) -> Result<Round, DiskError> {
        let mut round = Round::default();
        while let Some(task) = self.tasks.pop_front() {
            match task {
                StorageTask::Save(hard) => {
                    disk.tried = hard.clone();
                    self.storage.save(hard.clone())?;
                    disk.saved = hard;
                    round.is_saved = true;
                }
                StorageTask::Append { number, batch } => {
                    disk.ends.push(batch.end.position);
                    self.storage.append(&batch)?;
                    disk.written = disk.ends.len() - 1;
                    round.appended = Some(number);
                }
                StorageTask::EndSnapshot { records, end } => {
                    if self.snapshot.end(&mut self.storage, &records, end)? {
                        disk.synced = disk.written;
                    }
                }
            }
        }
        if syncs {
            self.storage.sync()?;
            disk.synced = disk.written;
        }
        Ok(round)
    }
}
