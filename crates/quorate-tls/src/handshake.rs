//! The handshake of one connection, at either end.
//!
//! Reads and writes wait for the other end, as long as whoever called lets them; what is done in
//! between is the cryptography, which has to wait for its turn where a stranger asks for it.

use std::io;
use std::ops::Range;

use rustls::Connection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Join};

use crate::turns::Turns;

/// Most bytes of a handshake that an end may send: three times as many as anybody needs. A longer
/// one is made of tiny records, or of certificates that would be refused.
pub(crate) const MAX_BYTES: usize = 48 * 1024;
/// The bytes that one read of the socket takes at most.
const READ_BYTES: usize = 8 * 1024;

pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// The connection that a handshake runs over.
pub(crate) type Wire = Join<Reader, Writer>;

/// The end of a handshake that went well.
pub(crate) struct Shaken {
    pub(crate) connection: Connection,
    pub(crate) wire: Wire,
    /// The bytes that have come after it, still encrypted.
    pub(crate) rest: Vec<u8>,
}

/// The end of a handshake that failed: whoever closes may want to be heard first.
pub(crate) struct Broken {
    pub(crate) error: BrokenBy,
    pub(crate) wire: Wire,
}

/// The reason why a handshake was broken off.
#[derive(Debug)]
pub(crate) enum BrokenBy {
    /// The connection failed.
    Io(io::Error),
    /// The other end has sent something wrong, or this end's check refuses it.
    Tls(rustls::Error),
    /// The other end has sent more than [`MAX_BYTES`].
    TooMuch,
}

impl From<io::Error> for BrokenBy {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Does the handshake; each step of it waits for its turn, if there are any.
pub(crate) async fn shake(
    mut connection: Connection,
    mut wire: Wire,
    turns: Option<&Turns>,
) -> Result<Shaken, Broken> {
    match run(&mut connection, &mut wire, turns).await {
        Ok(rest) => Ok(Shaken { connection, wire, rest }),
        Err(error) => {
            // An alert, if there is one to send; whether it arrives makes no difference here.
            let _ = write(&mut connection, &mut wire).await;
            Err(Broken { error, wire })
        }
    }
}

async fn run(
    connection: &mut Connection,
    wire: &mut Wire,
    turns: Option<&Turns>,
) -> Result<Vec<u8>, BrokenBy> {
    let mut bytes = vec![0; READ_BYTES];
    let mut taken = 0;
    let mut unread = 0..0;
    loop {
        write(connection, wire).await?;
        if !connection.is_handshaking() {
            return Ok(bytes[unread].to_vec());
        }
        let count = wire.read(&mut bytes).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        taken += count;
        // rustls has bounds on messages, and none on how many of them there are.
        if taken > MAX_BYTES {
            return Err(BrokenBy::TooMuch);
        }
        unread = 0..count;
        let turn = match turns {
            Some(turns) => Some(turns.take().await),
            None => None,
        };
        let stepped = step(connection, &bytes, &mut unread);
        // A step that failed has cost as much as another: its pause is due before the error is
        // told.
        if let Some(turn) = turn {
            turn.end().await;
        }
        stepped?;
    }
}

/// Does what can be done with the bytes that have come; what comes behind the handshake is left to
/// the session's reader.
fn step(
    connection: &mut Connection,
    bytes: &[u8],
    unread: &mut Range<usize>,
) -> Result<(), BrokenBy> {
    while unread.start < unread.end && connection.is_handshaking() {
        let mut ciphertext = &bytes[unread.clone()];
        unread.start += connection.read_tls(&mut ciphertext)?;
        connection.process_new_packets().map_err(BrokenBy::Tls)?;
    }
    Ok(())
}

async fn write(connection: &mut Connection, wire: &mut Wire) -> io::Result<()> {
    if !connection.wants_write() {
        return Ok(());
    }
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes)?;
    }
    wire.write_all(&bytes).await?;
    wire.flush().await
}
