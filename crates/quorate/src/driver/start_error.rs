//! Reasons why a peer was not started.

use std::io;
use std::path::PathBuf;

use crate::base::id::PeerName;
use crate::config::ConfigError;
use crate::disk::OpenError;

crate::told_to_people! { StartError }

/// The reason why a peer was not started. Nothing was left behind.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings break rules; every broken rule is listed.
    #[error("the settings are not usable: {}", sentences(.0))]
    Config(Vec<ConfigError>),
    /// The directory for the state of a peer in memory has cells in it: it was one of a peer that
    /// stores on disk.
    #[error(
        "{} holds the cells of a peer with storage on disk: use another directory for the state of \
         a peer in memory",
        dir.display()
    )]
    StateDirHasCells {
        /// The directory.
        dir: PathBuf,
    },
    /// The settings do not say what this peer is called.
    #[error("the settings name no peer: write its name, like name = \"a\"")]
    NoName,
    /// A member has no address.
    #[error("{name} has no address in `.members(..)`: name one")]
    NoAddress {
        /// The member.
        name: PeerName,
    },
    /// A joiner does not say where it listens.
    #[error("{name} joins a group and has no address to listen on: name one by `.listen(..)`")]
    NotListening {
        /// This peer.
        name: PeerName,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listening_advice(source))]
    Bind {
        /// The address.
        address: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The directory of this peer cannot be used. It is as it was.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// A joiner listens where others cannot reach it, and does not say where they can.
    #[error(
        "{address} is where this peer listens, and not where the others reach it: say that by \
         `.advertise(..)`"
    )]
    NotReachable {
        /// The address.
        address: String,
    },
    /// The system gives no thread to the storage.
    #[error("cannot start a thread of the peer's own: {0}")]
    Thread(#[source] io::Error),
    /// The transport cannot serve this peer.
    #[error("{name} cannot be served by its transport: {source}")]
    Transport {
        /// This peer.
        name: PeerName,
        /// The reason, and what to do.
        #[source]
        source: io::Error,
    },
    /// The transport would carry calls in plain text over a network.
    #[error(
        "{address} is not a loopback address, and plain text off loopback is refused: use a \
         transport with TLS (the crate quorate-tls), or, on a network that you trust, allow it by \
         plaintext_allowed_on_network()"
    )]
    PlaintextOffLoopback {
        /// The address that would be listened on, or dialed.
        address: String,
    },
}

fn sentences(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("; ")
}

/// Advice on an address that cannot be listened on.
fn listening_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process listens there, perhaps this peer's last start: end it, or choose \
             another port"
        }
        io::ErrorKind::AddrNotAvailable => "; name an address of this machine",
        _ => "",
    }
}
