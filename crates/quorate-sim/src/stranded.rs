//! A process that lives on behind a proxy that has reset its connections, while a second one is
//! started under its name. It reaches nobody, and decides for its own callers until its lease ends.

use std::sync::Arc;

use quorate::Ballot;
use quorate::store::Store;

use crate::clock::{Clock, Moment};
use crate::disk::HostDisk;
use crate::standstill::Unnoticed;
use crate::world::World;

/// What is left of it that matters to others: whether it may decide.
#[derive(Debug)]
pub(crate) struct Stranded {
    pub(crate) peer: usize,
    pub(crate) reign: Ballot,
    store: Arc<Store>,
    clock: Clock,
    unnoticed: Unnoticed,
}

impl Stranded {
    /// Whether it may decide now, by its own clock, and its clock has not stood for too long.
    pub(crate) fn is_authorized(&self, now: Moment) -> bool {
        !self.unnoticed.is_excused(now)
            && self.store.is_authorized(self.clock.time(now), self.reign)
    }
}

impl World {
    /// Strands the process of a peer, and starts another in its place: with nothing, or with a disk
    /// of its own.
    pub(crate) fn strand(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let incarnation = process.incarnation;
        let (reign, store) = (process.reign, process.store.clone());
        self.counters.add("stranded processes");
        if let Some(reign) = reign {
            let clock = self.peers[peer].clock.clone();
            let unnoticed = self.peers[peer].unnoticed;
            self.stranded.push(Stranded { peer, reign, store, clock, unnoticed });
        }
        self.note(peer, &[22], |_| format!("is stranded as {incarnation}"));
        self.close_all(peer, true, false);
        self.end_disk(peer, false);
        let host = &mut self.peers[peer];
        host.process = None;
        host.paused = None;
        host.starves = false;
        host.inbox.clear();
        if host.disk.is_some() {
            // The first one holds the lock of its own.
            host.disk = Some(HostDisk::new(self.disk_random.next()));
        }
        self.note_together();
        self.start(peer);
    }
}
