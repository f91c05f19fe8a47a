//! How bytes get from peer to peer: a trait, plain TCP, and a network within one process.
//!
//! A transport carries bytes and nothing else: frames, handshakes and deadlines are the driver's.
//! It says of itself whether others can read what it carries ([`Transport::is_private`]), for a
//! plain one is refused off loopback unless the embedder insists.

mod in_process;
mod tcp;

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

pub use in_process::InProcess;
pub use tcp::Tcp;

/// A boxed future, so that transports can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An open connection: one half to read, one half to write, and who is at the other end.
///
/// Dropping the writing half closes the connection's sending side.
pub struct Stream {
    /// The half that is read.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// The half that is written, by whoever has something to send as far as it takes it at once.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Address of the other end, for logs and refusals.
    pub peer_address: String,
}

/// A connection that has come in and may still need work (a TLS handshake) before it carries
/// bytes. The listener goes on accepting meanwhile.
pub struct Incoming {
    /// Address of the other end.
    pub peer_address: String,
    /// Does what is left to do.
    pub open: BoxFuture<'static, io::Result<Stream>>,
}

/// Makes and accepts connections.
pub trait Transport: Send + Sync + 'static {
    /// Starts to accept connections at `address`.
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Connects to `address`. The caller sets a deadline by dropping the future.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Stream>>;

    /// Whether nobody but the two ends can read what is carried to or from `address`.
    ///
    /// # Errors
    ///
    /// If the address cannot be understood or resolved.
    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>>;
}

/// Accepts connections until it is dropped.
pub trait Listener: Send {
    /// The next connection.
    ///
    /// # Errors
    ///
    /// An error concerns one connection or a passing shortage: the caller waits a moment and tries
    /// again.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;
}
