//! How much room cells take, and how much there is: two sums, kept where cells are made and
//! removed.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::Refused;
use super::cell::{self, KeyRef, MERGES};
use crate::base::error::Bounded;
use crate::config::Bounds;
use crate::model::Cell;

/// Most records of merges, one for each start of a peer that has merged anything lately; beyond it
/// what others decided alone is kept by them, until some have expired. 128 bytes each, and the name
/// if it is longer than 20.
pub const MAX_MERGE_RECORDS: usize = 16_384;
/// Most of these of one peer, by its name: no peer that is started time and again takes them all.
/// At most 256, for a byte says which of them a record is.
pub const MAX_MERGE_RECORDS_OF_PEER: usize = 64;
/// Bytes of an index for each cell: a line of 64 has 2.8 cells when the index has just grown.
const INDEX_BYTES: usize = 24;
/// Bytes of the change feed for each cell: two entries before it is compacted, and in the worst
/// case an epoch of its own for each.
const FEED_BYTES: usize = 2 * (4 + 16);

/// Memory that a cell is counted with, in bytes: its slot, and its part of the index and of the
/// change feed of its shard when those are as large as they get for it. A key that does not fit
/// into the slot comes on top: see [`cell_bytes`].
pub const CELL_BYTES: usize = cell::SLOT_BYTES + INDEX_BYTES + FEED_BYTES;

/// Memory that a cell is counted with, in bytes, by the length of its key without the namespace.
///
/// ```
/// use quorate::internal::store::{CELL_BYTES, cell_bytes};
///
/// assert_eq!(CELL_BYTES, 128);
/// assert_eq!(cell_bytes(21), 128);
/// assert_eq!(cell_bytes(22), 128 + 23);
/// ```
#[inline]
pub const fn cell_bytes(key_bytes: usize) -> usize {
    CELL_BYTES + cell::boxed_bytes(key_bytes + 1)
}

/// What the cells of a store take, and what they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Cells held, expired ones that have not been swept included.
    pub cells: usize,
    /// The most that are made here.
    pub max_cells: usize,
    /// Their memory: the sum of [`cell_bytes`] of all of them, exactly.
    pub bytes: usize,
    /// The most that is taken by cells made here.
    pub max_bytes: usize,
    /// Operations that were refused for lack of room, since the store was made.
    pub refused: u64,
}

/// Some cells and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) cells: usize,
    pub(super) bytes: usize,
    /// How many of the cells are records of merges.
    pub(super) records: usize,
}

impl Amount {
    /// Counts the cells that an operation would need of which this cell was asked about.
    pub(super) fn add_asked(&mut self, cell: &Cell, key: KeyRef<'_>, is_there: bool) {
        if cell.asked() == 0 {
            return;
        }
        let beside = usize::from(cell.asked()) - 1;
        self.cells += beside;
        self.bytes += beside * CELL_BYTES;
        if !is_there {
            self.add(key);
        }
    }

    /// Counts one more cell.
    #[inline]
    pub(super) fn add(&mut self, key: KeyRef<'_>) {
        self.cells += 1;
        self.bytes += cell_bytes(key.rest.len());
        self.records += usize::from(key.namespace == MERGES);
    }
}

/// The cells that one store has, and may have. Written when a cell is made or removed, on a line of
/// its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Capacity {
    cells: AtomicUsize,
    bytes: AtomicUsize,
    records: AtomicUsize,
    max_cells: usize,
    max_bytes: usize,
    refused: AtomicU64,
    /// The state machine is to be told that time goes on.
    must_wake: AtomicBool,
}

