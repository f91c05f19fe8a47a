//! Settings: those that must be equal at all peers, and those of one peer.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::address::{AddressFault, AddressGiven};
use crate::generations::NewGenerations;
use crate::id::{MAX_NAME_BYTES, PeerKind, PeerName};
use crate::storage::{StorageKind, SyncPolicy};
use crate::told::whole;
use crate::words::bound;

crate::told_to_people! { ConfigError }

/// What the clients of a group may have it do besides deciding their calls, and joiners that are no
/// members yet with them.
///
/// Default: nothing. What counts is what the primary's settings say, so every member is given the
/// same. Over TLS it is proved who is a client; in plain text its word is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClientRights {
    /// Have it decide by another policy, which for rate limits is by other limits
    /// ([`PeerBuilder::clients_may_change_policy`](crate::PeerBuilder::clients_may_change_policy)).
    pub change_policy: bool,
    /// Have it forget members that are gone
    /// ([`PeerBuilder::clients_may_remove_members`](crate::PeerBuilder::clients_may_remove_members)).
    pub remove_members: bool,
    /// Have the primary hand over
    /// ([`PeerBuilder::clients_may_switch_primary`](crate::PeerBuilder::clients_may_switch_primary)).
    pub switch_primary: bool,
}

/// What a peer without a primary does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// It refuses.
    #[default]
    Strict,
    /// It decides alone and says so in the answer.
    Relaxed,
}

crate::words! { Mode, "mode", Strict => "strict", Relaxed => "relaxed" }

/// What becomes of decisions that a relaxed peer made alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnReconnect {
    /// They are merged into the new primary's counts.
    #[default]
    Merge,
    /// They are dropped; the new primary's counts stand.
    Overwrite,
}

crate::words! { OnReconnect, "value of on_reconnect", Merge => "merge", Overwrite => "overwrite" }

/// When a caller is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Acknowledge {
    /// After a majority of the members holds the change: nothing acknowledged is ever lost.
    Majority,
    /// After the primary's own write: a failover may lose up to `max_unreplicated` units.
    #[default]
    Primary,
}

crate::words! { Acknowledge, "value of acknowledge", Primary => "primary", Majority => "majority" }

/// Settings that all peers of a group share; their fingerprint travels in the handshake.
///
/// # Defaults
///
/// Those of the gateways this behaviour comes from: heartbeat 1 s, failure timeout 10 s, two
/// replicas agreeing, calls ended after 30 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Name of the group, 1 to 64 bytes. Default `default`.
    pub group: String,
    /// The same list at every peer, this one included: 1 to 7 names, each once.
    pub members: Vec<PeerName>,
    /// What a peer without a primary does. Default [`Mode::Strict`].
    pub mode: Mode,
    /// What becomes of local decisions. Default [`OnReconnect::Merge`]. Used in relaxed mode only.
    pub on_reconnect: OnReconnect,
    /// When a caller is answered. Default [`Acknowledge::Primary`].
    pub acknowledge: Acknowledge,
    /// Where cells live. Default [`StorageKind::Memory`].
    pub storage: StorageKind,
    /// Time between two heartbeats. Default 1 s; at most a quarter of `failure_timeout`. A
    /// [`PeerBuilder`](crate::PeerBuilder) that is told of no heartbeat takes
    /// [`GroupConfig::heartbeat_within`].
    pub heartbeat: Duration,
    /// Silence after which a primary counts as unreachable. Default 10 s; at least 20 ms. The
    /// primary's lease is four fifths of it.
    pub failure_timeout: Duration,
    /// Replicas that must agree before an election starts. Default 2, at least 1, and at most the
    /// smallest majority of the members (2 in a group of three, 3 of five): what is left when a
    /// minority is lost can agree then. Where members have gone since, no more are asked than a
    /// majority of those that are left. A group of two has no failover.
    pub agreement: usize,
    /// After this time without an outcome a call ends. Default 30 s.
    pub io_timeout: Duration,
    /// How long changes are collected before they are sent on, under [`Acknowledge::Primary`]. A
    /// cell that changes often travels once in this time, and a failover loses what was decided in
    /// it. Default 1 ms, which is also what timers resolve; at most a heartbeat; 0 sends on
    /// whatever there is as soon as the last has arrived.
    pub replication_interval: Duration,
    /// Most units that may be acknowledged and not yet held by a majority, under
    /// [`Acknowledge::Primary`]; further answers wait for the majority. Default 100,000.
    ///
    /// Answers may begin to wait up to a sixteenth of the bound early: each shard counts some of its
    /// units by itself, so that calls on different shards need not share a counter, and what it may
    /// have counted is allowed for. The bound itself is never passed.
    pub max_unreplicated: u64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            group: "default".into(),
            members: Vec::new(),
            mode: Mode::default(),
            on_reconnect: OnReconnect::default(),
            acknowledge: Acknowledge::default(),
            storage: StorageKind::default(),
            heartbeat: Duration::from_secs(1),
            failure_timeout: Duration::from_secs(10),
            agreement: 2,
            io_timeout: Duration::from_secs(30),
            replication_interval: Duration::from_millis(1),
            max_unreplicated: 100_000,
        }
    }
}

