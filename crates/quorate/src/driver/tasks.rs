//! The tasks of one peer, ended together.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// Aborts all its tasks when dropped.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    handles: Mutex<Vec<AbortHandle>>,
}

impl Tasks {
    /// Spawns a task on the current runtime.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.get_mut().push(tokio::spawn(task).abort_handle());
    }

    /// Ends all tasks; those that they have spawned end with them.
    pub(crate) fn abort(&self) {
        for handle in self.handles.lock().drain(..) {
            handle.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort();
    }
}
