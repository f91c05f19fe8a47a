//! Whether a peer counts, and whom it would hurt if it stopped: what paces a rollout.

use std::time::Duration;

use crate::driver::{Link, PeerStatus, Status};
use crate::id::{PeerKind, PeerName};
use crate::listing::listed;
use crate::peer::NotReadyError;
use crate::protocol::{CatchUp, PeerRole};

/// A peer did not count as a member within the time given.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCountedError {
    /// It could not even decide.
    #[error(transparent)]
    NotReady(#[from] NotReadyError),
    /// Decisions are made here, and this start of the peer does not count yet.
    #[error("{peer} does not count as a member after {waited:?}: {}", why(.catching_up, .missing))]
    NotCounted {
        /// This peer.
        peer: PeerName,
        /// How long it was waited for.
        waited: Duration,
        /// How far it is, while it is brought up to date.
        catching_up: Option<CatchUp>,
        /// Members that are not connected or do not count either: a majority of all has to agree.
        missing: Vec<PeerName>,
    },
}

fn why(catching_up: &Option<CatchUp>, missing: &[PeerName]) -> String {
    match (catching_up, missing) {
        (Some(CatchUp { received, total, .. }), _) => {
            format!("it is being brought up to date, {received} of about {total} cells are here")
        }
        (None, []) => "the primary has not counted it in yet".to_owned(),
        (None, missing) => {
            format!("a majority of the members has to count it in, and {}", absent(missing))
        }
    }
}

/// Why a peer had better not be stopped now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSafeToStop {
    /// It is the only member: nothing is decided while it is stopped, and in memory all counts are
    /// lost.
    #[error("{peer} is the only member: nothing is decided without it")]
    OnlyMember {
        /// This peer.
        peer: PeerName,
    },
    /// Those that would be left are no majority: nothing would be decided until others are back.
    #[error(
        "without {peer} only {} of {size} members would be left, and {needed} are needed: {}",
        left.len(),
        absent(missing)
    )]
    NoMajority {
        /// This peer.
        peer: PeerName,
        /// Members, reachable or not.
        size: usize,
        /// How many must be there.
        needed: usize,
        /// The others that are connected and count.
        left: Vec<PeerName>,
        /// The others that are not connected, or do not count yet.
        missing: Vec<PeerName>,
    },
    /// This peer is the primary, and none of the others may be promoted.
    #[error("{peer} is the primary, and no other member may be promoted: all have priority 0")]
    NoSuccessor {
        /// This peer.
        peer: PeerName,
    },
}

/// Whether the others go on if this peer stops now, as it sees them.
pub(crate) fn safe_to_stop(status: &Status) -> Result<(), NotSafeToStop> {
    if !status.members.iter().any(|member| member.name == status.name) {
        return Ok(());
    }
    let (peer, size) = (status.name.clone(), status.size);
    if size == 1 {
        return Err(NotSafeToStop::OnlyMember { peer });
    }
    let (left, missing) = others(status);
    let needed = size / 2 + 1;
    if left.len() < needed {
        return Err(NotSafeToStop::NoMajority { peer, size, needed, left, missing });
    }
    let may_follow = |other: &PeerStatus| other.priority != Some(0) && left.contains(&other.name);
    if status.role == PeerRole::Primary && !status.peers.iter().any(may_follow) {
        return Err(NotSafeToStop::NoSuccessor { peer });
    }
    Ok(())
}

/// Why this peer, which decides, does not count yet; `None` if it does, or never will.
pub(crate) fn uncounted(status: &Status, waited: Duration) -> Option<NotCountedError> {
    if is_counted(status) {
        return None;
    }
    let (_, missing) = others(status);
    let (peer, catching_up) = (status.name.clone(), status.catching_up);
    Some(NotCountedError::NotCounted { peer, waited, catching_up, missing })
}

/// Whether this start of the peer counts, or is of a kind that never does.
pub(crate) fn is_counted(status: &Status) -> bool {
    status.is_counted || status.role == PeerRole::Client
}

/// The other members: those that are connected and count, and those that are missing.
fn others(status: &Status) -> (Vec<PeerName>, Vec<PeerName>) {
    let is_there = |name: &PeerName| {
        let is_it = |peer: &PeerStatus| {
            let counts = peer.is_member && peer.kind != Some(PeerKind::Client);
            peer.name == *name && counts && peer.link == Link::Up
        };
        status.peers.iter().any(is_it)
    };
    let names = status.members.iter().map(|member| member.name.clone());
    names.filter(|name| *name != status.name).partition(is_there)
}

/// Who is not there, for people to read.
fn absent(missing: &[PeerName]) -> String {
    let names = listed(missing.iter().map(PeerName::as_str));
    match missing.len() {
        0 => "all others are there".to_owned(),
        1 => format!("{names} is not connected, or does not count yet"),
        _ => format!("{names} are not connected, or do not count yet"),
    }
}
