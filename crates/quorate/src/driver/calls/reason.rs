//! Why there is no primary, as far as one peer can tell: the first of these that is the case.
//!
//! | reason | is the case where |
//! |---|---|
//! | `LeaseEnded` | this peer is the primary and has lost its majority |
//! | `CountedOut` | a newer generation has counted it out |
//! | `Removed` | it was counted out |
//! | `Incomplete` | a new generation waits for members that are missing |
//! | `SiteSealed` | the site that decided has given that up |
//! | `SiteUnconfirmed` | it leads a site that was down, and has not heard of the other one |
//! | `SitePassive` | it follows the other site, whose primary it hears, and takes no calls |
//! | `SitePending` | it stands at a site, and knows of none that decides |
//! | `Refused` | so many members are refused, here or there, that the rest is no majority, or all |
//! | `NotReached` | a joiner or client is connected to nobody |
//! | `NoQuorum` | fewer than a majority of the members are connected |
//! | `NotConnected` | one that is connected follows, or hears, a primary that is not |
//! | `NoCandidate` | none of those that are may be promoted |
//! | `Electing` | a majority of those that count is connected |
//! | `Founding` | nobody of those that are connected holds a state |
//! | `NotCounted` | what is left: some of them do not count |

use std::collections::BTreeSet;

use crate::base::error::NoPrimaryReason;
use crate::base::id::{PeerKind, PeerName};
use crate::protocol::{MachinePeer, MachineStatus, PeerRole};

/// What the driver knows of this peer and the members.
pub(in crate::driver) struct Known<'a> {
    pub(in crate::driver) own: &'a PeerName,
    pub(in crate::driver) kind: PeerKind,
    pub(in crate::driver) members: &'a BTreeSet<PeerName>,
}

/// See the module's documentation; `is_refused` is asked only where no majority is connected.
pub(in crate::driver) fn no_primary(
    status: &MachineStatus,
    known: &Known<'_>,
    is_refused: impl FnOnce() -> bool,
) -> NoPrimaryReason {
    let Known { own, kind, members } = *known;
    let site = status.site.as_ref();
    if site.is_some_and(|site| site.is_sealed) {
        return NoPrimaryReason::SiteSealed;
    }
    let is_led = status.role == PeerRole::Primary || status.primary.is_some();
    if site.is_some_and(|site| !site.is_passive && !site.is_confirmed) && is_led {
        return NoPrimaryReason::SiteUnconfirmed;
    }
    match status.role {
        PeerRole::Primary => return NoPrimaryReason::LeaseEnded,
        _ if status.is_disowned => return NoPrimaryReason::CountedOut,
        PeerRole::Removed => return NoPrimaryReason::Removed,
        _ if !status.missing.is_empty() => return NoPrimaryReason::Incomplete,
        PeerRole::Standby if status.primary.is_some() => return NoPrimaryReason::SitePassive,
        _ if is_pending(status) => return NoPrimaryReason::SitePending,
        _ => {}
    }
    let is_member = kind != PeerKind::Client && members.contains(own);
    let is_fellow = |peer: &&MachinePeer| peer.is_linked && members.contains(&peer.name);
    let fellows: Vec<&MachinePeer> = status.peers.iter().filter(is_fellow).collect();
    let reached = fellows.len() + usize::from(is_member);
    if reached <= members.len() / 2 {
        let is_alone = !is_member && fellows.is_empty();
        return match is_refused() {
            true => NoPrimaryReason::Refused,
            false if is_alone => NoPrimaryReason::NotReached,
            false => NoPrimaryReason::NoQuorum,
        };
    }
    let is_fellow = |name: &PeerName| fellows.iter().any(|fellow| fellow.name == *name);
    let is_apart = |name: &&PeerName| *name != own && members.contains(*name) && !is_fellow(name);
    let is_led =
        fellows.iter().filter_map(|peer| peer.follows.as_ref()).any(|name| is_apart(&name));
    // The others have no reason to elect anybody: it is this peer's connection that is gone.
    let primary = status.primary.as_ref().filter(|primary| *primary != own && !is_fellow(primary));
    let is_heard = primary.is_some_and(|primary| {
        fellows.iter().any(|peer| !peer.suspects && peer.reaches.contains(primary))
    });
    if is_heard || (is_led && (status.quorum || !is_member)) {
        return NoPrimaryReason::NotConnected;
    }
    // One that has not said may be promoted.
    let may_lead = |peer: &&MachinePeer| peer.priority != Some(0);
    let is_candidate = is_member && status.priority > 0;
    if !is_candidate && !fellows.iter().any(may_lead) {
        return NoPrimaryReason::NoCandidate;
    }
    if status.quorum || !is_member {
        return NoPrimaryReason::Electing;
    }
    let holds_state = !status.position.is_blank() || fellows.iter().any(|peer| peer.holds_state);
    if holds_state { NoPrimaryReason::NotCounted } else { NoPrimaryReason::Founding }
}

/// Returns true if this peer stands at a site, and knows of none that decides.
fn is_pending(status: &MachineStatus) -> bool {
    let site = status.site.as_ref();
    site.is_some_and(|site| site.active.is_none()) && status.position.is_blank()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Ballot, Position};

    fn fellow(name: &str, reaches: &[&str]) -> MachinePeer {
        MachinePeer {
            name: name.into(),
            incarnation: None,
            is_linked: true,
            role: PeerRole::Replica,
            kind: Some(PeerKind::Member),
            priority: Some(0),
            holds_state: true,
            lag: Some(0),
            id: None,
            is_member: true,
            suspects: false,
            is_current: true,
            is_stopping: false,
            has_failed: false,
            follows: None,
            reaches: reaches.iter().map(|name| (*name).into()).collect(),
        }
    }

    /// A learner among others that follow a primary and are never promoted themselves.
    fn learner(fellows: Vec<MachinePeer>) -> MachineStatus {
        MachineStatus {
            role: PeerRole::Joining,
            priority: 0,
            ballot: Ballot::NONE,
            primary: Some("a".into()),
            quorum: false,
            size: 3,
            members: Vec::new(),
            position: Position::BLANK,
            group_id: None,
            lag: None,
            is_counted: false,
            is_current: false,
            unreplicated_units: 0,
            catching_up: None,
            peers: fellows,
            primary_silence: None,
            missing: Vec::new(),
            spare: 0,
            monitor: None,
            lost: None,
            is_disowned: false,
            site: None,
        }
    }

    fn reason(status: &MachineStatus) -> NoPrimaryReason {
        let members = ["a", "b", "c"].map(PeerName::from).into();
        let known = Known { own: &"c".into(), kind: PeerKind::Member, members: &members };
        no_primary(status, &known, || false)
    }

    /// It was told that nobody may be promoted, or that those in reach do not count.
    #[test]
    fn a_connection_that_is_gone_is_no_want_of_a_primary() {
        let mut status = learner(vec![fellow("b", &["a", "c"])]);
        assert_eq!(reason(&status), NoPrimaryReason::NotConnected);
        status.priority = 1;
        assert_eq!(reason(&status), NoPrimaryReason::NotConnected);
        // Nobody hears it any more, or holds it gone.
        status.peers[0].reaches.clear();
        assert_eq!(reason(&status), NoPrimaryReason::NotCounted);
        status = learner(vec![fellow("b", &["a", "c"])]);
        status.peers[0].suspects = true;
        assert_eq!(reason(&status), NoPrimaryReason::NoCandidate);
        status.peers[0].suspects = false;
        status.primary = None;
        assert_eq!(reason(&status), NoPrimaryReason::NoCandidate);
    }
}
