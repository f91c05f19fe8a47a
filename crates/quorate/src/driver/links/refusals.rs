//! Peers that were refused, here or there, and why: shown in the status while it goes on, told once
//! as an event.
//!
//! Whoever is refused tries again within a second or so: what has not happened for a while is over,
//! whether the peer was let in, has been mended, or has gone. So is what another start of it was
//! refused for, once a new one has shown itself. What is over is kept for a while all the same, so
//! that it is not told as news when it goes on.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::base::event::{Event, RefusedBy};
use crate::base::id::{Incarnation, PeerName, Time};
use crate::driver::report::allowance::{Allowance, Allowances};
use crate::transport::host;

/// Refusals of members that are kept: each may differ in every setting, and so may whoever says to
/// be one.
const MAX_OF_MEMBERS: usize = 64;
/// Refusals of one member.
const MAX_OF_ONE: usize = 12;
/// Refusals of others: whoever has proved nothing pushes out nothing that concerns a member.
const MAX_OF_GUESTS: usize = 16;
/// Of these, those that came from one host.
const MAX_OF_HOST: usize = 12;
/// Refusals of those who have not shown who they are.
const MAX_OF_STRANGERS: usize = 16;
/// Of these, those that came from one host.
const MAX_OF_STRANGE_HOST: usize = 8;
/// A stranger is told of when it is still refused after this time: a peer that tries TLS first and
/// plain text next, or whoever looks in once, is nothing to tell.
pub(in crate::driver) const PATIENCE: Duration = Duration::from_secs(2);
/// The time after which it is told again, if it goes on.
const REMINDER: Duration = Duration::from_secs(600);
/// Shortest time between two such tellings, of whomever; and between two of one difference whose
/// values change.
const PAUSE: Duration = Duration::from_secs(10);
/// Refusals of others that are told at once before there is such a pause, of all hosts and of one.
const AT_ONCE: [u32; 2] = [24, 12];

/// A connection that was refused because something differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The other peer, as the member list calls it, or as it has proved; of anybody else, the host.
    pub peer: String,
    /// Its address.
    pub address: String,
    /// The thing that differs: a setting, `group`, `version`, `peer`, `member`, `to`, `tls` or
    /// `certificate`.
    pub field: String,
    /// This peer's value.
    pub ours: String,
    /// The other's value.
    pub theirs: String,
    /// The time when it last happened, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The side that refused.
    pub by: RefusedBy,
}

/// The subject of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum About {
    /// Somebody by a name that is no member's.
    Guest,
    /// A member, by its name.
    Member,
    /// Whoever has proved nothing, by its host.
    Stranger,
}

/// The newest refusal of each (peer, field), until that peer is let in or says that it ends.
#[derive(Debug)]
pub(in crate::driver) struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kept: VecDeque<Kept>,
    /// The allowance for telling the embedder of members and guests.
    tellings: Allowances,
    /// The time when the embedder may be told of a stranger next.
    next_stranger: Time,
}

#[derive(Debug)]
struct Kept {
    refusal: Refusal,
    about: About,
    /// The start of the peer that it was of, if that had said so.
    start: Option<Incarnation>,
    /// A newer start of the peer was refused for something else.
    is_over: bool,
    /// The time when it last happened, by the clock that does not jump.
    at: Time,
    /// Of a stranger: when it is to be told.
    due: Time,
    /// True if the embedder knows of these values.
    is_told: bool,
    /// The time when it was last told of any.
    told_at: Option<Time>,
}

impl Default for Refusals {
    fn default() -> Self {
        let [of_all, of_host] = AT_ONCE.map(|at_once| Allowance::new(at_once, PAUSE));
        let tellings = Allowances::new(of_all, of_host);
        let state = State { kept: VecDeque::new(), tellings, next_stranger: Time(0) };
        Self { state: Mutex::new(state) }
    }
}

impl Refusals {
    /// Keeps a refusal, of this start of the peer if that is known; returns the event if it is time
    /// to tell it.
    pub(in crate::driver) fn record(
        &self,
        refusal: Refusal,
        about: About,
        start: Option<Incarnation>,
        at: Time,
    ) -> Option<Event> {
        let mut state = self.state.lock();
        let known = state.take(&refusal, about);
        if start.is_some() {
            state.end_others(&refusal, about, start);
        }
        let mut kept = Kept {
            due: known.as_ref().map_or_else(|| at.after(PATIENCE), |known| known.due),
            is_told: known.as_ref().is_some_and(|known| known.says_the_same(&refusal, at)),
            told_at: known.and_then(|known| known.told_at),
            refusal,
            about,
            start,
            is_over: false,
            at,
        };
        let event = state.tell(&mut kept).then(|| mismatch(&kept.refusal));
        state.make_room(&kept);
        state.kept.push_back(kept);
        event
    }

