//! Snapshots in place of the log's beginning, while the log goes on
//! (docs/disk-format.md, section 7).
//!
//! ```text
//!  due ──▶ copy (other thread) ──▶ the machine's exact cut ──▶ finish (other thread) ──▶ install
//! ```

use std::thread::{self, JoinHandle};

use crate::base::id::PeerName;
use crate::disk::{SnapshotWriter, Usage};
use crate::driver::report::journal::STORAGE;

/// The snapshot under way; there is one at a time.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    pub(super) step: Step,
    thread: Option<JoinHandle<()>>,
    /// After one that was given up: not before the log has this size.
    pub(super) not_below: u64,
}

#[derive(Debug, Default)]
pub(super) enum Step {
    /// The snapshot thread copies the cells, or finishes the file.
    Busy,
    /// Waiting for the cut that ends it.
    Copied(Box<SnapshotWriter>),
    #[default]
    Idle,
}

impl Compaction {
    pub(super) fn is_due(&self, usage: Usage) -> bool {
        let is_idle = matches!(self.step, Step::Idle);
        is_idle && usage.is_compaction_due() && usage.log_bytes >= self.not_below
    }

    /// Waits for the snapshot thread.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // One that has panicked has printed why; its snapshot is removed at the next start.
            _ = thread.join();
        }
    }

    /// One thread after the other: the one before has said its last word.
    pub(super) fn run(&mut self, peer: &PeerName, job: impl FnOnce() + Send + 'static) {
        self.join();
        match thread::Builder::new().name("quorate-snapshot".into()).spawn(job) {
            Ok(thread) => (self.step, self.thread) = (Step::Busy, Some(thread)),
            Err(error) => {
                tracing::warn!(
                    target: STORAGE, %peer, %error,
                    "cannot start a thread for a snapshot; tries again later"
                );
                self.step = Step::Idle;
            }
        }
    }
}
