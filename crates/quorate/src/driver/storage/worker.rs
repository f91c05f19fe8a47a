//! The storage thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::compaction::Compaction;
use super::{ClockHold, Closed, Job, Queue, Report, Setup, StorageTask};
use crate::base::id::{GroupId, PeerName, Position, Sequence};
use crate::config::SyncPolicy;
use crate::disk::{AppendError, Storage, StorageError};
use crate::state::BatchEnd;
use crate::store::{Staged, Store};

/// The next step of the thread.
#[derive(Debug)]
enum Next {
    Abandon,
    Close(oneshot::Sender<Closed>),
    GoOn,
}

/// See the module's documentation.
pub(super) struct Worker {
    pub(super) peer: PeerName,
    /// `None` after it was closed.
    storage: Option<Storage>,
    pub(super) store: Arc<Store>,
    sync: SyncPolicy,
    is_state_only: bool,
    /// For what the snapshot thread has to say.
    pub(super) queue: Queue,
    reports: UnboundedSender<Report>,
    pub(super) is_abandoned: Arc<AtomicBool>,
    pub(super) compaction: Compaction,
    /// The last batch written and not yet reported.
    written: Option<u64>,
    /// The group whose data are stored.
    group_id: Option<GroupId>,
    has_failed: bool,
}

impl Worker {
    pub(super) fn new(
        setup: Setup,
        queue: Queue,
        reports: UnboundedSender<Report>,
        is_abandoned: Arc<AtomicBool>,
    ) -> Self {
        let Setup { peer, storage, store, sync, is_state_only, .. } = setup;
        let group_id = store.meta().group_id;
        Self {
            peer,
            storage: Some(storage),
            store,
            sync,
            is_state_only,
            queue,
            reports,
            is_abandoned,
            compaction: Compaction::default(),
            written: None,
            group_id,
            has_failed: false,
        }
    }

    /// Does what comes until the storage is closed or abandoned.
    pub(super) fn run(mut self, inbox: Receiver<(Job, ClockHold)>) {
        let mut holds = Vec::new();
        while let Ok(first) = inbox.recv() {
            let waiting: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
            for (job, hold) in waiting {
                holds.push(hold);
                if self.is_abandoned.load(Ordering::Acquire) {
                    return self.abandon((inbox, job));
                }
                match self.handle(job) {
                    Next::Abandon => return self.abandon(inbox),
                    Next::Close(reply) => return self.end(inbox, reply),
                    Next::GoOn => {}
                }
            }
            if !self.has_failed {
                let hold = holds.last().cloned().unwrap_or_default();
                let settled = self.settle().and_then(|()| self.compact(hold));
                settled.unwrap_or_else(|error| self.fail(error));
            }
            // Only now may time pass: all has been reported.
            holds.clear();
        }
    }

    fn handle(&mut self, job: Job) -> Next {
        let done = match job {
            Job::Abandon => return Next::Abandon,
            Job::Close(reply) => return Next::Close(reply),
            // After a failure nothing is answered any more.
            _ if self.has_failed => Ok(()),
            Job::Copied(copied) => self.on_copied(copied),
            Job::Finished(finished) => self.on_finished(finished),
            Job::Task(task) => self.perform(task),
        };
        done.unwrap_or_else(|error| self.fail(error));
        Next::GoOn
    }

    fn perform(&mut self, task: StorageTask) -> Result<(), StorageError> {
        match task {
            StorageTask::Append { number, batch } => {
                self.append(&batch)?;
                self.written = Some(number);
            }
            StorageTask::EndSnapshot { records, end } => self.on_end(&records, end)?,
            StorageTask::Save(hard) => {
                self.storage().save(hard)?;
                self.report(Report::Saved);
            }
            StorageTask::Sync => _ = self.storage().sync()?,
        }
        Ok(())
    }

