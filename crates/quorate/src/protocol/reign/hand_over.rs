//! A planned switch: stop admitting, settle, let the successor reach the same cut, release
//! (docs/protocol.md, section 8). Callers are held, and no change is lost.

use crate::base::bug::{self, Bug};
use crate::base::error::SwitchError;
use crate::base::event::Event;
use crate::base::id::{Ballot, PeerName, PeerStart, Sequence};
use crate::protocol::deadlines::Timer;
use crate::protocol::group::remote::Remote;
use crate::protocol::group::request::Ask;
use crate::protocol::io::{Output, Route};
use crate::protocol::machine::Machine;
use crate::protocol::message::{Message, SwitchOutcome};
use crate::protocol::reign::switching::{Asker, HandOver, NOBODY};
use crate::protocol::role::Role;

/// Steps of an election that a successor has for itself. Few: it may have died.
const SUCCESSOR_STEPS: u32 = 2;

impl Machine {
    /// The embedder wants a switch: the primary is asked for one to a peer that is named, whichever
    /// peer that is; to the best successor it is for the primary itself to want.
    pub(in crate::protocol) fn on_switch(&mut self, request: u64, to: Option<PeerName>) {
        match to {
            Some(to) if !self.is_primary() => self.on_request(request, Ask::Switch(to)),
            None if self.has_released && !self.is_primary() => {
                self.end_switch(Asker::Own(request), self.after_release());
            }
            to => self.switch(Asker::Own(request), to),
        }
    }

    /// Answers another peer that wants a switch. It asks again until it has heard the answer, which
    /// is the same each time: a wish is met once, or not at all.
    pub(in crate::protocol) fn on_switch_asked(
        &mut self,
        from: &PeerStart,
        request: u64,
        to: PeerName,
        ballot: Ballot,
    ) {
        let asker = Asker::Other(from.clone(), request);
        let answered = self.remotes.get(&from.name).and_then(|r| r.switch_answer(request));
        let is_late = ballot != self.ballot;
        let is_forgotten = bug::is(Bug::WishMetAgain) || (is_late && bug::is(Bug::OldWishMet));
        if let Some(outcome) = answered.filter(|_| !is_forgotten) {
            return self.send(from, Message::Switched { request, outcome });
        }
        let Role::Primary(reign) = &self.role else { return };
        let is_under_way = reign.is_handing_over_for(&asker);
        if is_under_way || (is_late && !bug::is(Bug::OldWishMet)) {
            return;
        }
        if !self.may_ask(&from.name, self.config.client_rights.switch_primary) {
            return self.end_switch(asker, Err(SwitchError::NotAllowed));
        }
        self.switch(asker, Some(to));
    }

    fn switch(&mut self, asker: Asker, to: Option<PeerName>) {
        match self.successor(to) {
            Ok(None) => self.end_switch(asker, Ok(self.config.name.clone())),
            Ok(Some(to)) => self.begin_hand_over(asker, to),
            Err(error) => self.end_switch(asker, Err(error)),
        }
    }

    /// The outcome of a wish to hand over where this peer has released its last reign, for
    /// whomever: whoever follows it, nothing was lost. A switch is not over before somebody does.
    fn after_release(&self) -> Result<PeerName, SwitchError> {
        let leader = self.leader.as_ref().map(|leader| leader.start.name.clone());
        match (leader, &self.switching) {
            (Some(leader), _) => Ok(leader),
            (None, Some(_)) => Err(SwitchError::Busy),
            (None, None) => Err(SwitchError::NotPrimary { primary: None }),
        }
    }

    /// Tells whoever has asked.
    fn end_switch(&mut self, asker: Asker, result: Result<PeerName, SwitchError>) {
        match asker {
            Asker::Own(request) => self.outputs.push_back(Output::Switched { request, result }),
            Asker::Other(from, request) => {
                if let Some(outcome) = SwitchOutcome::of(&result) {
                    // Another start of it numbers its wishes anew.
                    let remote = self.remotes.get_mut(&from.name);
                    if let Some(remote) = remote.filter(|r| r.is_last(from.incarnation)) {
                        remote.note_switch_answer(request, outcome);
                    }
                    self.send(&from, Message::Switched { request, outcome });
                }
            }
        }
    }

