//! The change feed of a shard: slots in the order of their last change.
//!
//! Append-only: a slot is appended when it changes for the first time in an epoch, which makes its
//! earlier entry stale. When more than half of the entries are stale the feed is compacted. All
//! that follows the primary is a cursor over this.

use super::EPOCH_BITS;
use super::cell::Slots;

/// Entries of one epoch: from `start` up to the next run.
#[derive(Clone, Copy, Debug)]
struct Run {
    epoch: u64,
    start: u32,
}

/// Slots in the order of their last change, epoch by epoch.
#[derive(Debug, Default)]
pub(super) struct Feed {
    entries: Vec<u32>,
    runs: Vec<Run>,
}

impl Feed {
    /// Entries below this number are never worth a compaction.
    const MIN_STALE: usize = 64;

    /// Appends a slot that changed for the first time in `epoch`, which must not be older than
    /// the last one.
    #[inline]
    pub(super) fn push(&mut self, epoch: u64, at: u32) {
        if self.runs.last().is_none_or(|last| last.epoch != epoch) {
            debug_assert!(self.last_epoch() < epoch || self.runs.is_empty());
            self.runs.push(Run { epoch, start: self.entries.len() as u32 });
        }
        self.entries.push(at);
    }

    /// The epoch of the newest entry; 0 if there is none.
    pub(super) fn last_epoch(&self) -> u64 {
        self.runs.last().map_or(0, |last| last.epoch)
    }

    /// Slots last changed after `since`, oldest epoch first.
    pub(super) fn since<'a>(
        &'a self,
        since: u64,
        slots: &'a Slots,
    ) -> impl Iterator<Item = u32> + 'a {
        let first = self.runs.partition_point(|run| run.epoch < since >> EPOCH_BITS);
        (first..self.runs.len()).flat_map(move |index| {
            let (run, end) = self.run(index);
            self.entries[run.start as usize..end].iter().copied().filter(move |&at| {
                let slot = slots.get(at);
                slot.sequence > since && slot.sequence >> EPOCH_BITS == run.epoch && !slot.is_free()
            })
        })
    }

    /// Returns true if more than half of the entries are stale, `live` being the cells of the
    /// shard.
    #[inline]
    pub(super) fn is_stale(&self, live: usize) -> bool {
        self.entries.len() > 2 * live + Self::MIN_STALE
    }

    /// Drops all stale entries: all but the last of each slot, and those of free slots.
    ///
    /// Looks at no slot, so that it costs a few nanoseconds an entry however many cells there are.
    pub(super) fn compact(&mut self, slots: usize, free: &[u32]) {
        let mut dropped = Bits::new(slots);
        for &at in free {
            dropped.set(at);
        }
        let live = slots - free.len();
        let mut entries = Vec::with_capacity(live.min(self.entries.len()));
        let mut runs: Vec<Run> = Vec::new();
        for index in (0..self.runs.len()).rev() {
            let (run, end) = self.run(index);
            let before = entries.len();
            let newest_first = self.entries[run.start as usize..end].iter().rev();
            entries.extend(newest_first.copied().filter(|&at| dropped.set(at)));
            if entries.len() > before {
                // Counted from the end until all are known.
                runs.push(Run { start: entries.len() as u32, ..run });
            }
        }
        entries.reverse();
        runs.reverse();
        let length = entries.len() as u32;
        runs.iter_mut().for_each(|run| run.start = length - run.start);
        (self.entries, self.runs) = (entries, runs);
    }

    /// Drops everything after the last entry older than `epoch`.
    pub(super) fn truncate(&mut self, epoch: u64) {
        let first = self.runs.partition_point(|run| run.epoch < epoch);
        if let Some(run) = self.runs.get(first) {
            self.entries.truncate(run.start as usize);
            self.runs.truncate(first);
        }
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u32>() + self.runs.capacity() * size_of::<Run>()
    }

    fn run(&self, index: usize) -> (Run, usize) {
        let end = self.runs.get(index + 1).map_or(self.entries.len(), |next| next.start as usize);
        (self.runs[index], end)
    }
}

/// One bit for every slot.
struct Bits(Vec<u64>);

impl Bits {
    fn new(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    /// Sets a bit; returns true if it was not set before.
    fn set(&mut self, at: u32) -> bool {
        let (word, bit) = (&mut self.0[at as usize / 64], 1 << (at % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