/// Most members of a group.
pub const MAX_MEMBERS: usize = 7;

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
        /// What the peer is to the group.
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
        /// Where it was given.
        given: AddressGiven,
        /// The address.
        address: String,
        /// What is wrong with it.
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

impl GroupConfig {
    /// Checks all rules and returns every one that is broken.
    ///
    /// # Errors
    ///
    /// One entry per broken rule.
    pub fn check(&self, me: &PeerName) -> Result<(), Vec<ConfigError>> {
        self.check_as(me, PeerKind::Member)
    }

    /// The same for a peer of any kind: a joiner or client need not know the members.
    pub(crate) fn check_as(&self, me: &PeerName, kind: PeerKind) -> Result<(), Vec<ConfigError>> {
        let mut errors = Vec::new();
        if !is_name(&self.group) {
            errors.push(ConfigError::Name { what: "group", name: self.group.clone() });
        }
        let mut seen: BTreeSet<&PeerName> = BTreeSet::new();
        if kind != PeerKind::Member && self.members.contains(me) {
            errors.push(ConfigError::OwnNameListed { name: me.clone(), kind });
        }
        let others = Some(me).filter(|me| kind != PeerKind::Member && !self.members.contains(me));
        for name in self.members.iter().chain(others) {
            if !is_name(name.as_str()) {
                errors.push(ConfigError::Name { what: "peer", name: name.to_string() });
            }
            if let Some(first) = seen.iter().find(|other| name.differs_only_in_case(other)) {
                let first = PeerName::clone(first);
                errors.push(ConfigError::Alike { first, second: name.clone() });
            }
            if !seen.insert(name) {
                errors.push(ConfigError::Twice { name: name.clone() });
            }
        }
        let count = self.members.len();
        let has_list = kind == PeerKind::Member;
        if (count == 0 && has_list) || count > MAX_MEMBERS {
            errors.push(ConfigError::Size { count });
        } else if has_list && !seen.contains(me) {
            let members = join(&self.members);
            errors.push(ConfigError::NotListed { name: me.clone(), members });
        }
        let failure_timeout = self.failure_timeout;
        let is_timeout_usable = (MIN_FAILURE_TIMEOUT..=HOUR).contains(&failure_timeout);
        if !is_timeout_usable {
            errors.push(ConfigError::FailureTimeout { failure_timeout });
        }
        if self.heartbeat.is_zero() {
            errors.push(ConfigError::HeartbeatZero { failure_timeout });
        } else if is_timeout_usable && self.heartbeat > failure_timeout / 4 {
            let heartbeat = self.heartbeat;
            errors.push(ConfigError::Heartbeat { heartbeat, failure_timeout });
        }
        if self.io_timeout < Duration::from_millis(1) || self.io_timeout > HOUR {
            errors.push(ConfigError::IoTimeout { io_timeout: self.io_timeout });
        }
        // A heartbeat of zero is what is wrong then.
        if self.replication_interval > self.heartbeat && !self.heartbeat.is_zero() {
            let (interval, heartbeat) = (self.replication_interval, self.heartbeat);
            errors.push(ConfigError::ReplicationInterval { interval, heartbeat });
        }
        let most = if has_list { count } else { MAX_MEMBERS };
        if self.agreement == 0 || self.agreement > most_agreement(most) {
            let agreement = self.agreement;
            errors.push(ConfigError::Agreement { agreement, members: most });
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The settings as (field, value), in the order in which a difference is reported.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut members = self.members.clone();
        members.sort();
        [
            (MEMBERS, join(&members)),
            ("mode", format!("{:?}", self.mode).to_lowercase()),
            ("on_reconnect", format!("{:?}", self.on_reconnect).to_lowercase()),
            ("acknowledge", format!("{:?}", self.acknowledge).to_lowercase()),
            (STORAGE, self.storage.to_string()),
            ("heartbeat", format!("{:?}", self.heartbeat)),
            ("failure_timeout", format!("{:?}", self.failure_timeout)),
            ("agreement", self.agreement.to_string()),
            ("io_timeout", format!("{:?}", self.io_timeout)),
            ("replication_interval", format!("{:?}", self.replication_interval)),
            ("max_unreplicated", self.max_unreplicated.to_string()),
        ]
        .map(|(field, value)| (field.to_owned(), value))
        .to_vec()
    }

    /// A hash of all settings, the same at peers that agree.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0x71_75_6f_72, 0x61_74_65);
        for (field, value) in self.settings() {
            for part in [&self.group, &field, &value] {
                hasher.write(part.as_bytes());
                hasher.write_u8(0xff);
            }
        }
        hasher.finish()
    }