    /// Hands over to whoever is ready, for nobody in particular, unless that is under way.
    pub(in crate::protocol) fn hand_over_at_once(&mut self) {
        if let Ok(Some(to)) = self.successor(None) {
            self.begin_hand_over(NOBODY, to);
        }
    }

    /// The peer that is to take over; `None` if this peer already is what was asked for.
    fn successor(&self, to: Option<PeerName>) -> Result<Option<PeerStart>, SwitchError> {
        let Role::Primary(reign) = &self.role else {
            let primary = self.leader.as_ref().map(|leader| leader.start.name.clone());
            return Err(SwitchError::NotPrimary { primary });
        };
        if reign.is_handing_over() || reign.demotion().is_some() {
            return Err(SwitchError::Busy);
        }
        if to.as_ref() == Some(&self.config.name) {
            return Ok(None);
        }
        if let Some(to) = &to {
            if !self.names().contains(to) {
                return Err(SwitchError::NotMember { to: to.clone() });
            }
            let brief = self.remotes.get(to).and_then(Remote::brief);
            if brief.is_some_and(|b| b.priority == 0) {
                return Err(SwitchError::PriorityZero { to: to.clone() });
            }
        }
        if !reign.has_lease() {
            return Err(SwitchError::LeaseEnded);
        }
        let ready = self.remotes.iter().filter_map(|(name, remote)| {
            let brief = remote.brief()?;
            let incarnation = remote.linked()?;
            let is_asked = to.as_ref().is_none_or(|to| to == name);
            let may = is_asked
                && self.is_reachable(remote)
                && self.meta.membership.counts(name, remote.id()?)
                && self.meta.membership.keeps(name)
                && remote.sender().is_some_and(|s| s.held().is_some());
            may.then(|| (brief.priority, PeerStart::new(name.clone(), incarnation)))
        });
        let (never, ready): (Vec<_>, Vec<_>) = ready.partition(|(priority, _)| *priority == 0);
        match ready.into_iter().min() {
            Some((_, successor)) => Ok(Some(successor)),
            None if self.names().len() == 1 => Err(SwitchError::OnlyMember),
            None if to.is_some() || self.has_hope_of_successor() => Err(self.not_ready(to)),
            None if never.is_empty() => Err(SwitchError::NobodyElse),
            None => {
                let members = never.into_iter().map(|(_, peer)| peer.name).collect();
                Err(SwitchError::NoCandidate { members })
            }
        }
    }

    /// The reason why this peer, or any other, cannot take over.
    fn not_ready(&self, to: Option<PeerName>) -> SwitchError {
        let others = self.names().into_iter().filter(|name| **name != self.config.name);
        let asked = others.filter(|name| to.as_ref().is_none_or(|to| to == *name));
        let (there, members): (Vec<_>, Vec<_>) =
            asked.cloned().partition(|name| self.reaches(name));
        if there.is_empty() {
            SwitchError::NotConnected { members }
        } else {
            SwitchError::NotReady { to }
        }
    }

    /// Returns true if another member may be ready in a moment: one that has not said where it
    /// stands, or is not connected and has not said that it ends. So may one that stops, or has
    /// ended, where another member goes on that is never promoted: it is a restart. Where all stop
    /// the group ends, and nobody is waited for.
    fn has_hope_of_successor(&self) -> bool {
        let mut goes_on = false;
        let mut may_be_back = false;
        for name in self.names().into_iter().filter(|name| **name != self.config.name) {
            let Some(remote) = self.remotes.get(name) else { return true };
            let is_ending = match remote.linked() {
                Some(_) if !remote.is_never_promoted() => return true,
                Some(_) => remote.is_stopping(),
                None if !remote.has_ended() => return true,
                None => true,
            };
            goes_on |= !is_ending;
            may_be_back |= is_ending;
        }
        goes_on && may_be_back
    }

