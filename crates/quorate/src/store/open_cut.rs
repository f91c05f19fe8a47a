//! The cut that is open while operations go on, and what they save for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// The cut that operations must save for, if one is open.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct OpenCut {
    /// Number of the cut, never used again; 0 if none is open.
    number: AtomicU64,
    end: AtomicU64,
}

/// What an operation after the end of an open cut must save for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saving {
    /// Number of the cut.
    pub(super) cut: u64,
    /// Its end.
    pub(super) end: u64,
}

impl OpenCut {
    pub(super) fn open(&self, number: u64, end: u64) {
        self.end.store(end, Ordering::Release);
        self.number.store(number, Ordering::Release);
    }

    pub(super) fn close(&self) {
        self.number.store(0, Ordering::Release);
    }

    /// An operation that took its sequence after the word had moved sees the cut: it was published
    /// before. The end it reads belongs to that cut, for no other is opened while its shard, whose
    /// lock it holds, has not been taken.
    #[inline]
    pub(super) fn saving(&self, sequence: u64) -> Option<Saving> {
        match self.number.load(Ordering::Acquire) {
            0 => None,
            cut => self.saving_for(cut, sequence),
        }
    }

    #[cold]
    fn saving_for(&self, cut: u64, sequence: u64) -> Option<Saving> {
        let end = self.end.load(Ordering::Acquire);
        (sequence > end).then_some(Saving { cut, end })
    }
}
