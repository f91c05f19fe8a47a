//! Handshakes that came to nothing: by whose fault.

use std::io;

use rustls::Error;

use crate::credentials::protocols_told;
use crate::fault::PeerFault;
use crate::handshake::{BrokenBy, MAX_BYTES};
use crate::inquiry::Inquiry;
use crate::{session, wording};

/// The reason why a TLS handshake came to nothing.
pub(crate) enum Failed {
    /// The other end does not talk TLS.
    Plain,
    /// The other end has closed the connection without a word: it is about to end, has too many, or
    /// is of a version that does not know TLS.
    Silent(io::Error),
    /// The other end is not wanted, or does not want this one.
    Unwanted(PeerFault),
    Network(io::Error),
}

impl Failed {
    /// Finds out whose fault it is; `own` is what errors call this peer's certificate.
    pub(crate) fn of(error: BrokenBy, inquiry: &Inquiry, own: &str) -> Self {
        // What was found says more than the alert that rustls has made of it.
        if let Some(fault) = inquiry.fault() {
            return Self::Unwanted(fault);
        }
        match error {
            BrokenBy::Io(error) => Self::of_connection(error),
            BrokenBy::Tls(error) => Self::of_tls(&error, own),
            BrokenBy::TooMuch => {
                let reason = format!("its handshake has more than {MAX_BYTES} bytes");
                Self::Unwanted(PeerFault::Garbage { reason })
            }
        }
    }

    fn of_connection(error: io::Error) -> Self {
        // A peer that ends, or is at a bound, closes in one of these ways, as the system has it.
        let closed = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
        ];
        if closed.contains(&error.kind()) { Self::Silent(error) } else { Self::Network(error) }
    }

    fn of_tls(said: &Error, own: &str) -> Self {
        match said {
            Error::InvalidMessage(_) => Self::Plain,
            Error::NoCertificatesPresented => Self::Unwanted(PeerFault::NoCertificate),
            Error::NoApplicationProtocol => {
                Self::Unwanted(PeerFault::NoProtocol { ours: protocols_told() })
            }
            Error::PeerIncompatible(what) => {
                Self::Unwanted(PeerFault::Incompatible { reason: wording::named(what) })
            }
            said => Self::Unwanted(
                session::refusal(said, own)
                    .unwrap_or_else(|| PeerFault::Garbage { reason: wording::of_tls(said) }),
            ),
        }
    }

    /// Says what it comes to at the end that was connected to. There the other end has begun with
    /// TLS: it does not talk plain text.
    pub(crate) fn at_listener(self) -> Self {
        match self {
            Self::Plain => {
                Self::Unwanted(PeerFault::Garbage { reason: "its messages are damaged".into() })
            }
            failed => failed,
        }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Network(error) => error,
            Failed::Silent(error) => {
                Self::new(error.kind(), "closed during the TLS handshake: does it use TLS?")
            }
            Failed::Plain => PeerFault::PlainText.unwanted().into(),
            Failed::Unwanted(fault) => fault.unwanted().into(),
        }
    }
}
