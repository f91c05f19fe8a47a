//! The handshake: who a peer is, and why a connection is not wanted (docs/wire.md, section 2).

use super::bounds::{self, MAX_MODEL_SETTINGS, MAX_SETTING_BYTES, MAX_SETTINGS};
use super::error::WireError;
use super::generated as proto;
use crate::base::id::{
    Generation, Incarnation, MAX_ADDRESS_BYTES, MAX_NAME_BYTES, MemberId, PeerKind, PeerName,
    Position,
};
#[cfg(feature = "driver")]
use crate::base::told::printable;
use crate::protocol::io::Succession;
use crate::protocol::message::Lane;
use crate::protocol::{MAX_GENERATIONS, Standing};

/// Longest body of a [`Hello`] or [`Refuse`]: until the handshake is over, no longer frame need be
/// taken in from a stranger.
pub const MAX_HELLO_BYTES: usize = MAX_SETTINGS * (MAX_SETTING_BYTES + 9)
    + 4 * MAX_NAME_BYTES
    + MAX_ADDRESS_BYTES
    + MAX_TLS_BYTES
    + MAX_STANDING_BYTES
    + 114;
/// Longest word for how far a peer uses TLS.
pub(super) const MAX_TLS_BYTES: usize = 32;
/// Longest encoding of where a peer stands.
const MAX_STANDING_BYTES: usize = 36 + 4 + MAX_GENERATIONS * 8;

/// The first frame of a connection, from both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest and newest version of the protocol that the sender speaks.
    pub versions: (u32, u32),
    /// The sender's group.
    pub group: String,
    /// The sender.
    pub peer: PeerName,
    /// The start of it that speaks.
    pub incarnation: Incarnation,
    /// The purpose of the connection.
    pub lane: Lane,
    /// The peer that the dialer believes to reach; `None` from the side that accepts.
    pub to: Option<PeerName>,
    /// Settings that must be equal, as (field, value), in the order in which a difference is
    /// reported.
    pub settings: Vec<Setting>,
    /// Hash of the settings that must be equal.
    pub fingerprint: u64,
    /// The time when the sender started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Settings of the model, which may differ while they roll. None in the `Hello` of a peer that
    /// does not know of them: there is nothing to compare then.
    pub model_settings: Vec<Setting>,
    /// The id by which the sender is counted.
    pub id: MemberId,
    /// The start of the sender's storage, and whose end it proves.
    pub succession: Succession,
    /// The address at which it is reached; empty if that is for the receiver's settings to say.
    pub address: String,
    /// Its kind. Whoever speaks on the admin lane is no peer, and a client here, who may least.
    pub kind: PeerKind,
    /// True if it holds the state of a group.
    pub has_state: bool,
    /// The extent to which it uses TLS, which may differ while it rolls; empty if it does not say.
    pub tls: String,
    /// The site that it stands in; empty if it has none.
    pub site: String,
    /// The newest site epoch that it knows to have begun.
    pub site_epoch: u64,
    /// The standing of its state; that of a peer without one if it does not say.
    pub standing: Standing,
}

/// Field and value.
type Setting = (String, String);

impl Hello {
    /// Checks that settings fit into a `Hello`: at most [`MAX_SETTINGS`], of which at most
    /// [`MAX_MODEL_SETTINGS`] are the model's, each with at most [`MAX_SETTING_BYTES`] of name and
    /// value together.
    ///
    /// # Errors
    ///
    /// The bound that is broken: every other peer would refuse such a `Hello`.
    pub fn check_settings(
        settings: &[Setting],
        model_settings: &[Setting],
    ) -> Result<(), WireError> {
        bounds::count("settings of the model", model_settings.len(), 0, MAX_MODEL_SETTINGS)?;
        bounds::count("settings", settings.len() + model_settings.len(), 0, MAX_SETTINGS)?;
        for (field, value) in settings.iter().chain(model_settings) {
            bounds::bytes("setting", field.len() + value.len(), 0, MAX_SETTING_BYTES)?;
        }
        Ok(())
    }
}

/// The last frame of a connection that the sender does not want, and why.
///
/// Texts longer than [`MAX_SETTING_BYTES`] are cut when they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// The setting, or other part of the `Hello`, that differs.
    pub field: String,
    /// Its value at the sender.
    pub ours: String,
    /// Its value in the `Hello` that the sender got.
    pub theirs: String,
}

impl From<&Hello> for proto::Hello {
    fn from(hello: &Hello) -> Self {
        let lane = match hello.lane {
            Lane::Control => proto::Lane::Control,
            Lane::Data => proto::Lane::Data,
            Lane::Calls => proto::Lane::Calls,
            Lane::Admin => proto::Lane::Admin,
        };
        let listed = |settings: &[Setting]| {
            let setting = |(field, value): &Setting| proto::Setting {
                field: field.clone(),
                value: value.clone(),
            };
            settings.iter().map(setting).collect()
        };
        Self {
            min_version: hello.versions.0,
            max_version: hello.versions.1,
            group: hello.group.clone(),
            peer: hello.peer.to_string(),
            incarnation: hello.incarnation.0,
            lane: lane.into(),
            to: hello.to.as_ref().map(PeerName::to_string),
            settings: listed(&hello.settings),
            fingerprint: hello.fingerprint,
            started_ms: hello.started_ms,
            model_settings: listed(&hello.model_settings),
            // As of a peer that does not know of ids, where that is what it would say.
            id: Some(hello.id.0).filter(|id| *id != hello.incarnation.0),
            address: hello.address.clone(),
            kind: kind(hello).into(),
            has_state: hello.has_state,
            // All that peers know which know no names of starts.
            has_succeeded: hello.succession.succeeded.is_some(),
            start: hello.succession.start,
            succeeded: hello.succession.succeeded,
            tls: hello.tls.clone(),
            site: hello.site.clone(),
            site_epoch: bounds::short(hello.site_epoch),
            position: Some(hello.standing.position).filter(|at| !at.is_blank()).map(Into::into),
            generations: hello
                .standing
                .generations
                .iter()
                .map(|generation| generation.to_bits())
                .collect(),
        }
    }
}

