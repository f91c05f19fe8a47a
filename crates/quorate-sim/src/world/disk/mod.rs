//! The disk of a host, and what a peer's storage thread does with it.
//!
//! ```text
//!  machine ──▶ tasks ──▶ (a while) ──▶ append all, sync once ──▶ Saved, Appended ──▶ machine
//!                              │
//!                            crash: what was not synced is kept or not, or torn
//! ```
//!
//! The files are those of the library, on its simulated disk.

mod faults;
mod memory;
mod snapshots;
mod start;

use quorate::internal::protocol::io::{Input, Output};
use quorate::{Acknowledge, Incarnation};

use crate::host::disk::{Round, StorageTask, StorageThread};
use crate::host::disk_error::DiskError;
use crate::world::World;
use crate::world::event::Event;

impl World {
    /// After what a caller of this peer is answered: its own sync may come first.
    pub(crate) fn answers_after(&self, peer: usize) -> Acknowledge {
        match &self.plan.disk {
            Some(disk) if disk.syncs.get(peer) == Some(&true) => Acknowledge::Majority,
            _ => self.plan.group.acknowledge,
        }
    }

    /// Takes a task from the state machine.
    pub(crate) fn on_storage_output(&mut self, peer: usize, output: Output) {
        if let (None, Output::Save(hard)) = (&self.plan.disk, &output) {
            return self.remember(peer, hard.clone());
        }
        let task = match output {
            Output::Save(hard) => StorageTask::Save(hard),
            Output::Append { number, batch } => {
                // What is applied now is held, whatever comes out next. An older one has waited for
                // a save.
                let end = batch.end.position;
                if self.process(peer).is_some_and(|process| process.position < end) {
                    self.on_held(peer, end);
                }
                StorageTask::Append { number, batch }
            }
            Output::EndSnapshot { records, end } => StorageTask::EndSnapshot { records, end },
            _ => return,
        };
        let Some(thread) = self.thread_mut(peer) else { return };
        thread.tasks.push_back(task);
        self.busy_disk(peer);
    }

    /// Returns true if a peer's storage takes nothing any more: it is promoted by nobody.
    pub(crate) fn has_failed_storage(&self, peer: usize) -> bool {
        let thread = self.process(peer).and_then(|process| process.storage.as_ref());
        thread.is_some_and(|thread| thread.has_failed)
    }

    fn thread_mut(&mut self, peer: usize) -> Option<&mut StorageThread> {
        self.hosts[peer].process.as_mut()?.storage.as_mut()
    }

    /// Schedules the next round of the storage thread.
    fn busy_disk(&mut self, peer: usize) {
        let (delay, stalls) = match &self.plan.disk {
            Some(disk) => (disk.delays[peer], disk.stalls),
            None => return,
        };
        let timeout = self.plan.timeout();
        let Some(process) = self.hosts[peer].process.as_mut() else { return };
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
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        if self.hosts[peer].paused.is_some() {
            self.inboxes[peer].push(Event::Disk { peer, incarnation });
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
        if self.thread_mut(peer).is_some_and(|thread| !thread.tasks.is_empty()) {
            self.busy_disk(peer);
        }
    }

    /// Does all that has been ordered, and syncs once.
    fn storage_round(&mut self, peer: usize) -> Result<Round, DiskError> {
        let syncs = self.plan.disk.as_ref().is_some_and(|disk| disk.syncs[peer]);
        let syncs_now = syncs || self.disk_random.chance(300);
        let host = &mut self.hosts[peer];
        let (Some(process), Some(disk)) = (host.process.as_mut(), host.disk.as_mut()) else {
            return Ok(Round::default());
        };
        match process.storage.as_mut() {
            Some(thread) => thread.round(disk, syncs_now),
            None => Ok(Round::default()),
        }
    }
}