    fn append(&mut self, batch: &Staged) -> Result<(), StorageError> {
        if self.replaces_another_group(batch)
            && let Some(path) = self.storage().set_aside()?
        {
            self.report(Report::SetAside(path));
        }
        if let Some(meta) = &batch.end.meta {
            self.group_id = meta.group_id;
        }
        self.storage().append(batch).map_err(|error| match error {
            AppendError::Storage(error) => error,
            AppendError::From { from, end } => {
                panic!("a batch from {from} is to be appended where the log stands at {end}")
            }
        })
    }

    /// Returns true if data of another founding take the place of all that is stored. A founding
    /// that came to nothing leaves nothing to keep, and nothing takes its place.
    fn replaces_another_group(&self, batch: &Staged) -> bool {
        let BatchEnd { position, meta, .. } = &batch.end;
        let is_other = meta.as_ref().is_some_and(|meta| meta.group_id != self.group_id);
        batch.from.is_none() && is_other && !position.is_blank() && self.group_id.is_some()
    }

    /// Reports what was written, as soon as it is as safe as the policy asks for.
    fn settle(&mut self) -> Result<(), StorageError> {
        let Some(number) = self.written.take() else { return Ok(()) };
        if self.sync == SyncPolicy::EveryBatch {
            self.storage().sync()?;
        }
        self.report(Report::Appended { number });
        Ok(())
    }

    pub(super) fn report(&self, report: Report) {
        // An event loop that has ended needs no reports.
        _ = self.reports.send(report);
    }

    fn fail(&mut self, error: StorageError) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.report(Report::Failed(error.to_string()));
        }
    }

    /// # Panics
    ///
    /// After it was closed: nothing is asked of it then.
    pub(super) fn storage(&mut self) -> &mut Storage {
        self.storage.as_mut().expect("the thread ends when the storage is closed")
    }

    /// Ends as the death of the process would. Whoever waits for an answer is told by `rest`, which
    /// is dropped when the directory is free.
    fn abandon<T>(mut self, rest: T) {
        self.compaction.join();
        drop(self);
        drop(rest);
    }

    /// Ends in an orderly way. The directory is free when that is said: what may still hold its
    /// lock, a snapshot on its way back here included, is dropped before.
    fn end(mut self, inbox: Receiver<(Job, ClockHold)>, reply: oneshot::Sender<Closed>) {
        let closed = self.close();
        self.compaction = Compaction::default();
        drop(inbox);
        // Nobody may be waiting any more.
        _ = reply.send(closed);
    }

    fn close(&mut self) -> Closed {
        // The snapshot thread writes into the directory too, and stops when it sees this.
        self.is_abandoned.store(true, Ordering::Release);
        self.compaction.join();
        if let Some(rest) = self.rest() {
            // Fails again below, if it does.
            _ = self.storage().append(&rest);
        }
        match self.storage.take() {
            Some(storage) => storage.close(),
            None => Ok(()),
        }
    }

    /// The last decisions here, answered perhaps: the state machine, which hands over
    /// what changes, has ended.
    fn rest(&mut self) -> Option<Staged> {
        let appended = self.storage().position();
        self.store.end_reign();
        // A directory with cells in it is refused at the next start of a peer in memory.
        if self.is_state_only || self.store.position() == appended {
            return None;
        }
        let (from, since) = match appended {
            Position::BLANK => (None, Sequence(0)),
            appended => (Some(appended), appended.sequence),
        };
        let cut = self.store.cut(self.store.group_time(), since, &[], usize::MAX);
        let end = cut.batch_end(Some(self.store.meta()));
        let records = cut.records.into_iter().filter(|records| !records.is_empty()).collect();
        Some(Staged { from, records, end })
    }
}

/// A thread that has panicked must not look like a slow disk.
impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.report(Report::Failed(PANICKED.into()));
        }
    }
}

const PANICKED: &str = "the storage thread has panicked, which is a bug: report it with what \
                        stands on standard error, and start the peer again";
