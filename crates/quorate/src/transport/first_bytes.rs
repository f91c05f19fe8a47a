//! The first bytes of a connection: those of a peer that speaks plain text, or of one that wants
//! TLS.
//!
//! ```text
//!   plain   u32 LE length of the Hello, below 2^24 | u8 kind, 1       (docs/wire.md, section 1)
//!   TLS     u8 type, 22 | u8 3 | u8 version | u16 BE length, not 1    (RFC 8446, section 5.1)
//! ```

use crate::wire::{MAX_HELLO_BYTES, kind};

/// Bytes that tell the two apart.
pub const HEADER_BYTES: usize = 5;

/// Type of a TLS record that belongs to a handshake.
const HANDSHAKE: u8 = 22;
/// Major version of every TLS record.
const MAJOR: u8 = 3;

// The top byte of a plain length is 0, and the kind behind it 1: as TLS that would be a record of
// one byte, which no ClientHello fits into.
const _: () = assert!(MAX_HELLO_BYTES < 1 << 24 && kind::HELLO == 1);

/// Returns true if a connection that begins like this wants TLS. No frame that a peer may begin
/// with does.
pub fn is_tls(header: [u8; HEADER_BYTES]) -> bool {
    let [kind_of_record, major, _, length @ ..] = header;
    kind_of_record == HANDSHAKE && major == MAJOR && u16::from_be_bytes(length) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hello_is_tls_and_no_hello_of_a_peer_is() {
        assert!(is_tls([22, 3, 1, 2, 0]));
        assert!(is_tls([22, 3, 3, 0, 180]));
        for length in 0..=MAX_HELLO_BYTES as u32 {
            let [a, b, c, d] = length.to_le_bytes();
            assert!(!is_tls([a, b, c, d, kind::HELLO]), "{length}");
        }
        assert!(!is_tls(*b"GET /"));
    }
}
