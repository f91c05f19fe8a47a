//! Why a peer was not asked, or has not answered.

use std::io;
use std::time::Duration;

use crate::admin::answer::{Effect, Refused};
use crate::base::told::{rounded, shortened};
use crate::protocol::io::ADMIN_VERSION;

crate::told_to_people! { AdminError }

/// Most characters of a name that is told where it is none.
const MOST: usize = 64;

/// Why a peer was not asked, or has not answered.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The name to ask as, or that of the group, is none. Nobody was asked.
    #[error(
        "{what} {:?} is no name: write 1 to 64 letters, digits, \"-\", \"_\" and \".\"",
        shortened(name, MOST)
    )]
    Name {
        /// What the name is of.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Nobody is there, or somebody whom the transport does not want. Nobody was asked.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The other end has ended the connection without a word. Nobody was asked.
    #[error(
        "{address} closes the connection without a word: it is too old or not Quorate (a peer \
         answers from version {ADMIN_VERSION} of the protocol on), or it has too many connections"
    )]
    TooOldOrNotQuorate {
        /// Where.
        address: String,
    },
    /// The peer does not let this connection in: over TLS the certificate does not say that its
    /// holder may ask, in plain text the peer is on another machine, another group is meant, the
    /// lane is closed there, or too many are asking it. Nothing was asked.
    #[error("{address} refuses to be asked: {}", refusal(field, ours, theirs))]
    NotLetIn {
        /// Where.
        address: String,
        /// What it is about: `admin` (the lane is closed, or not for plain text from elsewhere),
        /// `certificate`, `group`, `max_admins`, `tls`, `version`.
        field: String,
        /// The value here, or what is missing here.
        ours: String,
        /// The value there, or what is asked for there.
        theirs: String,
    },
    /// Whoever answers is not whom its certificate names. Nothing was asked.
    #[error("{address} says to be {peer}, and its certificate does not: {certificate}")]
    NotThatPeer {
        /// Where.
        address: String,
        /// The name that it gives.
        peer: String,
        /// Its certificate.
        certificate: String,
    },
    /// No answer came in time. What was asked for may have been done, or may be yet.
    #[error("no answer within {}", rounded(*waited))]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The document is too long. Nothing was asked.
    #[error("an ask of {bytes} bytes is longer than {max}: make it shorter")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// The connection was lost before there was an answer. What was asked for may have been done.
    #[error("the connection was lost before there was an answer")]
    Lost {
        /// How.
        source: io::Error,
    },
    /// What was answered cannot be read. What was asked for may have been done.
    #[error("the answer cannot be read: the peer is of a version that this one does not know")]
    Garbled,
    /// An earlier ask over this connection has not ended with an answer. Nothing was asked: connect
    /// again.
    #[error("the connection is of no use after an ask without an answer: connect again")]
    Ended,
    /// The peer has not carried it out: its [`Effect`] says whether something was changed.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl AdminError {
    /// Returns true if what was asked for may have been done all the same, or may be yet.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Lost { .. } | Self::Garbled => true,
            Self::Refused(refused) => refused.effect == Effect::Unknown,
            _ => false,
        }
    }

    /// Returns true if no peer was reached that lets this caller ask.
    pub fn is_not_connected(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::TooOldOrNotQuorate { .. }
                | Self::NotLetIn { .. }
                | Self::NotThatPeer { .. }
        )
    }
}

/// A refusal of a connection, as whoever was refused reads it.
fn refusal(field: &str, ours: &str, theirs: &str) -> String {
    match field {
        "admin" => format!("its admin lane is {theirs}"),
        "certificate" => format!("it asks for {theirs}, and was shown {ours}"),
        "group" => format!("its group is {theirs}, and {ours} was asked for"),
        "max_admins" => format!("{theirs}, and no more are let in"),
        "tls" => format!("it asks for {theirs}, and was offered {ours}"),
        "version" => format!("it speaks versions {theirs} of the protocol, and this one {ours}"),
        _ => format!("{field} is {ours} here and {theirs} there"),
    }
}
