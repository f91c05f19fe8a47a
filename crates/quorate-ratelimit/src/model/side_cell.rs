//! Cells beside those of limits: their keys begin with a number below all ids of limits, and end
//! with a hash of what they are for.
//!
//! An operation's items are those of limits first, then these, each at most once but for what is
//! reserved.

use std::hash::Hasher;

use quorate::Item;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::key::{PREFIX_BYTES, limit_of};
use crate::rule::operation::SideOperation;

/// The kinds of such cells. The numbers are part of replicated keys, and never given another
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideCell {
    /// The answer to a request with an idempotency key (`idempotency.rs`).
    Record,
    /// A permit (`concurrency.rs`).
    Permit,
    /// All that is reserved of a key (`reservation.rs`).
    Reserved,
    /// A reservation (`reservation.rs`).
    Reservation,
}

/// The key of such a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SideKey([u8; PREFIX_BYTES + 16]);

impl SideKey {
    /// Returns the item of this cell, beside that of a limit.
    pub(crate) fn item(&self) -> Item<'_> {
        self.item_of(0)
    }

    /// Returns the item of this cell, beside that of the limit with this place among the items.
    pub(crate) fn item_of(&self, index: usize) -> Item<'_> {
        Item { key: &self.0, args: [index as u64, 0] }
    }
}

impl AsRef<[u8]> for SideKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl SideCell {
    const ALL: [Self; 4] = [Self::Record, Self::Permit, Self::Reserved, Self::Reservation];

    /// Reads the kind of a key; `None` if it is a limit's, or this version does not know it.
    #[inline]
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        Self::ALL.get(limit_of(key)? as usize).copied()
    }

    /// Returns the key of the cell of this kind that these parts name.
    pub(crate) fn key(self, parts: &[&[u8]]) -> SideKey {
        let mut hasher = SipHasher13::new();
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        let mut key = [0; PREFIX_BYTES + 16];
        key[..PREFIX_BYTES].copy_from_slice(&(self as u32).to_le_bytes());
        key[PREFIX_BYTES..].copy_from_slice(&hasher.finish128().as_u128().to_le_bytes());
        SideKey(key)
    }
}

impl SideOperation {
    /// Returns the kind of the cell that it is about.
    pub(crate) fn cell(self) -> SideCell {
        match self {
            Self::TakePermit | Self::RenewPermit | Self::ReleasePermit => SideCell::Permit,
            Self::Reserve | Self::Commit => SideCell::Reservation,
        }
    }
}

/// Returns how many items are of limits: the others come after them.
pub(crate) fn limits_in(items: &[Item<'_>]) -> usize {
    items.iter().take_while(|item| SideCell::of(item.key).is_none()).count()
}
