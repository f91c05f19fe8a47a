//! The settings of two peers compared, as the handshake tells them: those that must be equal, and
//! those of the model and of the transport, which may differ while they roll.
//!
//! A difference in the first refuses the connection. One in the second is told once for each start
//! of the other peer, and stays in the status until it comes back with equal ones, or, of a peer
//! that is no member, until it is gone (docs/protocol.md, section 12).

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;

use crate::base::id::{Incarnation, PeerName};
use crate::base::told::printable;
use crate::config::ConfigError;
use crate::wire::{MAX_MODEL_SETTINGS, MAX_SETTING_BYTES};

/// The field of a difference or refusal that is about TLS itself.
pub(in crate::driver) const TLS: &str = "tls";

/// Something that two peers do not have in common, as one of them sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The setting that differs.
    pub field: String,
    /// This peer's value.
    pub ours: String,
    /// The other's value.
    pub theirs: String,
}

impl Difference {
    pub(in crate::driver) fn new(field: &str, ours: impl ToString, theirs: impl ToString) -> Self {
        Self { field: field.to_owned(), ours: ours.to_string(), theirs: theirs.to_string() }
    }
}

/// Peers of which differences are kept: every member, and clients by the dozen.
const MAX_DIFFERING: usize = 64;

/// Differences between this peer's settings and those of others, where they may differ.
#[derive(Debug, Default)]
pub(in crate::driver) struct Differences {
    /// Differences as the start of each that was connected last has told; only of those that
    /// differ.
    told: Mutex<BTreeMap<PeerName, (Incarnation, Vec<Difference>)>>,
}

impl Differences {
    /// Keeps what differs at a start of a peer; returns whether that is news. `is_member` says of
    /// whom something is kept before all others.
    pub(in crate::driver) fn keep(
        &self,
        peer: &PeerName,
        incarnation: Incarnation,
        differ: &[Difference],
        is_member: impl Fn(&PeerName) -> bool,
    ) -> bool {
        let mut told = self.told.lock();
        if differ.is_empty() {
            told.remove(peer);
            return false;
        }
        if told.get(peer).is_some_and(|(known, _)| *known == incarnation) {
            return false;
        }
        if told.len() >= MAX_DIFFERING && !told.contains_key(peer) {
            let other = told.keys().find(|name| !is_member(name)).cloned();
            other.map(|other| told.remove(&other));
        }
        if told.len() < MAX_DIFFERING || told.contains_key(peer) {
            told.insert(peer.clone(), (incarnation, differ.to_vec()));
        }
        true
    }

    /// Forgets peers that are not `wanted` any more.
    pub(in crate::driver) fn retain(&self, wanted: impl Fn(&PeerName) -> bool) {
        self.told.lock().retain(|peer, _| wanted(peer));
    }

    /// The differences at a peer, if it was connected last with settings that do.
    pub(in crate::driver) fn of(&self, peer: &PeerName) -> Vec<Difference> {
        self.told.lock().get(peer).map(|(_, differ)| differ.clone()).unwrap_or_default()
    }
}

/// Checks that settings of a model fit into the handshake.
pub(in crate::driver) fn check_model(settings: &[(String, String)]) -> Vec<ConfigError> {
    let count = settings.len();
    let max = MAX_MODEL_SETTINGS;
    let too_many = (count > max).then_some(ConfigError::ModelSettings { count, max });
    let too_long = settings.iter().filter_map(|(field, value)| {
        let bytes = field.len() + value.len();
        let max = MAX_SETTING_BYTES;
        (bytes > max).then(|| ConfigError::ModelSetting { field: field.clone(), bytes, max })
    });
    too_many.into_iter().chain(too_long).collect()
}

/// Settings that both models have and that differ. One that only one of them has is nothing to
/// compare: the other is older, or another model.
pub(in crate::driver) fn rolling(
    ours: &[(String, String)],
    theirs: &[(String, String)],
) -> Vec<Difference> {
    let theirs: BTreeMap<&str, &str> = theirs.iter().map(|(f, v)| (&**f, &**v)).collect();
    let differing = ours.iter().filter_map(|(field, ours)| {
        let theirs = *theirs.get(&**field)?;
        (theirs != ours).then(|| Difference::new(field, ours, printable(theirs)))
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_both_models_name_is_compared() {
        let ours = settings(&[("limits", "1"), ("ours", "1"), ("same", "1")]);
        let theirs = settings(&[("same", "1"), ("theirs", "1"), ("limits", "2\n")]);
        assert_eq!(rolling(&ours, &theirs), [Difference::new("limits", "1", "2 ")]);
        assert_eq!(rolling(&ours, &[]), []);
        assert_eq!(rolling(&[], &theirs), []);
    }

    #[test]
    fn each_start_of_a_peer_is_news_once_and_the_last_one_counts() {
        let differences = Differences::default();
        let b = PeerName::from("b");
        let differ = [Difference::new("limits", "1", "2")];
        let keep = |start, differ: &[Difference]| {
            differences.keep(&b, Incarnation(start), differ, |_| true)
        };
        assert!(keep(1, &differ));
        assert!(!keep(1, &differ));
        assert_eq!(differences.of(&b), differ);
        assert!(keep(2, &differ));
        assert!(!keep(3, &[]), "nothing differs");
        assert_eq!((differences.of(&b), differences.of(&"c".into())), (vec![], vec![]));
    }

    #[test]
    fn differences_of_clients_are_bounded_and_go_with_them() {
        let differences = Differences::default();
        let differ = [Difference::new("limits", "1", "2")];
        let is_member = |name: &PeerName| name.as_str() < "b";
        for name in ["a", "a1"] {
            differences.keep(&name.into(), Incarnation(1), &differ, is_member);
        }
        for number in 0..8_000 {
            let name = PeerName::from(format!("x{number}"));
            assert!(differences.keep(&name, Incarnation(1), &differ, is_member), "it is news");
        }
        assert_eq!(differences.told.lock().len(), MAX_DIFFERING);
        assert_eq!(differences.of(&"a".into()), differ);
        differences.retain(|name| is_member(name) || name.as_str() == "x7999");
        assert_eq!(differences.told.lock().len(), 3);
    }

    #[test]
    fn settings_that_do_not_fit_the_handshake_are_named() {
        let long = "x".repeat(MAX_SETTING_BYTES);
        let mut list = vec![("f".to_owned(), "v".to_owned()); MAX_MODEL_SETTINGS];
        assert_eq!(check_model(&list), []);
        list.push(("long".to_owned(), long));
        let count = MAX_MODEL_SETTINGS + 1;
        let bytes = MAX_SETTING_BYTES + 4;
        let expected = [
            ConfigError::ModelSettings { count, max: MAX_MODEL_SETTINGS },
            ConfigError::ModelSetting { field: "long".into(), bytes, max: MAX_SETTING_BYTES },
        ];
        assert_eq!(check_model(&list), expected);
    }
}
