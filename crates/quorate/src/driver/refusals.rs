//! Peers that were refused, here or there, and why: kept for the status, told once as an event.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::shared::Shared;
use crate::event::Event;
use crate::id::{PeerName, Time};

/// Refusals kept.
const MAX_REFUSALS: usize = 32;
/// Of these, refusals of strangers: whoever has proved nothing is not to push out what members say.
const MAX_STRANGERS: usize = 8;
/// A stranger is told of when it is still refused after this time: a peer that tries TLS first and plain
/// text next, or whoever looks in once, is nothing to tell.
const PATIENCE: Duration = Duration::from_secs(2);
/// And then again after this time, if it goes on.
const REMINDER: Duration = Duration::from_secs(600);
/// Shortest time between two such tellings, of whomever.
const PAUSE: Duration = Duration::from_secs(10);

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
    /// The other peer, as it or the member list calls it; of somebody who has proved nothing, the host.
    pub peer: String,
    /// Its address.
    pub address: String,
    /// What differs: a setting, `group`, `version`, `peer`, `member`, `to`, `tls` or `certificate`.
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
    kept: Mutex<VecDeque<Kept>>,
    /// When the embedder may be told of a stranger next.
    next_telling: Mutex<Time>,
}

#[derive(Debug)]
struct Kept {
    refusal: Refusal,
    /// When it last happened, by the clock that does not jump.
    at: Time,
    /// Of a stranger: when it is to be told.
    due: Option<Time>,
}

impl Refusals {
    /// Keeps a refusal; returns the event if the like of it was not known.
    pub(super) fn record(&self, refusal: Refusal, at: Time) -> Option<Event> {
        let mut kept = self.kept.lock();
        let is_same = |Kept { refusal: other, .. }: &Kept| {
            other.peer == refusal.peer && other.field == refusal.field
        };
        let known = kept.iter().position(is_same).and_then(|index| kept.remove(index));
        let is_news = known.is_none_or(|Kept { refusal: known, .. }| {
            (&known.ours, &known.theirs) != (&refusal.ours, &refusal.theirs)
        });
        if kept.len() == MAX_REFUSALS {
            kept.pop_front();
        }
        let event = is_news.then(|| mismatch(&refusal));
        kept.push_back(Kept { refusal, at, due: None });
        event
    }

    /// Keeps a refusal of somebody who has proved nothing, under the host that it came from; returns the
    /// event if it is time to tell it.
    pub(super) fn record_stranger(&self, refusal: Refusal, at: Time) -> Option<Event> {
        let mut kept = self.kept.lock();
        let is_same = |Kept { refusal: other, due, .. }: &Kept| {
            due.is_some() && other.peer == refusal.peer && other.field == refusal.field
        };
        let known = kept.iter().position(is_same).and_then(|index| kept.remove(index));
        let mut due = known.and_then(|known| known.due).unwrap_or_else(|| at.after(PATIENCE));
        let strangers = kept.iter().filter(|kept| kept.due.is_some()).count();
        let oldest = kept.iter().position(|kept| kept.due.is_some());
        if let Some(oldest) = oldest.filter(|_| strangers >= MAX_STRANGERS) {
            kept.remove(oldest);
        } else if kept.len() == MAX_REFUSALS {
            kept.pop_front();
        }
        let mut next_telling = self.next_telling.lock();
        let is_told = at >= due && at >= *next_telling;
        if is_told {
            *next_telling = at.after(PAUSE);
            due = at.after(REMINDER);
        }
        let event = is_told.then(|| mismatch(&refusal));
        kept.push_back(Kept { refusal, at, due: Some(due) });
        event
    }

    /// Forgets the refusals of a peer, whatever its port was, for it has been let in since.
    ///
    /// A difference that only the state machine sees is told again with the next heartbeat.
    pub(super) fn forget(&self, peer: &str) {
        self.kept.lock().retain(|kept| kept.refusal.peer != peer);
    }

    /// All that are kept, oldest first.
    pub(super) fn all(&self) -> Vec<Refusal> {
        self.kept.lock().iter().map(|kept| kept.refusal.clone()).collect()
    }

    /// Whether `peer` was refused at `since` or later.
    fn has_since(&self, since: Time, peer: &PeerName) -> bool {
        let kept = self.kept.lock();
        kept.iter().any(|kept| kept.at >= since && kept.refusal.peer == peer.as_str())
    }
}

