//! Limits as callers name them, looked up in the code and among those that have come since.

use quorate::Reading;

use crate::limiter::RateLimiter;
use crate::model::error::AcquireError;
use crate::model::key::{Key, KeyBuffer, limit_of};
use crate::model::limits::is_name;
use crate::model::named_limit::NamedLimit;
use crate::rule::hash::limit_id;

/// A limit as a caller names it.
#[derive(Clone, Copy)]
pub(crate) struct LimitRef<'n> {
    pub(crate) id: u32,
    /// The place of its counters.
    pub(crate) index: usize,
    pub(crate) name: &'n str,
    /// The reading of the clock by which it is decided at the primary itself.
    pub(crate) reading: Reading,
}

impl RateLimiter {
    /// Looks up the limit of a name: one that this peer's code has, or that has come since.
    #[inline(always)]
    pub(crate) fn look_up<'n>(&self, name: &'n str) -> Result<LimitRef<'n>, AcquireError> {
        match self.code().table.find_name(name) {
            Some(named) => {
                let reading = self.reading(named);
                Ok(LimitRef { id: named.id, index: named.index as usize, name, reading })
            }
            None => self.look_up_since(name),
        }
    }

    #[cold]
    fn look_up_since<'n>(&self, name: &'n str) -> Result<LimitRef<'n>, AcquireError> {
        let present = self.current().present();
        let id = match present.find_name(name) {
            Some(named) => named.id,
            // Whoever decides knows: a client holds none of the group's limits, a peer that has
            // just started holds them in a moment, and until the first change the primary's code
            // counts.
            None if present.revision == 0 && is_name(name) => limit_id(name),
            None => return Err(self.unknown(name)),
        };
        Ok(LimitRef { id, index: self.code().iter().count(), name, reading: Reading::Exact })
    }

    /// Returns the id of a limit that this peer knows.
    pub(crate) fn known_id(&self, name: &str) -> Result<u32, AcquireError> {
        let known = self.code().id(name).or_else(|_| self.limits().id(name));
        known.map_err(|_| self.unknown(name))
    }

    /// Counts that there is no limit of this name: as missing, if something here relies on it.
    pub(crate) fn unknown(&self, name: &str) -> AcquireError {
        let error = AcquireError::UnknownLimit { limit: name.to_owned() };
        if self.current().missing.is_expected(name) {
            return self.count_missing(name, error);
        }
        self.count_error(None, error)
    }

    /// Returns the reading of the clock for a limit: in a sliding window what is taken now is told
    /// from what is taken a moment later.
    #[inline(always)]
    fn reading(&self, named: &NamedLimit) -> Reading {
        let is_exact = match self.current().changed() {
            // It may be another limit by now.
            Some(present) => present.find(named.id).is_some_and(NamedLimit::is_sliding),
            None => named.is_sliding(),
        };
        if is_exact { Reading::Exact } else { Reading::Cheap }
    }

    /// Returns the name of the limit that a key is of, or was; empty if this peer has none for it.
    pub(crate) fn name_of(&self, key: &[u8]) -> String {
        let present = self.current().load();
        let named = present.of(key).or_else(|| self.code().table.of(key));
        named.map_or_else(String::new, |named| named.name.to_string())
    }

    /// Looks up the limit of a key, by the name that [`RateLimiter::name_of`] has found for it.
    pub(crate) fn ref_of<'n>(&self, name: &'n str, key: &[u8]) -> LimitRef<'n> {
        let known = self.code().table.find_name(name).map(|named| named.index as usize);
        let index = known.unwrap_or_else(|| self.code().iter().count());
        let id = limit_of(key).unwrap_or_default();
        LimitRef { id, index, name, reading: Reading::Exact }
    }

    /// Writes the key of a caller's cell into `buffer`.
    #[inline(always)]
    pub(crate) fn fill<'r>(
        &self,
        buffer: &'r mut KeyBuffer,
        limit: LimitRef<'_>,
        key: &[u8],
    ) -> Result<&'r [u8], AcquireError> {
        buffer.fill(limit.id, key).map_err(|error| self.count_error(Some(limit), error))
    }

    /// Returns the key of a caller's cell, as a value.
    pub(crate) fn key(&self, limit: LimitRef<'_>, key: &[u8]) -> Result<Key, AcquireError> {
        Key::new(limit.id, key).map_err(|error| self.count_error(Some(limit), error))
    }
}