    fn begin_hand_over(&mut self, asker: Asker, to: PeerStart) {
        self.store.hold();
        self.store.settle();
        self.set_route(Route::HandingOver);
        self.replicate();
        // Whatever was admitted before the hold is part of this cut.
        let now = self.now.time;
        let group_time = self.source().group_time;
        let last = self.store.cut(group_time, Sequence(u64::MAX), &[], 0).end.sequence;
        let deadline = now.after(self.group.failure_timeout / 4);
        if let Role::Primary(reign) = &mut self.role {
            reign.begin_hand_over(HandOver::new(asker, to, last, deadline));
        }
        self.advance_hand_over();
    }

    /// Releases once the successor, and a majority, hold everything.
    pub(in crate::protocol) fn advance_hand_over(&mut self) {
        let now = self.now.time;
        let Role::Primary(reign) = &self.role else { return };
        let Some(hand_over) = reign.hand_over() else { return };
        let to = hand_over.to();
        let deadline = hand_over.deadline();
        if now >= deadline || !self.may_take_over(to) {
            return self.give_up_hand_over();
        }
        let held = self.remotes.get(&to.name).and_then(Remote::sender).and_then(|s| s.held());
        let is_held = hand_over.is_held(self.ballot, reign.committed(), held);
        if is_held || bug::is(Bug::ReleaseBeforeCaughtUp) {
            self.release();
        } else {
            self.wake_by(Timer::HandOver, deadline);
        }
    }

    /// Goes on as primary: nothing has been released.
    fn give_up_hand_over(&mut self) {
        let Role::Primary(reign) = &mut self.role else { return };
        if let Some(hand_over) = reign.take_hand_over() {
            self.resume();
            self.abort_switch(hand_over);
        }
    }

    /// Returns true if a successor that was chosen is still there, and has not said that it stops.
    fn may_take_over(&self, PeerStart { name, incarnation }: &PeerStart) -> bool {
        let remote = self.remotes.get(name).filter(|r| r.is_linked_start(*incarnation));
        remote.is_some_and(|remote| !remote.is_never_promoted())
    }

    /// Returns true if a successor to which the reign was released says that it ends, or stops. A
    /// link that was reset says nothing: it may be elected all the same.
    fn has_gone(&self, name: &PeerName) -> bool {
        let remote = self.remotes.get(name);
        remote.is_none_or(|remote| match remote.linked() {
            Some(_) => remote.is_never_promoted(),
            None => remote.has_ended(),
        })
    }

