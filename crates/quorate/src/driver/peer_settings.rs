//! The settings of a peer as one value, which serde reads from a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::builder::PeerBuilder;
use super::start_error::StartError;
use crate::base::id::PeerName;
use crate::config::{Acknowledge, Bounds, Mode, Monitor, NewGenerations, OnReconnect, Storage};
use crate::driver::peer::Peer;
use crate::model::Model;
use crate::words::{is_false, optional_duration, optional_priority};

/// The settings of a peer, as a file writes them: each as the method of [`PeerBuilder`] of its
/// name, and all optional. What is left out is as the builder has it.
///
/// Made into a builder by [`PeerSettings::builder`], or given to one by [`PeerBuilder::settings`].
/// Unknown names are refused. Durations are written like `250ms`, `10s` or `5m`, the rest by the
/// words of [`crate::words`]. TLS has settings of its own: `TlsSettings` of the crate
/// `quorate-tls`.
///
/// # Examples
///
/// The file of a peer `a`, with the crate `toml`; the other two have another `name` and
/// `storage.dir`:
///
/// ```toml
/// name = "a"
/// mode = "strict"                # or relaxed
/// acknowledge = "majority"       # or primary
/// failure_timeout = "5s"
/// heartbeat = "500ms"
/// storage = { dir = "/var/lib/service/quota", sync = "every-batch" }   # or "memory"
///
/// [members]
/// a = "10.0.0.1:7101"
/// b = "10.0.0.2:7101"
/// c = "10.0.0.3:7101"
///
/// [bounds]
/// max_cells = 1_000_000
/// ```
///
/// ```
/// use quorate::{Model, PeerBuilder, PeerSettings};
///
/// # type Error = Box<dyn std::error::Error>;
/// fn read(text: &str, model: impl Model) -> Result<PeerBuilder, Error> {
/// #   /*
///     let settings: PeerSettings = toml::from_str(text)?;
/// #   */
/// #   let settings: PeerSettings = serde_json::from_str(text)?;
///     Ok(settings.builder(model)?)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PeerSettings {
    /// This peer's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<PeerName>,
    /// See [`PeerBuilder::group`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// See [`PeerBuilder::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// See [`PeerBuilder::advertise`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// See [`PeerBuilder::join`]: nothing, if it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<String>,
    /// See [`PeerBuilder::client`].
    #[serde(skip_serializing_if = "is_false")]
    pub client: bool,
    /// See [`PeerBuilder::mode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// See [`PeerBuilder::on_reconnect`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_reconnect: Option<OnReconnect>,
    /// See [`PeerBuilder::acknowledge`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// See [`PeerBuilder::state_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// See [`PeerBuilder::set_aside`]: for one start only.
    #[serde(skip_serializing_if = "is_false")]
    pub set_aside: bool,
    /// See [`PeerBuilder::priority`].
    #[serde(deserialize_with = "optional_priority", skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// See [`PeerBuilder::heartbeat`].
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Duration>,
    /// See [`PeerBuilder::failure_timeout`].
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub failure_timeout: Option<Duration>,
    /// See [`PeerBuilder::io_timeout`].
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub io_timeout: Option<Duration>,
    /// See [`PeerBuilder::replication_interval`].
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub replication_interval: Option<Duration>,
    /// See [`PeerBuilder::verify_interval`].
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub verify_interval: Option<Duration>,
    /// See [`PeerBuilder::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<usize>,
    /// See [`PeerBuilder::max_unreplicated`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unreplicated: Option<u64>,
    /// See [`PeerBuilder::clients_may_change_policy`].
    #[serde(skip_serializing_if = "is_false")]
    pub clients_may_change_policy: bool,
    /// See [`PeerBuilder::new_generations`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_generations: Option<NewGenerations>,
    /// See [`PeerBuilder::clients_may_switch_primary`].
    #[serde(skip_serializing_if = "is_false")]
    pub clients_may_switch_primary: bool,
    /// See [`PeerBuilder::clients_may_remove_members`].
    #[serde(skip_serializing_if = "is_false")]
    pub clients_may_remove_members: bool,
    /// See [`PeerBuilder::plaintext_allowed_on_network`].
    #[serde(skip_serializing_if = "is_false")]
    pub plaintext_allowed_on_network: bool,
    /// See [`PeerBuilder::no_admin`].
    #[serde(skip_serializing_if = "is_false")]
    pub no_admin: bool,
    // Tables come last, as TOML has them.
    /// See [`PeerBuilder::monitor`]: `{ size = 3, grace = "1m" }`, of which `grace` may be left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    /// See [`PeerBuilder::storage`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// See [`PeerBuilder::members`]: addresses by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<BTreeMap<PeerName, String>>,
    /// See [`PeerBuilder::bounds`]. Those that are left out are the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
}

impl PeerSettings {
    /// A builder with these settings.
    ///
    /// # Errors
    ///
    /// [`StartError::NoName`], if they do not name the peer. The rest is checked by
    /// [`PeerBuilder::start`].
    pub fn builder(self, model: impl Model) -> Result<PeerBuilder, StartError> {
        let name = self.name.clone().ok_or(StartError::NoName)?;
        Ok(Peer::builder(name, model).settings(self))
    }
}

