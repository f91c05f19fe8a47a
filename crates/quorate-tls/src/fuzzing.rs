//! The body of the fuzz target for the first bytes of a connection, which a test runs as well.

use std::io::Cursor;

use quorate::Protection;
use quorate::transport::Stream;

use crate::transport::TlsTransport;

/// A connection that brings these bytes and ends is refused, or, if plain text is taken and they are
/// none of TLS, is handed on with every byte of them: whatever the bytes are, nobody is let in as a
/// peer that has proved who it is.
pub async fn first_bytes(transport: &TlsTransport, data: &[u8]) {
    use tokio::io::AsyncReadExt;
    let stream = Stream {
        reader: Box::new(Cursor::new(data.to_vec())),
        writer: Box::new(tokio::io::sink()),
        peer_address: "192.0.2.1:1".into(),
        protection: Protection::Plain,
        proof: None,
    };
    let Ok(mut stream) = transport.shared.welcome(stream).await else { return };
    assert!(stream.proof.is_none() && stream.protection == Protection::Plain);
    let mut read = Vec::new();
    stream.reader.read_to_end(&mut read).await.expect("memory does not fail");
    assert_eq!(read, data, "what was looked at is not lost");
}