    /// The heartbeat where only a failure timeout is set: 1 s, or a tenth of the failure timeout
    /// where 1 s would be more than a quarter of that.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate::GroupConfig;
    ///
    /// let within = |ms| GroupConfig::heartbeat_within(Duration::from_millis(ms)).as_millis();
    /// assert_eq!([within(10_000), within(4_000), within(2_000)], [1_000, 1_000, 200]);
    /// ```
    pub fn heartbeat_within(failure_timeout: Duration) -> Duration {
        let usual = Self::default().heartbeat;
        // Of one that is out of range nothing follows: that one is what is wrong then.
        let is_usable = failure_timeout >= MIN_FAILURE_TIMEOUT;
        if is_usable && usual > failure_timeout / 4 { failure_timeout / 10 } else { usual }
    }

    /// How long the primary may decide after the send time of heartbeats that a majority answered.
    pub fn lease(&self) -> Duration {
        self.failure_timeout * 4 / 5
    }

    /// What the wall clock may gain on the clock of leases before that one is taken to have stood:
    /// a hundredth of the failure timeout, far below what a promise lasts beyond its lease.
    pub(crate) fn longest_gain(failure_timeout: Duration) -> Duration {
        failure_timeout / 100
    }

    /// The same of another peer's wall clock, whose readings come late and which may drift: half of
    /// what a promise lasts beyond its lease.
    pub(crate) fn longest_remote_gain(&self) -> Duration {
        (self.failure_timeout - self.lease()) / 2
    }

    /// How long after it has answered a heartbeat a replica takes it that the lease may run which
    /// rests on the answer: the lease, and a quarter of what a promise lasts beyond it, for clocks
    /// that drift apart.
    pub(crate) fn longest_lease(&self) -> Duration {
        let lease = self.lease();
        lease + (self.failure_timeout - lease) / 4
    }
}