fn mismatch(refusal: &Refusal) -> Event {
    Event::ConfigMismatch {
        peer: refusal.peer.clone(),
        field: refusal.field.clone(),
        ours: refusal.ours.clone(),
        theirs: refusal.theirs.clone(),
    }
}

impl Shared {
    /// Whether so many members are being refused that the rest is no majority.
    ///
    /// A refused connection is tried again within a second: a peer whose last refusal is older
    /// has gone.
    pub(super) fn refusals_prevent_majority(&self, now: Time) -> bool {
        let since = now.before(self.handshake_timeout() * 2);
        let up = self.registry.up();
        let is_refused =
            |name: &&PeerName| !up.contains_key(*name) && self.refusals.has_since(since, name);
        let members = self.roster.members();
        let others = members.iter().filter(|name| **name != self.config.name);
        let left = members.len() - others.filter(is_refused).count();
        left <= members.len() / 2
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
        assert!(refusals.record(refusal("a", "relaxed"), Time(0)).is_some());
        assert!(refusals.record(refusal("a", "relaxed"), Time(0)).is_none());
        assert!(refusals.record(refusal("b", "relaxed"), Time(0)).is_some());
        assert_eq!(refusals.all().len(), 2);
    }

    #[test]
    fn a_peer_that_was_let_in_is_forgotten_and_news_again() {
        let refusals = Refusals::default();
        refusals.record(refusal("a", "relaxed"), Time(0));
        refusals.record(Refusal { field: "members".into(), ..refusal("a", "x") }, Time(0));
        refusals.record(refusal("b", "relaxed"), Time(0));
        refusals.forget("a");
        assert_eq!(refusals.all(), [refusal("b", "relaxed")]);
        assert!(refusals.record(refusal("a", "relaxed"), Time(0)).is_some());
    }

    #[test]
    fn an_old_refusal_is_kept_and_not_current() {
        let (refusals, a) = (Refusals::default(), PeerName::from("a"));
        refusals.record(refusal("a", "relaxed"), Time(5));
        assert!(refusals.has_since(Time(5), &a));
        assert!(!refusals.has_since(Time(6), &a));
        assert!(!refusals.has_since(Time(5), &"b".into()));
        refusals.record(refusal("a", "relaxed"), Time(7));
        assert!(refusals.has_since(Time(6), &a));
    }

    #[test]
    fn a_stranger_is_told_of_if_it_goes_on_and_then_seldom() {
        let refusals = Refusals::default();
        let at = |seconds| Time(0).after(Duration::from_secs(seconds));
        let mut told = Vec::new();
        for second in 0..1500 {
            // Two faults of one host, in turn.
            let fault = if second % 2 == 0 { "garbage" } else { "plain" };
            if refusals.record_stranger(refusal("10.0.0.1", fault), at(second)).is_some() {
                told.push(second);
            }
        }
        assert_eq!(told, [2, 602, 1202]);
        // One that got in meanwhile, as a peer does that tries TLS first, is not told of.
        for second in 2000..2100 {
            assert_eq!(refusals.record_stranger(refusal("10.0.0.2", "tls"), at(second)), None);
            refusals.forget("10.0.0.2");
        }
    }

    #[test]
    fn strangers_neither_push_out_members_nor_flood_the_embedder() {
        let refusals = Refusals::default();
        refusals.record(refusal("b", "relaxed"), Time(0));
        let mut told = 0;
        for second in 0..100 {
            for host in 0..50 {
                let at = Time(0).after(Duration::from_secs(second));
                let stranger = refusal(&format!("10.0.0.{host}"), "x");
                told += u32::from(refusals.record_stranger(stranger, at).is_some());
            }
        }
        assert!(told <= 10, "{told}");
        let all = refusals.all();
        assert_eq!((all.len(), &*all[0].peer), (1 + MAX_STRANGERS, "b"));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let refusals = Refusals::default();
        for number in 0..100 {
            refusals.record(refusal(&number.to_string(), "relaxed"), Time(0));
        }
        let all = refusals.all();
        assert_eq!(all.len(), MAX_REFUSALS);
        assert_eq!(all[0].peer, "68");
    }
}
