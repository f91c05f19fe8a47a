//! Loose copies: all cells as they are when the cursor comes by.

use super::Store;
use crate::base::id::Sequence;
use crate::record::{Packer, Records};

/// Cells looked at under one hold of a shard's lock.
const MAX_STEP: usize = 512;

/// How far a loose copy has come.
///
/// It goes by slots, which never move, so that nothing that happens to the store makes it start
/// over. Cells changed behind it must be sent again, exactly: take [`Store::position`] before the
/// copy, and a [`Store::cut`] since that position after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyCursor {
    since: u64,
    shard: usize,
    slot: usize,
    is_done: bool,
}

impl CopyCursor {
    /// A cursor over all cells last changed after `since`; over all cells if that is 0.
    pub fn since(since: Sequence) -> Self {
        Self { since: since.0, shard: 0, slot: 0, is_done: false }
    }

    /// Returns true if all cells have been copied.
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}

impl Store {
    /// Copies the next cells, about `max_bytes` of them and at least one step's.
    ///
    /// Empty with [`CopyCursor::is_done`] at the end.
    pub fn copy(&self, cursor: &mut CopyCursor, max_bytes: usize) -> Records {
        let mut records = Packer::default();
        while !cursor.is_done && records.bytes() < max_bytes.max(1) {
            let Some(lane) = self.shards.get(cursor.shard) else {
                cursor.is_done = true;
                break;
            };
            let shard = lane.0.lock();
            let end = (cursor.slot + MAX_STEP).min(shard.slots.len());
            let mut next = end;
            for (at, slot) in shard.slots.range(cursor.slot, end) {
                if cursor.since == 0 || shard.changed_at(slot) > cursor.since {
                    records.push(slot.key.bytes(), Some(&slot.value));
                    if records.bytes() >= max_bytes {
                        next = at as usize + 1;
                        break;
                    }
                }
            }
            cursor.slot = next;
            if next >= shard.slots.len() {
                (cursor.shard, cursor.slot) = (cursor.shard + 1, 0);
            }
        }
        records.finish()
    }
}