/// The setting that lists the members: it must be the same only where both peers found by it.
pub(crate) const MEMBERS: &str = "members";
/// The setting of where cells live: a client has none.
pub(crate) const STORAGE: &str = "storage";
/// Room for the most cells there may be, with keys of about 80 bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024 * 1024;
const MIN_FAILURE_TIMEOUT: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The largest agreement for so many members: the smallest majority, which is what is left when all
/// others are lost.
fn most_agreement(members: usize) -> usize {
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

fn join(names: &[PeerName]) -> String {
    names.iter().map(PeerName::as_str).collect::<Vec<_>>().join(",")
}

/// What one peer holds at most; each bound has its formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Most cells that this peer makes as primary; a new key beyond it is refused, a live one is
    /// never evicted. Default 10,000,000. What another primary has made is held all the same: give all
    /// members the same bounds.
    #[serde(deserialize_with = "bound")]
    pub max_cells: usize,
    /// Most memory of cells, in bytes; as `max_cells`, and whichever is reached first. A cell counts
    /// with 128 bytes, and with those of its key if that is longer than 21 (a rate limiter's: than
    /// 17): its slot of 64, and what it takes of an index and a change feed at most. Default 2 GiB, at
    /// least 1 KiB.
    ///
    /// Beside it a store has about 10 KiB for each shard, and keeps the slots of cells that have
    /// expired for others to come. While a table grows, its old half is there as well.
    #[serde(deserialize_with = "bound")]
    pub max_bytes: usize,
    /// Shards of the cell table; rounded up to a power of two. Default 64.
    #[serde(deserialize_with = "bound")]
    pub shards: usize,
    /// Largest piece of a batch and largest frame body, in bytes. Default 256 KiB, at least 64 KiB.
    /// A link holds at most `transfer_window` pieces; on one connection at most
    /// `2 * (transfer_window + 1) * (max_piece_bytes + 160 KiB)` bytes wait to be sent, 7.3 MiB by
    /// default.
    #[serde(deserialize_with = "bound")]
    pub max_piece_bytes: usize,
    /// Pieces sent and not yet confirmed, per follower. Default 8.
    #[serde(deserialize_with = "bound")]
    pub transfer_window: usize,
    /// Largest change that is taken as one exact cut in memory; above it cells are first copied
    /// loosely. Default 16 MiB.
    #[serde(deserialize_with = "bound")]
    pub max_cut_bytes: usize,
    /// Most keys a follower names when its tail is repaired; above it everything is copied anew.
    /// Default 16,384.
    #[serde(deserialize_with = "bound")]
    pub max_repair_keys: usize,
    /// Size at which a segment of the log on disk is full, in bytes. The directory has room for
    /// about three of them, or three times the cells if that is more. Default 64 MiB, at least
    /// 64 KiB.
    #[serde(deserialize_with = "bound")]
    pub max_segment_bytes: usize,
    /// Most keys in the overlay of a relaxed peer; beyond it local decisions on new keys are
    /// refused. Default 65,536.
    #[serde(deserialize_with = "bound")]
    pub max_overlay_keys: usize,
    /// Most calls that wait at one peer, forwarded, held or waiting for a majority; beyond it
    /// calls are refused as overloaded. Default 65,536, about 200 bytes each.
    #[serde(deserialize_with = "bound")]
    pub max_waiting_calls: usize,
    /// Events kept for late readers, a quarter of them for what peers cause that are no members.
    /// Default 1,024.
    #[serde(deserialize_with = "bound")]
    pub max_events: usize,
    /// Incoming connections at the same time; beyond it new ones are closed. Each client takes three,
    /// each other member four at most while it reconnects: room for `3 * clients + 56`. Default
    /// 1,024, for 322 clients. A connection holds memory only for what waits on it. 28 of them, or
    /// a quarter if that is less, are for addresses of members; as many, or an eighth, are for
    /// handshakes, so that members find a place wherever they come from. Clients have the rest, and
    /// are told so when it is taken. Where connections are sockets, no more are let in than half of
    /// the files that this process may open when it starts.
    #[serde(deserialize_with = "bound")]
    pub max_connections: usize,
    /// Of these, connections from one address (of IPv6, one network of 64 bits, and twice as many
    /// from one of 56); beyond it new ones are closed. Default 512: several peers and clients may
    /// share a host, or a gateway to one. That is for those that are no members; 28 more, or a
    /// quarter if that is less, may be open for members behind the same address.
    #[serde(deserialize_with = "bound")]
    pub max_connections_per_address: usize,
    /// Of these, connections whose handshake is not over, with or without TLS; beyond it new ones
    /// are closed, and whoever was closed tries again. One address may have as many as are a third
    /// of the places that are free, which is a quarter of all, and always one while there is a
    /// place; a network of IPv6 of 56 bits as many as are free. 28 of them, or a quarter if that is
    /// less, are for addresses of members. A handshake ends within 5 s, or half of the failure
    /// timeout, and holds at most about 250 KiB until then. Default 128.
    #[serde(deserialize_with = "bound")]
    pub max_handshakes: usize,
    /// Messages received and not yet handled, per lane; beyond it the connections they come from
    /// are not read, and also not beyond as many bytes as may wait to be sent on one connection
    /// (`max_piece_bytes`). Default 256.
    #[serde(deserialize_with = "bound")]
    pub max_inbound_messages: usize,
    /// Bytes of replies to calls that wait on one connection until the other end takes them, those
    /// to calls that wait for a majority included; beyond it that connection is not read, and its
    /// calls wait in the other end's buffers. A reply has 94 bytes at most. Of a member only those
    /// that can be sent count, for the majority may wait for what it says next. Default 1 MiB, at
    /// least 64 KiB.
    #[serde(deserialize_with = "bound")]
    pub max_reply_bytes: usize,
    /// Bytes that all guests hold together: frames of theirs that have come in part, and replies,
    /// pieces and messages that wait for them. A guest is whoever connects here and is no member:
    /// clients, joiners until they are counted in, and whoever only says that it is a member. Beyond
    /// it each guest that holds more than its part, `max_buffered_bytes / max_connections`, is closed
    /// when it asks for more. Default 64 MiB, at least 1 MiB; twice that is the most that guests cost,
    /// besides about 100 KiB for each connection in use.
    #[serde(deserialize_with = "bound")]
    pub max_buffered_bytes: usize,
}

