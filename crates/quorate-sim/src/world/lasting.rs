//! Faults that last: a member is gone for good, a path is lost one way, a star or a part of the
//! group is left. Nothing is healed, and the rest must have a primary within a bound.
//!
//! An election is *due* while nobody decides, and some member that may be promoted reaches, by what
//! the network really does, members that are a majority with it and are all without a primary: they
//! agree (docs/protocol.md, section 2), and no promise of theirs binds them any more.
//!
//! Holds G32 of docs/guarantees.md.

use std::time::Duration;

use quorate::internal::protocol::PeerRole;
use quorate::internal::protocol::io::Route;

use crate::base::clock::{Moment, nanos};
use crate::world::World;

/// The time from the moment of agreement in which somebody must decide, unless candidates have
/// collided.
const TO_PRIMARY: Duration = Duration::from_millis(200);

/// The longest that there may be no primary while one is possible, in failure timeouts times 100.
const OUTAGE_PERCENT: u32 = 200;

/// A fault that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// A process ends and does not come back.
    Gone,
    /// A host ends, silently, and does not come back.
    Silent,
    /// A peer hears nobody, and everybody hears it.
    Deaf,
    /// Nobody hears a peer, which hears everybody.
    Mute,
    /// One path is lost, in one direction.
    OneWay,
    /// Two peers do not reach each other.
    Unlink,
    /// All reach one peer, and nobody else.
    Star,
    /// Two parts do not reach each other.
    Split,
}

impl Lasting {
    const ALL: [Self; 8] = [
        Self::Gone,
        Self::Silent,
        Self::Deaf,
        Self::Mute,
        Self::OneWay,
        Self::Unlink,
        Self::Star,
        Self::Split,
    ];
}

/// The moments since which the group is without a primary although it could have one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overdue {
    /// The moment since which somebody could be elected at once.
    due: Option<Moment>,
    /// Candidacies until then.
    campaigns: u64,
    /// The moment at which the last fault began, or a link came or went for the last time.
    pub(crate) changed: Moment,
    /// The moment since which somebody could be, once the others know that they have no primary.
    missing: Option<Moment>,
}

impl World {
    /// Some faults begin, and last.
    pub(crate) fn last_through(&mut self) {
        let timeout = self.plan.timeout();
        if !self.run_while(timeout * 9 / 2, Self::is_whole) {
            let what = format!("no group to begin with: {}", self.describe());
            return self.fail("liveness", what);
        }
        let calm = self.fault_random.duration(Duration::ZERO, timeout);
        self.run_until(self.now.after(calm));
        let end = self.now.after(self.plan.faults.phase);
        self.begin_lasting();
        if self.fault_random.chance(400) {
            let later = self.fault_random.duration(Duration::ZERO, timeout * 3);
            self.watch_until(self.now.after(later));
            self.begin_lasting();
        }
        self.watch_until(end);
    }

    fn begin_lasting(&mut self) {
        let what = self.fault_random.pick(&Lasting::ALL);
        let peer = self.victim();
        self.note(peer, &[23, what as u64], |_| format!("LASTING {what:?}"));
        self.counters.add("faults");
        self.overdue.changed = self.now;
        match what {
            Lasting::Gone | Lasting::Silent => {
                let is_goodbye = what == Lasting::Gone && self.fault_random.chance(300);
                self.counters.add("members gone for good");
                self.end_process(peer, what == Lasting::Silent, is_goodbye);
            }
            Lasting::Deaf => self.cut_for_good(&self.paths_of(peer, false, true)),
            Lasting::Mute => self.cut_for_good(&self.paths_of(peer, true, false)),
            Lasting::OneWay => {
                let other = self.other_than(peer);
                let path =
                    if self.fault_random.chance(500) { (peer, other) } else { (other, peer) };
                self.cut_for_good(&[path]);
            }
            Lasting::Unlink => {
                let other = self.other_than(peer);
                self.cut_for_good(&[(peer, other), (other, peer)]);
            }
            Lasting::Star => {
                let hub = self.other_than(peer);
                self.counters.add("lasting stars");
                self.cut_for_good(&self.paths_between(|one, other| one != hub && other != hub));
            }
            Lasting::Split => {
                let side: Vec<bool> =
                    (0..self.plan.peers()).map(|_| self.fault_random.chance(300)).collect();
                self.cut_for_good(&self.paths_between(|one, other| side[one] != side[other]));
            }
        }
    }

    pub(crate) fn paths_between(
        &self,
        is_cut: impl Fn(usize, usize) -> bool,
    ) -> Vec<(usize, usize)> {
        let size = self.plan.peers();
        let all = (0..size).flat_map(|one| (0..size).map(move |other| (one, other)));
        all.filter(|(one, other)| one != other && is_cut(*one, *other)).collect()
    }

