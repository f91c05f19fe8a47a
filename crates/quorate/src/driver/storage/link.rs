//! The event loop's end of the storage.

use tokio::sync::mpsc;

use super::{Queue, Report, StorageTask};
use crate::base::event::Event;
use crate::config::SyncPolicy;
use crate::driver::event_loop::EventLoop;
use crate::driver::report::journal::STORAGE;
use crate::protocol::io::Input;
use crate::store::Staged;

/// The event loop's end of the storage of a peer on disk.
#[derive(Debug)]
pub(in crate::driver) struct Link {
    pub(super) queue: Queue,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    pub(super) sync: SyncPolicy,
}

/// The next report; never one at a peer in memory.
///
/// # Cancel safety
///
/// A future that is dropped has taken no report.
pub(in crate::driver) async fn next_report(link: &mut Option<Link>) -> Report {
    match link {
        Some(link) => match link.reports.recv().await {
            Some(report) => report,
            // The peer is being shut down, or the storage has failed: told before.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl EventLoop {
    pub(in crate::driver) fn give_storage(&self, task: StorageTask) {
        if let Some(link) = &self.inputs.storage {
            link.queue.send(task);
        }
    }

    /// Hands a batch over, to be synced when the policy says so: by this loop's clock, for the
    /// storage thread has none.
    pub(in crate::driver) fn append(&mut self, number: u64, batch: Staged) {
        self.give_storage(StorageTask::Append { number, batch });
        if let Some(SyncPolicy::Every(interval)) = self.inputs.storage.as_ref().map(|it| it.sync) {
            let due = self.shared.clock.time().after(interval);
            self.agenda.sync.get_or_insert(due);
        }
    }

    /// Tells the machine what the storage thread has done.
    pub(in crate::driver) fn stored(&mut self, report: Report) {
        match report {
            Report::Appended { number } => self.input(Input::Appended { number }),
            Report::Copied { since } => self.input(Input::EndSnapshot { since }),
            Report::Failed(error) => {
                let peer = &self.shared.config.name;
                tracing::error!(target: STORAGE, %peer, %error, "the storage has failed");
                self.agenda.sync = None;
                // Only the first failure is reported.
                _ = self.shared.storage_error.set(error);
                self.input(Input::StorageFailed);
            }
            Report::Saved => self.input(Input::Saved),
            Report::SetAside(path) => {
                let path = path.display().to_string();
                self.shared.tell(Event::OlderFilesSetAside { path });
            }
        }
    }

    /// The machine knows that the storage has failed, and not why.
    pub(in crate::driver) fn tell_storage_failed(&mut self) {
        let error = self.shared.storage_error.get().cloned().unwrap_or_default();
        self.shared.tell(Event::StorageFailed { error });
        self.must_publish = true;
    }
}
