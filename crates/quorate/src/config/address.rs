//! Faults of addresses in the settings, and the places where they were given.

use crate::base::id::{MAX_ADDRESS_BYTES, PeerName};

/// The place where an address was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressGiven {
    /// The address at which the others reach this peer:
    /// [`PeerBuilder::advertise`](crate::PeerBuilder::advertise).
    #[error("in `.advertise(..)`")]
    Advertise,
    /// An address at which members are looked for: [`PeerBuilder::join`](crate::PeerBuilder::join).
    #[error("in `.join(..)`")]
    Join,
    /// The address at which this peer listens: [`PeerBuilder::listen`](crate::PeerBuilder::listen).
    #[error("in `.listen(..)`")]
    Listen,
    /// The address at which a member is reached:
    /// [`PeerBuilder::members`](crate::PeerBuilder::members).
    #[error("of {0} in `.members(..)`")]
    Member(PeerName),
    /// An address at which peers of the other site are reached:
    /// [`Site::other`](crate::Site::other).
    #[error("of the other site in `.site(..)`")]
    OtherSite,
}

/// A fault of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// It stands for every interface of a machine, and is where others are to reach a peer.
    #[error(
        "stands for every interface of a machine, and nobody reaches a peer there: name a host, \
         and listen on all interfaces by `.listen(..)`"
    )]
    AnyInterface,
    /// Its port is left to the system, so that nobody knows it.
    #[error("has port 0, which nobody can reach: name the port that is listened on")]
    AnyPort,
    /// There is nothing in it.
    #[error("is empty: use the like of host.example:7101, 192.0.2.1:7101 or [2001:db8::1]:7101")]
    Empty,
    /// It has no port.
    #[error("has no port: use the like of host.example:7101, 192.0.2.1:7101 or [2001:db8::1]:7101")]
    NoPort,
    /// It is not a host and a port.
    #[error(
        "is not a host and a port: use the like of host.example:7101, 192.0.2.1:7101 or \
         [2001:db8::1]:7101"
    )]
    NotHostAndPort,
    /// It is longer than is told to others.
    #[error("is longer than {MAX_ADDRESS_BYTES} bytes, and cannot be told to the others")]
    TooLong,
}
