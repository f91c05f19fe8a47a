//! A planned switch: stop admitting, settle, let the successor reach the same cut, release
//! (docs/protocol.md, section 8). Callers are held, and no change is lost.

use crate::bug::{self, Bug};
use crate::error::SwitchError;
use crate::event::Event;
use crate::id::{Ballot, Incarnation, PeerName, Position, Sequence, Time};
use crate::protocol::io::{Output, Route};
use crate::protocol::machine::{Machine, Role, Switching};
use crate::protocol::message::Message;

/// Steps of an election that a successor has for itself. Few: it may have died.
const SUCCESSOR_STEPS: u32 = 2;

/// A hand-over that waits for the successor to reach the last cut.
#[derive(Debug)]
pub(super) struct HandOver {
    request: u64,
    to: (PeerName, Incarnation),
    last: Sequence,
    deadline: Time,
}

impl Machine {
    pub(super) fn on_switch(&mut self, request: u64, to: Option<PeerName>) {
        match self.successor(to) {
            Ok(None) => {
                let result = Ok(self.config.name.clone());
                self.outputs.push_back(Output::Switched { request, result });
            }
            Ok(Some(to)) => self.begin_hand_over(request, to),
            Err(error) => {
                self.outputs.push_back(Output::Switched { request, result: Err(error) });
            }
        }
    }

    /// Hands over to whoever is ready, for nobody in particular, unless that is under way.
    pub(super) fn hand_over_at_once(&mut self) {
        if let Ok(Some(to)) = self.successor(None) {
            self.begin_hand_over(0, to);
        }
    }

    /// Who is to take over; `None` if this peer already is what was asked for.
    fn successor(
        &self,
        to: Option<PeerName>,
    ) -> Result<Option<(PeerName, Incarnation)>, SwitchError> {
        let Role::Primary(reign) = &self.role else {
            let primary = self.leader.as_ref().map(|leader| leader.name.clone());
            return Err(SwitchError::NotPrimary { primary });
        };
        if reign.hand_over.is_some() {
            return Err(SwitchError::Busy);
        }
        if to.as_ref() == Some(&self.config.name) {
            return Ok(None);
        }
        if let Some(to) = &to {
            if !self.names().contains(to) {
                return Err(SwitchError::NotMember { to: to.clone() });
            }
            let brief = self.remotes.get(to).and_then(|r| r.brief.as_ref());
            if brief.is_some_and(|b| b.priority == 0) {
                return Err(SwitchError::PriorityZero { to: to.clone() });
            }
        }
        let ready = self.remotes.iter().filter_map(|(name, remote)| {
            let brief = remote.brief.as_ref()?;
            let incarnation = remote.linked?;
            let is_asked = to.as_ref().is_none_or(|to| to == name);
            let may = is_asked
                && brief.priority > 0
                && self.is_reachable(remote)
                && self.meta.membership.counts(name, remote.id()?)
                && self.meta.membership.keeps(name)
                && remote.sender.as_ref().is_some_and(|s| s.held().is_some());
            may.then(|| (brief.priority, name.clone(), incarnation))
        });
        let best = ready.min().filter(|_| reign.has_lease());
        match best {
            Some((_, name, incarnation)) => Ok(Some((name, incarnation))),
            None => Err(SwitchError::NotReady { to }),
        }
    }

    fn begin_hand_over(&mut self, request: u64, to: (PeerName, Incarnation)) {
        self.store.hold();
        self.store.settle();
        self.set_route(Route::Held);
        self.replicate();
        // Whatever was admitted before the hold is part of this cut.
        let now = self.now.time;
        let group_time = self.source().group_time;
        let last = self.store.cut(group_time, Sequence(u64::MAX), &[], 0).end.sequence;
        let deadline = now.after(self.group.failure_timeout / 4);
        if let Role::Primary(reign) = &mut self.role {
            reign.hand_over = Some(HandOver { request, to, last, deadline });
        }
        self.advance_hand_over();
    }

    /// Releases once the successor, and a majority, hold everything.
    pub(super) fn advance_hand_over(&mut self) {
        let now = self.now.time;
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        let Some(hand_over) = &reign.hand_over else {
            return;
        };
        let (last, deadline, to) = (hand_over.last, hand_over.deadline, hand_over.to.clone());
        if now >= deadline {
            let hand_over = reign.hand_over.take();
            if let Some(hand_over) = hand_over {
                self.resume();
                self.abort_switch(hand_over);
            }
            return;
        }
        let is_settled = reign.committed() >= last;
        let held = self.remotes.get(&to.0).and_then(|r| r.sender.as_ref()).and_then(|s| s.held());
        let end = Position { ballot: self.ballot, sequence: last };
        let is_held = held.is_some_and(|held| held >= end);
        if (is_settled && is_held) || bug::is(Bug::ReleaseBeforeCaughtUp) {
            self.release();
        } else {
            self.wake_by(deadline);
        }
    }

