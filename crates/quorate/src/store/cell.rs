//! Where a cell lives: one slot of one cache line, its key inline if it is short.

use crate::base::id::GroupTime;
use crate::model::{VALUE_WORDS, Value};

/// Namespace of the model's cells.
pub const MODEL: u8 = 0;
/// Namespace of the records of merges, by which a batch that comes again counts once.
pub const MERGES: u8 = 1;

/// Longest key, namespace included, that needs no memory of its own.
const MAX_INLINE_BYTES: usize = 22;
/// Memory of a slot.
pub(super) const SLOT_BYTES: usize = 64;
/// Slots that are made at once: the table grows without moving a slot.
const CHUNK: usize = 128;

/// Sequence of a slot that has no cell, of an epoch that no change is in.
const UNFED: u64 = u64::MAX;

/// Memory that a key takes beside its slot, by its length with the namespace, in bytes.
#[inline]
pub(super) const fn boxed_bytes(length: usize) -> usize {
    if length > MAX_INLINE_BYTES { length } else { 0 }
}

/// A key to look for: without its namespace byte, so that the data path need not copy it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyRef<'a> {
    pub(super) namespace: u8,
    pub(super) rest: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// A key of the model.
    #[inline]
    pub(super) fn model(rest: &'a [u8]) -> Self {
        Self { namespace: MODEL, rest }
    }

    /// A key with its leading namespace byte; `None` if it is empty.
    #[inline]
    pub(super) fn split(key: &'a [u8]) -> Option<Self> {
        key.split_first().map(|(&namespace, rest)| Self { namespace, rest })
    }
}

/// A key with its leading namespace byte.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// The slot is free.
    Free,
    /// A short key.
    Inline { bytes: [u8; MAX_INLINE_BYTES], length: u8 },
    /// A long key.
    Boxed(Box<[u8]>),
}

impl Key {
    pub(super) fn new(KeyRef { namespace, rest }: KeyRef<'_>) -> Self {
        let length = rest.len() + 1;
        if length > MAX_INLINE_BYTES {
            let mut bytes = Vec::with_capacity(length);
            bytes.push(namespace);
            bytes.extend_from_slice(rest);
            return Self::Boxed(bytes.into_boxed_slice());
        }
        let mut bytes = [0; MAX_INLINE_BYTES];
        bytes[0] = namespace;
        bytes[1..length].copy_from_slice(rest);
        Self::Inline { bytes, length: length as u8 }
    }

    /// Returns true if this is `key`.
    #[inline]
    pub(super) fn matches(&self, key: KeyRef<'_>) -> bool {
        KeyRef::split(self.bytes()) == Some(key)
    }

    /// The key with its namespace; empty if the slot is free.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Free => &[],
            Self::Inline { bytes, length } => bytes.get(..usize::from(*length)).unwrap_or(&[]),
            Self::Boxed(bytes) => bytes,
        }
    }

    /// Memory beside the slot, in bytes.
    pub(super) fn boxed_bytes(&self) -> usize {
        if let Self::Boxed(bytes) = self { bytes.len() } else { 0 }
    }
}

/// One cell: as large as a cache line, so that a check touches one.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) value: Value,
    /// Sequence of the last change; [`UNFED`] if the slot is free.
    pub(super) sequence: u64,
}

impl Slot {
    pub(super) const FREE: Self = Self {
        key: Key::Free,
        value: Value { words: [0; VALUE_WORDS], expires: GroupTime(0) },
        sequence: UNFED,
    };

    /// Returns true if a cell lives here.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        matches!(self.key, Key::Free)
    }
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES, "a slot is one cache line");

/// Slots by number. They never move, and a number stays good until its slot is freed.
#[derive(Debug, Default)]
pub(super) struct Slots {
    chunks: Vec<Box<[Slot; CHUNK]>>,
    length: usize,
}

impl Slots {
    /// Slots made so far, free ones included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> &Slot {
        let at = at as usize;
        &self.chunks[at / CHUNK][at % CHUNK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> &mut Slot {
        let at = at as usize;
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }

    /// Makes one more slot, a free one.
    pub(super) fn push(&mut self) -> u32 {
        if self.length == self.chunks.len() * CHUNK {
            let chunk: Box<[Slot]> = vec![Slot::FREE; CHUNK].into_boxed_slice();
            self.chunks.push(chunk.try_into().expect("a chunk is made with CHUNK slots"));
        }
        self.length += 1;
        (self.length - 1) as u32
    }

    /// Slots `from..to` that hold a cell, with their numbers.
    pub(super) fn range(&self, from: usize, to: usize) -> impl Iterator<Item = (u32, &Slot)> {
        (from..to.min(self.length))
            .map(|at| (at as u32, self.get(at as u32)))
            .filter(|(_, slot)| !slot.is_free())
    }

    /// Memory held, keys apart.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Slot>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_with_their_namespace_only() {
        for length in [1, MAX_INLINE_BYTES - 1, MAX_INLINE_BYTES, 200] {
            let rest = vec![7; length];
            let key = Key::new(KeyRef::model(&rest));
            assert!(key.matches(KeyRef::model(&rest)));
            assert!(!key.matches(KeyRef { namespace: MERGES, rest: &rest }));
            assert!(!key.matches(KeyRef::model(&rest[1..])));
            assert_eq!(key.bytes().len(), length + 1);
        }
        assert!(!Key::Free.matches(KeyRef::model(b"")));
    }

    #[test]
    fn slots_keep_their_numbers_as_the_table_grows() {
        let mut slots = Slots::default();
        for number in 0..1_000u64 {
            let at = slots.push();
            let key = Key::new(KeyRef::model(&number.to_le_bytes()));
            *slots.get_mut(at) = Slot { key, ..Slot::FREE };
            slots.get_mut(at).sequence = number;
        }
        assert_eq!(slots.range(0, usize::MAX).count(), 1_000);
        assert!((0..1_000).all(|at| slots.get(at).sequence == u64::from(at)));
    }
}
