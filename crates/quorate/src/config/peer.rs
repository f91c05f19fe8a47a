//! Settings of one peer.

use std::time::Duration;

use super::bounds::Bounds;
use super::generations::NewGenerations;
use super::group::ClientRights;
use crate::base::id::{PeerKind, PeerName};

/// Settings of one peer; they may differ from peer to peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// This peer's name; of a member by list one of
    /// [`GroupConfig::members`](super::GroupConfig::members).
    pub name: PeerName,
    /// What it is to the group when it starts. A joiner that has become a member stays one.
    pub kind: PeerKind,
    /// Who is promoted first: the lowest number, never if 0. Default 100.
    pub priority: u8,
    /// Where the others reach it; empty if that is for their settings to say. Becomes part of the
    /// membership.
    pub address: String,
    /// How often this peer, as primary, has the others compare their cells with its own. Default
    /// 10 min; 0 for never. It costs each peer about 50 ns for every cell, in which replication
    /// waits; so it is left out while that would be more than a twentieth of the failure timeout.
    pub verify_interval: Duration,
    /// What clients may ask of this peer, as primary. Default: their calls, and nothing else.
    pub client_rights: ClientRights,
    /// When this peer takes part in a new generation. Default: as soon as the protocol allows.
    pub new_generations: NewGenerations,
    /// What this peer holds at most.
    pub bounds: Bounds,
}
