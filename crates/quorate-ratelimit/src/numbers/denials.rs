//! The keys that are denied most often, in bounded memory: the frequent items of a stream, by Misra
//! and Gries (*Finding repeated elements*, 1982).
//!
//! Each of some tables counts up to 64 keys. A key that finds its table full takes one off every
//! count instead: a key that is denied often stays, and is undercounted by at most what was taken
//! off.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

const TABLES: usize = 16;
/// Keys counted in a table.
const KEYS: usize = 64;

/// Denials by key, of keys with their limit's id.
#[derive(Debug)]
pub(crate) struct Denials {
    tables: Box<[Mutex<KeyCounts>]>,
    hasher: RandomState,
}

type KeyCounts = HashMap<Box<[u8]>, u64>;

impl Denials {
    pub(crate) fn new() -> Self {
        let tables = (0..TABLES).map(|_| Mutex::default()).collect();
        Self { tables, hasher: RandomState::new() }
    }

    /// Counts a denial; one that would have to wait for another is left out.
    #[cold]
    pub(crate) fn note(&self, key: &[u8]) {
        // By a key of this process: callers cannot choose keys that crowd one table.
        let table = self.hasher.hash_one(key) as usize % TABLES;
        let Some(mut counts) = self.tables[table].try_lock() else { return };
        if let Some(count) = counts.get_mut(key) {
            *count += 1;
        } else if counts.len() < KEYS {
            counts.insert(key.into(), 1);
        } else {
            counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// All that are counted, and how often each was denied at least.
    pub(crate) fn all(&self) -> Vec<(Box<[u8]>, u64)> {
        let of_table = |table: &Mutex<KeyCounts>| {
            table.lock().iter().map(|(key, count)| (key.clone(), *count)).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of_table).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequent_key_is_found_among_any_number_of_rare_ones() {
        let denials = Denials::new();
        for number in 0..200_000u32 {
            denials.note(&number.to_le_bytes());
            if number % 4 == 0 {
                denials.note(b"often");
            }
        }
        let all = denials.all();
        assert!(all.len() <= TABLES * KEYS);
        let count = |key: &[u8]| all.iter().find(|(k, _)| **k == *key).map(|(_, count)| *count);
        // One table of 16 has seen it 50,000 times, and as many of the others: at most one in 65 of
        // all was taken off each.
        let most = (50_000 + 200_000 / TABLES as u64 * 2) / KEYS as u64;
        let often = count(b"often").expect("it is counted");
        assert!((50_000 - most..=50_000).contains(&often), "{often}");
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let denials = Denials::new();
        for number in 0..40u8 {
            (0..=number).for_each(|_| denials.note(&[number]));
        }
        let mut all = denials.all();
        all.sort();
        assert!(all.iter().all(|(key, count)| u64::from(key[0]) + 1 == *count), "{all:?}");
        assert_eq!(all.len(), 40);
    }
}
