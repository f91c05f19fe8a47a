//! Cells as they travel and as they are kept: packed one after the other.
//!
//! ```text
//!  length of the key, u16 LE     the top bit is set if there is a value
//!  key                           its namespace byte first
//!  three words and the expiry    u64 LE each, if there is a value
//! ```
//!
//! Every change goes through this form at least twice, so it is made of copies alone: nothing is
//! allocated for a record, at neither end.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base::id::GroupTime;
use crate::model::{MAX_KEY_BYTES, VALUE_WORDS, Value};

/// Longest key of a record: a model's key or a merge record's, with the namespace byte.
pub const MAX_RECORD_KEY_BYTES: usize = MAX_KEY_BYTES + 64;

const HEADER_BYTES: usize = size_of::<u16>();
/// The smallest record of a cell that is there.
pub(crate) const MIN_CELL_BYTES: usize = HEADER_BYTES + 1 + VALUE_BYTES;
const VALUE_BYTES: usize = (VALUE_WORDS + 1) * size_of::<u64>();
const HAS_VALUE: u16 = 1 << 15;
/// A builder starts with room for this many bytes.
const FIRST_BYTES: usize = 256;

/// One cell: its key and its value, or its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key with its leading namespace byte.
    pub key: &'a [u8],
    /// The value; `None` if the cell is absent.
    pub value: Option<Value>,
}

impl Record<'_> {
    /// Its size when packed.
    pub fn packed_bytes(&self) -> usize {
        HEADER_BYTES + self.key.len() + if self.value.is_some() { VALUE_BYTES } else { 0 }
    }
}

/// Bytes that are not packed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record at byte {at} is cut off, or its key is empty or too long")]
pub struct NotRecords {
    /// Where the record that cannot be read begins.
    pub at: usize,
}

/// Packed records, all of them readable. Cheap to clone and to divide.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Records {
    packed: Bytes,
    count: usize,
}

impl Records {
    /// Reads packed records; nothing is copied.
    ///
    /// # Errors
    ///
    /// If a record is cut off, or a key empty or longer than [`MAX_RECORD_KEY_BYTES`].
    pub fn read(packed: Bytes) -> Result<Self, NotRecords> {
        let mut count = 0;
        let mut rest = &packed[..];
        while !rest.is_empty() {
            let Some((_, after)) = first(rest) else {
                return Err(NotRecords { at: packed.len() - rest.len() });
            };
            rest = after;
            count += 1;
        }
        Ok(Self { packed, count })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The packed form.
    pub fn packed(&self) -> &Bytes {
        &self.packed
    }

    /// The records, one after the other.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.packed }
    }

    /// The keys, as slices of the packed form.
    pub fn keys(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.iter().map(|record| self.packed.slice_ref(record.key))
    }

    /// Takes records from the front: as many as fit into `max_bytes`, and at least one.
    pub fn split_front(&mut self, max_bytes: usize) -> Self {
        if self.packed.len() <= max_bytes {
            return std::mem::take(self);
        }
        let (mut bytes, mut count) = (0, 0);
        for record in self.iter() {
            let more = record.packed_bytes();
            if count > 0 && bytes + more > max_bytes {
                break;
            }
            bytes += more;
            count += 1;
        }
        self.count -= count;
        Self { packed: self.packed.split_to(bytes), count }
    }

    /// Leaves out the first ones: so many, which take so many bytes.
    pub(crate) fn leave_out(&mut self, count: usize, bytes: usize) {
        self.packed.advance(bytes);
        self.count -= count;
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Record<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> FromIterator<Record<'a>> for Records {
    fn from_iter<T: IntoIterator<Item = Record<'a>>>(records: T) -> Self {
        let mut packer = Packer::default();
        records.into_iter().for_each(|record| packer.push(record.key, record.value.as_ref()));
        packer.finish()
    }
}

/// Records in the order in which they were packed.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let (record, rest) = first(self.rest)?;
        self.rest = rest;
        Some(record)
    }
}

/// Packs records.
#[derive(Debug, Default)]
pub struct Packer {
    packed: BytesMut,
    count: usize,
}

