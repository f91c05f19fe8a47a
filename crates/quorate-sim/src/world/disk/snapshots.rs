//! Snapshots, step by step, while everything else goes on.

use quorate::Position;
use quorate::internal::protocol::io::Input;

use crate::host::disk_error::DiskError;
use crate::host::snapshot::Step;
use crate::world::World;

impl World {
    pub(super) fn go_on_with_snapshot(&mut self, peer: usize) {
        let Some(process) = self.process_mut(peer) else { return };
        if process.store.position() == Position::BLANK {
            return;
        }
        let store = process.store.clone();
        let Some(thread) = process.storage.as_mut() else { return };
        match thread.snapshot.step(&mut thread.storage, &store) {
            Ok(Step::Going) => {}
            Ok(Step::Copied(since)) => self.drive(peer, Input::EndSnapshot { since }),
            Ok(Step::Installed) => self.counters.add("snapshots"),
            Err(DiskError) => {
                thread.has_failed = true;
                self.counters.add("storages failed");
                self.drive(peer, Input::StorageFailed);
            }
        }
    }
}