    fn cut_for_good(&mut self, paths: &[(usize, usize)]) {
        self.counters.add("lasting cuts");
        self.cut(paths);
    }

    /// Runs until `end`, and asks after every event whether an election is overdue.
    fn watch_until(&mut self, end: Moment) {
        while self.failure.is_none() && self.queue.next_at().is_some_and(|at| at <= end) {
            self.step();
            self.look_for_primary();
        }
        self.now = self.now.max(end);
    }

    fn look_for_primary(&mut self) {
        let is_missing = self.primary().is_none();
        let is_due = is_missing && self.has_candidate(true);
        match self.overdue.due {
            None if is_due => {
                self.overdue.campaigns = self.counters.get("campaigns");
                self.overdue.due = Some(self.now);
            }
            // Whoever is elected binds the others before it decides.
            Some(due) if !is_missing => {
                if self.counters.get("campaigns") - self.overdue.campaigns > 1 {
                    self.counters.add("candidates that collided");
                }
                self.overdue.due = None;
                self.note_elected(self.now.since(due));
            }
            Some(_) if !self.has_candidate(false) => self.overdue.due = None,
            Some(due) => self.judge(self.now.since(due)),
            None => {}
        }
        let since = self.overdue.missing.unwrap_or(self.now);
        let could_be = is_missing && self.has_candidate(false);
        self.overdue.missing = could_be.then_some(since);
        let bound = self.plan.timeout() * OUTAGE_PERCENT / 100;
        if could_be && self.now.since(since) > bound {
            let what =
                format!("no primary for {bound:?} while one is possible: {}", self.describe());
            self.fail("time_to_primary", what);
        }
    }

    fn note_elected(&mut self, after: Duration) {
        let millis = after.as_millis();
        let name = match millis {
            0..50 => "primary in 50 ms",
            50..100 => "primary in 100 ms",
            100..200 => "primary in 200 ms",
            200..1000 => "primary in 1 s",
            _ => "primary later",
        };
        self.counters.add(name);
        self.note(0, &[24], |_| format!("somebody decides {after:?} after an election was due"));
    }

    /// Somebody must decide by now. For three heartbeats whoever is gone counts as being in reach:
    /// each that stands before the winner then costs two steps of an election.
    fn judge(&mut self, since: Duration) {
        let rounds = self.counters.get("campaigns") - self.overdue.campaigns;
        let due = Moment(self.now.0 - nanos(since));
        let group = &self.plan.group;
        let is_known = due.since(self.overdue.changed) > group.heartbeat * 4;
        let step = group.failure_timeout / 40;
        let places = if is_known { 0 } else { u32::try_from(self.plan.peers()).unwrap_or(0) };
        if rounds <= 1 && since > TO_PRIMARY + step * 2 * places {
            let what = format!("no primary {since:?} after one was due: {}", self.describe());
            self.fail("time_to_primary", what);
        }
    }

    /// Returns true if some member could be elected: now, if all in its reach are to know already
    /// that they have no primary.
    fn has_candidate(&self, are_free: bool) -> bool {
        (0..self.plan.peers()).any(|peer| self.may_be_elected(peer, are_free))
    }

    fn may_be_elected(&self, peer: usize, are_free: bool) -> bool {
        let Some(process) = self.process(peer) else { return false };
        if self.hosts[peer].config.priority == 0 || process.store.position().is_blank() {
            return false;
        }
        if are_free {
            let is_any_bound = (0..self.plan.peers())
                .any(|other| self.reaches(peer, other) && !self.is_free(other));
            if self.reigns(peer) || is_any_bound {
                return false;
            }
        }
        process.store.meta().membership.has_majority(|name, id| {
            let other = self.index_of(name);
            let is_counted = self.process(other).is_some_and(|process| process.id == id);
            is_counted && self.reaches(peer, other)
        })
    }

    /// Returns true if a peer is a primary: one whose lease has ended goes on if a majority answers
    /// again, and stands for nothing.
    fn reigns(&self, peer: usize) -> bool {
        let now = self.hosts[peer].clock.now(self.now);
        self.process(peer).is_some_and(|p| p.machine.status(now).role == PeerRole::Primary)
    }

    fn reaches(&self, peer: usize, other: usize) -> bool {
        peer == other || (self.network.is_connected(peer, other) && self.is_linked(peer, other))
    }

    /// Returns true if a process knows that it has no primary.
    fn is_free(&self, peer: usize) -> bool {
        let machine = self.process(peer).map(|process| &process.machine);
        machine.is_some_and(|machine| matches!(machine.route(), Route::Nowhere))
    }
}
