//! How many calls may wait at one peer, over all its tables.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::error::{Bounded, DecideError};
use crate::config::Acknowledge;
use crate::store::Store;

/// Places for calls that wait.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    /// A budget of `max` places, all of them free.
    pub fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// Takes one place; false if there is none.
    pub fn take(&self) -> bool {
        if self.used.fetch_add(1, Ordering::Relaxed) < self.max {
            return true;
        }
        self.give(1);
        false
    }

    /// Takes one place even if there is none.
    pub fn take_anyway(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns true if all places are taken.
    pub fn is_spent(&self) -> bool {
        self.used() >= self.max
    }

    /// Returns true if nothing more is to be decided by `store` that may have to wait, by the
    /// group's `acknowledge` or beyond its bound on what a failover may lose: what is decided must
    /// be kept until it is answered.
    #[inline]
    pub fn turns_away(&self, answers_after: Acknowledge, store: &Store) -> bool {
        self.is_spent() && (answers_after == Acknowledge::Majority || store.is_bound_reached())
    }

    /// Gives places back.
    pub fn give(&self, count: usize) {
        self.used.fetch_sub(count, Ordering::Relaxed);
    }

    /// Returns how many places are taken.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Makes the error of a call that finds no place; nothing was written.
    pub fn overloaded(&self) -> DecideError {
        DecideError::Overloaded { what: Bounded::WaitingCalls, bound: self.max() }
    }

    /// Returns how many places there are.
    pub fn max(&self) -> u64 {
        self.max as u64
    }
}
