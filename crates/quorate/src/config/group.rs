//! Settings: those that must be equal at all peers, and those of one peer.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::time::Duration;

use serde::Serialize;
use siphasher::sip::SipHasher13;

use super::MAX_MEMBERS;
use super::error::{ConfigError, join, most_agreement};
use super::storage::StorageKind;
use crate::base::id::{PeerKind, PeerName, is_name};
use crate::base::told::MEMBERS;

/// Rights of the clients of a group besides having their calls decided, and of joiners that are no
/// members yet.
///
/// Default: nothing. What counts is what the primary's settings say, so every member is given the
/// same. Over TLS it is proved who is a client; in plain text its word is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClientRights {
    /// Have it decide by another policy, which for rate limits is by other limits
    /// ([`clients_may_change_policy`](crate::PeerBuilder::clients_may_change_policy)).
    pub change_policy: bool,
    /// Have it forget members that are gone
    /// ([`clients_may_remove_members`](crate::PeerBuilder::clients_may_remove_members)).
    pub remove_members: bool,
    /// Have the primary hand over
    /// ([`clients_may_switch_primary`](crate::PeerBuilder::clients_may_switch_primary)).
    pub switch_primary: bool,
}

/// The conduct of a peer without a primary.
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

/// The fate of decisions that a relaxed peer made alone.
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

/// The moment at which a caller is answered.
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
    /// The members, this peer included: 1 to 7 names, each once, and the same list at every peer.
    pub members: Vec<PeerName>,
    /// The conduct of a peer without a primary. Default [`Mode::Strict`].
    pub mode: Mode,
    /// The fate of local decisions. Default [`OnReconnect::Merge`]. Used in relaxed mode only.
    pub on_reconnect: OnReconnect,
    /// The moment at which a caller is answered. Default [`Acknowledge::Primary`].
    pub acknowledge: Acknowledge,
    /// The place where cells live. Default [`StorageKind::Memory`].
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
    /// The time for which changes are collected before they are sent on, under
    /// [`Acknowledge::Primary`]. A cell that changes often travels once in this time, and a
    /// failover loses what was decided in it. Default 1 ms, which is also what timers resolve; at
    /// most a heartbeat; 0 sends on whatever there is as soon as the last has arrived.
    pub replication_interval: Duration,
    /// Most units that may be acknowledged and not yet held by a majority, under
    /// [`Acknowledge::Primary`]; further answers wait for the majority. Default 100,000.
    ///
    /// Answers may begin to wait up to a sixteenth of the bound early: each shard counts some of
    /// its units by itself, so that calls on different shards need not share a counter, and what it
    /// may have counted is allowed for. The bound itself is never passed.
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

impl GroupConfig {
    /// Checks all rules and returns every one that is broken.
    ///
    /// # Errors
    ///
    /// One entry per broken rule.
    pub fn check(&self, me: &PeerName) -> Result<(), Vec<ConfigError>> {
        self.check_as(me, PeerKind::Member)
    }

    /// Checks all rules for a peer of any kind: a joiner or client need not know the members.
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
            let interval = self.replication_interval;
            let heartbeat = self.heartbeat;
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

    /// The time for which the primary may decide after it has sent a heartbeat that a majority
    /// answers.
    pub fn lease(&self) -> Duration {
        self.failure_timeout * 4 / 5
    }

    /// The most that the wall clock may gain on the clock of leases before that one is taken to
    /// have stood: a hundredth of the failure timeout, far below what a promise lasts beyond its
    /// lease.
    pub(crate) fn longest_gain(failure_timeout: Duration) -> Duration {
        failure_timeout / 100
    }

    /// The most that another peer's wall clock may gain, whose readings come late and which may
    /// drift: half of what a promise lasts beyond its lease.
    pub(crate) fn longest_remote_gain(&self) -> Duration {
        (self.failure_timeout - self.lease()) / 2
    }

    /// The time after it has answered a heartbeat for which a replica takes it that the lease may
    /// run which rests on the answer: the lease, and a quarter of what a promise lasts beyond it,
    /// for clocks that drift apart.
    pub(crate) fn longest_lease(&self) -> Duration {
        let lease = self.lease();
        lease + (self.failure_timeout - lease) / 4
    }
}

/// The setting of where cells live: a client has none.
pub(crate) const STORAGE: &str = "storage";
const MIN_FAILURE_TIMEOUT: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::id::PeerName;

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
