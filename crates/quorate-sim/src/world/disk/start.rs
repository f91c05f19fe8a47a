//! Recovery: what a process finds when it starts, and that it is what it may be.
//!
//! Holds G14 of docs/guarantees.md.

use std::sync::Arc;

use quorate::internal::disk::{Options, Recovered, Storage, StorageId, open};
use quorate::internal::protocol::io::{Kept, Start};
use quorate::internal::store::Store;
use quorate::{Incarnation, Position};

use crate::host::disk::{HostDisk, StorageThread};
use crate::host::snapshot::Snapshot;
use crate::model::reference::Follower;
use crate::words::seen::Seen;
use crate::world::World;

impl World {
    /// Returns what a start of a process has of its own, with the store filled from its disk.
    pub(crate) fn recover_disk(
        &mut self,
        peer: usize,
        incarnation: Incarnation,
        seed: u64,
        store: &Arc<Store>,
    ) -> (Start, Option<StorageThread>) {
        let kept = self.recall(peer);
        let in_memory = (Start { kept, ..Start::in_memory(incarnation, seed) }, None);
        if self.hosts[peer].disk.is_none() {
            return in_memory;
        }
        let Some(plan) = self.plan.disk.clone() else { return in_memory };
        let storage_id = (u128::from(self.disk_random.next()) << 64) | u128::from(seed);
        let name = self.plan.group.members[peer].clone();
        let mut options = Options::new("sim", name, StorageId(storage_id));
        options.segment_bytes = plan.segment_bytes;
        options.acknowledges_unsynced = !plan.syncs[peer];
        let Some(disk) = self.hosts[peer].disk.as_mut() else { return in_memory };
        // Whoever starts it sees to it that the disk works.
        disk.mend();
        options.boot = disk.boot;
        let (storage, recovered) = match read(disk, options.clone(), store) {
            Ok(read) => read,
            Err(refused) if disk.is_damaged => {
                // Somebody gives the peer a new disk.
                *disk = HostDisk::new(self.disk_random.next());
                self.counters.add("damaged disks replaced");
                self.note(peer, &[21], |_| format!("gets a new disk: {refused}"));
                store.clear();
                let Some(disk) = self.hosts[peer].disk.as_mut() else { return in_memory };
                match read(disk, options, store) {
                    Ok(read) => read,
                    Err(refused) => {
                        self.fail("recovery", refused);
                        return in_memory;
                    }
                }
            }
            Err(refused) => {
                self.fail("recovery", refused);
                return in_memory;
            }
        };
        self.check_recovered(peer, &recovered, &storage, store);
        let id = storage.state().member_id();
        let is_restart = !recovered.is_new && !recovered.may_lack_acknowledged;
        if recovered.may_lack_acknowledged {
            self.counters.add("recovered with possible losses");
        }
        let kept =
            Some(Kept { hard: storage.state().hard.clone(), is_restart, is_state_only: false });
        let thread = StorageThread {
            storage,
            tasks: Default::default(),
            is_busy: false,
            has_failed: false,
            snapshot: Snapshot::None,
        };
        let succession = thread.storage.state().succession(is_restart && recovered.is_same_boot);
        (Start { incarnation, id, seed, kept, succession }, Some(thread))
    }

    /// Checks that what is recovered was written, and includes all that was synced.
    fn check_recovered(
        &mut self,
        peer: usize,
        recovered: &Recovered,
        storage: &Storage,
        store: &Store,
    ) {
        let Some(disk) = self.hosts[peer].disk.as_mut() else { return };
        let end = store.position();
        let hard = storage.state().hard.clone();
        // Damage to what was never synced looks like a write that was torn. A peer that had
        // acknowledged it is counted as another member.
        let syncs = self.plan.disk.as_ref().is_some_and(|disk| disk.syncs[peer]);
        let is_damaged = disk.is_damaged && (syncs || recovered.may_lack_acknowledged);
        let allowed = &disk.ends[if is_damaged { disk.synced } else { disk.left }..];
        let is_known = allowed.contains(&end) && recovered.position == end;
        let is_saved = hard == disk.saved || hard == disk.tried;
        let what = format!("recovers {end} and {hard:?}, not of {allowed:?} and {:?}", disk.saved);
        disk.ends = vec![end];
        disk.written = 0;
        disk.synced = 0;
        disk.left = 0;
        disk.saved = hard.clone();
        disk.tried = hard;
        disk.is_damaged = false;
        if !end.is_blank() {
            self.counters.add("recoveries");
        }
        if !is_known || !is_saved {
            self.fail("recovered", what);
        }
    }

    /// A process goes on from what it has recovered.
    pub(crate) fn note_recovered(&mut self, peer: usize) {
        let Some(process) = self.process_mut(peer) else { return };
        let to = process.store.position();
        if to.is_blank() {
            return;
        }
        process.position = to;
        self.note_holding(peer);
        let mut follower = Follower::default();
        if let Err(what) = self.history.follow(&mut follower, to) {
            return self.fail("recovered", what);
        }
        let Some(process) = self.process(peer) else { return };
        let cells = process.cells(&self.keys);
        let group_time = process.store.group_time();
        let from = Position::BLANK;
        let expected = follower.cells();
        self.see(&Seen::Moved { peer, from, to, group_time, cells: &cells, expected });
        if let Some(process) = self.process_mut(peer) {
            process.follower = follower;
        }
    }
}

/// Opens a disk and reads it into a blank store.
fn read(disk: &HostDisk, options: Options, store: &Store) -> Result<(Storage, Recovered), String> {
    let mut recovery = open(disk.disk.directory(), options).map_err(|error| error.to_string())?;
    while let Some(batch) = recovery.next_batch().map_err(|error| error.to_string())? {
        store.restore(batch).map_err(|error| error.to_string())?;
    }
    recovery.finish().map_err(|error| error.to_string())
}
