//! The pace of a rollout: whether a peer counts, and whom it would hurt if it stopped.

use std::fmt;
use std::time::Duration;

use crate::base::error::NoPrimaryReason;
use crate::base::id::{PeerKind, PeerName};
use crate::base::told::after;
use crate::driver::{Link, PeerStatus, Status, StorageState};
use crate::protocol::{CatchUp, PeerRole};

crate::told_to_people! { NotReadyError }

/// A peer could not decide within the time given.
#[derive(Clone, thiserror::Error)]
#[error("not ready{}: {}", after(*waited), status.with_missing(reason))]
#[non_exhaustive]
pub struct NotReadyError {
    /// The time that it was waited for.
    pub waited: Duration,
    /// The reason, as of the end.
    pub reason: NoPrimaryReason,
    /// The status at the end.
    pub status: Box<Status>,
}

/// A peer did not count as a member within the time given.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCountedError {
    /// It could not even decide.
    #[error(transparent)]
    NotReady(#[from] NotReadyError),
    /// Decisions are made here, and this start of the peer does not count yet.
    #[error("{peer} does not count as a member{}: {}", after(*waited), why(.catching_up, .missing))]
    NotCounted {
        /// This peer.
        peer: PeerName,
        /// The time that it was waited for.
        waited: Duration,
        /// Its progress, while it is brought up to date.
        catching_up: Option<CatchUp>,
        /// Members that do not count either: a majority of all has to agree.
        missing: Vec<Missing>,
    },
    /// It is a member, and has yet to come up with the primary since it started, or since it was
    /// cut off.
    #[error("{peer} does not count{}: {}", after(*waited), behind(.catching_up, *.lag))]
    Behind {
        /// This peer.
        peer: PeerName,
        /// The time that it was waited for.
        waited: Duration,
        /// Its progress, while it is brought up to date with more than one message.
        catching_up: Option<CatchUp>,
        /// The number of cuts that its state was behind the primary's at the last heartbeat, if
        /// that is known.
        lag: Option<u64>,
    },
    /// It was counted out of the group, and counts never again: it has left, or was forgotten.
    #[error(
        "{peer} does not count: it was counted out of the group, for good; end it, or start it \
         anew to join as a new member"
    )]
    Removed {
        /// This peer.
        peer: PeerName,
    },
    /// Its storage takes nothing any more: it promises and acknowledges nothing until it is started
    /// anew.
    #[error(
        "{peer} does not count: its storage takes nothing any more ({error}). Mend that, and start \
         it again"
    )]
    StorageFailed {
        /// This peer.
        peer: PeerName,
        /// The reason.
        error: String,
    },
}

fn why(catching_up: &Option<CatchUp>, missing: &[Missing]) -> String {
    match (catching_up, missing) {
        (Some(catch_up), _) => progress(catch_up),
        (None, []) => "the primary has not counted it in yet".to_owned(),
        (None, missing) => {
            format!("a majority of the members has to count it in, and {}", absent(missing))
        }
    }
}

fn behind(catching_up: &Option<CatchUp>, lag: Option<u64>) -> String {
    match (catching_up, lag) {
        (Some(catch_up), _) => progress(catch_up),
        (None, Some(lag)) => format!("its state is {lag} cuts behind the primary's"),
        (None, None) => "the primary has yet to see how far its state is".to_owned(),
    }
}

fn progress(CatchUp { received, total, .. }: &CatchUp) -> String {
    format!("it is being brought up to date, {received} of about {total} cells are here")
}

/// A member that is not there for the others, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Its name.
    pub name: PeerName,
    /// The reason why it does not count.
    pub why: Absence,
}

/// The reason why a member is not there for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Absence {
    /// It is not connected.
    NotConnected,
    /// This start of it has not been counted in yet.
    NotCounted,
    /// Its storage takes nothing any more.
    StorageFailed,
    /// It is about to end.
    Stopping,
    /// It has not come up with the primary, or does not hear it.
    Behind,
    /// It does not hear the one that would be primary.
    Apart,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Absence::NotConnected => "is not connected",
            Absence::NotCounted => "does not count yet",
            Absence::StorageFailed => "acknowledges nothing, for its storage has failed",
            Absence::Stopping => "is about to end",
            Absence::Behind => "does not keep up with the primary",
            Absence::Apart => "does not hear the rest",
        };
        write!(f, "{} {why}", self.name)
    }
}

/// The reason why a peer had better not be stopped now.
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
    /// There is no primary as far as this peer knows: it may be one of those who elect one.
    #[error("there is no primary at present, and {peer} may be needed to elect one")]
    NoPrimary {
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
        /// The number that must be there.
        needed: usize,
        /// The others that would go on together.
        left: Vec<PeerName>,
        /// The others that would not.
        missing: Vec<Missing>,
    },
    /// This peer is the primary, and none of the others may be promoted.
    #[error(
        "{peer} is the primary, and no other member may be promoted: those that would be left have \
         priority 0"
    )]
    NoSuccessor {
        /// This peer.
        peer: PeerName,
    },
}