impl PeerBuilder {
    /// Takes these settings over, each in place of what was said before; what they leave out stays
    /// as it is.
    ///
    /// # Examples
    ///
    /// One file for all peers, whose name comes from elsewhere:
    ///
    /// ```
    /// use quorate::{Model, Peer, PeerBuilder, PeerSettings};
    ///
    /// fn peer(name: &str, settings: PeerSettings, model: impl Model) -> PeerBuilder {
    ///     Peer::builder(name, model).settings(settings)
    /// }
    /// ```
    pub fn settings(mut self, settings: PeerSettings) -> Self {
        let PeerSettings { name, group, listen, advertise, join, client, .. } = &settings;
        if let Some(name) = name {
            self.peer.name = name.clone();
        }
        self = set(self, group.clone(), Self::group);
        self = set(self, listen.clone(), Self::listen);
        self = set(self, advertise.clone(), Self::advertise);
        if !join.is_empty() {
            self = self.join(join.iter().map(String::as_str));
        }
        self = allow(self, *client, Self::client);
        self = set(self, settings.mode, Self::mode);
        self = set(self, settings.new_generations, Self::new_generations);
        self = set(self, settings.on_reconnect, Self::on_reconnect);
        self = set(self, settings.acknowledge, Self::acknowledge);
        self = set(self, settings.state_dir, Self::state_dir);
        self = allow(self, settings.set_aside, Self::set_aside);
        self = set(self, settings.priority, Self::priority);
        self = set(self, settings.heartbeat, Self::heartbeat);
        self = set(self, settings.failure_timeout, Self::failure_timeout);
        self = set(self, settings.io_timeout, Self::io_timeout);
        self = set(self, settings.replication_interval, Self::replication_interval);
        self = set(self, settings.verify_interval, Self::verify_interval);
        self = set(self, settings.agreement, Self::agreement);
        self = set(self, settings.max_unreplicated, Self::max_unreplicated);
        self = allow(self, settings.clients_may_change_policy, Self::clients_may_change_policy);
        self = allow(self, settings.clients_may_remove_members, Self::clients_may_remove_members);
        self = allow(self, settings.clients_may_switch_primary, Self::clients_may_switch_primary);
        let is_plain = settings.plaintext_allowed_on_network;
        self = allow(self, is_plain, Self::plaintext_allowed_on_network);
        self = set(self, settings.monitor, Self::monitor);
        self = allow(self, settings.no_admin, Self::no_admin);
        self = set(self, settings.storage, Self::storage);
        self = set(self, settings.members, Self::members);
        set(self, settings.bounds, Self::bounds)
    }
}

/// Says what is to be said, if it is.
fn set<T>(
    builder: PeerBuilder,
    value: Option<T>,
    say: impl FnOnce(PeerBuilder, T) -> PeerBuilder,
) -> PeerBuilder {
    match value {
        Some(value) => say(builder, value),
        None => builder,
    }
}

