//! Settings of one peer.

use std::time::Duration;

use super::bounds::Bounds;
use super::generations::NewGenerations;
use super::group::ClientRights;
use super::monitor::Monitor;
use super::site::Site;
use crate::base::id::{PeerKind, PeerName};

/// Settings of one peer; they may differ from peer to peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// This peer's name; of a member by list one of
    /// [`GroupConfig::members`](super::GroupConfig::members).
    pub name: PeerName,
    /// Its kind when it starts. A joiner that has become a member stays one.
    pub kind: PeerKind,
    /// Its place in the order in which peers are promoted: the lowest first, and never one with 0.
    /// Default 100.
    pub priority: u8,
    /// The address at which the others reach it; empty if that is for their settings to say.
    /// Becomes part of the membership.
    pub address: String,
    /// The interval at which this peer, as primary, has the others compare their cells with its
    /// own. Default 10 min; 0 for never. It costs each peer about 50 ns for every cell, in which
    /// replication waits; so it is left out while that would be more than a twentieth of the
    /// failure timeout.
    pub verify_interval: Duration,
    /// The rights of clients while this peer is primary. Default: their calls, and nothing else.
    pub client_rights: ClientRights,
    /// The condition on which this peer takes part in a new generation. Default: as soon as the
    /// protocol allows.
    pub new_generations: NewGenerations,
    /// How this peer, as primary, looks after the members, until the group is told otherwise
    /// ([`Peer::change_monitor`](crate::Peer::change_monitor)). Default: not at all.
    pub monitor: Option<Monitor>,
    /// The site that this peer stands in. Default: none.
    pub site: Option<Site>,
    /// The most that this peer holds.
    pub bounds: Bounds,
}
