//! Keys of cells: the id of the limit, then the caller's key.

use std::fmt;

use quorate::MAX_KEY_BYTES;

use crate::error::AcquireError;

/// Bytes of the limit's id in front of the caller's key.
pub(crate) const PREFIX_BYTES: usize = 4;
/// Keys up to this length need no allocation.
const INLINE_BYTES: usize = 64;

/// The key of one caller's cell under one limit: the limit's 32-bit id, little-endian, and the
/// caller's key.
///
/// Made by [`Limits::key`](crate::Limits::key), for those who hand items to the core themselves.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Bytes);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Bytes {
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

    #[inline]
    pub(crate) fn new(limit: u32, key: &[u8]) -> Result<Self, AcquireError> {
        let length = PREFIX_BYTES + key.len();
        if key.len() > Self::MAX_BYTES {
            return Err(AcquireError::KeyTooLong { bytes: key.len(), max: Self::MAX_BYTES });
        }
        if length <= INLINE_BYTES {
            let mut bytes = [0; INLINE_BYTES];
            bytes[..PREFIX_BYTES].copy_from_slice(&limit.to_le_bytes());
            bytes[PREFIX_BYTES..length].copy_from_slice(key);
            return Ok(Self(Bytes::Inline { length: length as u8, bytes }));
        }
        Ok(Self(Bytes::Boxed([&limit.to_le_bytes(), key].concat().into())))
    }
}

impl AsRef<[u8]> for Key {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Boxed(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_ref().escape_ascii().to_string()).finish()
    }
}

/// The limit's id in a cell's key; `None` if the key is too short to have one.
#[inline]
pub(crate) fn limit_of(key: &[u8]) -> Option<u32> {
    key.first_chunk().map(|id| u32::from_le_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_carry_the_limit_and_the_callers_key() {
        let id = crate::hash::limit_id("api");
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