    /// Forgets the refusals of a peer, whatever its port was, for it has been let in since.
    ///
    /// A difference that only the state machine sees is told again with the next heartbeat.
    pub(in crate::driver) fn forget(&self, peer: &str) {
        self.state.lock().kept.retain(|kept| kept.refusal.peer != peer);
    }

    /// All that have happened at `since` or later and are not over, oldest first.
    pub(in crate::driver) fn all(&self, since: Time) -> Vec<Refusal> {
        let state = self.state.lock();
        let current = state.kept.iter().filter(|kept| kept.is_current(since));
        current.map(|kept| kept.refusal.clone()).collect()
    }

    /// Returns true if `peer` was refused at `since` or later.
    pub(in crate::driver) fn has_since(&self, since: Time, peer: &PeerName) -> bool {
        let state = self.state.lock();
        let mut current = state.kept.iter().filter(|kept| kept.is_current(since));
        current.any(|kept| kept.refusal.peer == peer.as_str())
    }
}

impl State {
    /// Takes out what is kept of the like of a refusal.
    fn take(&mut self, refusal: &Refusal, about: About) -> Option<Kept> {
        let index = self.kept.iter().position(|kept| kept.is_like(refusal, about))?;
        self.kept.remove(index)
    }

    /// Ends what other starts of a peer were refused for. In plain text anybody may say to be
    /// one: those are believed that come from where it was refused before.
    fn end_others(&mut self, refusal: &Refusal, about: About, start: Option<Incarnation>) {
        for kept in &mut self.kept {
            let is_of_peer = kept.about == about && kept.refusal.peer == refusal.peer;
            let is_its = is_of_peer && host_of(&kept.refusal) == host_of(refusal);
            kept.is_over |= is_its && kept.start.is_some() && kept.start != start;
        }
    }

    /// Returns true if a refusal is to be told now; it is told then.
    fn tell(&mut self, kept: &mut Kept) -> bool {
        let at = kept.at;
        let is_time = match kept.about {
            About::Stranger => at >= kept.due && at >= self.next_stranger,
            // Whose values change again and again is told of now and then.
            About::Guest | About::Member => {
                let is_soon = kept.told_at.is_some_and(|told| at < told.after(PAUSE));
                !kept.is_told && !is_soon && self.tellings.take(host_of(&kept.refusal), at)
            }
        };
        if is_time {
            if kept.about == About::Stranger {
                self.next_stranger = at.after(PAUSE);
            }
            kept.due = at.after(REMINDER);
            (kept.is_told, kept.told_at) = (true, Some(at));
        }
        is_time
    }

    /// Drops the oldest of those that one more must not be added to.
    fn make_room(&mut self, new: &Kept) {
        let (max, max_of_one) = match new.about {
            About::Member => (MAX_OF_MEMBERS, MAX_OF_ONE),
            About::Guest => (MAX_OF_GUESTS, MAX_OF_HOST),
            About::Stranger => (MAX_OF_STRANGERS, MAX_OF_STRANGE_HOST),
        };
        self.keep_below(max_of_one, |kept| kept.is_of_same_origin(new));
        self.keep_below(max, |kept| kept.about == new.about);
    }

    /// Drops the oldest of those that `counts`, until there are fewer than `max`.
    fn keep_below(&mut self, max: usize, counts: impl Fn(&Kept) -> bool) {
        while self.kept.iter().filter(|kept| counts(kept)).count() >= max {
            let Some(oldest) = self.kept.iter().position(&counts) else { return };
            self.kept.remove(oldest);
        }
    }
}

impl Kept {
    /// Returns true if it is of the peer, the field and the subject of another refusal.
    fn is_like(&self, refusal: &Refusal, about: About) -> bool {
        let is_of_peer = self.refusal.peer == refusal.peer;
        self.about == about && is_of_peer && self.refusal.field == refusal.field
    }

    /// Returns true if another one fills the same places: those of a member, or of a host.
    fn is_of_same_origin(&self, other: &Self) -> bool {
        let is_same = match other.about {
            About::Member => self.refusal.peer == other.refusal.peer,
            About::Guest | About::Stranger => host_of(&self.refusal) == host_of(&other.refusal),
        };
        self.about == other.about && is_same
    }

