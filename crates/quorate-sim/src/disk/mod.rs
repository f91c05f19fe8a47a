//! The disk of a host, and what a peer's storage thread does with it.
//!
//! ```text
//!  machine ──▶ orders ──▶ (a while) ──▶ append all, sync once ──▶ Saved, Appended ──▶ machine
//!                              │
//!                            crash: what was not synced is kept or not, or torn
//! ```
//!
//! The files are those of the library, on its simulated disk.

mod faults;
mod memory;
mod snapshots;
mod start;

use std::collections::VecDeque;
use std::time::Duration;

use quorate::disk::simulated::SimulatedDisk;
use quorate::disk::{AppendError, SnapshotError, Storage, StorageError};
use quorate::protocol::io::{HardState, Input, Output};
use quorate::record::Records;
use quorate::state::BatchEnd;
use quorate::store::Staged;
use quorate::{Acknowledge, Incarnation, Position};

use crate::random::Random;
use crate::world::{Event, World};
pub(crate) use memory::Memory;
use snapshots::Snapshot;

/// How the peers of a run use their disks.
#[derive(Clone, Debug)]
pub(crate) struct DiskPlan {
    /// Of each peer: whether it syncs before it acknowledges.
    pub(crate) syncs: Vec<bool>,
    pub(crate) segment_bytes: u64,
    /// Mean time of one round of the storage thread of each peer.
    pub(crate) delays: Vec<Duration>,
    /// Rounds that take as long as a failure does, per mille.
    pub(crate) stalls: u64,
}

impl DiskPlan {
    /// Every peer syncs, and nothing stalls.
    pub(crate) fn quiet(delays: &[Duration]) -> Self {
        let syncs = vec![true; delays.len()];
        Self { syncs, segment_bytes: 1 << 20, delays: delays.to_vec(), stalls: 0 }
    }

    pub(crate) fn draw(random: &mut Random, peers: usize, timeout: Duration) -> Self {
        let unsynced = random.pick(&[0, 0, 0, 300, 1000]);
        Self {
            syncs: (0..peers).map(|_| !random.chance(unsynced)).collect(),
            segment_bytes: random.pick(&[600, 3_000, 1 << 20]),
            delays: vec![timeout / random.pick(&[5_000, 1_000, 200]); peers],
            stalls: random.pick(&[0, 0, 2, 10]),
        }
    }
}

/// A disk, which outlives the processes that use it.
#[derive(Debug)]
pub(crate) struct HostDisk {
    pub(crate) disk: SimulatedDisk,
    /// Grows with every loss of power.
    boot: u64,
    /// A bit was flipped since it was last read: it may be refused.
    is_damaged: bool,
    /// Where the log has ended since the last start, in order; the first is what was recovered.
    ends: Vec<Position>,
    /// Of these: the last that was written, the last that was synced, and the last that the end of
    /// the process must have left.
    written: usize,
    synced: usize,
    left: usize,
    /// What was saved last, and what may have been.
    saved: HardState,
    tried: HardState,
}

/// What the storage thread of a process is asked to do.
#[derive(Debug)]
enum Order {
    Save(HardState),
    Append { number: u64, batch: Staged },
    EndSnapshot { records: Records, end: BatchEnd },
}

/// The storage thread of a process.
#[derive(Debug)]
pub(crate) struct StorageThread {
    storage: Storage,
    orders: VecDeque<Order>,
    is_busy: bool,
    has_failed: bool,
    snapshot: Snapshot,
}

/// What a round of the storage thread tells the state machine.
#[derive(Debug, Default)]
struct Done {
    is_saved: bool,
    appended: Option<u64>,
}

/// Whatever the disk says that stops a round.
#[derive(Debug)]
struct Failed;

impl From<StorageError> for Failed {
    fn from(_: StorageError) -> Self {
        Self
    }
}

impl From<AppendError> for Failed {
    fn from(error: AppendError) -> Self {
        assert!(!matches!(error, AppendError::From { .. }), "{error}");
        Self
    }
}

impl From<SnapshotError> for Failed {
    fn from(error: SnapshotError) -> Self {
        assert!(!matches!(error, SnapshotError::Position { .. }), "{error}");
        Self
    }
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

impl World {
    /// After what a caller of this peer is answered: its own sync may come first.
    pub(crate) fn answers_after(&self, peer: usize) -> Acknowledge {
        match &self.plan.disk {
            Some(disk) if disk.syncs.get(peer) == Some(&true) => Acknowledge::Majority,
            _ => self.plan.group.acknowledge,
        }
    }

