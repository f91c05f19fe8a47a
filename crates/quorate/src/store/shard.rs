//! One shard: an index, its slots, their change feed, and what is frozen for an open cut.

use super::EPOCH_BITS;
use super::capacity::{Amount, CELL_BYTES};
use super::cell::{Key, KeyRef, MERGES, Slot, Slots};
use super::feed::Feed;
use super::index::Index;
use super::sweep::Soonest;
use crate::base::bug::{self, Bug};
use crate::base::id::Sequence;
use crate::model::Value;
use crate::store::open_cut::Saving;

/// Sequence of a cell that was loaded and has not changed since, of an epoch that no change is in.
const LOADED: u64 = 0;

/// Where a key is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the shard.
    pub(super) shard: u32,
    /// The hash within the shard.
    pub(super) tag: u32,
}

/// A record and where it goes.
#[derive(Clone, Copy)]
pub(super) struct PlacedRecord<'a> {
    pub(super) place: Place,
    pub(super) key: KeyRef<'a>,
    pub(super) value: Option<Value>,
}

/// A slot as it was when the open cut ended, saved by the first operation to change it after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) at: u32,
    pub(super) value: Value,
    pub(super) sequence: u64,
}

/// What operations after the end of an open cut save for it.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// Number of the cut that the rest belongs to; 0 for none.
    pub(super) cut: u64,
    /// The shard's units at the end of the cut.
    pub(super) units: u128,
    /// Slots changed since, as they were.
    pub(super) images: Vec<Image>,
    /// Slots below this number have been collected already.
    pub(super) collected: u32,
}

/// The sequence of a change, and what must be saved before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) sequence: u64,
    pub(super) saving: Option<Saving>,
}

/// Cells whose hash falls into one shard. Always behind its lock.
#[derive(Debug, Default)]
pub(super) struct Shard {
    index: Index,
    pub(super) slots: Slots,
    pub(super) feed: Feed,
    free: Vec<u32>,
    key_bytes: usize,
    /// Records of merges among its cells.
    records: usize,
    /// When the first of its cells expires, at the earliest.
    pub(super) soonest: Soonest,
    /// Units decided in this reign by operations accounted to this shard, as far as all can see
    /// them. Exact: no reign has so many operations that their units, each a `u64`, come to more.
    published: u128,
    /// Those that the shard keeps to itself.
    unpublished: u64,
    pub(super) frozen: Frozen,
    /// Number of the last cut that has taken all it needs from here.
    pub(super) closed: u64,
    /// Every cell counts as changed at this sequence, or later if it says so itself. Those that do
    /// not have no entry in the feed.
    floor: u64,
}

impl Shard {
    /// The amount that the cells held are counted with.
    pub(super) fn amount(&self) -> Amount {
        let cells = self.index.len();
        let bytes = cells * CELL_BYTES + self.key_bytes;
        Amount { cells, bytes, records: self.records }
    }

    /// When a cell that is held last changed.
    #[inline]
    pub(super) fn changed_at(&self, slot: &Slot) -> u64 {
        slot.sequence.max(self.floor)
    }

