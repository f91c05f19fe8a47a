//! A connection whose TLS handshake is done, as the two halves that the core wants.
//!
//! ```text
//!   reader ── ciphertext ──▶ ┌─────────┐ ── plaintext ──▶ core
//!                            │ session │
//!   writer ◀─ ciphertext ─── └─────────┘ ◀─ plaintext ─── core
//!                  (a lock, held for the cryptography and never during a system call)
//! ```
//!
//! The stream of tokio-rustls could be split into halves too, but those hold one lock while they
//! read or write the socket: a caller that writes would wait for the task that reads. It also reads
//! 4 KiB at a time and writes with vectors, which a lone caller notices (docs/performance.md).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use quorate::transport::{Proof, Protection, Stream};
use rustls::{AlertDescription, Connection, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::credentials::protocols_told;
use crate::fault::PeerFault;
use crate::handshake::{Reader, Shaken, Writer};
use crate::wording;

/// The bytes that one read of the socket takes at most.
const READ_BYTES: usize = 64 * 1024;
/// The largest buffer of ciphertext that is kept after a burst.
const KEPT_BYTES: usize = 128 * 1024;

/// Makes the stream of a session; `own` is what errors call this peer's certificate.
pub(crate) fn stream(
    shaken: Shaken,
    peer_address: String,
    proof: Arc<dyn Proof>,
    own: String,
) -> Stream {
    let Shaken { connection, wire, rest: mut bytes } = shaken;
    let unread = 0..bytes.len();
    bytes.resize(bytes.len().max(READ_BYTES), 0);
    let (reader, writer) = wire.into_inner();
    let session = Arc::new(Mutex::new(connection));
    let reading = Reading {
        session: session.clone(),
        reader,
        bytes: bytes.into(),
        unread,
        is_over: false,
        own,
    };
    let writing =
        Writing { session, writer, bytes: Vec::new(), written: 0, has_said_goodbye: false };
    Stream {
        reader: Box::new(reading),
        writer: Box::new(writing),
        peer_address,
        protection: Protection::Tls,
        proof: Some(proof),
    }
}

/// The half that is read.
struct Reading {
    session: Arc<Mutex<Connection>>,
    reader: Reader,
    /// Ciphertext from the socket, of which `unread` is for the session to take.
    bytes: Box<[u8]>,
    unread: std::ops::Range<usize>,
    /// True if the other end has said that it sends no more.
    is_over: bool,
    own: String,
}

impl Reading {
    /// Decrypts what there is, as far as `buffer` takes it.
    fn decrypt(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut session = self.session.lock();
        loop {
            // Before more is taken in: a session keeps little.
            take_plaintext(&mut session, buffer);
            if buffer.remaining() == 0 || self.unread.is_empty() {
                return Ok(());
            }
            let mut ciphertext = &self.bytes[self.unread.clone()];
            self.unread.start += session.read_tls(&mut ciphertext)?;
            let state = session.process_new_packets().map_err(|error| self.failed(error))?;
            if state.peer_has_closed() {
                // Whatever stands behind its goodbye, the session takes nothing of it.
                self.is_over = true;
                self.unread = 0..0;
            }
        }
    }

    /// Makes an error of what rustls says. In TLS 1.3 the end that connects has done its handshake
    /// before the other end has looked at its certificate: that it was refused is only heard here.
    fn failed(&self, error: Error) -> io::Error {
        match refusal(&error, &self.own) {
            Some(fault) => fault.unwanted().into(),
            None => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Moves plaintext out of a session, as far as the buffer takes it.
fn take_plaintext(session: &mut Connection, buffer: &mut ReadBuf<'_>) {
    while buffer.remaining() > 0 {
        // An error says that there is none yet, or will be none any more.
        let Ok(chunk) = session.reader().into_first_chunk() else { return };
        let count = chunk.len().min(buffer.remaining());
        if count == 0 {
            return;
        }
        buffer.put_slice(&chunk[..count]);
        io::BufRead::consume(&mut session.reader(), count);
    }
}

impl AsyncRead for Reading {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            this.decrypt(buffer)?;
            if buffer.filled().len() > before || buffer.remaining() == 0 || this.is_over {
                return Poll::Ready(Ok(()));
            }
            let mut bytes = ReadBuf::new(&mut this.bytes);
            ready!(Pin::new(&mut this.reader).poll_read(context, &mut bytes))?;
            let count = bytes.filled().len();
            if count == 0 {
                // Without a goodbye something may be missing.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            this.unread = 0..count;
        }
    }
}

/// The half that is written.
struct Writing {
    session: Arc<Mutex<Connection>>,
    writer: Writer,
    /// Ciphertext, of which the socket has taken the first `written` bytes.
    bytes: Vec<u8>,
    written: usize,
    has_said_goodbye: bool,
}

impl Writing {
    /// Encrypts some of `plaintext` and returns how much.
    fn encrypt(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let mut session = self.session.lock();
        let count = io::Write::write(&mut session.writer(), plaintext)?;
        take_ciphertext(&mut session, &mut self.bytes)?;
        Ok(count)
    }

    /// Writes ciphertext until there is none.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let rest = &self.bytes[self.written..];
            match ready!(Pin::new(&mut self.writer).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.written = 0;
        self.bytes.clear();
        // A catch-up fills it once; hundreds of connections would keep it for good.
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// Moves all ciphertext out of a session.
fn take_ciphertext(session: &mut Connection, bytes: &mut Vec<u8>) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(bytes)?;
    }
    Ok(())
}

impl AsyncWrite for Writing {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        plaintext: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // What was taken before goes first, so that no more than one call's worth waits here.
        ready!(this.poll_drain(context))?;
        let count = this.encrypt(plaintext)?;
        // Whether the socket has taken it is for a flush to say.
        if let Poll::Ready(Err(error)) = this.poll_drain(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.writer).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.has_said_goodbye, true) {
            let mut session = this.session.lock();
            session.send_close_notify();
            take_ciphertext(&mut session, &mut this.bytes)?;
        }
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.writer).poll_shutdown(context)
    }
}

/// Reads the refusal in what rustls says, if the other end has sent one.
pub(crate) fn refusal(error: &Error, own: &str) -> Option<PeerFault> {
    let Error::AlertReceived(alert) = error else { return None };
    let said = wording::of_alert(*alert);
    Some(match alert {
        AlertDescription::NoApplicationProtocol => PeerFault::NoProtocol { ours: protocols_told() },
        AlertDescription::AccessDenied
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRequired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::UnsupportedCertificate => {
            PeerFault::Refused { certificate: own.to_owned(), alert: said }
        }
        _ => PeerFault::Incompatible { reason: format!("it says {said}") },
    })
}
