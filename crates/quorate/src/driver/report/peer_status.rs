//! Each other peer as a peer knows it, and the addresses at which it looks for members.

use serde::Serialize;

use crate::base::id::{Incarnation, Member, PeerKind, PeerName};
use crate::driver::links::reach::{LinkError, LinkErrorReason};
use crate::driver::links::settings::Difference;
use crate::driver::shared::Shared;
use crate::protocol::{MachinePeer, PeerRole};
use crate::transport::{Certificate, Protection};

/// The state of the control and the data lane to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Link {
    /// One or both are not connected.
    Down,
    /// Both are connected.
    Up,
}

/// An address at which a joiner or client looks for members, and has met none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ContactStatus {
    /// The address, as it was given.
    pub address: String,
    /// The outcome of the last try.
    pub link_error: LinkError,
}

impl ContactStatus {
    pub(super) fn all(shared: &Shared) -> Vec<Self> {
        let is_looking = shared.looks_for_members();
        let contacts = if is_looking { shared.reach.contacts() } else { Vec::new() };
        contacts.into_iter().map(|(address, link_error)| Self { address, link_error }).collect()
    }
}

/// Another peer, as a peer knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its name.
    pub name: PeerName,
    /// The address at which it is dialed.
    pub address: String,
    /// The state of the connections to it.
    pub link: Link,
    /// The reason why it is not connected, while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_error: Option<LinkError>,
    /// The protection of the least protected connection to it from being read by others. `None`
    /// while there are none.
    pub protection: Option<Protection>,
    /// The certificate that it has shown, while it is connected by TLS.
    pub certificate: Option<Certificate>,
    /// Its role, as far as it is known: of one that is not connected what it was, and of a member
    /// that was never connected [`PeerRole::Joining`].
    pub role: PeerRole,
    /// Its kind: a member, a joiner or a client; `None` if it was never connected.
    pub kind: Option<PeerKind>,
    /// Its priority, once heard.
    pub priority: Option<u8>,
    /// The start of it that is linked, or was last.
    pub incarnation: Option<Incarnation>,
    /// The number of cuts that its state is behind the primary's: at the primary by what it has
    /// confirmed until now, elsewhere by what it said itself with its last heartbeat. `None` if it
    /// has not said, and of whoever holds no state.
    pub lag: Option<u64>,
    /// True if its incarnation counts as a member, and will whatever becomes of a change under way.
    /// Of one that has restarted: whether it has been counted in again.
    pub is_member: bool,
    /// True if it holds the primary unreachable.
    pub suspects: bool,
    /// True if it is the primary, or keeps up with it and acknowledges what comes: at the primary
    /// by what it has promised and confirmed, elsewhere by what it said with its last heartbeat.
    pub is_current: bool,
    /// True if it has said that it is about to end.
    pub is_stopping: bool,
    /// True if it has said that its storage takes nothing any more.
    pub storage_failed: bool,
    /// The other members that it hears, as of its last heartbeat.
    pub reaches: Vec<PeerName>,
    /// Differences between settings of it that may roll, its model's and `tls`, and this peer's, at
    /// the start of it that was connected last. Kept of 64 peers, members before others.
    pub differs: Vec<Difference>,
}

impl PeerStatus {
    /// `told` are the members as others say, at a peer that holds no list of its own.
    pub(super) fn new(shared: &Shared, told: &[Member], peer: MachinePeer) -> Self {
        let is_told = |member: &Member| member.name == peer.name && member.id == peer.id;
        let is_member = peer.is_member || (peer.id.is_some() && told.iter().any(is_told));
        let (protection, certificate) = shared.registry.security(&peer.name);
        let link = if peer.is_linked { Link::Up } else { Link::Down };
        Self {
            link,
            link_error: link_error(shared, &peer.name, link),
            address: shared.roster.address(&peer.name),
            kind: match peer.kind {
                // It may have been a joiner once.
                Some(_) if shared.roster.members().contains(&peer.name) => Some(PeerKind::Member),
                kind => kind,
            },
            differs: shared.differences.of(&peer.name),
            name: peer.name,
            protection,
            certificate,
            role: match peer.role {
                PeerRole::Joining if is_member => PeerRole::Replica,
                role => role,
            },
            priority: peer.priority,
            incarnation: peer.incarnation,
            lag: peer.lag,
            is_member,
            suspects: peer.suspects,
            is_current: peer.is_current,
            is_stopping: peer.is_stopping,
            storage_failed: peer.has_failed,
            reaches: peer.reaches,
        }
    }

    /// A member that was told of, and was never connected.
    pub(super) fn of_unmet(shared: &Shared, name: &PeerName) -> Self {
        Self {
            name: name.clone(),
            address: shared.roster.address(name),
            link: Link::Down,
            link_error: link_error(shared, name, Link::Down),
            protection: None,
            certificate: None,
            role: PeerRole::Joining,
            kind: None,
            priority: None,
            incarnation: None,
            lag: None,
            is_member: false,
            suspects: false,
            is_current: false,
            is_stopping: false,
            storage_failed: false,
            reaches: Vec::new(),
            differs: shared.differences.of(name),
        }
    }
}

/// The reason why a peer is not linked.
pub(super) fn link_error(shared: &Shared, peer: &PeerName, link: Link) -> Option<LinkError> {
    use LinkErrorReason::{NotDialed, NotTried};
    let untried = || match shared.roster.dialed().contains(peer) {
        true => LinkError::without_trial(NotTried, "no try to connect has come to an end yet"),
        false => LinkError::without_trial(NotDialed, "it is not dialed from here"),
    };
    (link == Link::Down).then(|| shared.reach.of(peer).unwrap_or_else(untried))
}
