//! A number of its own for each thread, so that what it counts needs no locked instruction.
//!
//! ```text
//!   thread ──▶ slot 0 to 63, its own until it ends      counts by load and store
//!          └─▶ none is free: the shared one             counts by fetch_add
//! ```
//!
//! Beside the counts themselves this is all that is kept for the whole process: which numbers are
//! taken.

use std::sync::{Mutex, PoisonError};

/// Threads that can have a slot of their own at the same time. The number after the last is shared.
pub(crate) const SLOTS: usize = 64;

static FREE: Mutex<Free> = Mutex::new(Free { returned: Vec::new(), fresh: 0 });

struct Free {
    /// Slots of threads that have ended.
    returned: Vec<usize>,
    /// Slots from here on were never taken.
    fresh: usize,
}

/// A slot of one thread; given back when the thread ends.
struct ThreadSlot(usize);

impl ThreadSlot {
    fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = free.returned.pop() {
            return Self(slot);
        }
        let slot = free.fresh;
        free.fresh = (slot + 1).min(SLOTS);
        Self(slot)
    }
}

impl Drop for ThreadSlot {
    fn drop(&mut self) {
        if self.0 < SLOTS {
            // The lock hands on what this thread has counted to the next one in its slot.
            FREE.lock().unwrap_or_else(PoisonError::into_inner).returned.push(self.0);
        }
    }
}

thread_local! {
    static SLOT: ThreadSlot = ThreadSlot::take();
}

/// The slot of this thread; [`SLOTS`] if it shares one.
#[inline]
pub(crate) fn own() -> usize {
    // A thread that is ending may have given its slot back already.
    SLOT.try_with(|slot| slot.0).unwrap_or(SLOTS)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_run_at_the_same_time_never_share_a_slot_of_their_own() {
        let all = Barrier::new(SLOTS + 8);
        let mut slots = Vec::new();
        thread::scope(|scope| {
            let slot = || {
                let slot = own();
                all.wait();
                assert_eq!(slot, own());
                slot
            };
            let threads: Vec<_> = (0..SLOTS + 8).map(|_| scope.spawn(slot)).collect();
            slots.extend(threads.into_iter().map(|thread| thread.join().expect("no panic")));
        });
        assert!(slots.iter().filter(|&&slot| slot == SLOTS).count() >= 8);
        slots.retain(|&slot| slot < SLOTS);
        slots.sort_unstable();
        let taken = slots.len();
        slots.dedup();
        assert_eq!(slots.len(), taken);
    }
}