fn allow(
    builder: PeerBuilder,
    is_said: bool,
    say: impl FnOnce(PeerBuilder) -> PeerBuilder,
) -> PeerBuilder {
    if is_said { say(builder) } else { builder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{GroupTime, PeerKind};
    use crate::config::{StorageKind, SyncPolicy};

    const ALL: &str = r#"{
        "name": "a", "group": "quota", "listen": "127.0.0.1:7201", "advertise": "10.0.0.1:7101",
        "mode": "relaxed", "on_reconnect": "overwrite", "acknowledge": "majority",
        "priority": 7, "heartbeat": "250ms", "failure_timeout": "5s", "io_timeout": "1m",
        "replication_interval": "2ms", "verify_interval": "1h", "agreement": 1,
        "max_unreplicated": 12, "clients_may_change_policy": true,
        "clients_may_switch_primary": true, "new_generations": "when-complete",
        "clients_may_remove_members": true, "plaintext_allowed_on_network": true,
        "state_dir": "/var/lib/state", "set_aside": true, "monitor": { "size": 5, "grace": "20s" },
        "storage": { "dir": "/var/lib/quota", "sync": "every-batch" },
        "members": { "a": "127.0.0.1:7101", "b": "127.0.0.1:7102" },
        "bounds": { "max_cells": 9 }
    }"#;

    struct Nothing;

    impl Model for Nothing {
        fn decide(
            &self,
            _: &[crate::model::Item<'_>],
            _: &mut [crate::model::Cell],
            _: GroupTime,
        ) -> crate::model::Answer {
            crate::model::Answer::default()
        }

        fn accumulate(
            &self,
            _: &crate::model::Item<'_>,
            _: Option<&crate::model::Value>,
            _: &crate::model::Value,
            _: &mut crate::model::Delta,
        ) {
        }

        fn merge(
            &self,
            _: &[u8],
            _: &crate::model::Delta,
            _: &mut crate::model::Cell,
            _: GroupTime,
        ) -> u64 {
            0
        }
    }

    fn read(text: &str) -> PeerSettings {
        serde_json::from_str(text).expect("settings")
    }

    #[test]
    fn every_setting_of_a_file_is_the_builders() {
        let builder = read(ALL).builder(Nothing).expect("a name");
        let group = &builder.group;
        let peer = &builder.peer;
        let said = (peer.name.as_str(), &*group.group, peer.priority, group.max_unreplicated);
        assert_eq!(said, ("a", "quota", 7, 12));
        let said = (group.mode, group.on_reconnect, group.acknowledge, group.agreement);
        let expected = (Mode::Relaxed, OnReconnect::Overwrite, Acknowledge::Majority, 1);
        assert_eq!(said, expected);
        let millis = [
            builder.heartbeat.expect("it was given"),
            group.failure_timeout,
            group.io_timeout,
            group.replication_interval,
            peer.verify_interval,
        ];
        assert_eq!(millis.map(|time| time.as_millis()), [250, 5_000, 60_000, 2, 3_600_000]);
        assert_eq!(builder.listen.as_deref(), Some("127.0.0.1:7201"));
        let advertised = (builder.advertise.as_deref(), peer.kind);
        assert_eq!(advertised, (Some("10.0.0.1:7101"), PeerKind::Member));
        assert!(peer.client_rights.change_policy && peer.client_rights.remove_members);
        assert!(builder.is_plaintext_allowed);
        let grace = Duration::from_secs(20);
        assert_eq!(peer.monitor, Some(Monitor::new(5).grace(grace)));
        let dir = PathBuf::from("/var/lib/quota");
        let sync = SyncPolicy::EveryBatch;
        assert_eq!(builder.storage, Storage::Disk { dir, sync });
        assert_eq!(group.storage, StorageKind::Disk);
        assert_eq!(builder.state_dir, Some(PathBuf::from("/var/lib/state")));
        assert!(builder.is_set_aside);
        let addresses = [("a", "127.0.0.1:7101"), ("b", "127.0.0.1:7102")];
        let addresses = addresses.map(|(name, address)| (name.into(), address.to_owned()));
        assert_eq!(builder.addresses, addresses);
        assert_eq!(peer.bounds, Bounds { max_cells: 9, ..Bounds::default() });
    }

    #[test]
    fn what_a_file_leaves_out_stays_as_it_was() {
        let builder = Peer::builder("b", Nothing).priority(3).group("mine").settings(read("{}"));
        let said = (builder.peer.name.as_str(), builder.peer.priority, &*builder.group.group);
        assert_eq!(said, ("b", 3, "mine"));
        let defaults = Peer::builder("b", Nothing);
        assert_eq!(builder.peer.bounds, defaults.peer.bounds);
        assert_eq!(builder.group.settings(), defaults.group.settings());
        let error = read("{}").builder(Nothing).err().expect("it has no name").to_string();
        assert!(error.contains("name = \"a\""), "{error}");
    }

    #[test]
    fn a_joiner_and_a_client_are_told_where_members_are() {
        let joiner = read(r#"{"name": "d", "join": ["10.0.0.1:7101"], "listen": "10.0.0.4:7101"}"#);
        let joiner = joiner.builder(Nothing).expect("a name");
        assert_eq!((joiner.peer.kind, joiner.contacts.len()), (PeerKind::Joiner, 1));
        let client = read(r#"{"name": "w", "client": true, "join": ["10.0.0.1:7101"]}"#);
        assert_eq!(client.builder(Nothing).expect("a name").peer.kind, PeerKind::Client);
    }

    #[test]
    fn what_is_read_is_written_back() {
        let all = read(ALL);
        let text = serde_json::to_string(&all).expect("it can be written");
        assert_eq!(read(&text), all);
        assert!(text.contains(r#""heartbeat":"250ms""#), "{text}");
        assert_eq!(serde_json::to_string(&PeerSettings::default()).expect("nothing"), "{}");
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, said) in [
            (r#"{"failure_timout": "5s"}"#, "unknown field `failure_timout`, expected one of"),
            (
                r#"{"failure_timeout": "5"}"#,
                "\"5\" is no duration: write a whole number and a unit",
            ),
            (
                r#"{"failure_timeout": 5}"#,
                "invalid type: integer `5`, expected a duration with its unit, in quotes, like",
            ),
            (r#"{"mode": "fast"}"#, "\"fast\" is no mode: write strict or relaxed"),
            (r#"{"bounds": {"max_cell": 1}}"#, "unknown field `max_cell`, expected one of"),
            (r#"{"storage": {"sync": "1s"}}"#, "missing field `dir`"),
            (
                r#"{"priority": 256}"#,
                "invalid value: integer `256`, expected a priority: a whole number, 0 to 255",
            ),
            (
                r#"{"bounds": {"max_cells": -1}}"#,
                "invalid value: integer `-1`, expected a bound: a whole number, 0 or more",
            ),
        ] {
            let error = serde_json::from_str::<PeerSettings>(text).expect_err("refused");
            assert!(error.to_string().starts_with(said), "{text}: {error}");
        }
    }
}