impl Capacity {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self {
            cells: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            max_cells: bounds.max_cells,
            max_bytes: bounds.max_bytes,
            refused: AtomicU64::new(0),
            must_wake: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(super) fn cells(&self) -> usize {
        self.cells.load(Ordering::Relaxed)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            cells: self.cells(),
            max_cells: self.max_cells,
            bytes: self.bytes.load(Ordering::Relaxed),
            max_bytes: self.max_bytes,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Claims room for new cells, before anything is written.
    #[inline]
    pub(super) fn reserve(&self, new: Amount) -> Result<(), Refused> {
        if new.cells == 0 {
            return Ok(());
        }
        if new.records > 0 {
            self.reserve_records(new.records)?;
        }
        // Each sum is held against its bound as it was when this was added: whatever others add at
        // the same time, none of the two is passed.
        let cells = self.cells.fetch_add(new.cells, Ordering::Relaxed) + new.cells;
        let bytes = self.bytes.fetch_add(new.bytes, Ordering::Relaxed) + new.bytes;
        if cells > self.max_cells || bytes > self.max_bytes {
            return Err(self.refuse(new, cells > self.max_cells));
        }
        Ok(())
    }

    /// Whether there would be room for new cells at present.
    #[cold]
    pub(super) fn check(&self, new: Amount) -> Result<(), Refused> {
        if new.cells == 0 {
            return Ok(());
        }
        let cells = self.cells().saturating_add(new.cells);
        let bytes = self.bytes.load(Ordering::Relaxed).saturating_add(new.bytes);
        let (what, bound) = match (cells > self.max_cells, bytes > self.max_bytes) {
            (true, _) => (Bounded::Cells, self.max_cells),
            (false, true) => (Bounded::Bytes, self.max_bytes),
            (false, false) => return Ok(()),
        };
        Err(Refused::Full { what, bound: bound as u64 })
    }

    #[cold]
    fn reserve_records(&self, new: usize) -> Result<(), Refused> {
        let records = self.records.fetch_add(new, Ordering::Relaxed) + new;
        if records > MAX_MERGE_RECORDS {
            self.records.fetch_sub(new, Ordering::Relaxed);
            let bound = MAX_MERGE_RECORDS as u64;
            return Err(Refused::Full { what: Bounded::MergeRecords, bound });
        }
        Ok(())
    }

    #[cold]
    fn refuse(&self, new: Amount, is_by_cells: bool) -> Refused {
        self.remove(new);
        let (what, bound) = if is_by_cells {
            (Bounded::Cells, self.max_cells)
        } else {
            (Bounded::Bytes, self.max_bytes)
        };
        Refused::Full { what, bound: bound as u64 }
    }

    /// An operation is refused for good.
    pub(super) fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ask_to_wake(&self) {
        self.must_wake.store(true, Ordering::Release);
    }

    pub(super) fn take_wake(&self) -> bool {
        self.must_wake.load(Ordering::Relaxed) && self.must_wake.swap(false, Ordering::AcqRel)
    }

    /// Cells are gone.
    fn remove(&self, old: Amount) {
        self.cells.fetch_sub(old.cells, Ordering::Relaxed);
        self.bytes.fetch_sub(old.bytes, Ordering::Relaxed);
        self.records.fetch_sub(old.records, Ordering::Relaxed);
    }

    /// A shard has taken over what another peer has decided, whether there is room for it or not.
    pub(super) fn change(&self, before: Amount, after: Amount) {
        // Wraps around if there is less; the sums are what counts.
        self.cells.fetch_add(after.cells.wrapping_sub(before.cells), Ordering::Relaxed);
        self.bytes.fetch_add(after.bytes.wrapping_sub(before.bytes), Ordering::Relaxed);
        self.records.fetch_add(after.records.wrapping_sub(before.records), Ordering::Relaxed);
    }

    /// All cells have been replaced.
    pub(super) fn set(&self, all: Amount) {
        self.cells.store(all.cells, Ordering::Relaxed);
        self.bytes.store(all.bytes, Ordering::Relaxed);
        self.records.store(all.records, Ordering::Relaxed);
    }
}

impl super::Store {
    /// The memory that the cells take, and that they may.
    pub fn usage(&self) -> Usage {
        self.capacity.usage()
    }

    /// The memory that the cells take, counted anew cell by cell, for tests.
    #[cfg(test)]
    pub(super) fn recount(&self) -> (usize, usize) {
        let records = self.capacity.records.load(Ordering::Relaxed);
        let mut all = Amount::default();
        for lane in &self.shards {
            let shard = lane.0.lock();
            for (_, slot) in shard.slots.range(0, usize::MAX) {
                all.add(KeyRef::split(slot.key.bytes()).expect("no cell has an empty key"));
            }
        }
        assert_eq!(all.records, records, "records of merges");
        (all.cells, all.bytes)
    }
}
