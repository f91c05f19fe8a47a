//! Peers that were refused, here or there, and why: kept for the status, told once as an event.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

use crate::event::Event;
use crate::id::PeerName;

/// Refusals kept.
const MAX_REFUSALS: usize = 32;

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RefusedBy {
    /// The other peer.
    Them,
    /// This peer.
    Us,
}

/// A connection that was refused because something differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The other peer, as it or the member list calls it.
    pub peer: String,
    /// Its address.
    pub address: String,
    /// What differs: a setting, `group`, `version`, `peer` or `to`.
    pub field: String,
    /// This peer's value.
    pub ours: String,
    /// The other's value.
    pub theirs: String,
    /// When it last happened, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who refused.
    pub by: RefusedBy,
}

/// The newest refusal of each (peer, field), until that peer is let in.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    kept: Mutex<VecDeque<Refusal>>,
}

impl Refusals {
    /// Keeps a refusal; returns the event if the like of it was not known.
    pub(super) fn record(&self, refusal: Refusal) -> Option<Event> {
        let mut kept = self.kept.lock();
        let is_same = |other: &Refusal| other.peer == refusal.peer && other.field == refusal.field;
        let known = kept.iter().position(is_same).and_then(|index| kept.remove(index));
        let is_news = known
            .is_none_or(|known| (&known.ours, &known.theirs) != (&refusal.ours, &refusal.theirs));
        if kept.len() == MAX_REFUSALS {
            kept.pop_front();
        }
        let event = is_news.then(|| Event::ConfigMismatch {
            peer: refusal.peer.clone(),
            field: refusal.field.clone(),
            ours: refusal.ours.clone(),
            theirs: refusal.theirs.clone(),
        });
        kept.push_back(refusal);
        event
    }

    /// Forgets the refusals of a peer, whatever its port was, for it has been let in since.
    ///
    /// A difference that only the state machine sees is told again with the next heartbeat.
    pub(super) fn forget(&self, peer: &PeerName) {
        self.kept.lock().retain(|kept| kept.peer != peer.as_str());
    }

    /// All that are kept, oldest first.
    pub(super) fn all(&self) -> Vec<Refusal> {
        self.kept.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(peer: &str, theirs: &str) -> Refusal {
        Refusal {
            peer: peer.into(),
            address: "x".into(),
            field: "mode".into(),
            ours: "strict".into(),
            theirs: theirs.into(),
            at_ms: 0,
            by: RefusedBy::Us,
        }
    }

    #[test]
    fn each_difference_is_told_once_and_kept_once() {
        let refusals = Refusals::default();
        assert!(refusals.record(refusal("a", "relaxed")).is_some());
        assert!(refusals.record(refusal("a", "relaxed")).is_none());
        assert!(refusals.record(refusal("b", "relaxed")).is_some());
        assert_eq!(refusals.all().len(), 2);
    }

    #[test]
    fn a_peer_that_was_let_in_is_forgotten_and_news_again() {
        let refusals = Refusals::default();
        refusals.record(refusal("a", "relaxed"));
        refusals.record(Refusal { field: "members".into(), ..refusal("a", "x") });
        refusals.record(refusal("b", "relaxed"));
        refusals.forget(&"a".into());
        assert_eq!(refusals.all(), [refusal("b", "relaxed")]);
        assert!(refusals.record(refusal("a", "relaxed")).is_some());
    }

    #[test]
    fn only_the_newest_are_kept() {
        let refusals = Refusals::default();
        for number in 0..100 {
            refusals.record(refusal(&number.to_string(), "relaxed"));
        }
        let all = refusals.all();
        assert_eq!(all.len(), MAX_REFUSALS);
        assert_eq!(all[0].peer, "68");
    }
}
