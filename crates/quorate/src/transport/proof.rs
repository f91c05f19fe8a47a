//! The other end of a connection as a transport knows it before that has said anything,
//! and why it may not want it.

use std::error::Error;
use std::{fmt, io};

use serde::Serialize;

use crate::base::event::RefusedBy;
use crate::base::id::PeerName;

/// The extent to which a peer uses TLS. Three stages, so that a group changes from plain text to
/// TLS and back one peer at a time: neighbouring stages work together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Tls {
    /// Plain text only.
    Off,
    /// TLS with whoever talks it, plain text with whoever does not. An attacker on the network can
    /// have plain text used, and come in by it: a stage to pass through. Two peers that both talk
    /// TLS and do not trust each other's certificates are not connected at this stage either.
    Permissive,
    /// TLS only.
    #[default]
    Required,
}

crate::words! {
    Tls, "stage of TLS", Off => "off", Permissive => "permissive", Required => "required"
}

/// The protection of a connection from being read by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protection {
    /// Nothing: it is plain text on a network.
    Plain,
    /// It does not leave the process.
    Local,
    /// TLS, with both ends' certificates verified.
    Tls,
}

/// A certificate, as status and logs tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Certificate {
    /// Its subject, as RFC 4514 writes it; empty if it has none.
    pub subject: String,
    /// The names in it: DNS names and URIs.
    pub names: Vec<String>,
    /// Its last moment, or that of the first to expire of those sent with it, in milliseconds since
    /// the Unix epoch.
    pub not_after_ms: u64,
}

impl Certificate {
    /// A certificate with this subject, these names and this last moment.
    pub fn new(subject: String, names: Vec<String>, not_after_ms: u64) -> Self {
        Self { subject, names, not_after_ms }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.subject.is_empty() { "no subject" } else { &self.subject };
        match &self.names[..] {
            [] => write!(f, "{subject} (no names)"),
            names => write!(f, "{subject} ({})", names.join(", ")),
        }
    }
}

/// A claim to be somebody, and something to the group. What proves one of these need not prove
/// another: a proof gives no more than it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim<'a> {
    /// Somebody of this name who changes the group by commands.
    Admin(&'a PeerName),
    /// This client of the group, which calls it.
    Client(&'a PeerName),
    /// This peer, which nobody here knows as a member: it is one, or wants to become one.
    Joiner(&'a PeerName),
    /// This member of the group, which is known here.
    Member(&'a PeerName),
    /// Somebody of this name who looks at the group's status.
    Viewer(&'a PeerName),
}

impl<'a> Claim<'a> {
    /// The name.
    pub fn peer(self) -> &'a PeerName {
        match self {
            Self::Admin(peer)
            | Self::Client(peer)
            | Self::Joiner(peer)
            | Self::Member(peer)
            | Self::Viewer(peer) => peer,
        }
    }
}

/// A proof of who is at the other end of a connection.
pub trait Proof: fmt::Debug + Send + Sync {
    /// Returns true if the other end is whom it says to be.
    fn is_of(&self, claim: Claim<'_>) -> bool;

    /// The certificate that proved it.
    fn certificate(&self) -> &Certificate;

    /// Names that would prove that it is whom it says to be, for whoever is to get it. They are
    /// told to the other end, which has proved nothing then, and must not say who is a member.
    fn wanted(&self, claim: Claim<'_>) -> String;
}

/// Returns true if the other end is this peer, and is a member of a group or may become one.
#[cfg(feature = "driver")]
pub(crate) fn is_peer(proof: &dyn Proof, name: &PeerName) -> bool {
    proof.is_of(Claim::Member(name)) || proof.is_of(Claim::Joiner(name))
}

/// The reason why a transport does not want whom it has found at the other end, or the other way
/// round: told in status and events like a setting that differs.
///
/// It travels in an [`io::Error`], made by `into()`, found by [`Unwanted::of`].
#[derive(Debug)]
pub struct Unwanted {
    /// The field that does not fit: `tls` or `certificate`.
    pub field: &'static str,
    /// This end's value, or what it asks for.
    pub ours: String,
    /// The other end's.
    pub theirs: String,
    /// The end that does not want the other.
    pub by: RefusedBy,
    /// The whole of it.
    pub source: Box<dyn Error + Send + Sync>,
}

impl Unwanted {
    /// The one that an error was made from.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Unwanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Unwanted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The sentence of the source is this one's already.
        self.source.source()
    }
}

impl From<Unwanted> for io::Error {
    fn from(unwanted: Unwanted) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, unwanted)
    }
}
