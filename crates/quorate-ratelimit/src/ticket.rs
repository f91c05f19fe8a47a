//! What names a permit or a reservation: the key it is of, and a number drawn for it.

use std::fmt;
use std::str::FromStr;

use crate::key::{Key, MIN_KEY_BYTES};

/// Bytes of the number.
pub(crate) const NONCE_BYTES: usize = 24;

/// The number of a permit or reservation: nobody draws it twice.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// A key and a number. As text, both in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    key: Key,
    nonce: Nonce,
}

/// The text is not the name of a permit or of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a permit or of a reservation: use it as it was given")]
#[non_exhaustive]
pub struct TicketError;

impl Ticket {
    pub(crate) fn new(key: Key, nonce: Nonce) -> Self {
        Self { key, nonce }
    }

    /// The key of the limit's cell.
    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_ref()
    }

    pub(crate) fn nonce(&self) -> &[u8] {
        &self.nonce
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nonce.iter().chain(self.key()).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        // Longer than any that was given is not looked at.
        let most = 2 * (NONCE_BYTES + MIN_KEY_BYTES + Key::MAX_BYTES);
        if text.len() > most || !text.len().is_multiple_of(2) {
            return Err(TicketError);
        }
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(TicketError);
        let bytes: Result<Vec<u8>, TicketError> = text
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
            .collect();
        let bytes = bytes?;
        let (nonce, key) = bytes.split_first_chunk().ok_or(TicketError)?;
        let key = Key::of_bytes(key).ok_or(TicketError)?;
        Ok(Self { key, nonce: *nonce })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written() {
        for length in [0, 1, 60, 61, 508] {
            let key = Key::new(0xe225_6e1e, &vec![b'x'; length]).expect("short enough");
            let ticket = Ticket::new(key, [7; NONCE_BYTES]);
            assert_eq!(ticket.to_string().parse(), Ok(ticket));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Ticket::new(Key::new(99, b"k").expect("short"), [7; NONCE_BYTES]).to_string();
        // A key below all ids of limits, too.
        let low = Ticket::new(Key::new(3, b"k").expect("short"), [7; NONCE_BYTES]).to_string();
        let long = "ab".repeat(NONCE_BYTES + 600);
        for text in ["", "07", &good[1..], &good[..48], &format!("{good}g0"), &low, &long, "ä0"] {
            assert_eq!(text.parse::<Ticket>(), Err(TicketError), "{text}");
        }
    }
}
