//! The attendance of a connection's task: whether it is run at all.
//!
//! Replies to callers are read where the callers run: waking a task on another thread costs more
//! than the whole of a call. But that runtime is the embedder's. It may be busy, blocked, or gone
//! while callers elsewhere wait; so the event loop, which has a thread of its own, looks after it:
//! it wakes the task, and takes it for neglected if it has not run a while later.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::id::Time;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(in crate::driver) struct Attendance {
    /// Counts the turns of the task.
    turns: AtomicU64,
    is_neglected: AtomicBool,
    /// The time when the task was woken to see whether it runs, and its turns until then.
    probe: Mutex<Option<(Time, u64)>>,
}

impl Attendance {
    /// The task runs. Only it says so.
    #[inline]
    pub(in crate::driver) fn note_turn(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns + 1, Ordering::Relaxed);
        if self.is_neglected.load(Ordering::Relaxed) {
            self.is_neglected.store(false, Ordering::Relaxed);
        }
    }

    pub(in crate::driver) fn is_neglected(&self) -> bool {
        self.is_neglected.load(Ordering::Relaxed)
    }

    /// Looks after the task; to be called again and again with its waker, `None` while nobody waits
    /// for what the task does. Returns for how long it has not run, if that is `patience` or more.
    pub(in crate::driver) fn look_after(
        &self,
        now: Time,
        task: Option<Waker>,
        patience: Duration,
    ) -> Option<Duration> {
        let mut probe = self.probe.lock();
        let Some(task) = task else {
            *probe = None;
            return None;
        };
        let turns = self.turns.load(Ordering::Relaxed);
        match *probe {
            Some((since, at)) if at == turns => {
                let idle = now.since(since);
                let is_neglected = idle >= patience;
                self.is_neglected.store(is_neglected, Ordering::Relaxed);
                is_neglected.then_some(idle)
            }
            _ => {
                *probe = Some((now, turns));
                drop(probe);
                task.wake();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Time {
        Time(1_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn a_task_that_does_not_run_when_woken_is_neglected_until_it_does() {
        let attendance = Attendance::default();
        let look =
            |millis| attendance.look_after(at(millis), Some(Waker::noop().clone()), PATIENCE);
        assert_eq!(look(0), None, "it is woken");
        assert_eq!(look(60), None);
        assert_eq!(look(120), Some(Duration::from_millis(120)));
        assert!(attendance.is_neglected());
        attendance.note_turn();
        assert!(!attendance.is_neglected());
        assert_eq!(look(180), None, "it is woken anew");
        attendance.note_turn();
        assert_eq!(look(300), None, "it has run since");
        assert!(!attendance.is_neglected());
    }

    #[test]
    fn a_task_that_nobody_waits_for_need_not_run() {
        let attendance = Attendance::default();
        let task = || Some(Waker::noop().clone());
        assert_eq!(attendance.look_after(at(0), task(), PATIENCE), None);
        assert_eq!(attendance.look_after(at(500), None, PATIENCE), None);
        assert_eq!(attendance.look_after(at(600), task(), PATIENCE), None, "it is woken first");
    }
}
