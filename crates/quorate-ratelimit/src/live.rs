//! The limits that a peer decides by at present: those it was made with, until the group changes them.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::table::Table;

/// Shared by a model and the limiters of its peer.
pub(crate) struct Live {
    /// What the peer's own code says.
    code: Arc<Table>,
    present: ArcSwap<Table>,
}

impl Live {
    pub(crate) fn new(code: Arc<Table>) -> Self {
        Self { present: ArcSwap::new(Arc::clone(&code)), code }
    }

    /// What is decided by: a few nanoseconds, without a lock.
    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<Table>> {
        self.present.load()
    }

    /// The same, to be kept.
    pub(crate) fn present(&self) -> Arc<Table> {
        self.present.load_full()
    }

    pub(crate) fn code(&self) -> &Arc<Table> {
        &self.code
    }

    pub(crate) fn set(&self, table: Arc<Table>) {
        self.present.store(table);
    }
}
