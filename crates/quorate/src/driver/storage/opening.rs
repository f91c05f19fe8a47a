//! Opening a directory and reading it into the store, before the peer does anything else.

use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use siphasher::sip::SipHasher13;

use crate::base::event::Event;
use crate::base::id::PeerName;
use crate::config::{StorageKind, SyncPolicy};
use crate::disk::{
    self, Action, Directory, IoError, OpenError, Options, Progress, Recovered, Storage, StorageId,
};
use crate::driver::report::journal::STORAGE;
use crate::protocol::io::{Kept, Start};
use crate::store::Store;

/// A function that is called while a directory is read.
pub(in crate::driver) type OnProgress = Box<dyn FnMut(Progress) + Send>;

/// A directory that is to be opened.
pub(in crate::driver) struct Opening {
    pub(in crate::driver) group: String,
    pub(in crate::driver) peer: PeerName,
    pub(in crate::driver) sync: SyncPolicy,
    pub(in crate::driver) segment_bytes: usize,
    /// Becomes the id of a directory that is used for the first time.
    pub(in crate::driver) new_storage_id: StorageId,
    /// Names this start of the machine; 0 if it has no name.
    pub(in crate::driver) boot: u64,
    /// Whether what is in it makes way.
    pub(in crate::driver) set_aside: bool,
    pub(in crate::driver) on_progress: Option<OnProgress>,
}

/// A directory that has been read.
pub(in crate::driver) struct Opened {
    pub(in crate::driver) storage: Storage,
    pub(in crate::driver) found: Recovered,
}

impl Opening {
    /// Reads `directory` into a blank store, on a thread of its own: at the speed of the disk.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; the directory is as it was, and the store is of no use.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped gives it up, and frees the directory, a moment later.
    pub(in crate::driver) async fn open(
        self,
        directory: impl FnOnce() -> Result<Arc<dyn Directory>, OpenError> + Send + 'static,
        store: Arc<Store>,
    ) -> Result<Opened, OpenError> {
        let is_given_up = GivenUp::default();
        let flag = is_given_up.0.clone();
        let reading = tokio::task::spawn_blocking(move || self.read(directory()?, &store, &flag));
        match reading.await {
            Ok(opened) => opened,
            // Only a panic ends it before its time: the embedder's own, in the hook.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn read(
        mut self,
        directory: Arc<dyn Directory>,
        store: &Store,
        is_given_up: &AtomicBool,
    ) -> Result<Opened, OpenError> {
        let path = directory.path().to_path_buf();
        let mut recovery = disk::open(directory, self.options())?;
        let mut told = Told::default();
        while let Some(batch) = recovery.next_batch()? {
            store.restore(batch).map_err(|error| recovery.refuse(error))?;
            if is_given_up.load(Ordering::Acquire) {
                // Nobody hears this.
                let source = Arc::new(io::ErrorKind::Interrupted.into());
                return Err(IoError { action: Action::Read, path, source }.into());
            }
            if let Some(progress) = told.news(recovery.progress()) {
                self.tell(progress);
            }
        }
        self.tell(recovery.progress());
        let (storage, found) = recovery.finish()?;
        if found.is_open_to_others {
            let peer = &self.peer;
            let path = path.display();
            tracing::warn!(
                target: STORAGE, %peer, %path,
                "other users may change what is in this peer's directory"
            );
        }
        Ok(Opened { storage, found })
    }

    fn options(&self) -> Options {
        Options {
            segment_bytes: self.segment_bytes as u64,
            acknowledges_unsynced: self.sync != SyncPolicy::EveryBatch,
            boot: self.boot,
            set_aside: self.set_aside,
            ..Options::new(self.group.as_str(), self.peer.clone(), self.new_storage_id)
        }
    }

    fn tell(&mut self, progress: Progress) {
        let Progress { bytes, total_bytes, records } = progress;
        tracing::info!(
            target: STORAGE, peer = %self.peer, bytes, total_bytes, records,
            "reads its directory"
        );
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(progress);
        }
    }
}

impl Opened {
    /// A start that remembers the ones before it, where one in memory would not.
    ///
    /// One in memory remembers ballot and vote only: it is another member, and has promised nothing
    /// as that one.
    pub(in crate::driver) fn start(&self, in_memory: Start, kind: StorageKind) -> Start {
        let Recovered { is_new, may_lack_acknowledged, is_same_boot, .. } = self.found;
        let state = self.storage.state();
        let hard = state.hard.clone();
        if kind == StorageKind::Memory {
            let kept = Some(Kept { hard, is_restart: false, is_state_only: true });
            return Start { kept, ..in_memory };
        }
        let is_restart = !is_new && !may_lack_acknowledged;
        let kept = Some(Kept { hard, is_restart, is_state_only: false });
        let succession = state.succession(is_restart && is_same_boot);
        Start { id: state.member_id(), kept, succession, ..in_memory }
    }

    /// The event that the embedder is told.
    pub(in crate::driver) fn event(&self, store: &Store) -> Event {
        let Recovered { position, records, torn_tail, may_lack_acknowledged, .. } = &self.found;
        Event::Recovered {
            cells: store.cells() as u64,
            records: *records,
            position: *position,
            torn_bytes: torn_tail.as_ref().map_or(0, |tail| tail.bytes),
            may_lack_acknowledged: *may_lack_acknowledged,
        }
    }
}

/// Set when nobody waits for the directory any more.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The part of the progress that has been told, in hundredths.
#[derive(Default)]
struct Told(u64);

impl Told {
    fn news(&mut self, progress: Progress) -> Option<Progress> {
        let hundredths = progress.bytes.saturating_mul(100) / progress.total_bytes.max(1);
        let is_news = hundredths > self.0 && hundredths < 100;
        self.0 = self.0.max(hundredths);
        is_news.then_some(progress)
    }
}

/// The directory at a path, made if it is missing.
///
/// # Errors
///
/// If the system refuses.
#[cfg(unix)]
pub(in crate::driver) fn directory(dir: &Path) -> Result<Arc<dyn Directory>, OpenError> {
    Ok(Arc::new(disk::SystemDirectory::new(dir)?))
}

/// There is no storage on disk where directories cannot be locked and synced.
#[cfg(not(unix))]
pub(in crate::driver) fn directory(dir: &Path) -> Result<Arc<dyn Directory>, OpenError> {
    let why = "storage on disk needs a Unix system, where directories are locked and synced; leave \
               it out here, and `state_dir` as well: the counts are kept in memory";
    let source = Arc::new(io::Error::new(io::ErrorKind::Unsupported, why));
    Err(IoError { action: Action::Lock, path: dir.into(), source }.into())
}

/// Names this start of the machine; 0 where it has no name.
pub(in crate::driver) fn boot() -> u64 {
    let Ok(id) = fs::read("/proc/sys/kernel/random/boot_id") else { return 0 };
    let mut hasher = SipHasher13::new_with_keys(0x71_75_6f_72, 0x61_74_65);
    hasher.write(&id);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hundredth_is_told_once_and_the_end_by_itself() {
        let mut told = Told::default();
        let mut tell = |bytes| told.news(Progress { bytes, total_bytes: 1000, records: 0 });
        assert!(tell(9).is_none(), "less than a hundredth");
        assert!(tell(15).is_some());
        assert!(tell(19).is_none(), "told before");
        assert!(tell(500).is_some());
        assert!(tell(1000).is_none(), "the end is told when all has been read");
        assert!(Told::default().news(Progress::default()).is_none(), "nothing to read");
    }
}
