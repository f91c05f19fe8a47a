//! What can be asked of a peer.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::admin::answer::Refused;
use crate::admin::document::Document;
use crate::admin::monitor::MonitorDocument;
use crate::admin::site::SiteDocument;
use crate::base::id::{PeerName, is_name};
use crate::base::told::{listed, named};
use crate::wire::MAX_LISTED;

/// The longest time for which a peer waits for events that are asked for.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// Something that is asked of a peer: one document of the admin lane.
///
/// # Examples
///
/// ```
/// use quorate::admin::Ask;
///
/// let ask: Ask = serde_json::from_str(r#"{"ask":"switch","to":"b"}"#)?;
/// assert_eq!(ask, Ask::Switch { to: "b".into() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ask {
    /// The peer's [`Status`](crate::Status).
    Status,
    /// What happened after the event of this number: the peer waits for one, if there is none yet.
    Events {
        /// The number of the last event that is known; 0 for all that are kept.
        since: u64,
        /// The longest time to wait, in milliseconds, at most [`MAX_WAIT`]; 0 for not at all.
        wait_ms: u64,
    },
    /// What the peer has counted: [`PeerStats`](crate::PeerStats).
    Stats,
    /// A planned hand-over: [`Peer::switch_primary`](crate::Peer::switch_primary).
    Switch {
        /// The member that is to be primary.
        to: PeerName,
    },
    /// The peer that is asked is to be counted out: [`Peer::leave`](crate::Peer::leave).
    Leave,
    /// A member that is gone is to be counted out: [`Peer::forget`](crate::Peer::forget).
    Forget {
        /// The member.
        peer: PeerName,
    },
    /// The place of the peer that is asked in the order of promotion:
    /// [`Peer::set_priority`](crate::Peer::set_priority).
    Priority {
        /// The lowest is promoted first, and 0 never.
        priority: u8,
    },
    /// The peer that is asked is to found without waiting for who is missing:
    /// [`Peer::found_new_group`](crate::Peer::found_new_group).
    Found,
    /// The peer that is asked is to be primary without members that are gone for good:
    /// [`Peer::force_primary`](crate::Peer::force_primary).
    Force {
        /// Those members.
        gone: Vec<PeerName>,
    },
    /// How the members are looked after, or how they are to be:
    /// [`Peer::change_monitor`](crate::Peer::change_monitor).
    Monitor(MonitorDocument),
    /// How the two sites are, or which of them is to decide:
    /// [`Peer::promote_site`](crate::Peer::promote_site).
    Site(SiteDocument),
}

/// What an ask needs of whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// An admin: it changes something. Told in the log and as an event.
    Act {
        /// What is done, in a few words, for the log and for whoever may look: names of things, and
        /// nothing that only an admin is to see, such as keys.
        what: String,
    },
    /// An admin: it counts, like the call of any caller of the peer's. Told nowhere, for there may
    /// be many of them.
    Call,
    /// A viewer, or an admin: it changes nothing.
    Look,
}

impl Access {
    /// The access of an act that these words tell.
    pub fn act(what: impl Into<String>) -> Self {
        Self::Act { what: what.into() }
    }
}

impl Ask {
    /// Returns what it needs of whoever asks.
    pub fn access(&self) -> Access {
        match self {
            Self::Status | Self::Events { .. } | Self::Stats => Access::Look,
            Self::Monitor(document) if *document == MonitorDocument::default() => Access::Look,
            Self::Site(document) if *document == SiteDocument::default() => Access::Look,
            act => Access::act(act.to_string()),
        }
    }

    /// Reads a document, if its ask is one of these.
    pub(crate) fn read(document: &Document) -> Option<Result<Self, Refused>> {
        let fields = &document.fields;
        Some(match &*document.ask {
            "status" => of(fields).map(|Nothing {}| Self::Status),
            "events" => of(fields).and_then(Events::checked),
            "stats" => of(fields).map(|Nothing {}| Self::Stats),
            "switch" => of(fields).map(|Switch { to: Name(to) }| Self::Switch { to }),
            "leave" => of(fields).map(|Nothing {}| Self::Leave),
            "forget" => of(fields).map(|Forget { peer: Name(peer) }| Self::Forget { peer }),
            "priority" => of(fields).map(|Priority { priority }| Self::Priority { priority }),
            "found" => of(fields).map(|Nothing {}| Self::Found),
            "force" => of(fields).and_then(Force::checked),
            "monitor" => of(fields).and_then(MonitorDocument::checked).map(Self::Monitor),
            "site" => of(fields).and_then(SiteDocument::checked).map(Self::Site),
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for Ask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Document::deserialize(deserializer)?;
        let unknown = || Err(D::Error::custom(format_args!("unknown ask {:?}", document.ask)));
        Self::read(&document).map_or_else(unknown, |read| read.map_err(D::Error::custom))
    }
}

/// The ask in a few words.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Events { .. } => f.write_str("events"),
            Self::Stats => f.write_str("stats"),
            Self::Switch { to } => write!(f, "switch to {}", named(to)),
            Self::Leave => f.write_str("leave"),
            Self::Forget { peer } => write!(f, "forget {}", named(peer)),
            Self::Priority { priority } => write!(f, "priority {priority}"),
            Self::Found => f.write_str("found"),
            Self::Force { gone } => {
                write!(f, "force without {}", listed(gone.iter().map(PeerName::as_str)))
            }
            Self::Monitor(document) => write!(f, "monitor{document}"),
            Self::Site(document) => write!(f, "site{document}"),
        }
    }
}

