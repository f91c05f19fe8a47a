//! Errors of settings: the rule, the value that breaks it, and what to write instead.

use std::time::Duration;

use super::MAX_MEMBERS;
use super::address::{AddressFault, AddressGiven};
use super::storage::SyncPolicy;
use crate::base::id::{MAX_NAME_BYTES, PeerKind, PeerName};
use crate::base::told::whole;

crate::told_to_people! { ConfigError }

/// A rule that the settings break; nothing was started.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A group or peer name is empty, too long, or has characters other than letters, digits,
    /// `-`, `_` and `.`.
    #[error(
        "the name {name:?} of a {what} is not usable: use 1 to {MAX_NAME_BYTES} letters, digits, \
         \"-\", \"_\" and \".\""
    )]
    Name {
        /// `group` or `peer`.
        what: &'static str,
        /// The name given.
        name: String,
    },
    /// This peer's own name is not in the member list.
    #[error("this peer is called {name} but the member list is {members}: add it to the list")]
    NotListed {
        /// This peer's name.
        name: PeerName,
        /// The list, comma-separated.
        members: String,
    },
    /// A name stands twice in the member list.
    #[error("the member list names {name} twice: take one of them out, or call it otherwise")]
    Twice {
        /// The name.
        name: PeerName,
    },
    /// A client or joiner has the name of a member of its own list.
    #[error(
        "this peer is called {name}, as a member in `.members(..)` is, and {}",
        own_name_advice(*.kind)
    )]
    OwnNameListed {
        /// The name.
        name: PeerName,
        /// The kind of the peer.
        kind: PeerKind,
    },
    /// Two names differ only in capitals: they would be two peers here, and one to DNS and to
    /// people.
    #[error(
        "the names {first} and {second} differ only in capitals, which certificates and people do \
         not tell apart: rename one of the two"
    )]
    Alike {
        /// The name that stands first in the list.
        first: PeerName,
        /// The other one.
        second: PeerName,
    },
    /// Both sites have one name.
    #[error("both sites are called {name}: give each a name of its own")]
    OneSite {
        /// The name.
        name: String,
    },
    /// A client stands at a site.
    #[error("a site is for members and joiners, and this peer is a client: leave `site` out")]
    SiteOfClient,
    /// Two members have one address.
    #[error("{first} and {second} are both at {address}: give each member an address of its own")]
    SameAddress {
        /// The member that stands first in the list.
        first: PeerName,
        /// The other one.
        second: PeerName,
        /// The address of both.
        address: String,
    },
    /// A joiner or client has been told of no member.
    #[error("there is no address of a member to join at: name one by `.join(..)`")]
    NoContact,
    /// An address cannot be used for what it was given for.
    #[error("the address {address:?} {given} {fault}")]
    Address {
        /// The place where it was given.
        given: AddressGiven,
        /// The address.
        address: String,
        /// The fault.
        fault: AddressFault,
    },
    /// The group has no members or too many.
    #[error("a group has 1 to {MAX_MEMBERS} members, not {count}: {}", size_advice(*.count))]
    Size {
        /// Members listed.
        count: usize,
    },
    /// Heartbeats are too rare for the failure timeout.
    #[error(
        "a heartbeat of {} is too slow for a failure timeout of {}: use at most a quarter of that",
        whole(*heartbeat), whole(*failure_timeout)
    )]
    Heartbeat {
        /// The heartbeat given.
        heartbeat: Duration,
        /// The failure timeout given.
        failure_timeout: Duration,
    },
    /// Heartbeats without a pause.
    #[error(
        "a heartbeat of 0 would leave no pause: use more than 0, and at most a quarter of the \
         failure timeout, {}",
        whole(*failure_timeout)
    )]
    HeartbeatZero {
        /// The failure timeout given.
        failure_timeout: Duration,
    },
    /// The failure timeout is below 20 ms or above an hour.
    #[error(
        "a failure timeout of {} is out of range: use 20ms to 1h", whole(*failure_timeout)
    )]
    FailureTimeout {
        /// The failure timeout given.
        failure_timeout: Duration,
    },
    /// Changes are collected for longer than a heartbeat.
    #[error(
        "a replication interval of {} is out of range: use 0 to a heartbeat, {}",
        whole(*interval), whole(*heartbeat)
    )]
    ReplicationInterval {
        /// The interval given.
        interval: Duration,
        /// The heartbeat given.
        heartbeat: Duration,
    },
    /// The I/O timeout is zero or above an hour.
    #[error("an I/O timeout of {} is out of range: use 1ms to 1h", whole(*io_timeout))]
    IoTimeout {
        /// The I/O timeout given.
        io_timeout: Duration,
    },
    /// A monitor of no members, or of more than there may be.
    #[error(
        "a monitor of {size} members is out of range: say how many are deployed, 1 to {MAX_MEMBERS}"
    )]
    MonitorSize {
        /// The size given.
        size: usize,
    },
    /// A member would be taken for gone while it may be an election that it is silent for, or
    /// hardly ever.
    #[error(
        "a grace of {} is out of range: use the failure timeout, {}, to 30d",
        whole(*grace), whole(*failure_timeout)
    )]
    MonitorGrace {
        /// The grace given.
        grace: Duration,
        /// The failure timeout.
        failure_timeout: Duration,
    },
    /// A pause of no time, or of more than a day: whoever has forgotten it is to be safe again.
    #[error("a pause of {} is out of range: use 1ms to 24h", whole(*pause))]
    MonitorPause {
        /// The pause given.
        pause: Duration,
    },
    /// The agreement is zero or larger than a majority of the group: with the loss of a minority,
    /// the primary among it, nobody could agree any more.
    #[error("an agreement of {agreement} is out of range: use 1 to {}", most_agreement(*.members))]
    Agreement {
        /// The agreement given.
        agreement: usize,
        /// Members listed.
        members: usize,
    },
    /// A bound is zero or smaller than the smallest that works.
    #[error("a {field} of {value} is out of range: use at least {min}")]
    Bound {
        /// Name of the setting.
        field: &'static str,
        /// The value given.
        value: u64,
        /// The smallest that works.
        min: u64,
    },
    /// A peer with storage on disk has no directory.
    #[error("storage on disk needs a directory: name one that is this peer's own")]
    NoDirectory,
    /// Syncs are too frequent or too rare.
    #[error(
        "a sync interval of {} is out of range: use {} to {}, or SyncPolicy::EveryBatch",
        whole(*interval), whole(SyncPolicy::MIN_INTERVAL), whole(SyncPolicy::MAX_INTERVAL)
    )]
    SyncInterval {
        /// The interval given.
        interval: Duration,
    },
    /// The model has more settings than the handshake carries.
    #[error("the model has {count} settings: at most {max} fit into the handshake")]
    ModelSettings {
        /// Settings that the model names.
        count: usize,
        /// The most that fit.
        max: usize,
    },
    /// A setting of the model is longer than the handshake carries.
    #[error(
        "the model's setting {field} is {bytes} bytes long, at most {max} fit: use a hash of it"
    )]
    ModelSetting {
        /// Its name.
        field: String,
        /// Bytes of its name and its value.
        bytes: usize,
        /// The most that fit.
        max: usize,
    },
}

/// The largest agreement for so many members: the smallest majority, which is what is left when all
/// others are lost.
pub(super) fn most_agreement(members: usize) -> usize {
    (members / 2 + 1).max(2)
}

fn size_advice(count: usize) -> &'static str {
    if count == 0 { "name them by `.members(..)`, this peer included" } else { "list fewer" }
}

fn own_name_advice(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Client => {
            "is a client by `.client()`: give it a name of its own, or leave that out"
        }
        _ => {
            "is to join a group by `.join(..)`: leave that out where it founds the group, or take \
             it out of the list"
        }
    }
}

pub(super) fn join(names: &[PeerName]) -> String {
    names.iter().map(PeerName::as_str).collect::<Vec<_>>().join(",")
}
