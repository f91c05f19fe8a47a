//! When callers are next looked at for deadlines that have come: one timer for all of them.
//!
//! A caller first takes its place in a table and then announces its deadline; the event loop first
//! clears the announcements and then looks through the tables, under their locks. So whoever it
//! does not find announces itself afterwards, and nobody is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::base::id::Time;

/// The earliest deadline announced.
#[derive(Debug)]
pub(in crate::driver) struct Expiry {
    next: AtomicU64,
    /// Wakes the event loop.
    attention: Arc<Notify>,
}

impl Expiry {
    pub(in crate::driver) fn new(attention: Arc<Notify>) -> Self {
        Self { next: AtomicU64::new(u64::MAX), attention }
    }

    /// Announces a deadline of a caller that has its place already.
    #[inline]
    pub(in crate::driver) fn announce(&self, deadline: Time) {
        // The lock of the table orders this load after the event loop's clearing.
        if deadline.0 < self.next.load(Ordering::Relaxed) {
            self.next.fetch_min(deadline.0, Ordering::AcqRel);
            self.attention.notify_one();
        }
    }

    /// Enters a deadline on behalf of the event loop, which needs no waking.
    pub(in crate::driver) fn rearm(&self, deadline: Time) {
        self.next.fetch_min(deadline.0, Ordering::AcqRel);
    }

    /// Returns when callers are next looked at.
    pub(in crate::driver) fn next(&self) -> Time {
        Time(self.next.load(Ordering::Acquire))
    }

    /// Forgets what was announced: the tables are about to be looked through.
    pub(in crate::driver) fn clear(&self) {
        self.next.store(u64::MAX, Ordering::Release);
    }
}
