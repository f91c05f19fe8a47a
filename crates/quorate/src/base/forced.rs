//! What came of making a peer primary by force.

use serde::Serialize;

use crate::base::id::{Generation, GroupId, GroupTime, PeerName, Position};

/// What came of making a peer primary by force
/// ([`Peer::force_primary`](crate::Peer::force_primary)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forced {
    /// The new generation.
    pub generation: Generation,
    /// The group's id from now on.
    pub group_id: GroupId,
    /// The state that it goes on from: the freshest among those that are left.
    pub position: Position,
    /// When that state was made, by the group's calendar: all that was decided up to then is kept,
    /// and what only the gone held of later decisions is lost.
    pub as_of: GroupTime,
    /// Members that are none any more, by name.
    pub gone: Vec<PeerName>,
}
