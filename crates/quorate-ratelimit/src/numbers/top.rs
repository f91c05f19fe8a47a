//! The keys of a limit that are used and denied most.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::Serialize;

/// Most keys of each list.
const MAX_KEYS: usize = 1000;

/// The keys of one limit that are used most, and that are denied most; the first ones first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Top {
    /// Keys by the units that count now, in the copy of the peer that was asked.
    pub used: Vec<Used>,
    /// Keys by how often they were denied, in calls that were made at this limiter and its clones
    /// since it was made.
    pub denied: Vec<Denied>,
}

/// The use of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Used {
    /// The key; bytes that are no text are replaced.
    pub key: String,
    /// The key in hexadecimal digits, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_hex: Option<String>,
    /// Units that count now.
    pub used: u64,
}

/// The denials of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denied {
    /// The key; bytes that are no text are replaced.
    pub key: String,
    /// The key in hexadecimal digits, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_hex: Option<String>,
    /// Denials, at least: with more than about a thousand keys, those of rare ones are forgotten.
    pub denied: u64,
}

/// A key for people, and for whoever is to give it back.
pub(crate) struct ShownKey {
    pub(crate) text: String,
    pub(crate) hex: Option<String>,
}

impl ShownKey {
    fn of(key: &[u8]) -> Self {
        match str::from_utf8(key) {
            Ok(text) => Self { text: text.to_owned(), hex: None },
            Err(_) => Self {
                text: String::from_utf8_lossy(key).into_owned(),
                hex: Some(key.iter().map(|byte| format!("{byte:02x}")).collect()),
            },
        }
    }
}

/// A key with the number that it is ranked by.
pub(crate) type Ranked = (u64, Box<[u8]>);

/// The keys with the largest numbers, at most so many.
pub(crate) struct Ranking {
    heap: BinaryHeap<Reverse<Ranked>>,
    most: usize,
}

impl Ranking {
    /// Makes an empty ranking of `n` keys, or of 1,000 if those are fewer.
    pub(crate) fn new(n: usize) -> Self {
        let most = n.min(MAX_KEYS);
        Self { heap: BinaryHeap::with_capacity(most + 1), most }
    }

    /// Adds a key, and drops the smallest if there are too many then.
    pub(crate) fn push(&mut self, one: Ranked) {
        if self.heap.len() >= self.most {
            match self.heap.peek() {
                Some(Reverse(smallest)) if *smallest < one => _ = self.heap.pop(),
                _ => return,
            }
        }
        self.heap.push(Reverse(one));
    }

    /// Returns the keys and their numbers, the largest first.
    pub(crate) fn sorted(self) -> impl Iterator<Item = (ShownKey, u64)> {
        let largest = self.heap.into_sorted_vec().into_iter();
        largest.map(|Reverse((number, key))| (ShownKey::of(&key), number))
    }
}
