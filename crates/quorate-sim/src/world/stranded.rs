//! A process that lives on cut off, while a second one starts under its name.

use crate::host::disk::HostDisk;
use crate::host::stranded::Stranded;
use crate::world::World;

impl World {
    /// Strands the process of a peer, and starts another in its place: with nothing, or with a disk
    /// of its own.
    pub(crate) fn strand(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let incarnation = process.incarnation;
        self.counters.add("stranded processes");
        self.stranded.extend(Stranded::of(peer, &self.hosts[peer]));
        self.note(peer, &[22], |_| format!("is stranded as {incarnation}"));
        self.close_all(peer, true, false);
        self.end_disk(peer, false);
        let host = &mut self.hosts[peer];
        host.process = None;
        host.paused = None;
        host.starves = false;
        host.is_aside = false;
        if host.disk.is_some() {
            // The first one holds the lock of its own.
            host.disk = Some(HostDisk::new(self.disk_random.next()));
        }
        self.inboxes[peer].clear();
        self.note_contact();
        self.start(peer);
    }
}
