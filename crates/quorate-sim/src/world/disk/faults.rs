//! Faults of disks.

use std::time::Duration;

use quorate::internal::disk::simulated::Mishap;

use crate::host::disk::HostDisk;
use crate::plan::fault::Undo;
use crate::world::World;

/// Operations of a disk among which a mishap is drawn.
const SOON: u64 = 12;

impl World {
    /// The process on a host has ended, and with the host all that was not synced.
    pub(crate) fn end_disk(&mut self, peer: usize, with_host: bool) {
        let is_torn = self.disk_random.chance(500);
        let after = 1 + self.disk_random.below(SOON);
        let Some(disk) = self.hosts[peer].disk.as_ref() else { return };
        if with_host && is_torn {
            // In the middle of what was under way.
            disk.disk.at_operation(disk.disk.operations() + after, Mishap::Crash);
            // Whatever of it fails, nobody is there to hear.
            let _ = self.storage_round(peer);
        }
        let Some(disk) = self.hosts[peer].disk.as_mut() else { return };
        if with_host {
            disk.disk.lose_power();
            disk.boot += 1;
            disk.left = disk.synced;
        } else {
            disk.disk.kill();
            disk.left = disk.written;
        }
    }

    /// Returns true if a peer that ends like this comes back as the member that it was.
    pub(crate) fn keeps_disk(&self, peer: usize, with_host: bool) -> bool {
        let disk = self.plan.disk.as_ref();
        self.is_client(peer) || disk.is_some_and(|disk| disk.syncs[peer] || !with_host)
    }

    /// Something that the disk is asked soon fails, and with it the storage.
    pub(crate) fn fail_disk(&mut self, peer: usize, length: Duration) {
        let after = 1 + self.disk_random.below(SOON);
        if !self.may_be_without(peer) {
            return;
        }
        let Some(disk) = self.hosts[peer].disk.as_ref() else { return };
        disk.disk.at_operation(disk.disk.operations() + after, Mishap::Fail);
        self.counters.add("disk failures");
        self.undo_after(length, Undo::Mend { peer });
    }

    /// The disk is full.
    pub(crate) fn fill_disk(&mut self, peer: usize, length: Duration) {
        if !self.may_be_without(peer) {
            return;
        }
        let Some(disk) = self.hosts[peer].disk.as_ref() else { return };
        let room = self.disk_random.below(2_000);
        let used: usize =
            disk.disk.names().iter().filter_map(|name| Some(disk.disk.read(name)?.len())).sum();
        disk.disk.set_capacity(used as u64 + room);
        self.counters.add("full disks");
        self.undo_after(length, Undo::Mend { peer });
    }

    /// A process ends, and comes back on a disk with a flipped bit, or on a new one.
    pub(crate) fn damage_disk(&mut self, peer: usize, length: Duration) {
        if !self.may_be_without(peer) || self.hosts[peer].process.is_none() {
            return;
        }
        self.kill_for(peer, false, length);
        if self.hosts[peer].process.is_some() {
            return;
        }
        let Some(disk) = self.hosts[peer].disk.as_mut() else { return };
        let names = disk.disk.names();
        if names.is_empty() || self.disk_random.chance(300) {
            *disk = HostDisk::new(self.disk_random.next());
            self.counters.add("new disks");
            return;
        }
        let name = names[self.disk_random.index(names.len())].clone();
        let bytes = disk.disk.read(&name).map_or(0, |content| content.len());
        if bytes > 0 {
            disk.disk.flip(&name, self.disk_random.index(bytes * 8));
            disk.is_damaged = true;
            self.counters.add("flipped bits");
        }
    }

    /// A careful run keeps a majority of working members.
    fn may_be_without(&self, peer: usize) -> bool {
        self.plan.disk.is_some() && self.may_lose(peer)
    }

    /// The disk works again; a process that has given it up is started anew.
    pub(crate) fn mend_disk(&mut self, peer: usize) {
        let Some(disk) = self.hosts[peer].disk.as_ref() else { return };
        disk.mend();
        let failed = self.thread_mut(peer).is_some_and(|thread| thread.has_failed);
        if failed {
            self.kill(peer, false);
            self.start(peer);
        }
    }

    /// From here on the disk of a peer takes so long for everything.
    pub(crate) fn slow_disk(&mut self, peer: usize, delay: Duration) {
        if let Some(disk) = &mut self.plan.disk {
            disk.delays[peer] = delay;
        }
    }

    /// Puts an empty disk in the place of a peer's.
    pub(crate) fn replace_disk(&mut self, peer: usize) {
        self.hosts[peer].disk = Some(HostDisk::new(self.disk_random.next()));
    }
}