    /// Slots whose cells last changed after `since`.
    pub(super) fn since(&self, since: u64) -> impl Iterator<Item = u32> + '_ {
        // All of them where nothing tells them apart.
        let (all, fed) = if since < self.floor { (self.slots.len(), u64::MAX) } else { (0, since) };
        let all = self.slots.range(0, all).map(|(at, _)| at);
        all.chain(self.feed.since(fed, &self.slots))
    }

    /// The last sequence that something counts as changed at, at least: no more than an epoch less.
    pub(super) fn last_change(&self) -> u64 {
        self.floor.max(self.feed.last_epoch() << EPOCH_BITS)
    }

    /// All cells, which were loaded, count as changed at this sequence.
    pub(super) fn take_for_changed(&mut self, sequence: Sequence) {
        if !bug::is(Bug::LoadedUnstamped) {
            self.floor = sequence.0;
        }
    }

    /// Takes a cell of a state that is being loaded, or its absence. Returns how many cells were
    /// moved by that: all, where the index has grown.
    pub(super) fn load(&mut self, entry: &PlacedRecord<'_>) -> usize {
        let PlacedRecord { place: Place { tag, .. }, key, value } = *entry;
        let lines = self.index.lines();
        match (value, self.find(tag, key)) {
            (Some(value), Some(at)) => {
                self.soonest.note(value.expires);
                self.slots.get_mut(at).value = value;
            }
            (Some(value), None) => {
                let at = self.place(tag, key, value);
                self.slots.get_mut(at).sequence = LOADED;
            }
            (None, Some(at)) => self.remove(tag, at),
            (None, None) => {}
        }
        if self.index.lines() == lines { 1 } else { self.index.len() }
    }

    /// The slot of a key.
    #[inline]
    pub(super) fn find(&self, tag: u32, key: KeyRef<'_>) -> Option<u32> {
        self.index.find(tag, |at| self.slots.get(at).key.matches(key))
    }

    /// Gives a slot a new value.
    ///
    /// The expiry never moves to an earlier time. Removal by expiry is not replicated, so a
    /// follower that has missed a change must be able to tell from the value it holds that the
    /// cell has gone (docs/protocol.md, section 3).
    #[inline]
    pub(super) fn change(&mut self, at: u32, value: Value, stamp: Stamp) {
        let Stamp { sequence, saving } = stamp;
        let slot = self.slots.get_mut(at);
        if let Some(saving) = saving
            && slot.sequence <= saving.end
            && at >= self.frozen.collected
            && !bug::is(Bug::PreImageSkipped)
        {
            let value = slot.value;
            let sequence = slot.sequence.max(self.floor);
            self.frozen.images.push(Image { at, value, sequence });
        }
        let is_first =
            slot.sequence == LOADED || slot.sequence >> EPOCH_BITS != sequence >> EPOCH_BITS;
        let expires = slot.value.expires.max(value.expires);
        slot.value = Value { expires, ..value };
        slot.sequence = sequence;
        if is_first {
            self.feed(at, sequence);
        }
    }

    /// Makes a cell that is not there yet. To an open cut it is absent by its sequence.
    pub(super) fn insert(&mut self, tag: u32, key: KeyRef<'_>, value: Value, sequence: u64) {
        let at = self.place(tag, key, value);
        let slot = self.slots.get_mut(at);
        let is_first = slot.sequence >> EPOCH_BITS != sequence >> EPOCH_BITS;
        slot.sequence = sequence;
        if is_first {
            self.feed(at, sequence);
        }
    }

    /// Puts a cell that is not there yet into a slot, whose sequence stays.
    fn place(&mut self, tag: u32, key: KeyRef<'_>, value: Value) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| self.slots.push());
        let slot = self.slots.get_mut(at);
        slot.key = Key::new(key);
        slot.value = value;
        // A change of it moves the expiry to no earlier time.
        self.soonest.note(value.expires);
        self.key_bytes += slot.key.boxed_bytes();
        self.records += usize::from(key.namespace == MERGES);
        self.index.insert(tag, at);
        at
    }

    /// Removes a cell; never while a cut is open.
    pub(super) fn remove(&mut self, tag: u32, at: u32) {
        let was_there = self.index.remove(tag, at);
        debug_assert!(was_there, "a cell is found by its key");
        let slot = self.slots.get_mut(at);
        self.key_bytes -= slot.key.boxed_bytes();
        self.records -= usize::from(slot.key.bytes().first() == Some(&MERGES));
        // Whatever entry it has is stale from now on.
        *slot = Slot::FREE;
        self.free.push(at);
    }

    /// Prepares for an operation that changes cells or units here: nothing need be saved for an
    /// open cut that has taken this shard.
    #[inline]
    pub(super) fn prepare(&mut self, stamp: Stamp) -> Stamp {
        match stamp.saving {
            None => stamp,
            Some(saving) => Stamp { saving: self.freeze(saving), ..stamp },
        }
    }

    #[cold]
    fn freeze(&mut self, saving: Saving) -> Option<Saving> {
        if self.closed == saving.cut {
            return None;
        }
        if self.frozen.cut != saving.cut {
            self.frozen.images.clear();
            self.frozen.cut = saving.cut;
            self.frozen.units = self.units();
        }
        Some(saving)
    }

    /// Writes a cell, found or new.
    #[inline]
    pub(super) fn put(
        &mut self,
        tag: u32,
        key: KeyRef<'_>,
        found: Option<u32>,
        value: Value,
        stamp: Stamp,
    ) {
        match found {
            Some(at) => self.change(at, value, stamp),
            None => self.insert(tag, key, value, stamp.sequence),
        }
    }

    /// Accounts units to this shard; returns those that are to be published, now that they are more
    /// than a shard may keep to itself.
    #[inline]
    pub(super) fn account(&mut self, units: u64, max_unpublished: u64) -> Option<u128> {
        match self.unpublished.checked_add(units) {
            Some(unpublished) if unpublished <= max_unpublished => {
                self.unpublished = unpublished;
                None
            }
            _ => {
                let news = u128::from(self.unpublished) + u128::from(units);
                self.unpublished = 0;
                self.published += news;
                Some(news)
            }
        }
    }

    /// Counts units from nothing again.
    pub(super) fn begin_reign(&mut self) {
        self.published = 0;
        self.unpublished = 0;
    }

    /// Units decided in this reign.
    pub(super) fn units(&self) -> u128 {
        self.published + u128::from(self.unpublished)
    }

    /// The number of units that all can see.
    pub(super) fn published(&self) -> u128 {
        self.published
    }

    /// Units at the end of the open cut.
    pub(super) fn units_at(&self, cut: u64) -> u128 {
        if cut != 0 && self.frozen.cut == cut { self.frozen.units } else { self.units() }
    }

    /// PastCuts the shard as done with for `cut`: operations need not save any more.
    pub(super) fn close(&mut self, cut: u64) {
        const KEPT: usize = 256;
        self.closed = cut;
        self.frozen.images.clear();
        self.frozen.images.shrink_to(KEPT);
        self.frozen.cut = 0;
        self.frozen.collected = 0;
    }

    /// Lowers every sequence above `sequence` to it, after changes of an abandoned history have
    /// been replaced: the feed stays in order.
    pub(super) fn rewind(&mut self, sequence: u64) {
        let epoch = sequence >> EPOCH_BITS;
        self.floor = self.floor.min(sequence);
        self.feed.compact(self.slots.len(), &self.free);
        self.feed.truncate(epoch);
        for at in 0..self.slots.len() as u32 {
            let slot = self.slots.get_mut(at);
            if !slot.is_free() && slot.sequence >> EPOCH_BITS >= epoch {
                slot.sequence = slot.sequence.min(sequence);
                self.feed.push(epoch, at);
            }
        }
    }

    /// Memory that its tables have at present, used or not.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.index.bytes()
            + self.slots.bytes()
            + self.key_bytes
            + self.feed.bytes()
            + self.free.capacity() * size_of::<u32>()
            + self.frozen.images.capacity() * size_of::<Image>()
    }

    #[inline]
    fn feed(&mut self, at: u32, sequence: u64) {
        self.feed.push(sequence >> EPOCH_BITS, at);
        if self.feed.is_stale(self.index.len()) {
            self.feed.compact(self.slots.len(), &self.free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::GroupTime;

    const ONE: Value = Value { words: [1; 3], expires: GroupTime::MAX };

    fn key(number: u32) -> [u8; 4] {
        number.to_le_bytes()
    }

    fn insert(shard: &mut Shard, number: u32, sequence: u64) {
        shard.insert(number, KeyRef::model(&key(number)), ONE, sequence);
    }

    fn remove(shard: &mut Shard, number: u32) {
        let at = shard.find(number, KeyRef::model(&key(number))).expect("it is there");
        shard.remove(number, at);
    }

    fn fed(shard: &Shard, since: u64) -> usize {
        shard.since(since).count()
    }

    #[test]
    fn equal_tags_are_told_apart_by_their_keys() {
        let mut shard = Shard::default();
        for number in 0..100 {
            shard.insert(7, KeyRef::model(&key(number)), ONE, 1);
        }
        let found: Vec<_> = (0..100).map(|n| shard.find(7, KeyRef::model(&key(n)))).collect();
        assert_eq!(found, (0..100).map(Some).collect::<Vec<_>>());
        assert_eq!(shard.find(7, KeyRef::model(&key(100))), None);
    }

    #[test]
    fn a_slot_used_again_in_its_epoch_is_fed_once_more() {
        let mut shard = Shard::default();
        insert(&mut shard, 1, 5);
        remove(&mut shard, 1);
        assert_eq!(fed(&shard, 0), 0);
        insert(&mut shard, 2, 6);
        assert!(fed(&shard, 0) >= 1);
        shard.feed.compact(shard.slots.len(), &shard.free);
        assert_eq!(fed(&shard, 0), 1);
    }

    #[test]
    fn a_slot_whose_entry_was_compacted_away_is_fed_again() {
        let mut shard = Shard::default();
        insert(&mut shard, 1, 5);
        remove(&mut shard, 1);
        shard.feed.compact(shard.slots.len(), &shard.free);
        insert(&mut shard, 2, 6);
        assert_eq!(fed(&shard, 0), 1);
    }

    #[test]
    fn rewinding_keeps_every_cell_in_the_feed_and_in_order() {
        let epoch = |number: u64| number << EPOCH_BITS;
        let mut shard = Shard::default();
        for number in 1..10 {
            insert(&mut shard, number, epoch(number.into()));
        }
        remove(&mut shard, 7);
        shard.rewind(epoch(5));
        assert_eq!(shard.feed.last_epoch(), 5);
        assert_eq!((fed(&shard, 0), fed(&shard, epoch(3)), fed(&shard, epoch(5))), (8, 5, 0));
        insert(&mut shard, 20, epoch(5));
        insert(&mut shard, 21, epoch(6));
        assert_eq!((fed(&shard, epoch(4)), fed(&shard, epoch(5))), (6, 1));
    }
}