/// Reads the fields of an ask.
#[doc(hidden)]
pub fn of<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, Refused> {
    let read = T::deserialize(fields);
    read.map_err(|error| Refused::bad_request(format!("the ask does not fit: {error}")))
}

/// The name of a peer.
struct Name(PeerName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = PeerName::deserialize(deserializer)?;
        match is_name(name.as_str()) {
            true => Ok(Self(name)),
            false => Err(D::Error::custom(format_args!("{} is no name of a peer", named(&name)))),
        }
    }
}

/// The fields of an ask that has none.
#[doc(hidden)]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    #[serde(default)]
    since: u64,
    #[serde(default)]
    wait_ms: u64,
}

impl Events {
    fn checked(self) -> Result<Ask, Refused> {
        let Self { since, wait_ms } = self;
        let most = MAX_WAIT.as_millis();
        if u128::from(wait_ms) > most {
            let detail = format!("wait_ms is {wait_ms}: use at most {most}, and ask again");
            return Err(Refused::bad_request(detail));
        }
        Ok(Ask::Events { since, wait_ms })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    to: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    peer: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Force {
    gone: Vec<Name>,
}

impl Force {
    fn checked(self) -> Result<Ask, Refused> {
        let count = self.gone.len();
        if count > MAX_LISTED {
            let detail =
                format!("{count} are named as gone: a group has no more than {MAX_LISTED}");
            return Err(Refused::bad_request(detail));
        }
        Ok(Ask::Force { gone: self.gone.into_iter().map(|Name(name)| name).collect() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Priority {
    priority: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MonitorChange;

    fn all() -> [(&'static str, Ask); 13] {
        [
            (r#"{"ask":"status"}"#, Ask::Status),
            (
                r#"{"ask":"events","since":7,"wait_ms":30000}"#,
                Ask::Events { since: 7, wait_ms: 30_000 },
            ),
            (r#"{"ask":"stats"}"#, Ask::Stats),
            (r#"{"ask":"switch","to":"b"}"#, Ask::Switch { to: "b".into() }),
            (r#"{"ask":"leave"}"#, Ask::Leave),
            (r#"{"ask":"forget","peer":"c"}"#, Ask::Forget { peer: "c".into() }),
            (r#"{"ask":"priority","priority":10}"#, Ask::Priority { priority: 10 }),
            (r#"{"ask":"found"}"#, Ask::Found),
            (
                r#"{"ask":"force","gone":["b","c"]}"#,
                Ask::Force { gone: vec!["b".into(), "c".into()] },
            ),
            (r#"{"ask":"monitor"}"#, Ask::Monitor(MonitorDocument::default())),
            (r#"{"ask":"monitor","off":true}"#, Ask::Monitor(MonitorChange::Off.into())),
            (r#"{"ask":"site"}"#, Ask::Site(SiteDocument::default())),
            (r#"{"ask":"site","switch":true}"#, Ask::Site(SiteDocument::switch())),
        ]
    }

    #[test]
    fn an_ask_is_written_as_documented_and_read_back() {
        for (text, ask) in all() {
            assert_eq!(serde_json::to_string(&ask).expect("it can be written"), text);
            assert_eq!(serde_json::from_str::<Ask>(text).expect("usable"), ask);
        }
        let events = serde_json::from_str::<Ask>(r#"{"ask":"events"}"#).expect("usable");
        assert_eq!(events, Ask::Events { since: 0, wait_ms: 0 });
    }

    #[test]
    fn who_looks_changes_nothing() {
        let looks = all().map(|(_, ask)| ask.access() == Access::Look);
        let expected = "ttt-----".chars().chain("-t-t-".chars()).map(|look| look == 't');
        assert!(looks.into_iter().eq(expected), "{looks:?}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, said) in [
            (r#"{"ask":"status","x":1}"#, "unknown field `x`"),
            (r#"{"ask":"leave","peer":"b"}"#, "unknown field `peer`"),
            (r#"{"ask":"switch"}"#, "missing field `to`"),
            (r#"{"ask":"switch","to":["b"]}"#, "invalid type"),
            (r#"{"ask":"forget","peer":""}"#, "\"\" is no name of a peer"),
            (r#"{"ask":"forget","peer":"a b"}"#, "\"a b\" is no name of a peer"),
            (r#"{"ask":"priority","priority":256}"#, "invalid value"),
            (r#"{"ask":"priority","priority":-1}"#, "invalid value"),
            (r#"{"ask":"events","since":1.5}"#, "invalid type"),
            (r#"{"ask":"events","wait_ms":30001}"#, "use at most 30000"),
            (r#"{"ask":"monitor","size":3,"off":true}"#, "one of size"),
            (r#"{"ask":"site","mode":"active","switch":true}"#, "switch alone"),
            (r#"{"ask":"reboot"}"#, "unknown ask \"reboot\""),
        ] {
            let error = serde_json::from_str::<Ask>(text).expect_err("refused").to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
