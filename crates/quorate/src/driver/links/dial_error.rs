//! Reasons why a connection does not come about.

use std::io;
use std::time::Duration;

use crate::base::id::{Incarnation, PeerName};
use crate::base::told::difference;
use crate::driver::links::admission::Full;
use crate::transport::Unwanted;
use crate::wire::WireError;

/// The reason why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::driver) enum HandshakeError {
    #[error("connection lost")]
    Io(#[from] io::Error),
    #[error("not a handshake")]
    Wire(#[from] WireError),
    #[error("frame of kind {kind} where a handshake was expected")]
    Unexpected { kind: u8 },
    #[error("{found} is there, who is not looked for")]
    Elsewhere { found: PeerName },
    #[error("this peer itself is there")]
    Oneself,
    #[error("turned away")]
    Full(#[from] Full),
    #[error("no handshake in time")]
    Timeout,
    #[error("refused: {}", difference(field, ours, theirs))]
    Refused { field: String, ours: String, theirs: String },
    #[error("the other end wants TLS, which this peer does not use")]
    Tls,
    #[error("dialed for calls, and not linked to {peer} (incarnation {incarnation})")]
    Unlinked { peer: PeerName, incarnation: Incarnation },
}

/// The reason why a try to connect came to nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::driver) enum DialError {
    #[error("the name cannot be looked up")]
    Lookup(#[source] io::Error),
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("no answer within {waited:?}")]
    NotInTime { waited: Duration },
    #[error("not a loopback address, and plain text off loopback is refused")]
    PlainText,
    /// Others are there: these, or nobody but this peer.
    #[error("somebody else is there")]
    Elsewhere { to: Option<PeerName>, found: Vec<PeerName> },
    #[error("no handshake")]
    Handshake(#[source] HandshakeError),
}

impl DialError {
    /// The weight of what it says of the one that is looked for: of what came of several places the
    /// one that says most is told.
    pub(in crate::driver) fn weight(&self) -> u8 {
        match self {
            Self::Elsewhere { .. } => 0,
            Self::Connect(error) | Self::Handshake(HandshakeError::Io(error))
                // It may be another peer, with a certificate that is good for its own name.
                if Unwanted::of(error).is_some() =>
            {
                1
            }
            _ => 2,
        }
    }

    /// The objection of a transport to whom it has found.
    pub(in crate::driver) fn unwanted(&self) -> Option<&io::Error> {
        match self {
            Self::Connect(error) | Self::Handshake(HandshakeError::Io(error)) => {
                Some(error).filter(|error| Unwanted::of(error).is_some())
            }
            _ => None,
        }
    }
}
