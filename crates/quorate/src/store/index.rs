//! The index of a shard: which slot has the key with this hash.
//!
//! An open table of lines as large as a cache line, seven entries each. A lookup costs one cache
//! miss here and one for the slot, where a table with separate control bytes costs two here; on a
//! large store the misses are all that counts.

/// Entries of a line.
const WIDTH: usize = 7;
/// The table grows when its lines hold more entries than this on average, in tenths.
const MAX_TENTHS: usize = 56;

/// Seven entries; the last place of each array has a count.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    /// Tags of the entries; last, how many entries that belong here or before are further on.
    tags: [u32; WIDTH + 1],
    /// Slots of the entries; last, how many entries there are.
    slots: [u32; WIDTH + 1],
}

impl Line {
    #[inline]
    fn used(&self) -> usize {
        self.slots[WIDTH] as usize
    }

    /// Entries with a tag, one byte each: in this form compilers compare all of them at once.
    #[inline]
    fn matching(&self, tag: u32) -> u64 {
        let bytes = self.tags.map(|other| u8::from(other == tag));
        u64::from_le_bytes(bytes) & ((1 << (self.used() * 8)) - 1)
    }

    #[inline]
    fn is_passed(&self) -> bool {
        self.tags[WIDTH] != 0
    }
}

/// Slots by 32 bits of their keys' hashes.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None, or a power of two.
    lines: Vec<Line>,
    length: usize,
}

impl Index {
    /// An index with room for `entries`.
    #[cfg(test)]
    pub(super) fn with_capacity(entries: usize) -> Self {
        let mut index = Self::default();
        if entries > 0 {
            index.resize((entries * 10).div_ceil(MAX_TENTHS).next_power_of_two());
        }
        index
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Entries that it has room for, in lines: it has grown when they are more.
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The slot with this tag that `is_it` recognizes.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.lines.len().wrapping_sub(1);
        let home = tag as usize & mask;
        let mut at = home;
        while let Some(line) = self.lines.get(at) {
            let mut bits = line.matching(tag);
            while bits != 0 {
                // Masked for the compiler: there is no such byte beyond the width.
                let slot = line.slots[(bits.trailing_zeros() / 8) as usize & WIDTH];
                if is_it(slot) {
                    return Some(slot);
                }
                bits &= bits - 1;
            }
            at = (at + 1) & mask;
            // A few lines may all have been passed, and have room again.
            if !line.is_passed() || at == home {
                break;
            }
        }
        None
    }

    /// Adds a slot that is not there yet.
    pub(super) fn insert(&mut self, tag: u32, slot: u32) {
        if (self.length + 1) * 10 > self.lines.len() * MAX_TENTHS {
            self.resize((self.lines.len() * 2).max(1));
        }
        self.length += 1;
        self.place(tag, slot);
    }

    /// Takes a slot out; returns true if it was there.
    pub(super) fn remove(&mut self, tag: u32, slot: u32) -> bool {
        let mask = self.lines.len().wrapping_sub(1);
        let home = tag as usize & mask;
        let mut at = home;
        while let Some(line) = self.lines.get_mut(at) {
            let used = line.used();
            if let Some(place) = line.slots[..used].iter().position(|&other| other == slot) {
                line.tags[place] = line.tags[used - 1];
                line.slots[place] = line.slots[used - 1];
                line.slots[WIDTH] -= 1;
                self.length -= 1;
                self.unpass(home, at);
                return true;
            }
            let is_passed = line.is_passed();
            at = (at + 1) & mask;
            if !is_passed || at == home {
                break;
            }
        }
        false
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>()
    }

    /// Puts an entry into the first line with room, from its own on.
    fn place(&mut self, tag: u32, slot: u32) {
        let mask = self.lines.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            let line = &mut self.lines[at];
            let used = line.used();
            if used < WIDTH {
                line.tags[used] = tag;
                line.slots[used] = slot;
                line.slots[WIDTH] += 1;
                return;
            }
            line.tags[WIDTH] += 1;
            at = (at + 1) & mask;
        }
    }

    /// An entry of the line `home` that was at `end` has gone: it passes no line any more.
    fn unpass(&mut self, home: usize, end: usize) {
        let mask = self.lines.len() - 1;
        let mut at = home;
        while at != end {
            self.lines[at].tags[WIDTH] -= 1;
            at = (at + 1) & mask;
        }
    }

    fn resize(&mut self, lines: usize) {
        let old = std::mem::replace(&mut self.lines, vec![Line::default(); lines]);
        for line in &old {
            for place in 0..line.used() {
                self.place(line.tags[place], line.slots[place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn find(index: &Index, (tag, slot): (u32, u32)) -> bool {
        index.find(tag, |other| other == slot).is_some()
    }

    #[test]
    fn an_empty_index_has_nothing_and_room_for_nothing() {
        let mut index = Index::default();
        assert_eq!(index.bytes(), 0);
        assert!(!find(&index, (0, 0)));
        assert!(!index.remove(0, 0));
    }

    #[test]
    fn a_large_index_finds_everything_and_stays_in_proportion() {
        let mut index = Index::default();
        let tag = |slot: u32| slot.wrapping_mul(2_654_435_769).rotate_right(7);
        (0..100_000).for_each(|slot| index.insert(tag(slot), slot));
        assert!((0..100_000).all(|slot| find(&index, (tag(slot), slot))));
        assert!((0..100_000).all(|slot| index.remove(tag(slot), slot)));
        assert_eq!(index.len(), 0);
        assert!(index.lines.iter().all(|line| !line.is_passed() && line.used() == 0));
        assert!(index.bytes() <= 100_000 * 24);
    }

    /// Each line was full when an entry of it had to go on to the other, and has room again: the
    /// search for a key that is not there went round for ever.
    #[test]
    fn a_search_ends_where_every_line_has_been_passed() {
        let mut index = Index::with_capacity(8);
        assert_eq!(index.lines.len(), 2);
        (0..8).for_each(|slot| index.insert(0, slot));
        assert!((0..6).all(|slot| index.remove(0, slot)));
        (10..17).for_each(|slot| index.insert(1, slot));
        assert!(index.lines.iter().all(Line::is_passed));
        assert!(!find(&index, (0, 90)));
        assert!(!find(&index, (1, 91)));
        assert!(!index.remove(1, 91));
    }

    proptest! {
        #[test]
        fn an_index_is_a_set(
            steps in prop::collection::vec((any::<bool>(), 0u32..90), 0..400)
        ) {
            // Few tags: lines overflow.
            let tag = |slot: u32| slot % 6 * 3;
            let mut index = Index::default();
            let mut set = BTreeSet::new();
            for (is_insert, slot) in steps {
                if !is_insert {
                    prop_assert_eq!(index.remove(tag(slot), slot), set.remove(&slot));
                } else if set.insert(slot) {
                    index.insert(tag(slot), slot);
                }
                prop_assert_eq!(index.len(), set.len());
            }
            for slot in 0..90 {
                prop_assert_eq!(find(&index, (tag(slot), slot)), set.contains(&slot));
            }
        }
    }
}