impl TryFrom<proto::Hello> for Hello {
    type Error = WireError;

    fn try_from(hello: proto::Hello) -> Result<Self, WireError> {
        let newest = u64::from(hello.max_version);
        let oldest = bounds::number("oldest version", hello.min_version.into(), 1, newest)?;
        let lane = match hello.lane() {
            proto::Lane::Unspecified => return Err(WireError::Missing { field: "lane" }),
            proto::Lane::Control => Lane::Control,
            proto::Lane::Data => Lane::Data,
            proto::Lane::Calls => Lane::Calls,
            proto::Lane::Admin => Lane::Admin,
        };
        let kind = match hello.kind() {
            proto::Kind::Member => PeerKind::Member,
            proto::Kind::Joiner => PeerKind::Joiner,
            proto::Kind::Client | proto::Kind::Admin => PeerKind::Client,
        };
        let is_admin = lane == Lane::Admin;
        if is_admin != (hello.kind() == proto::Kind::Admin) {
            return Err(unlike_its_lane(&hello, is_admin));
        }
        let listed = |settings: Vec<proto::Setting>| -> Vec<Setting> {
            settings.into_iter().map(|setting| (setting.field, setting.value)).collect()
        };
        let settings = listed(hello.settings);
        let model_settings = listed(hello.model_settings);
        Self::check_settings(&settings, &model_settings)?;
        // Whoever asks a peer may not know its group yet.
        if !(is_admin && hello.group.is_empty()) {
            bounds::checked_name("group", &hello.group)?;
        }
        bounds::bytes("tls", hello.tls.len(), 0, MAX_TLS_BYTES)?;
        if !hello.site.is_empty() {
            bounds::checked_name("site", &hello.site)?;
        }
        bounds::count("generations", hello.generations.len(), 0, MAX_GENERATIONS)?;
        let standing = Standing {
            position: hello.position.map_or(Ok(Position::BLANK), TryInto::try_into)?,
            generations: hello.generations.into_iter().map(Generation::from_bits).collect(),
        };
        Ok(Self {
            versions: (oldest, hello.max_version),
            group: hello.group,
            peer: bounds::peer("peer", &hello.peer)?,
            incarnation: Incarnation(hello.incarnation),
            lane,
            to: hello.to.map(|to| bounds::peer("peer dialed", &to)).transpose()?,
            settings,
            fingerprint: hello.fingerprint,
            started_ms: hello.started_ms,
            model_settings,
            id: MemberId(hello.id.unwrap_or(hello.incarnation)),
            address: bounds::address(hello.address)?,
            kind,
            has_state: hello.has_state,
            succession: Succession { start: hello.start, succeeded: hello.succeeded },
            tls: hello.tls,
            site: hello.site,
            site_epoch: bounds::site_epoch(hello.site_epoch)?,
            standing,
        })
    }
}

/// The kind of the sender, as the wire has it.
fn kind(hello: &Hello) -> proto::Kind {
    match hello.kind {
        _ if hello.lane == Lane::Admin => proto::Kind::Admin,
        PeerKind::Member => proto::Kind::Member,
        PeerKind::Joiner => proto::Kind::Joiner,
        PeerKind::Client => proto::Kind::Client,
    }
}

/// A peer on the lane of those who are none, or the other way round.
fn unlike_its_lane(hello: &proto::Hello, is_admin: bool) -> WireError {
    let admin = proto::Kind::Admin as u64;
    let [min, max] = if is_admin { [admin, admin] } else { [0, admin - 1] };
    // Its own accessor has read it as one of these.
    let value = hello.kind() as u64;
    WireError::Value { field: "kind", value, min, max }
}

/// The field of a [`Refuse`] on an open connection that says no more than goodbye.
const STOPPED: &str = "stopped";

impl Refuse {
    /// The last word of a process that ends, and decides nothing any more.
    pub fn goodbye() -> Self {
        Self { field: STOPPED.to_owned(), ours: String::new(), theirs: String::new() }
    }

    /// What the other end has sent, as this one tells it: what is ours there is theirs here, and it
    /// may say anything.
    #[cfg(feature = "driver")]
    pub(crate) fn told_here(self) -> Self {
        let Self { field, ours: theirs, theirs: ours } = self;
        let [field, ours, theirs] = [field, ours, theirs].map(|text| printable(&text));
        Self { field, ours, theirs }
    }

    /// Returns true if it says goodbye.
    pub fn is_goodbye(&self) -> bool {
        self.field == STOPPED
    }
}

impl From<&Refuse> for proto::Refuse {
    fn from(refuse: &Refuse) -> Self {
        let text = |text: &str| bounds::cut(text, MAX_SETTING_BYTES).to_owned();
        Self { field: text(&refuse.field), ours: text(&refuse.ours), theirs: text(&refuse.theirs) }
    }
}

impl TryFrom<proto::Refuse> for Refuse {
    type Error = WireError;

    fn try_from(refuse: proto::Refuse) -> Result<Self, WireError> {
        Ok(Self {
            field: bounds::text("field refused", refuse.field)?,
            ours: bounds::text("value refused", refuse.ours)?,
            theirs: bounds::text("value refused", refuse.theirs)?,
        })
    }
}
