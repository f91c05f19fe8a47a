//! The limits that a peer decides by at present: those it was made with, until the group changes
//! them.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::model::differences::Differences;
use crate::model::missing::Missing;
use crate::model::table::Table;

/// The limits of a peer; its model and its limiters share them.
pub(crate) struct CurrentLimits {
    /// The limits of the peer's own code.
    code: Arc<Table>,
    /// True if `present` has ever been anything but `code`: to know that costs a decision less than
    /// to borrow it.
    has_changed: AtomicBool,
    present: ArcSwap<Table>,
    /// The last revision of the policy that this version cannot use; 0 for none.
    refused: AtomicU64,
    pub(crate) missing: Missing,
    pub(crate) differences: Differences,
}

/// The limits of one decision.
pub(crate) enum Present<'l> {
    Code(&'l Table),
    Changed(Guard<Arc<Table>>),
}

impl Deref for Present<'_> {
    type Target = Table;

    #[inline(always)]
    fn deref(&self) -> &Table {
        match self {
            Self::Code(table) => table,
            Self::Changed(table) => table,
        }
    }
}

impl CurrentLimits {
    pub(crate) fn new(code: Arc<Table>) -> Self {
        Self {
            present: ArcSwap::new(Arc::clone(&code)),
            has_changed: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            missing: Missing::new(Arc::clone(&code)),
            differences: Differences::new(Arc::clone(&code)),
            code,
        }
    }

    /// Borrows the limits that are decided by: without a lock, and for a few nanoseconds once they
    /// have changed.
    #[inline(always)]
    pub(crate) fn load(&self) -> Present<'_> {
        if self.has_changed.load(Ordering::Acquire) {
            Present::Changed(self.present.load())
        } else {
            Present::Code(&self.code)
        }
    }

    /// Borrows the limits that are decided by, if they were ever changed.
    #[inline(always)]
    pub(crate) fn changed(&self) -> Option<Guard<Arc<Table>>> {
        self.has_changed.load(Ordering::Acquire).then(|| self.present.load())
    }

    /// Returns the limits that are decided by, to be kept.
    pub(crate) fn present(&self) -> Arc<Table> {
        self.present.load_full()
    }

    pub(crate) fn code(&self) -> &Arc<Table> {
        &self.code
    }

    /// Returns true if the limits are the group's own, and no more those of the code.
    pub(crate) fn is_of_group(&self) -> bool {
        !Arc::ptr_eq(&self.present.load(), &self.code)
    }

    /// Returns true if the policy of this revision was there and could not be used.
    pub(crate) fn has_refused(&self, revision: u64) -> bool {
        self.refused.load(Ordering::Acquire) == revision
    }

    /// Notes a policy that this version cannot use: its limits stay what they were.
    pub(crate) fn refuse(&self, revision: u64) {
        self.refused.store(revision, Ordering::Release);
    }

    /// Decides by these limits from now on.
    pub(crate) fn set(&self, table: Arc<Table>) {
        // In this order: whoever sees that they have changed finds them.
        self.present.store(Arc::clone(&table));
        self.has_changed.store(true, Ordering::Release);
        self.missing.look_through(&table);
        self.differences.look(&table);
    }
}
