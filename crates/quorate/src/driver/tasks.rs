//! The tasks of one peer, and the thread that they run on.
//!
//! A peer has a thread of its own: the embedder's runtime may have one thread only, and that thread
//! something else to do. A caller that never yields, a handler that computes for a second, a
//! runtime that is dropped: none of it may keep heartbeats from being sent, or calls of other peers
//! from being answered. Callers decide where they stand, on their own threads.
//!
//! Under a clock that tests hold, everything runs on the runtime of the test.

use std::future::Future;
use std::{io, thread};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};

use crate::base::id::PeerName;

/// Ends all its tasks, and their thread, when dropped.
#[derive(Debug)]
pub(crate) struct Tasks {
    runtime: Handle,
    /// The runtime that the peer was started on, if it was one of tokio.
    callers: Option<Handle>,
    thread: Mutex<Option<Thread>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// Of those on the callers' runtime.
    beside: Mutex<Vec<AbortHandle>>,
}

/// The peer's own thread.
#[derive(Debug)]
struct Thread {
    /// Has it end; dropped, it does so too.
    stop: oneshot::Sender<()>,
    /// Closed when all of it has gone.
    ended: oneshot::Receiver<()>,
}

/// The runtime of the peer's own thread. A look-up of a name that hangs is not waited for when it
/// ends, which may be among tasks of the embedder: tokio lets nobody wait there.
struct Own(Option<Runtime>);

impl Own {
    fn block_on(&self, until: impl Future) {
        if let Self(Some(runtime)) = self {
            runtime.block_on(until);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Tasks {
    /// Tasks on a thread of their own.
    ///
    /// # Errors
    ///
    /// If the thread, or what it waits with, cannot be had.
    pub(super) fn on_own_thread(peer: &PeerName) -> io::Result<Self> {
        Self::on_thread(thread::Builder::new().name(format!("quorate-{peer}")))
    }

    fn on_thread(builder: thread::Builder) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let runtime = Own(Some(runtime));
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            // An error says that the sender has gone, which means the same.
            runtime.block_on(stopped);
            drop(runtime);
            drop(end);
        };
        builder.spawn(run)?;
        let thread = Mutex::new(Some(Thread { stop, ended }));
        let callers = Handle::try_current().ok();
        let handles = Mutex::default();
        Ok(Self { runtime: handle, callers, thread, handles, beside: Mutex::default() })
    }

    /// Tasks on the runtime that this is called on.
    pub(super) fn on_this_runtime() -> Self {
        let thread = Mutex::new(None);
        let handles = Mutex::default();
        let runtime = Handle::current();
        let callers = Some(runtime.clone());
        Self { runtime, callers, thread, handles, beside: Mutex::default() }
    }

    /// Spawns a task.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.lock().push(self.runtime.spawn(task));
    }

    /// Spawns a task on the runtime that the peer was started on. It is ended with the others, and
    /// not waited for: that runtime may not run it any more.
    pub(super) fn spawn_beside_callers(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(callers) = &self.callers {
            self.beside.lock().push(callers.spawn(task).abort_handle());
        }
    }

    /// Does something where the tasks run, and waits for it: what it opens belongs there.
    ///
    /// # Cancel safety
    ///
    /// What has been begun ends there all the same.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.runtime.spawn(work).await {
            Ok(done) => done,
            // Nobody ends it before its time: it has panicked, in the embedder's transport.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Has all tasks end, and those that they have spawned, when the runtime comes to them.
    pub(crate) fn abort(&self) {
        self.beside.lock().iter().for_each(AbortHandle::abort);
        self.handles.lock().iter().for_each(JoinHandle::abort);
    }

    /// Ends all tasks, and those that they have spawned, and waits until they are gone: then
    /// addresses are free again.
    pub(crate) async fn end(&self) {
        self.abort();
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in handles {
            // Aborted is what it is to be.
            let _ = handle.await;
        }
        let thread = self.thread.lock().take();
        if let Some(Thread { stop, ended }) = thread {
            drop(stop);
            // It sends nothing: it goes.
            let _ = ended.await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.beside.get_mut().iter().for_each(AbortHandle::abort);
        for handle in self.handles.get_mut() {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn tasks_go_on_while_the_only_thread_of_the_callers_runtime_is_busy() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let tasks = Tasks::on_own_thread(&"a".into()).expect("a thread");
            let (done, is_done) = mpsc::channel();
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                done.send(()).expect("the test waits");
            });
            // Never yields, as a caller may not.
            is_done.recv().expect("the task has run meanwhile");
        });
    }

    /// Its runtime was dropped among the embedder's tasks then, and tokio panicked.
    #[tokio::test]
    async fn a_thread_that_cannot_be_had_is_an_error() {
        let more_than_there_is = thread::Builder::new().stack_size(1 << 50);
        let started = Tasks::on_thread(more_than_there_is);
        assert!(started.is_err(), "no stack of 2^50 bytes");
    }

    #[tokio::test]
    async fn an_end_waits_until_what_the_tasks_held_is_gone() {
        let tasks = Tasks::on_own_thread(&"a".into()).expect("a thread");
        let held = std::sync::Arc::new(());
        let task = held.clone();
        tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(task);
        });
        assert_eq!(tasks.run(async { 7 }).await, 7);
        tasks.end().await;
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }
}
