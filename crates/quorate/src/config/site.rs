//! The site that a peer stands in.

use std::time::Duration;

use serde::Serialize;

#[cfg(feature = "driver")]
use super::error::ConfigError;
use crate::base::id::PeerName;
#[cfg(feature = "driver")]
use crate::base::id::{PeerKind, is_name};

/// The site that a peer stands in, and where the other one is ([docs/sites.md]). None unless set.
///
/// Of two sites one decides, and the other follows it as a warm standby. All peers of a site are
/// given the same names; which site decides is not a setting, but what the group was told.
///
/// ```
/// use quorate::{AtPassive, Site};
///
/// let site = Site::new("east").other("west", ["d.west.example:7101", "e.west.example:7101"]);
/// let site = site.at_passive(AtPassive::Refuse);
/// assert_eq!((site.name(), site.other_name()), ("east", "west"));
/// ```
///
/// [docs/sites.md]: https://github.com/quorate/quorate/blob/main/docs/sites.md
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    name: String,
    other: String,
    contacts: Vec<String>,
    at_passive: AtPassive,
    warn_after: Duration,
}

/// What stands in a contact for the name of each peer.
#[cfg(feature = "driver")]
const PEER: &str = "{peer}";
/// By how much the site that follows may be behind, unless that is set.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// What a peer does with its callers while its site follows the other one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AtPassive {
    /// They are forwarded to the primary at the other site, exactly, at the price of a round trip.
    #[default]
    Forward,
    /// They are refused: [`NoPrimaryReason::SitePassive`](crate::NoPrimaryReason::SitePassive).
    Refuse,
}

/// What an operator agrees to who has a site decide ([`Peer::promote_site`]): nothing, unless said.
///
/// ```
/// use quorate::Consent;
///
/// let consent = Consent::default().force().without(["f"]);
/// assert!(consent.force && consent.gone == ["f".into()]);
/// ```
///
/// [`Peer::promote_site`]: crate::Peer::promote_site
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consent {
    /// Without a word of the other site. What that one has decided, and the peers here do not hold,
    /// is lost; and while the two do not hear each other both decide.
    pub force: bool,
    /// Peers of this site that are gone for good: all others then have to agree.
    pub gone: Vec<PeerName>,
}

impl Consent {
    /// Agrees to the loss of what the other site has decided and the peers here do not hold.
    #[must_use]
    pub fn force(self) -> Self {
        Self { force: true, ..self }
    }

    /// Names peers of this site that are gone for good.
    #[must_use]
    pub fn without<N: Into<PeerName>>(self, gone: impl IntoIterator<Item = N>) -> Self {
        Self { gone: gone.into_iter().map(Into::into).collect(), ..self }
    }
}

impl Site {
    /// A site of this name: 1 to 64 bytes, and none that are no part of a peer's name either.
    pub fn new(name: impl Into<String>) -> Self {
        let (name, other, contacts) = (name.into(), String::new(), Vec::new());
        let at_passive = AtPassive::default();
        Self { name, other, contacts, at_passive, warn_after: WARN_AFTER }
    }

    /// Sets the name of the other site, and addresses at which any of its peers are reached.
    ///
    /// A contact is an introduction. One is enough for the site that follows: whoever is met there
    /// tells where the members of the other one are. Connections are used both ways, so one of the
    /// two sites may have none; where only the site that decides can dial the other one, it needs a
    /// contact for each peer there.
    ///
    /// A contact with `{peer}` in it is a pattern: each peer of the other site is reached there,
    /// and nowhere else, whatever it says of itself, as soon as it is known by name. Over TLS the
    /// host that comes of it is sent as SNI, so a router between the sites can tell them apart. Who
    /// has patterns alone finds nobody by itself, and is to be dialed by the other site.
    ///
    /// ```
    /// use quorate::Site;
    ///
    /// let contacts = ["west.example:7101", "{peer}.west.example:7101"];
    /// let site = Site::new("east").other("west", contacts);
    /// ```
    #[must_use]
    pub fn other<A: Into<String>>(
        self,
        name: impl Into<String>,
        contacts: impl IntoIterator<Item = A>,
    ) -> Self {
        let contacts = contacts.into_iter().map(Into::into).collect();
        Self { other: name.into(), contacts, ..self }
    }

    /// Sets what is done with callers while this site follows the other one. Default: forward.
    #[must_use]
    pub fn at_passive(self, at_passive: AtPassive) -> Self {
        Self { at_passive, ..self }
    }

    /// Sets by how much the site that follows may be behind before the status of both says
    /// `Warning`. Default: 5 s. It changes nothing else.
    #[must_use]
    pub fn warn_after(self, behind: Duration) -> Self {
        Self { warn_after: behind, ..self }
    }

    /// The rules that it breaks, at a peer of this kind.
    #[cfg(feature = "driver")]
    pub(crate) fn check(&self, kind: PeerKind) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if kind == PeerKind::Client {
            errors.push(ConfigError::SiteOfClient);
        }
        for name in [&self.name, &self.other] {
            if !is_name(name) {
                errors.push(ConfigError::Name { what: "site", name: name.clone() });
            }
        }
        if self.name == self.other {
            errors.push(ConfigError::OneSite { name: self.name.clone() });
        }
        errors
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the other site.
    pub fn other_name(&self) -> &str {
        &self.other
    }

    /// Addresses at which peers of the other site are reached.
    pub fn contacts(&self) -> &[String] {
        &self.contacts
    }

    /// Contacts that are addresses.
    #[cfg(feature = "driver")]
    pub(crate) fn introductions(&self) -> impl Iterator<Item = &String> {
        self.contacts.iter().filter(|contact| !contact.contains(PEER))
    }

    /// The addresses of a peer of the other site by the contacts that are patterns.
    #[cfg(feature = "driver")]
    pub(crate) fn addresses_of(&self, peer: &PeerName) -> Vec<String> {
        let patterns = self.contacts.iter().filter(|contact| contact.contains(PEER));
        patterns.map(|pattern| pattern.replace(PEER, peer.as_str())).collect()
    }

    /// By how much the site that follows may be behind.
    pub fn warns_after(&self) -> Duration {
        self.warn_after
    }

    /// What is done with callers while this site follows the other one.
    pub fn when_passive(&self) -> AtPassive {
        self.at_passive
    }
}
