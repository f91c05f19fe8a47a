//! How a group looks after its members, as part of the status of a peer.

use serde::Serialize;

use crate::base::id::PeerName;
use crate::base::told::millis;
use crate::config::MonitorChange;
use crate::protocol;

/// How a group looks after its members, as one peer sees it: who is live and who is blocked is for
/// the primary to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MonitorStatus {
    /// The number of live members that is kept; 0 if nobody is forgotten.
    pub size: usize,
    /// The silence after which a member is stale, in milliseconds.
    pub grace_ms: u64,
    /// The end of the pause in which nobody is forgotten, in milliseconds since the Unix epoch by
    /// the group's calendar.
    pub paused_until_ms: Option<u64>,
    /// Counts changes ([`Peer::change_monitor`](crate::Peer::change_monitor)); at 0 each primary
    /// goes by its own settings.
    pub revision: u64,
    /// Members that are live: they count, follow the primary, and keep up.
    pub live: usize,
    /// The number of live members that may fail before those that are left are no majority.
    pub spare: usize,
    /// Members that were silent for the grace, the longest silent first.
    pub stale: Vec<PeerName>,
    /// Joiners that are up to date, and are not counted in before a member has gone; told by the
    /// primary.
    pub waiting: Vec<PeerName>,
    /// What keeps the primary from forgetting whom it would; told by the primary.
    pub blocked: Option<String>,
}

/// What a peer that reaches no majority knows of what would bring one back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Lost {
    /// Members that are not in reach.
    pub waiting_for: Vec<PeerName>,
    /// Who of those in reach holds the most, this peer included; `None` if nobody holds anything.
    pub best: Option<PeerName>,
    /// When the state that this peer holds was made, in milliseconds since the Unix epoch by the
    /// group's calendar.
    pub as_of_ms: Option<u64>,
    /// The reason why [`Peer::force_primary`](crate::Peer::force_primary) without those that are
    /// waited for would be refused here; `None` if it would not.
    pub would_force: Option<String>,
}

impl From<protocol::Lost> for Lost {
    fn from(lost: protocol::Lost) -> Self {
        Self {
            waiting_for: lost.waiting_for,
            best: lost.best,
            as_of_ms: lost.as_of.map(|as_of| as_of.as_millis()),
            would_force: lost.why_not_force.map(|error| error.to_string()),
        }
    }
}

impl MonitorStatus {
    pub(super) fn new(status: protocol::MonitorStatus, spare: usize) -> Self {
        Self {
            size: status.monitor.map_or(0, |monitor| monitor.size()),
            grace_ms: millis(status.grace),
            paused_until_ms: status.paused_until.map(|until| until.as_millis()),
            revision: status.revision,
            live: status.live,
            spare,
            stale: status.stale,
            waiting: status.waiting,
            blocked: status.blocked.map(|restraint| restraint.to_string()),
        }
    }
}

impl MonitorStatus {
    /// What is known where the change was asked for by a peer that holds no membership.
    pub(in crate::driver) fn of_change(change: MonitorChange, revision: u64) -> Self {
        let monitor = match change {
            MonitorChange::Set(monitor) => Some(monitor),
            MonitorChange::Off | MonitorChange::Pause(_) | MonitorChange::Resume => None,
        };
        Self {
            size: monitor.map_or(0, |monitor| monitor.size()),
            grace_ms: monitor.and_then(|monitor| monitor.own_grace()).map_or(0, millis),
            paused_until_ms: None,
            revision,
            live: 0,
            spare: 0,
            stale: Vec::new(),
            waiting: Vec::new(),
            blocked: None,
        }
    }
}