    /// Decides again, in the same reign: nothing has been released.
    fn resume(&mut self) {
        let ballot = self.ballot;
        self.renew_lease();
        if matches!(&self.role, Role::Primary(reign) if reign.has_lease()) {
            self.set_route(Route::Here { ballot });
        }
    }

    /// Gives the reign up for good: from here on this peer decides again in a newer ballot only,
    /// whatever its timers say.
    fn release(&mut self) {
        if bug::is(Bug::ReleaseTakenBack) {
            return self.release_and_resume();
        }
        let role = std::mem::replace(&mut self.role, Role::Follower);
        let Role::Primary(mut reign) = role else {
            return;
        };
        let Some(hand_over) = reign.hand_over.take() else {
            return;
        };
        let now = self.now.time;
        let ballot = self.ballot;
        self.store.end_reign();
        self.append_rest();
        // Until the route says so, whoever asks the store is held rather than refused.
        self.store.hold();
        self.leave_reign(&mut reign);
        let deadline = now.after(self.group.failure_timeout / 2);
        self.held_until = deadline;
        let (request, to) = (hand_over.request, hand_over.to.0.clone());
        self.send_to_all(&Message::Release { ballot, to: to.clone() });
        self.event(Event::SteppedDown { ballot });
        self.switching = Some(Switching { request, to, ballot, deadline });
        // The successor goes first; this peer stands again only if nobody has.
        self.watch.way_until = now.after(self.election_step() * SUCCESSOR_STEPS);
        self.watch.campaign_at = Some(deadline);
        self.wake_soon();
    }

    /// What must not be done: a release that is taken back.
    fn release_and_resume(&mut self) {
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(hand_over) = reign.hand_over.take() else { return };
        let (ballot, to) = (self.ballot, hand_over.to.0.clone());
        self.send_to_all(&Message::Release { ballot, to });
        self.resume();
    }

    pub(super) fn on_release(
        &mut self,
        from: &(PeerName, Incarnation),
        ballot: Ballot,
        to: &PeerName,
    ) {
        if self.promise.as_ref().is_some_and(|p| p.to == *from && p.ballot <= ballot) {
            self.promise = None;
        }
        self.wake_soon();
        let is_leader = self
            .leader
            .as_ref()
            .is_some_and(|leader| leader.name == from.0 && leader.incarnation == from.1);
        if *to != from.0 {
            // The successor goes first, whether it has been heard of already or not.
            self.make_way();
            self.watch.way_until = self.now.time.after(self.election_step() * SUCCESSOR_STEPS);
        }
        if ballot != self.ballot || !is_leader {
            return;
        }
        self.leader = None;
        self.receiver.clear();
        if *to == from.0 {
            // It was deposed rather than asked to hand over: the ordinary way on.
            self.set_route(Route::Nowhere);
            return;
        }
        self.hold_callers();
        if *to == self.config.name {
            self.stand_for_released(ballot);
        }
    }

    /// Holds callers until the successor is known, for a bounded time.
    pub(super) fn hold_callers(&mut self) {
        self.held_until = self.now.time.after(self.group.failure_timeout / 2);
        self.set_route(Route::Held);
    }

    /// Watches a switch to its end, and lets held callers go if it does not come.
    pub(super) fn switch_tick(&mut self) {
        let now = self.now.time;
        if let Some(switching) = &self.switching {
            let leader = self.leader.as_ref().map(|leader| &leader.name);
            let is_done = self.ballot > switching.ballot && leader == Some(&switching.to);
            let is_failed =
                now >= switching.deadline || (leader.is_some() && !is_done) || self.is_primary();
            let (request, to, deadline) =
                (switching.request, switching.to.clone(), switching.deadline);
            if is_done || is_failed {
                self.switching = None;
                let result = if is_done { Ok(to) } else { Err(SwitchError::Aborted { to }) };
                self.outputs.push_back(Output::Switched { request, result });
            } else {
                self.wake_by(deadline);
            }
        }
        let is_waiting = matches!(self.route, Route::Held) && !self.is_primary();
        if is_waiting {
            if now >= self.held_until {
                self.set_route(Route::Nowhere);
            } else {
                let until = self.held_until;
                self.wake_by(until);
            }
        }
    }

    pub(super) fn abort_switch(&mut self, hand_over: HandOver) {
        let to = hand_over.to.0;
        self.event(Event::SwitchAborted { to: to.clone() });
        let result = Err(SwitchError::Aborted { to });
        self.outputs.push_back(Output::Switched { request: hand_over.request, result });
    }
}