impl Packer {
    /// Adds one.
    ///
    /// # Panics
    ///
    /// If the key is empty or longer than [`MAX_RECORD_KEY_BYTES`]: no cell has such a key.
    #[inline]
    pub fn push(&mut self, key: &[u8], value: Option<&Value>) {
        assert!(
            (1..=MAX_RECORD_KEY_BYTES).contains(&key.len()),
            "cells have keys of a bound length"
        );
        if self.count == 0 {
            self.packed.reserve(FIRST_BYTES);
        }
        self.count += 1;
        let length = key.len() as u16;
        let Some(Value { words: [first, second, third], expires }) = value else {
            self.packed.put_u16_le(length);
            self.packed.put_slice(key);
            return;
        };
        self.packed.put_u16_le(length | HAS_VALUE);
        self.packed.put_slice(key);
        let mut value = [0; VALUE_BYTES];
        for (bytes, word) in value.chunks_exact_mut(8).zip([first, second, third, &expires.0]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.packed.put_slice(&value);
    }

    /// Bytes packed so far.
    pub fn bytes(&self) -> usize {
        self.packed.len()
    }

    /// Records packed so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records.
    pub fn finish(self) -> Records {
        Records { packed: self.packed.freeze(), count: self.count }
    }
}

/// The first record and what comes after it.
#[inline]
fn first(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk()?;
    let header = u16::from_le_bytes(*header);
    let length = usize::from(header & !HAS_VALUE);
    if length == 0 || length > MAX_RECORD_KEY_BYTES {
        return None;
    }
    let (key, rest) = rest.split_at_checked(length)?;
    if header & HAS_VALUE == 0 {
        return Some((Record { key, value: None }, rest));
    }
    let (value, rest) = rest.split_first_chunk::<VALUE_BYTES>()?;
    let mut words = [0; VALUE_WORDS + 1];
    for (word, bytes) in words.iter_mut().zip(value.chunks_exact(8)) {
        *word = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    let [first, second, third, expires] = words;
    let value = Value { words: [first, second, third], expires: GroupTime(expires) };
    Some((Record { key, value: Some(value) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Owned = Vec<(Vec<u8>, Option<[u64; 4]>)>;

    fn owned() -> impl Strategy<Value = Owned> {
        vec((vec(any::<u8>(), 1..40), any::<Option<[u64; 4]>>()), 0..20)
    }

    fn pack(owned: &Owned) -> Records {
        let record = |(key, words): &'_ (Vec<u8>, Option<[u64; 4]>)| {
            let value = words.map(|[first, second, third, expires]| Value {
                words: [first, second, third],
                expires: GroupTime(expires),
            });
            (key.clone(), value)
        };
        let owned: Vec<_> = owned.iter().map(record).collect();
        owned.iter().map(|(key, value)| Record { key, value: *value }).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_back(owned in owned()) {
            let records = pack(&owned);
            prop_assert_eq!(records.len(), owned.len());
            let said: usize = records.iter().map(|record| record.packed_bytes()).sum();
            prop_assert_eq!(said, records.packed().len());
            prop_assert_eq!(&Records::read(records.packed().clone()), &Ok(records.clone()));
            let keys: Vec<_> = records.keys().collect();
            let put: Vec<_> = owned.iter().map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(keys, put);
        }

        #[test]
        fn what_is_cut_off_is_not_read(owned in owned(), bytes in 1usize..40) {
            let packed = pack(&owned).packed;
            let cut = packed.slice(..packed.len().saturating_sub(bytes));
            let is_whole = pack(&owned).iter().scan(0, |at, record| {
                *at += record.packed_bytes();
                Some(*at)
            }).any(|at| at == cut.len()) || cut.is_empty();
            prop_assert_eq!(Records::read(cut).is_ok(), is_whole);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(records) = Records::read(bytes.into()) {
                prop_assert_eq!(records.iter().count(), records.len());
            }
        }

        #[test]
        fn pieces_make_the_whole_and_keep_their_bound(owned in owned(), max in 1usize..200) {
            let whole = pack(&owned);
            let mut rest = whole.clone();
            let mut read = Vec::new();
            while !rest.is_empty() {
                let piece = rest.split_front(max);
                prop_assert!(piece.packed().len() <= max || piece.len() == 1);
                prop_assert_eq!(piece.iter().count(), piece.len());
                read.extend(piece.iter().map(|r| (r.key.to_vec(), r.value)));
            }
            let all: Vec<_> = whole.iter().map(|r| (r.key.to_vec(), r.value)).collect();
            prop_assert_eq!(read, all);
        }
    }

    #[test]
    fn keys_have_bounds() {
        for (bytes, is_read) in [(0, false), (1, true), (576, true), (577, false)] {
            let mut packed = (bytes as u16).to_le_bytes().to_vec();
            packed.resize(HEADER_BYTES + bytes, 7);
            assert_eq!(Records::read(packed.into()).is_ok(), is_read, "{bytes}");
        }
    }
}