    /// Decides again, in the same reign: nothing has been released.
    pub(in crate::protocol) fn resume(&mut self) {
        let ballot = self.ballot;
        self.renew_lease();
        let has_lease = matches!(&self.role, Role::Primary(reign) if reign.has_lease());
        if has_lease && self.may_serve() {
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
        let Some(hand_over) = reign.take_hand_over() else {
            return;
        };
        debug_assert!(
            reign.committed() >= hand_over.last() || bug::is_any(),
            "a reign is released when a majority holds all of it"
        );
        let now = self.now.time;
        let ballot = self.ballot;
        self.store.end_reign();
        self.append_rest();
        // Until the route says so, whoever asks the store is held rather than refused.
        self.store.hold();
        self.leave_reign(&mut reign);
        let deadline = now.after(self.group.failure_timeout / 2);
        self.held_until = deadline;
        self.send_to_all(&Message::Release { ballot, to: hand_over.to().name.clone() });
        self.event(Event::SteppedDown { ballot });
        self.switching = Some(hand_over.release(ballot, deadline));
        self.has_released = true;
        // The successor goes first; this peer stands again only if nobody has.
        self.watch.way_until = now.after(self.election_step() * SUCCESSOR_STEPS);
        self.watch.campaign_at = Some(deadline);
        self.wake_soon();
    }

    /// Takes a release back, which must not be done.
    fn release_and_resume(&mut self) {
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(hand_over) = reign.take_hand_over() else { return };
        let ballot = self.ballot;
        let to = hand_over.to().name.clone();
        self.send_to_all(&Message::Release { ballot, to });
        self.resume();
    }

    pub(in crate::protocol) fn on_release(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        to: &PeerName,
    ) {
        if self.promise.as_ref().is_some_and(|p| p.to == *from && p.ballot <= ballot) {
            self.promise = None;
        }
        self.wake_soon();
        let is_leader = self.leader.as_ref().is_some_and(|leader| leader.start == *from);
        if *to != from.name {
            // The successor goes first, whether it has been heard of already or not.
            self.make_way();
            self.watch.way_until = self.now.time.after(self.election_step() * SUCCESSOR_STEPS);
        }
        if ballot != self.ballot || !is_leader {
            return;
        }
        self.leader = None;
        self.receiver.clear();
        if *to == from.name {
            // It was deposed rather than asked to hand over: the ordinary way on.
            self.set_route(Route::Nowhere);
            return;
        }
        self.hold_callers();
        if *to == self.config.name && self.priority() > 0 {
            self.stand_for_released(ballot);
        }
    }

    /// Holds callers until the successor is known, for a bounded time.
    pub(in crate::protocol) fn hold_callers(&mut self) {
        self.held_until = self.now.time.after(self.group.failure_timeout / 2);
        self.set_route(Route::HandingOver);
    }

    /// Watches a switch to its end, and lets held callers go if it does not come.
    pub(in crate::protocol) fn switch_tick(&mut self) {
        let now = self.now.time;
        if let Some(switching) = &self.switching {
            let leader = self.leader.as_ref().map(|leader| &leader.start.name);
            let is_over = self.is_primary() || self.has_gone(&switching.to().name);
            let deadline = switching.deadline();
            match switching.outcome(now, self.ballot, leader, is_over) {
                None => self.wake_by(Timer::Switch, deadline),
                Some(result) => {
                    if let Some(switching) = self.switching.take() {
                        self.end_switch(switching.into_asker(), result);
                    }
                }
            }
        }
        let is_waiting = matches!(self.route, Route::HandingOver) && !self.is_primary();
        if is_waiting {
            if now >= self.held_until {
                self.set_route(Route::Nowhere);
            } else {
                let until = self.held_until;
                self.wake_by(Timer::Route, until);
            }
        }
    }

    pub(in crate::protocol) fn abort_switch(&mut self, hand_over: HandOver) {
        let to = hand_over.to().name.clone();
        self.event(Event::SwitchAborted { to: to.clone() });
        self.end_switch(hand_over.into_asker(), Err(SwitchError::Aborted { to }));
    }
}

impl SwitchOutcome {
    /// The outcome that another peer is told; none by who is no primary any more.
    fn of(result: &Result<PeerName, SwitchError>) -> Option<Self> {
        Some(match result {
            Ok(_) => Self::Switched,
            Err(SwitchError::NotMember { .. }) => Self::NotMember,
            Err(SwitchError::PriorityZero { .. }) => Self::PriorityZero,
            Err(
                SwitchError::NotReady { .. }
                | SwitchError::NoCandidate { .. }
                | SwitchError::OnlyMember
                | SwitchError::NobodyElse,
            ) => Self::NotReady,
            Err(SwitchError::NotConnected { .. }) => Self::NotConnected,
            Err(SwitchError::LeaseEnded) => Self::LeaseEnded,
            Err(SwitchError::Busy) => Self::Busy,
            Err(SwitchError::NotAllowed) => Self::NotAllowed,
            Err(SwitchError::Aborted { .. }) => Self::Aborted,
            Err(
                SwitchError::NotPrimary { .. }
                | SwitchError::NoPrimary { .. }
                | SwitchError::NotReached
                | SwitchError::TimedOut { .. }
                | SwitchError::TooMany { .. }
                | SwitchError::ShuttingDown,
            ) => return None,
        })
    }

    /// The meaning to whoever has asked for a switch to this peer.
    pub(in crate::protocol) fn into_result(self, to: PeerName) -> Result<PeerName, SwitchError> {
        Err(match self {
            Self::Switched => return Ok(to),
            Self::NotAllowed => SwitchError::NotAllowed,
            Self::NotMember => SwitchError::NotMember { to },
            Self::PriorityZero => SwitchError::PriorityZero { to },
            Self::NotReady => SwitchError::NotReady { to: Some(to) },
            Self::NotConnected => SwitchError::NotConnected { members: vec![to] },
            Self::LeaseEnded => SwitchError::LeaseEnded,
            Self::Busy => SwitchError::Busy,
            Self::Aborted => SwitchError::Aborted { to },
        })
    }
}