impl Bounds {
    /// Checks that everything fits its smallest working size.
    ///
    /// # Errors
    ///
    /// One entry per bound that is too small.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let bounds = [
            ("max_cells", self.max_cells, 1),
            ("max_bytes", self.max_bytes, 1024),
            ("shards", self.shards, 1),
            ("max_piece_bytes", self.max_piece_bytes, 64 * 1024),
            ("transfer_window", self.transfer_window, 1),
            ("max_segment_bytes", self.max_segment_bytes, 64 * 1024),
            ("max_waiting_calls", self.max_waiting_calls, 1),
            ("max_events", self.max_events, 1),
            ("max_connections", self.max_connections, 1),
            ("max_connections_per_address", self.max_connections_per_address, 1),
            ("max_handshakes", self.max_handshakes, 1),
            ("max_inbound_messages", self.max_inbound_messages, 1),
            ("max_reply_bytes", self.max_reply_bytes, 64 * 1024),
            ("max_buffered_bytes", self.max_buffered_bytes, 1024 * 1024),
        ];
        let errors: Vec<ConfigError> = bounds
            .into_iter()
            .filter(|(_, value, min)| value < min)
            .map(|(field, value, min)| ConfigError::Bound {
                field,
                value: value as u64,
                min: min as u64,
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_cells: 10_000_000,
            max_bytes: MAX_BYTES,
            shards: 64,
            max_piece_bytes: 256 * 1024,
            transfer_window: 8,
            max_cut_bytes: 16 * 1024 * 1024,
            max_repair_keys: 16_384,
            max_segment_bytes: 64 * 1024 * 1024,
            max_overlay_keys: 65_536,
            max_waiting_calls: 65_536,
            max_events: 1_024,
            max_connections: 1_024,
            max_connections_per_address: 512,
            max_handshakes: 128,
            max_inbound_messages: 256,
            max_reply_bytes: 1024 * 1024,
            max_buffered_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Settings of one peer; they may differ from peer to peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// This peer's name; of a member by list one of [`GroupConfig::members`].
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

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> GroupConfig {
        GroupConfig { members: ["a", "b", "c"].map(PeerName::from).to_vec(), ..Default::default() }
    }

    #[test]
    fn defaults_are_valid_for_three_peers() {
        assert_eq!(three().check(&"a".into()), Ok(()));
    }

    #[test]
    fn every_broken_rule_is_named_at_once() {
        let config = GroupConfig {
            group: "no spaces".into(),
            heartbeat: Duration::from_secs(9),
            agreement: 0,
            ..three()
        };
        let errors = config.check(&"d".into()).expect_err("four rules are broken");
        assert_eq!(errors.len(), 4, "{errors:?}");
    }

    /// The only sentence about a broken setting.
    fn complaint(config: &GroupConfig) -> String {
        let errors = config.check(&"a".into()).expect_err("a rule is broken");
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    }

    #[test]
    fn a_value_out_of_range_is_told_with_the_range() {
        let zero = Duration::ZERO;
        let said = complaint(&GroupConfig { heartbeat: zero, ..three() });
        assert!(
            said.starts_with("a heartbeat of 0 would leave no pause: use more than 0"),
            "{said}"
        );
        let said = complaint(&GroupConfig { heartbeat: Duration::from_secs(9), ..three() });
        assert!(said.contains("9s is too slow for a failure timeout of 10s: use"), "{said}");
        let said = complaint(&GroupConfig { io_timeout: zero, ..three() });
        assert_eq!(said, "an I/O timeout of 0 is out of range: use 1ms to 1h");
        let said = complaint(&GroupConfig { failure_timeout: HOUR * 2, ..three() });
        assert_eq!(said, "a failure timeout of 2h is out of range: use 20ms to 1h");
        let said = complaint(&GroupConfig { agreement: 3, ..three() });
        assert_eq!(said, "an agreement of 3 is out of range: use 1 to 2");
        let members: Vec<PeerName> = ["a", "b", "c", "d", "e"].map(PeerName::from).to_vec();
        for (agreement, is_fine) in [(3, true), (4, false), (5, false)] {
            let five = GroupConfig { agreement, members: members.clone(), ..three() };
            assert_eq!(five.check(&"a".into()).is_ok(), is_fine, "{agreement} of five");
        }
        let said = complaint(&GroupConfig { replication_interval: HOUR, ..three() });
        assert_eq!(said, "a replication interval of 1h is out of range: use 0 to a heartbeat, 1s");
    }

    #[test]
    fn names_that_differ_only_in_capitals_are_told() {
        let members = ["a", "b", "B"].map(PeerName::from).to_vec();
        let said = complaint(&GroupConfig { members, ..three() });
        assert!(said.starts_with("the names b and B differ only in capitals"), "{said}");
    }

    /// It was told that the list names it twice.
    #[test]
    fn a_client_or_joiner_with_the_name_of_a_member_is_told_so() {
        for (kind, advice) in [(PeerKind::Client, "`.client()`"), (PeerKind::Joiner, "`.join(..)`")]
        {
            let name = PeerName::from("b");
            let errors = three().check_as(&name, kind).expect_err("it is a member's name");
            assert_eq!(errors, [ConfigError::OwnNameListed { name, kind }]);
            let said = errors[0].to_string();
            let begin = "this peer is called b, as a member in `.members(..)` is, and is ";
            assert!(said.starts_with(begin) && said.contains(advice), "{said}");
            assert_eq!(three().check_as(&"x".into(), kind), Ok(()));
        }
        let members = ["a", "b", "a"].map(PeerName::from).to_vec();
        let said = complaint(&GroupConfig { members, ..three() });
        assert_eq!(
            said,
            "the member list names a twice: take one of them out, or call it otherwise"
        );
    }

    #[test]
    fn a_group_without_members_is_told_where_to_name_them() {
        let said = complaint(&GroupConfig::default());
        assert!(said.contains("not 0: name them by `.members(..)`"), "{said}");
        let many = (0..8).map(|n| PeerName::from(format!("p{n}"))).collect();
        let said = complaint(&GroupConfig { members: many, ..three() });
        assert_eq!(said, "a group has 1 to 7 members, not 8: list fewer");
    }

    #[test]
    fn fingerprint_ignores_the_order_of_members_and_sees_every_setting() {
        let mut other = three();
        other.members.reverse();
        assert_eq!(three().fingerprint(), other.fingerprint());
        other.mode = Mode::Relaxed;
        assert_ne!(three().fingerprint(), other.fingerprint());
    }
}