/// Checks that the others go on if this peer stops now, as it sees them.
pub(crate) fn safe_to_stop(status: &Status) -> Result<(), NotSafeToStop> {
    if !status.members.iter().any(|member| member.name == status.name) {
        return Ok(());
    }
    let peer = status.name.clone();
    let size = status.size;
    if size == 1 {
        return Err(NotSafeToStop::OnlyMember { peer });
    }
    let has_lost = status.role == PeerRole::Primary && !status.quorum;
    if status.primary.is_none() || has_lost {
        return Err(NotSafeToStop::NoPrimary { peer });
    }
    let needed = size / 2 + 1;
    let (there, mut missing) = others(status, Needed::ToDecide);
    let may_lead = |other: &&&PeerStatus| match status.role {
        PeerRole::Primary => other.priority != Some(0),
        _ if there.iter().any(|peer| peer.role == PeerRole::Primary) => {
            other.role == PeerRole::Primary
        }
        // The primary is about to end as well.
        _ => other.priority != Some(0),
    };
    let of = |leader: &PeerStatus| {
        let (heard, apart): (Vec<_>, Vec<_>) =
            there.iter().partition(|other| hear_each_other(leader, other));
        let names = |peers: Vec<&&PeerStatus>| -> Vec<PeerName> {
            peers.into_iter().map(|peer| peer.name.clone()).collect()
        };
        (names(heard), names(apart))
    };
    let best = there.iter().filter(may_lead).map(|leader| of(leader));
    let best = best.max_by_key(|(heard, _)| heard.len());
    let (left, apart) = match best {
        Some(best) => best,
        None if there.len() >= needed => return Err(NotSafeToStop::NoSuccessor { peer }),
        None => (there.iter().map(|peer| peer.name.clone()).collect(), Vec::new()),
    };
    if left.len() >= needed {
        return Ok(());
    }
    missing.extend(apart.into_iter().map(|name| Missing { name, why: Absence::Apart }));
    Err(NotSafeToStop::NoMajority { peer, size, needed, left, missing })
}

fn hear_each_other(one: &PeerStatus, other: &PeerStatus) -> bool {
    one.name == other.name
        || (one.reaches.contains(&other.name) && other.reaches.contains(&one.name))
}

/// The reason why this peer, which decides, does not count yet; `None` if it does, or never will.
pub(crate) fn uncounted(status: &Status, waited: Duration) -> Option<NotCountedError> {
    let peer = status.name.clone();
    let catching_up = status.catching_up;
    if is_counted(status) {
        return None;
    }
    if is_removed(status) {
        return Some(NotCountedError::Removed { peer });
    }
    if status.storage_state == StorageState::Failed {
        let error = status.storage_error.clone().unwrap_or_default();
        return Some(NotCountedError::StorageFailed { peer, error });
    }
    if status.is_counted {
        return Some(NotCountedError::Behind { peer, waited, catching_up, lag: status.lag });
    }
    let (_, missing) = others(status, Needed::ToElect);
    Some(NotCountedError::NotCounted { peer, waited, catching_up, missing })
}

/// Returns true if this start of the peer was counted out of the group.
pub(crate) fn is_removed(status: &Status) -> bool {
    status.role == PeerRole::Removed
}

/// Returns true if this start of the peer counts and keeps up, or is of a kind that never does.
pub(crate) fn is_counted(status: &Status) -> bool {
    let is_sound = status.storage_state != StorageState::Failed;
    (status.is_counted && status.is_current && is_sound) || status.role == PeerRole::Client
}

/// Returns true if one more member may fail, or there are so few that none ever may.
pub(crate) fn may_lose_one(status: &Status) -> bool {
    status.spare >= 1 || status.size <= 2
}

/// The purpose that others are needed for. Those that do not keep up count for an election to come,
/// and not for the decisions that go on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    ToDecide,
    ToElect,
}

/// The other members: those that are there for each other, and those that are missing.
fn others(status: &Status, needed: Needed) -> (Vec<&PeerStatus>, Vec<Missing>) {
    let mut there = Vec::new();
    let mut missing = Vec::new();
    for member in status.members.iter().filter(|member| member.name != status.name) {
        let peer = status.peers.iter().find(|peer| peer.name == member.name);
        match peer.map(|peer| (peer, absence(peer, needed))) {
            Some((peer, None)) => there.push(peer),
            Some((_, Some(why))) => missing.push(Missing { name: member.name.clone(), why }),
            None => {
                missing.push(Missing { name: member.name.clone(), why: Absence::NotConnected });
            }
        }
    }
    (there, missing)
}

fn absence(peer: &PeerStatus, needed: Needed) -> Option<Absence> {
    if peer.link == Link::Down {
        Some(Absence::NotConnected)
    } else if peer.storage_failed {
        Some(Absence::StorageFailed)
    } else if peer.is_stopping {
        Some(Absence::Stopping)
    } else if !peer.is_member || peer.kind == Some(PeerKind::Client) {
        Some(Absence::NotCounted)
    } else if needed == Needed::ToDecide && (!peer.is_current || peer.suspects) {
        Some(Absence::Behind)
    } else {
        None
    }
}

/// The absent members and why they are, for people to read.
fn absent(missing: &[Missing]) -> String {
    if missing.is_empty() {
        return "all others are there".to_owned();
    }
    missing.iter().map(Missing::to_string).collect::<Vec<_>>().join("; ")
}
