//! Limits as a decision finds them: by id, which is part of every key, or by name.

use crate::limit::Kind;
use crate::model::key::limit_of;
use crate::model::named_limit::NamedLimit;
use crate::rule::Rule;
use crate::rule::cell::TAG_SHIFT;
use crate::rule::concurrency::Concurrency;
use crate::rule::hash::{fnv, limit_id};

/// Sets up to this size are searched by name without hashing it.
const FEW: usize = 4;

/// Limits by id and by name.
pub(crate) struct Table {
    pub(crate) limits: Box<[NamedLimit]>,
    /// Open addressing over the ids: at least half of the slots are free, so every search ends.
    slots: Box<[Slot]>,
    /// The revision of the policy that it is from; 0 for the limits of the code.
    pub(crate) revision: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    id: u32,
    /// Place in `limits`; past its end for a free slot.
    index: u32,
}

impl Table {
    pub(crate) fn new(mut limits: Vec<NamedLimit>, revision: u64) -> Self {
        let free = Slot { id: 0, index: u32::MAX };
        let mut slots = vec![free; (limits.len() * 2).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        for (index, named) in limits.iter_mut().enumerate() {
            named.index = index as u32;
            // An id is a hash: its lower bits are as good as another hash of it.
            let mut at = named.id as usize & mask;
            while slots[at].index != free.index {
                at = (at + 1) & mask;
            }
            slots[at] = Slot { id: named.id, index: index as u32 };
        }
        Self { limits: limits.into(), slots: slots.into(), revision }
    }

    /// Finds the limit of an id.
    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<&NamedLimit> {
        let mask = self.slots.len() - 1;
        let mut at = id as usize & mask;
        loop {
            let slot = self.slots[at & mask];
            let named = self.limits.get(slot.index as usize);
            if slot.id == id || named.is_none() {
                return named;
            }
            at += 1;
        }
    }

    /// Finds the limit of a cell's key.
    #[inline]
    pub(crate) fn of(&self, key: &[u8]) -> Option<&NamedLimit> {
        limit_of(key).and_then(|id| self.find(id))
    }

    /// Finds a concurrency limit that reads permits' cells with this last word.
    pub(crate) fn permits_of(&self, word: u64) -> Option<&Concurrency> {
        self.limits.iter().find_map(|named| match &named.rule {
            Rule::Concurrency(concurrency) if concurrency.tag() == word >> TAG_SHIFT => {
                Some(concurrency)
            }
            _ => None,
        })
    }

    /// Finds the limit of a name.
    #[inline]
    pub(crate) fn find_name(&self, name: &str) -> Option<&NamedLimit> {
        if self.limits.len() <= FEW {
            return self.limits.iter().find(|named| &*named.name == name);
        }
        self.find(limit_id(name)).filter(|named| &*named.name == name)
    }

    /// Returns the version of the time zone database, if a limit goes by it.
    pub(crate) fn zones_version(&self) -> Option<&'static str> {
        self.limits.iter().find_map(|named| match &named.limit.kind {
            Kind::Calendar { calendar, .. } => calendar.zones_version(),
            _ => None,
        })
    }

    /// Returns a hash of all names and numbers, the same at peers whose limits agree.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.limits.iter().fold(0, |hash, named| {
            fnv(fnv(hash, named.name.as_bytes()), format!("\n{}\n", named.limit).as_bytes())
        })
    }
}
