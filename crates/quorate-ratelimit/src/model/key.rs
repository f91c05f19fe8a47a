//! Keys of cells: the id of the limit, then the caller's key.

use std::fmt;

use quorate::MAX_KEY_BYTES;

use crate::model::error::AcquireError;

/// Bytes of the limit's id in front of the caller's key.
pub(crate) const PREFIX_BYTES: usize = 4;
/// Ids below this are no limit's.
pub(crate) const MIN_LIMIT_ID: u32 = 16;
/// Shortest key of a cell.
pub(crate) const MIN_KEY_BYTES: usize = PREFIX_BYTES;
/// Keys up to this length need no allocation.
const INLINE_BYTES: usize = 64;

/// The key of one caller's cell under one limit: the limit's 32-bit id, little-endian, and the
/// caller's key.
///
/// Made by [`Limits::key`](crate::Limits::key), for those who hand items to the core themselves.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(KeyBytes);

#[derive(Clone, PartialEq, Eq, Hash)]
enum KeyBytes {
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    Boxed(Box<[u8]>),
}

impl Key {
    /// Longest key of a caller, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quorate_ratelimit::Key::MAX_BYTES, 508);
    /// ```
    pub const MAX_BYTES: usize = MAX_KEY_BYTES - PREFIX_BYTES;

    pub(crate) fn new(limit: u32, key: &[u8]) -> Result<Self, AcquireError> {
        let mut room = KeyBuffer::default();
        let length = room.fill(limit, key)?.len();
        if length <= INLINE_BYTES {
            return Ok(Self(KeyBytes::Inline { length: length as u8, bytes: room.short }));
        }
        Ok(Self(KeyBytes::Boxed(room.long.into_boxed_slice())))
    }
}

/// A buffer in which a call makes its key: a key that is returned by value is copied several times,
/// and that costs more than the decision.
#[derive(Debug)]
pub(crate) struct KeyBuffer {
    short: [u8; INLINE_BYTES],
    long: Vec<u8>,
}

impl Default for KeyBuffer {
    #[inline]
    fn default() -> Self {
        Self { short: [0; INLINE_BYTES], long: Vec::new() }
    }
}

impl KeyBuffer {
    /// Writes the key of a caller's cell under a limit.
    #[inline]
    pub(crate) fn fill(&mut self, limit: u32, key: &[u8]) -> Result<&[u8], AcquireError> {
        let length = PREFIX_BYTES + key.len();
        if length > INLINE_BYTES {
            return self.fill_long(limit, key);
        }
        self.short[..PREFIX_BYTES].copy_from_slice(&limit.to_le_bytes());
        self.short[PREFIX_BYTES..length].copy_from_slice(key);
        Ok(&self.short[..length])
    }

    #[cold]
    fn fill_long(&mut self, limit: u32, key: &[u8]) -> Result<&[u8], AcquireError> {
        if key.len() > Key::MAX_BYTES {
            return Err(AcquireError::KeyTooLong { bytes: key.len(), max: Key::MAX_BYTES });
        }
        self.long = [&limit.to_le_bytes(), key].concat();
        Ok(&self.long)
    }
}

impl Key {
    /// Reads a key as it travels, of any limit; `None` if it is no limit's.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, key) = bytes.split_first_chunk()?;
        let id = u32::from_le_bytes(*id);
        // Cells beside those of limits are named by nobody.
        if id < MIN_LIMIT_ID { None } else { Self::new(id, key).ok() }
    }
}

impl AsRef<[u8]> for Key {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            KeyBytes::Inline { length, bytes } => &bytes[..usize::from(*length)],
            KeyBytes::Boxed(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_ref().escape_ascii().to_string()).finish()
    }
}

/// Reads the limit's id in a cell's key; `None` if the key is too short to have one.
#[inline]
pub(crate) fn limit_of(key: &[u8]) -> Option<u32> {
    key.first_chunk().map(|id| u32::from_le_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_carry_the_limit_and_the_callers_key() {
        let id = crate::rule::hash::limit_id("api");
        for length in [0, 1, 59, 60, 61, 64, 507, 508] {
            let user = vec![b'x'; length];
            let key = Key::new(id, &user).expect("short enough");
            assert_eq!(limit_of(key.as_ref()), Some(id));
            assert_eq!(&key.as_ref()[PREFIX_BYTES..], user);
        }
        let error = AcquireError::KeyTooLong { bytes: 509, max: 508 };
        assert_eq!(Key::new(id, &[0; 509]), Err(error));
        assert_eq!(limit_of(b"abc"), None);
    }
}
