//! Peers that were refused, here or there, and why: kept for the status, told once as an event.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

use crate::event::Event;

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

/// The newest refusal of each (peer, field).
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
