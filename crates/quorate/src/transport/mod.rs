//! The way of bytes from peer to peer: a trait, plain TCP, and a network within one process.
//!
//! A transport carries bytes and nothing else: frames, handshakes and deadlines are the driver's.
//! It says of itself whether others can read what it carries ([`Transport::is_private`]), for a
//! plain one is refused off loopback unless the embedder insists, and of a connection who was
//! proved to be at the other end ([`Stream::proof`]), which the driver holds against the name that
//! the other end gives. TLS is in the crate `quorate-tls`.

mod first_bytes;
mod in_process;
mod proof;
mod tcp;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::event::Event;
use crate::base::id::PeerName;

pub use first_bytes::{HEADER_BYTES, is_tls};
pub use in_process::InProcess;
#[cfg(feature = "driver")]
pub(crate) use proof::is_peer;
pub use proof::{Certificate, Claim, Proof, Protection, Tls, Unwanted};
pub use tcp::{Tcp, host};

/// A boxed future, so that transports can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An open connection: one half to read, one half to write, and who is at the other end.
///
/// Dropping the writing half closes the connection's sending side, at the latest when the other
/// half is dropped as well.
pub struct Stream {
    /// The half that is read.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// The half that is written, by whoever has something to send as far as it takes it at once.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Address of the other end, for logs and refusals.
    pub peer_address: String,
    /// Its protection from being read by others.
    pub protection: Protection,
    /// The proof of who is at the other end, if there is one. Without it the other end's word is
    /// taken.
    pub proof: Option<Arc<dyn Proof>>,
}

/// A connection that has come in and may still need work (a TLS handshake) before it carries
/// bytes. The listener goes on accepting meanwhile.
pub struct Incoming {
    /// Address of the other end.
    pub peer_address: String,
    /// Does what is left to do. An error may hold an [`Unwanted`].
    pub open: BoxFuture<'static, io::Result<Stream>>,
}

/// Makes and accepts connections.
pub trait Transport: Send + Sync + 'static {
    /// Starts to accept connections at `address`.
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Connects to `address`, where `to` is believed to be if its name is known. The caller sets a
    /// deadline by dropping the future.
    ///
    /// # Errors
    ///
    /// If nobody is there. Where somebody is who is not wanted, the error holds an [`Unwanted`].
    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>>;

    /// The places where `address` leads at present: one place after the other, as
    /// [`Transport::connect_at`] takes them. A name may lead to several machines, and the one that
    /// is looked for may be any of them. By default `address` itself, and nothing is looked up.
    ///
    /// # Errors
    ///
    /// If a name cannot be looked up, or leads nowhere.
    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(std::future::ready(Ok(vec![address.to_owned()])))
    }

    /// Connects to `place`, one of those where `address` leads; otherwise as
    /// [`Transport::connect`], which by default it calls with `place`.
    ///
    /// # Errors
    ///
    /// As [`Transport::connect`].
    fn connect_at<'a>(
        &'a self,
        _address: &'a str,
        place: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.connect(place, to)
    }

    /// Returns true if nobody but the two ends can read what is carried to or from `address`.
    ///
    /// # Errors
    ///
    /// If the address cannot be understood or resolved.
    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>>;

    /// Takes on a peer of this process, before it listens or connects.
    ///
    /// # Errors
    ///
    /// If the transport could not serve it: its certificate is another's. Nothing was started.
    fn enlist(&self, _own: &PeerName) -> io::Result<()> {
        Ok(())
    }

    /// Lets a peer go that was taken on: it has ended, or was not started after all.
    fn dismiss(&self, _own: &PeerName) {}

    /// Returns true if addresses are a host and a port, which can be checked before any is used.
    fn has_tcp_addresses(&self) -> bool {
        false
    }

    /// The extent to which this transport uses TLS, if that is a matter of settings. Peers compare
    /// it, and name a difference; they can still be connected, for it may roll.
    fn tls(&self) -> Option<Tls> {
        None
    }

    /// The certificate that it shows to others at present.
    fn certificate(&self) -> Option<Certificate> {
        None
    }

    /// Runs as long as a peer does that was taken on, and tells it what happens.
    fn attend<'a>(&'a self, _tell: &'a (dyn Fn(Event) + Send + Sync)) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }
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
