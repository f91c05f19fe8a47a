//! The tasks of one peer, ended together.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// Aborts all its tasks when dropped.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Tasks {
    /// Spawns a task on the current runtime.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.get_mut().push(tokio::spawn(task));
    }

    /// Ends all tasks, and those that they have spawned, and waits until they are gone: then
    /// addresses are free again.
    pub(crate) async fn end(&self) {
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in &handles {
            handle.abort();
        }
        for handle in handles {
            // Aborted is what it is to be.
            let _ = handle.await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for handle in self.handles.get_mut() {
            handle.abort();
        }
    }
}