    /// Returns true if the embedder was told of these very values, and they have been the case
    /// since.
    fn says_the_same(&self, refusal: &Refusal, at: Time) -> bool {
        let is_same =
            (&self.refusal.ours, &self.refusal.theirs) == (&refusal.ours, &refusal.theirs);
        self.is_told && is_same && at < self.at.after(REMINDER)
    }

    fn is_current(&self, since: Time) -> bool {
        !self.is_over && self.at >= since
    }
}

/// The host that a refusal came from.
fn host_of(refusal: &Refusal) -> &str {
    host(&refusal.address)
}

fn mismatch(refusal: &Refusal) -> Event {
    Event::ConfigMismatch {
        peer: refusal.peer.clone(),
        field: refusal.field.clone(),
        ours: refusal.ours.clone(),
        theirs: refusal.theirs.clone(),
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

    fn record(refusals: &Refusals, refusal: Refusal, at: Time) -> Option<Event> {
        refusals.record(refusal, About::Member, None, at)
    }

    fn all(refusals: &Refusals) -> Vec<Refusal> {
        refusals.all(Time(0))
    }

    fn at(seconds: u64) -> Time {
        Time(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn each_difference_is_told_once_and_kept_once() {
        let refusals = Refusals::default();
        assert!(record(&refusals, refusal("a", "relaxed"), Time(0)).is_some());
        assert!(record(&refusals, refusal("a", "relaxed"), Time(0)).is_none());
        assert!(record(&refusals, refusal("b", "relaxed"), Time(0)).is_some());
        assert_eq!(all(&refusals).len(), 2);
    }

    #[test]
    fn a_peer_that_was_let_in_is_forgotten_and_news_again() {
        let refusals = Refusals::default();
        record(&refusals, refusal("a", "relaxed"), Time(0));
        record(&refusals, Refusal { field: "members".into(), ..refusal("a", "x") }, Time(0));
        record(&refusals, refusal("b", "relaxed"), Time(0));
        refusals.forget("a");
        assert_eq!(all(&refusals), [refusal("b", "relaxed")]);
        assert!(record(&refusals, refusal("a", "relaxed"), Time(0)).is_some());
    }

    #[test]
    fn what_has_not_happened_for_a_while_is_over_and_news_again_after_a_longer_one() {
        let refusals = Refusals::default();
        assert!(record(&refusals, refusal("a", "relaxed"), at(1)).is_some());
        assert_eq!(refusals.all(at(1)), [refusal("a", "relaxed")]);
        assert_eq!(refusals.all(at(2)), []);
        assert!(record(&refusals, refusal("a", "relaxed"), at(500)).is_none(), "it goes on");
        assert_eq!(refusals.all(at(2)), [refusal("a", "relaxed")]);
        assert!(record(&refusals, refusal("a", "relaxed"), at(1_100)).is_some());
    }

    #[test]
    fn what_another_start_was_refused_for_is_over() {
        let refusals = Refusals::default();
        let refuse = |field: &str, start, second| {
            let refusal = Refusal { field: field.into(), ..refusal("a", "x") };
            refusals.record(refusal, About::Member, Some(Incarnation(start)), at(second)).is_some()
        };
        let fields = || all(&refusals).into_iter().map(|refusal| refusal.field).collect::<Vec<_>>();
        record(&refusals, Refusal { field: "tls".into(), ..refusal("a", "x") }, at(0));
        record(&refusals, refusal("b", "relaxed"), at(0));
        assert!(refuse("group", 1, 1) && refuse("mode", 1, 1));
        assert_eq!(fields(), ["tls", "mode", "group", "mode"], "all that differs at one start");
        assert!(refuse("members", 2, 2));
        assert_eq!(fields(), ["tls", "mode", "members"], "who it was is not known of the first");
        assert!(!refusals.has_since(at(3), &"a".into()));
        assert!(!refuse("mode", 3, 3), "it has been told of");
        assert_eq!(fields(), ["tls", "mode", "mode"]);
    }

    /// Any incarnation would do, and what a member was refused for was shown no more.
    #[test]
    fn whoever_says_to_be_another_start_elsewhere_ends_nothing() {
        let refusals = Refusals::default();
        let refuse = |address: &str, field: &str, start| {
            let address = address.to_owned();
            let field = field.to_owned();
            let refusal = Refusal { address, field, ..refusal("a", "x") };
            refusals.record(refusal, About::Member, Some(Incarnation(start)), at(1));
        };
        let fields = || all(&refusals).into_iter().map(|refusal| refusal.field).collect::<Vec<_>>();
        refuse("10.0.0.1:50001", "mode", 1);
        refuse("10.0.0.9:50002", "group", 2);
        assert_eq!(fields(), ["mode", "group"]);
        refuse("10.0.0.1:50003", "members", 3);
        assert_eq!(fields(), ["group", "members"]);
    }

    #[test]
    fn an_old_refusal_is_kept_and_not_current() {
        let refusals = Refusals::default();
        let a = PeerName::from("a");
        record(&refusals, refusal("a", "relaxed"), Time(5));
        assert!(refusals.has_since(Time(5), &a));
        assert!(!refusals.has_since(Time(6), &a));
        assert!(!refusals.has_since(Time(5), &"b".into()));
        record(&refusals, refusal("a", "relaxed"), Time(7));
        assert!(refusals.has_since(Time(6), &a));
    }

    #[test]
    fn a_difference_whose_values_change_is_told_now_and_then_and_kept_as_it_is() {
        let refusals = Refusals::default();
        let told = (0..35).filter(|second| {
            record(&refusals, refusal("a", &second.to_string()), at(*second)).is_some()
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 10, 20, 30]);
        assert_eq!(all(&refusals), [refusal("a", "34")]);
    }

    #[test]
    fn what_could_not_be_told_is_told_when_it_happens_again() {
        let refusals = Refusals::default();
        let told = (0..100).filter(|number: &u32| {
            record(&refusals, refusal(&number.to_string(), "relaxed"), Time(0)).is_some()
        });
        assert_eq!(told.count(), 12, "all are from one host");
        let last = || refusal("99", "relaxed");
        assert!(record(&refusals, last(), at(1)).is_none());
        assert!(record(&refusals, last(), at(10)).is_some());
        assert!(record(&refusals, last(), at(100)).is_none());
    }

    #[test]
    fn a_stranger_is_told_of_if_it_goes_on_and_then_seldom() {
        let refusals = Refusals::default();
        let stranger = |host: &str, fault: &str, second| {
            refusals.record(refusal(host, fault), About::Stranger, None, at(second))
        };
        let mut told = Vec::new();
        for second in 0..1500 {
            // Two faults of one host, in turn.
            let fault = if second % 2 == 0 { "garbage" } else { "plain" };
            if stranger("10.0.0.1", fault, second).is_some() {
                told.push(second);
            }
        }
        assert_eq!(told, [2, 602, 1202]);
        // One that got in meanwhile, as a peer does that tries TLS first, is not told of.
        for second in 2000..2100 {
            assert_eq!(stranger("10.0.0.2", "tls", second), None);
            refusals.forget("10.0.0.2");
        }
    }

    #[test]
    fn whoever_is_no_member_neither_pushes_out_members_nor_floods_the_embedder() {
        let refusals = Refusals::default();
        record(&refusals, refusal("b", "relaxed"), Time(0));
        let mut told_of_strangers = 0;
        let mut told_of_guests = 0;
        for second in 0..100 {
            for number in 0..50 {
                let knock = |about, told: &mut u32| {
                    let address = format!("10.0.0.{}:1", number % 10);
                    let refusal = Refusal { address, ..refusal(&format!("x{number}"), "x") };
                    *told += u32::from(refusals.record(refusal, about, None, at(second)).is_some());
                };
                knock(About::Stranger, &mut told_of_strangers);
                knock(About::Guest, &mut told_of_guests);
            }
        }
        assert!(told_of_strangers <= 10, "{told_of_strangers}");
        assert!(told_of_guests <= AT_ONCE[0] + 10, "{told_of_guests}");
        let all = all(&refusals);
        assert_eq!((all.len(), &*all[0].peer), (1 + MAX_OF_STRANGERS + MAX_OF_GUESTS, "b"));
    }

    #[test]
    fn one_host_leaves_room_for_guests_of_others() {
        let refusals = Refusals::default();
        refusals.record(refusal("newcomer", "relaxed"), About::Guest, None, Time(0));
        for number in 0..100 {
            let address = format!("10.0.0.1:{number}");
            let refusal = Refusal { address, ..refusal(&format!("z{number}"), "x") };
            refusals.record(refusal, About::Guest, None, at(number));
        }
        let all = all(&refusals);
        assert_eq!((all.len(), &*all[0].peer), (1 + MAX_OF_HOST, "newcomer"));
    }

    #[test]
    fn only_the_newest_of_a_member_are_kept() {
        let refusals = Refusals::default();
        for number in 0..100 {
            let field = format!("f{number}");
            record(&refusals, Refusal { field, ..refusal("a", "x") }, Time(0));
        }
        let all = all(&refusals);
        assert_eq!((all.len(), &*all[0].field), (MAX_OF_ONE, "f88"));
    }
}
