//! Names of permits and reservations: the key that one is of, and a number drawn for it.
//!
//! Whoever has the number can renew, give back or settle what it names, so nobody may guess one:
//! all of it comes from the system's source of randomness, anew each time, and nothing follows from
//! one for any other. What is held lies in a cell whose key is a hash of 128 bits of key and number
//! (`side_cell.rs`), compared in full: a guess meets one of n that are held with a chance of n /
//! 2^128.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::key::{Key, MIN_KEY_BYTES};

quorate::told_to_people! { HoldIdError }

/// Bytes of the number.
pub(crate) const NONCE_BYTES: usize = 24;

/// The number of a permit or reservation: nobody draws it twice, or guesses it.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// Draws a number.
///
/// # Panics
///
/// If the system has no randomness to give. It had some when the peer was started.
fn draw() -> Nonce {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce).expect("the system's source of randomness has worked before");
    nonce
}

/// A key and a number. As text, both in hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct HoldId {
    key: Key,
    nonce: Nonce,
}

/// The text is not the name of a permit or of a reservation.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a permit or of a reservation: use it as it was given")]
#[non_exhaustive]
pub struct HoldIdError;

impl HoldId {
    /// Names something that is about to be held of a key.
    pub(crate) fn new(key: Key) -> Self {
        Self { key, nonce: draw() }
    }

    /// Returns the key of the limit's cell.
    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_ref()
    }

    pub(crate) fn nonce(&self) -> &[u8] {
        &self.nonce
    }
}

/// Leaves out the part that makes it valid, for logs.
impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HoldId(..)")
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nonce.iter().chain(self.key()).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for HoldId {
    type Err = HoldIdError;

    fn from_str(text: &str) -> Result<Self, HoldIdError> {
        // Longer than any that was given is not looked at.
        let most = 2 * (NONCE_BYTES + MIN_KEY_BYTES + Key::MAX_BYTES);
        if text.len() > most {
            return Err(HoldIdError);
        }
        let bytes = of_hex(text).ok_or(HoldIdError)?;
        let (nonce, key) = bytes.split_first_chunk().ok_or(HoldIdError)?;
        let key = Key::of_bytes(key).ok_or(HoldIdError)?;
        Ok(Self { key, nonce: *nonce })
    }
}

/// Reads bytes that are written in hexadecimal digits.
pub(super) fn of_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

/// Defines the id of what is held: a [`HoldId`] under a name of its own, which is text in serde.
macro_rules! hold_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub(crate) HoldId);

        /// Leaves out the part that makes it valid, for logs.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = HoldIdError;

            fn try_from(text: String) -> Result<Self, HoldIdError> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = HoldIdError;

            fn from_str(text: &str) -> Result<Self, HoldIdError> {
                text.parse().map(Self)
            }
        }
    };
}

hold_id! {
    /// Names a permit, at any peer: text that may travel, and fences whoever holds an old one.
    /// Serde reads and writes that text.
    ///
    /// It is a bearer token: whoever has it can renew the permit and give it back, and nobody else
    /// can. It is drawn at random, and one tells nothing of another: a guess meets one of n permits
    /// that are held with a chance of n / 2^128. Keep it from those who are not to have it: `Debug`
    /// does not show it, its text does. The text also has the caller's key in it.
    PermitId
}

hold_id! {
    /// Names a reservation, at any peer: text that may travel.
    /// Serde reads and writes that text.
    ///
    /// It is a bearer token: whoever has it can settle the reservation, by any amount, and nobody
    /// else can. It is drawn at random, and one tells nothing of another: a guess meets one of n
    /// open reservations with a chance of n / 2^128. Keep it from those who are not to have it:
    /// `Debug` does not show it, its text does. The text also has the caller's key in it.
    ReservationId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for length in [0, 1, 60, 61, 508] {
            let key = Key::new(0xe225_6e1e, &vec![b'x'; length]).expect("short enough");
            let hold = HoldId { key, nonce: [7; NONCE_BYTES] };
            assert_eq!(hold.to_string().parse(), Ok(hold));
        }
    }

    #[test]
    fn ids_of_older_builds_are_read() {
        let id = "d071eeb064e85c8fb1976656d551eb600000000000000000036 2fd686b".replace(' ', "");
        let hold: HoldId = id.parse().expect("24 bytes, and a key");
        assert_eq!((hold.key(), &hold.nonce()[16..]), (&b"\x03b\xfdhk"[..], &[0; 8][..]));
    }

    #[test]
    fn anything_else_is_refused() {
        let of = |limit| {
            let key = Key::new(limit, b"k").expect("short");
            HoldId { key, nonce: [7; NONCE_BYTES] }.to_string()
        };
        let good = of(99);
        // A key below all ids of limits, too.
        let low = of(3);
        let long = "ab".repeat(NONCE_BYTES + 600);
        for text in ["", "07", &good[1..], &good[..48], &format!("{good}g0"), &low, &long, "ä0"] {
            assert_eq!(text.parse::<HoldId>(), Err(HoldIdError), "{text}");
        }
    }
}
