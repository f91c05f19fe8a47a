//! Cells beside those of limits: their keys begin with a number below all ids of limits, and end with a
//! hash of what they are for.
//!
//! An operation's items are those of limits first, then these, each at most once but for holds.

use std::hash::Hasher;

use quorate::Item;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::key::{PREFIX_BYTES, limit_of};

/// What such a cell is for. The numbers are part of replicated keys, and never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideCell {
    /// The answer to a request with an idempotency key (`idempotency.rs`).
    Record,
    /// A permit (`concurrency.rs`).
    Permit,
    /// What is reserved of a key (`reservation.rs`).
    Reserved,
    /// A reservation (`reservation.rs`).
    Reservation,
}

/// The key of such a cell.
pub(crate) type SideKey = [u8; PREFIX_BYTES + 16];

impl SideCell {
    const ALL: [Self; 4] = [Self::Record, Self::Permit, Self::Reserved, Self::Reservation];

    /// What a key is for; `None` if it is a limit's, or this version does not know it.
    #[inline]
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        Self::ALL.get(limit_of(key)? as usize).copied()
    }

    /// The key for what these parts name.
    pub(crate) fn key(self, parts: &[&[u8]]) -> SideKey {
        let mut hasher = SipHasher13::new();
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        let mut key = [0; PREFIX_BYTES + 16];
        key[..PREFIX_BYTES].copy_from_slice(&(self as u32).to_le_bytes());
        key[PREFIX_BYTES..].copy_from_slice(&hasher.finish128().as_u128().to_le_bytes());
        key
    }
}

/// How many items are of limits: the others come after them.
pub(crate) fn limits_in(items: &[Item<'_>]) -> usize {
    items.iter().take_while(|item| SideCell::of(item.key).is_none()).count()
}