    /// Takes an order of the state machine.
    pub(crate) fn on_storage_output(&mut self, peer: usize, output: Output) {
        if let (None, Output::Save(hard)) = (&self.plan.disk, &output) {
            return self.remember(peer, hard.clone());
        }
        let order = match output {
            Output::Save(hard) => Order::Save(hard),
            Output::Append { number, batch } => {
                // What is applied now is held, whatever comes out next. An older one has waited for
                // a save.
                let end = batch.end.position;
                if self.process(peer).is_some_and(|process| process.position < end) {
                    self.on_held(peer, end);
                }
                Order::Append { number, batch }
            }
            Output::EndSnapshot { records, end } => Order::EndSnapshot { records, end },
            _ => return,
        };
        let Some(thread) = self.thread_mut(peer) else { return };
        thread.orders.push_back(order);
        self.busy_disk(peer);
    }

    /// Whether a peer's storage takes nothing any more: it is promoted by nobody.
    pub(crate) fn has_failed_storage(&self, peer: usize) -> bool {
        let thread = self.process(peer).and_then(|process| process.storage.as_ref());
        thread.is_some_and(|thread| thread.has_failed)
    }

    fn thread_mut(&mut self, peer: usize) -> Option<&mut StorageThread> {
        self.peers[peer].process.as_mut()?.storage.as_mut()
    }

    /// Schedules the next round of the storage thread.
    fn busy_disk(&mut self, peer: usize) {
        let (delay, stalls) = match &self.plan.disk {
            Some(disk) => (disk.delays[peer], disk.stalls),
            None => return,
        };
        let timeout = self.plan.timeout();
        let Some(process) = self.peers[peer].process.as_mut() else { return };
        let incarnation = process.incarnation;
        let Some(thread) = process.storage.as_mut() else { return };
        if thread.has_failed || std::mem::replace(&mut thread.is_busy, true) {
            return;
        }
        let is_stalled = self.are_faults_active && self.disk_random.chance(stalls);
        let length = if is_stalled {
            self.disk_random.duration(timeout / 10, timeout * 3 / 2)
        } else {
            self.disk_random.around(delay)
        };
        self.at(length, Event::Disk { peer, incarnation });
    }

    /// A round of the storage thread ends.
    pub(crate) fn on_disk(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.peers[peer].runs(incarnation) {
            return;
        }
        if self.peers[peer].paused.is_some() {
            self.peers[peer].inbox.push(Event::Disk { peer, incarnation });
            return;
        }
        if self.has_remembered(peer) {
            return self.drive(peer, Input::Saved);
        }
        let result = self.storage_round(peer);
        if let Some(thread) = self.thread_mut(peer) {
            thread.is_busy = false;
            thread.has_failed |= result.is_err();
        }
        let Ok(done) = result else {
            self.counters.add("storages failed");
            self.note(peer, &[20], |_| "its storage has failed".into());
            self.drive(peer, Input::StorageFailed);
            return;
        };
        if done.is_saved {
            self.drive(peer, Input::Saved);
        }
        if let Some(number) = done.appended {
            self.drive(peer, Input::Appended { number });
        }
        self.go_on_with_snapshot(peer);
        if self.thread_mut(peer).is_some_and(|thread| !thread.orders.is_empty()) {
            self.busy_disk(peer);
        }
    }

    /// Does all that has been ordered, and syncs once.
    fn storage_round(&mut self, peer: usize) -> Result<Done, Failed> {
        let syncs = self.plan.disk.as_ref().is_some_and(|disk| disk.syncs[peer]);
        let syncs_now = syncs || self.disk_random.chance(300);
        let host = &mut self.peers[peer];
        let (Some(process), Some(disk)) = (host.process.as_mut(), host.disk.as_mut()) else {
            return Ok(Done::default());
        };
        let Some(thread) = process.storage.as_mut() else { return Ok(Done::default()) };
        let mut done = Done::default();
        while let Some(order) = thread.orders.pop_front() {
            match order {
                Order::Save(hard) => {
                    disk.tried = hard.clone();
                    thread.storage.save(hard.clone())?;
                    disk.saved = hard;
                    done.is_saved = true;
                }
                Order::Append { number, batch } => {
                    disk.ends.push(batch.end.position);
                    thread.storage.append(&batch)?;
                    disk.written = disk.ends.len() - 1;
                    done.appended = Some(number);
                }
                Order::EndSnapshot { records, end } => {
                    let ended = thread.end_snapshot(&records, end);
                    if ended? {
                        disk.synced = disk.written;
                    }
                }
            }
        }
        if syncs_now {
            thread.storage.sync()?;
            disk.synced = disk.written;
        }
        Ok(done)
    }
}
