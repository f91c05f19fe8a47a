//! What this peer's embedder asks of the primary, whichever peer that is: passed on, asked again
//! until it is answered, and given up in time (docs/protocol.md, sections 7, 8 and 14).

use crate::base::error::{ArrangeError, PolicyError, RemoveError, SwitchError};
use crate::base::id::{PeerName, Time};
use crate::protocol::deadlines::Timer;
use crate::protocol::group::remote::Remote;
use crate::protocol::group::request::{Answer, Ask, MAX_REQUESTS, Request};
use crate::protocol::io::{Output, SITES_VERSION, SWITCH_VERSION, UPKEEP_VERSION};
use crate::protocol::machine::Machine;
use crate::protocol::message::{
    ArrangeOutcome, Arrangement, Message, PolicyOutcome, RemoveOutcome, SwitchOutcome,
};
use crate::protocol::role::Role;

impl Machine {
    pub(in crate::protocol) fn on_request(&mut self, number: u64, ask: Ask) {
        if self.requests.len() >= MAX_REQUESTS {
            let bound = MAX_REQUESTS;
            return self.outputs.push_back(match ask {
                Ask::Policy(_) => policy_ended(number, Err(PolicyError::Busy { bound })),
                Ask::Remove(_) => removal_ended(number, Err(RemoveError::Busy { bound })),
                Ask::Switch(_) => switch_ended(number, Err(SwitchError::TooMany { bound })),
                Ask::Arrange(change) => {
                    arrangement_ended(number, change, ArrangeError::Busy { bound })
                }
            });
        }
        let now = self.now.time;
        let until = now.after(self.group.io_timeout);
        self.requests.push(Request { number, ask, since: now, until, again: now, asked: None });
        self.request_tick();
    }

    /// Asks the primary again where it has not answered, and gives up in time.
    pub(in crate::protocol) fn request_tick(&mut self) {
        let now = self.now.time;
        let mut due = Vec::new();
        let again = now.after(self.group.heartbeat);
        for request in &mut self.requests {
            if request.again <= now || request.until <= now {
                request.again = again;
                due.push((request.number, request.ask.clone(), now >= request.until));
            }
        }
        for (number, ask, is_late) in due {
            self.ask(number, ask, is_late);
        }
        let next = self.requests.iter().map(|request| request.again.min(request.until)).min();
        if let Some(next) = next {
            self.wake_by(Timer::Requests, next);
        }
    }

    fn ask(&mut self, number: u64, ask: Ask, is_late: bool) {
        if let Ask::Switch(to) = &ask
            && self.switch_has_ended(number, to)
        {
            return;
        }
        if ask == Ask::Arrange(Arrangement::Activate)
            && let Some(outcome) = self.why_not_activate()
        {
            return self.answer(number, Answer::Arrange(outcome));
        }
        if let Ask::Arrange(change) = &ask
            && let Some(outcome) = self.has_been_demoted(*change)
        {
            return self.answer(number, Answer::Arrange(outcome));
        }
        if self.is_primary()
            && let Some(answer) = self.consider(number, &ask)
        {
            return self.answer(number, answer);
        }
        if self.is_primary() {
            self.note_asked(number);
        }
        if is_late {
            return self.give_up(number);
        }
        if self.asks_no_more(number) {
            return;
        }
        if let Some(leader) = self.leader.as_ref().filter(|l| !l.has_ended(self.now.time)) {
            let to = leader.start.clone();
            if let Some(answer) = self.too_old(&to.name, &ask) {
                return self.answer(number, answer);
            }
            let remote = self.remotes.get(&to.name);
            if remote.is_some_and(Remote::is_linked) {
                self.note_asked(number);
            }
            self.send(
                &to,
                match ask {
                    Ask::Policy(bytes) => Message::ChangePolicy { request: number, bytes },
                    Ask::Remove(peer) => Message::Remove { request: number, peer },
                    Ask::Arrange(change) => Message::Arrange { request: number, change },
                    Ask::Switch(to) => {
                        Message::SwitchPrimary { request: number, to, ballot: self.ballot }
                    }
                },
            );
        }
    }

    /// The answer to a request of this peer's own, as primary, once there is one.
    fn consider(&mut self, number: u64, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Policy(bytes) => {
                let from = self.own_start();
                self.consider_policy(&from, number, bytes).map(Answer::Policy)
            }
            Ask::Remove(peer) => {
                let is_own_wish = *peer == self.config.name;
                self.consider_removal(peer, is_own_wish).map(Answer::Remove)
            }
            Ask::Arrange(change) => {
                let from = self.own_start();
                self.consider_arrangement(&from, number, *change).map(Answer::Arrange)
            }
            // It was ended before, one way or the other.
            Ask::Switch(_) => None,
        }
    }

    /// The answer where the primary does not know the question.
    fn too_old(&self, primary: &PeerName, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Policy(_) if self.has_old_policy(primary) => {
                Some(Answer::Policy(PolicyOutcome::OldVersion))
            }
            Ask::Remove(_) if self.old_speaker() == Some(primary) => {
                Some(Answer::Remove(RemoveOutcome::OldVersion))
            }
            Ask::Arrange(change) if self.speaks_less_than(primary, version_of(*change)) => {
                Some(Answer::Arrange(ArrangeOutcome::OldVersion))
            }
            Ask::Policy(_) | Ask::Remove(_) | Ask::Switch(_) | Ask::Arrange(_) => None,
        }
    }

    /// Ends a wish to switch that was met, or that cannot be met any more: a reign after the one
    /// that was asked to end is none that its embedder has meant.
    fn switch_has_ended(&mut self, number: u64, to: &PeerName) -> bool {
        let request = self.requests.iter().find(|request| request.number == number);
        let was_asked =
            request.is_some_and(|request| request.asked.is_some_and(|b| b < self.ballot));
        match &self.role {
            Role::Primary(_) if was_asked => {
                let is_met = *to == self.config.name;
                let outcome = if is_met { SwitchOutcome::Switched } else { SwitchOutcome::Aborted };
                self.answer(number, Answer::Switch(outcome));
                return true;
            }
            Role::Primary(reign) => {
                // Before that it knows nobody's place.
                let may_ask = reign.has_lease();
                if may_ask {
                    self.take_request(number);
                    self.on_switch(number, Some(to.clone()));
                }
                return may_ask;
            }
            _ => {}
        }
        let now = self.now.time;
        let Some(leader) = self.leader.as_ref().filter(|leader| !leader.has_ended(now)) else {
            return false;
        };
        let name = leader.start.name.clone();
        let is_old = self.speaks_less_than(&name, SWITCH_VERSION);
        if name == *to && is_old {
            self.answer(number, Answer::Switch(SwitchOutcome::Switched));
        } else if name != *to && was_asked {
            self.answer(number, Answer::Switch(SwitchOutcome::Aborted));
        } else if is_old {
            self.take_request(number);
            let error = SwitchError::NotPrimary { primary: Some(name) };
            self.outputs.push_back(switch_ended(number, Err(error)));
        } else {
            // That one says itself whether it is met.
            return false;
        }
        true
    }

    fn note_asked(&mut self, number: u64) {
        let ballot = self.ballot;
        if let Some(request) = self.requests.iter_mut().find(|request| request.number == number) {
            request.asked = Some(ballot);
        }
    }

    /// Returns true if a removal that has not begun, as far as this peer knows, is not asked for
    /// any more: a primary that has not begun it by now forgets that it was before this peer says
    /// what has come of it, and what it has begun is known here by then. Where there is no time for
    /// that it is asked for to the end.
    fn asks_no_more(&self, number: u64) -> bool {
        let request = self.requests.iter().find(|request| request.number == number);
        let Some(request) = request else { return false };
        let Ask::Remove(peer) = &request.ask else { return false };
        let is_over = self.last_asked(request).is_some_and(|last| self.now.time > last);
        is_over && self.meta.membership.keeps(peer)
    }

    /// When a removal is asked for last, so that a primary which has not begun it forgets it before
    /// this peer gives up; `None` where there is no time for that.
    fn last_asked(&self, request: &Request) -> Option<Time> {
        let last = request.until.before(self.reach() + self.group.heartbeat);
        (last > request.since).then_some(last)
    }

    /// The error of a removal that was asked for and not answered in time.
    fn removal_given_up(&mut self, request: &Request, peer: PeerName) -> RemoveError {
        let now = self.now.time;
        let ballot = self.ballot;
        let waited = now.since(request.since);
        let is_known = match &mut self.role {
            Role::Primary(reign) => {
                reign.let_stay(&peer);
                true
            }
            // It holds what that primary has begun.
            _ => {
                let was_forgotten = self.last_asked(request).is_some();
                let is_following = self.leader.as_ref().is_some_and(|leader| {
                    leader.is_kept_up_with && now.since(leader.heard) <= self.group.heartbeat * 2
                });
                was_forgotten && is_following && request.asked == Some(ballot)
            }
        };
        if !is_known || !self.meta.membership.keeps(&peer) {
            return RemoveError::TimedOut { peer, waited };
        }
        let others = self.names().into_iter().filter(|n| **n != peer && **n != self.config.name);
        let missing = others.filter(|name| !self.reaches(name)).cloned().collect();
        RemoveError::NotBegun { peer, missing, waited }
    }

    fn take_request(&mut self, number: u64) -> Option<Request> {
        let index = self.requests.iter().position(|request| request.number == number)?;
        Some(self.requests.remove(index))
    }

    /// Asks no more for what nobody waits for. What the primary has heard of may be done.
    pub(in crate::protocol) fn withdraw(&mut self, number: u64) {
        self.take_request(number);
    }

    fn give_up(&mut self, number: u64) {
        let Some(request) = self.take_request(number) else { return };
        let was_asked = request.asked.is_some();
        let waited = self.now.time.since(request.since);
        if let Ask::Remove(peer) = &request.ask
            && was_asked
        {
            let error = self.removal_given_up(&request, peer.clone());
            return self.outputs.push_back(removal_ended(number, Err(error)));
        }
        self.outputs.push_back(match request.ask {
            Ask::Policy(_) if was_asked => {
                policy_ended(number, Err(PolicyError::TimedOut { waited }))
            }
            Ask::Policy(_) => policy_ended(number, Err(PolicyError::NoPrimary { waited })),
            Ask::Arrange(change) if was_asked => {
                arrangement_ended(number, change, ArrangeError::TimedOut { waited })
            }
            Ask::Arrange(change) => {
                arrangement_ended(number, change, ArrangeError::NoPrimary { waited })
            }
            Ask::Remove(_) => removal_ended(number, Err(RemoveError::NoPrimary { waited })),
            Ask::Switch(to) if was_asked => {
                switch_ended(number, Err(SwitchError::TimedOut { to, waited }))
            }
            Ask::Switch(_) => switch_ended(number, Err(SwitchError::NoPrimary { waited })),
        });
    }

    /// Ends a request by the primary's answer. An answer to a request that has ended, or that asks
    /// for something else, is none.
    pub(in crate::protocol) fn answer(&mut self, number: u64, answer: Answer) {
        let asked = self.requests.iter().find(|request| request.number == number);
        let ended = match (asked.map(|request| &request.ask), answer) {
            (Some(Ask::Policy(_)), Answer::Policy(outcome)) => {
                policy_ended(number, outcome.into_result())
            }
            (Some(Ask::Remove(peer)), Answer::Remove(outcome)) => {
                removal_ended(number, self.removal_result(peer.clone(), outcome))
            }
            (Some(Ask::Switch(to)), Answer::Switch(outcome)) => {
                switch_ended(number, outcome.into_result(to.clone()))
            }
            (Some(Ask::Arrange(Arrangement::Monitor(_))), Answer::Arrange(outcome)) => {
                Output::Arranged { request: number, result: outcome.into_result() }
            }
            (Some(Ask::Arrange(_)), Answer::Arrange(outcome)) => {
                Output::SiteArranged { request: number, result: outcome.into_site_result() }
            }
            (None | Some(_), _) => return,
        };
        self.take_request(number);
        self.outputs.push_back(ended);
    }

    /// Looks after requests that may be done now.
    pub(in crate::protocol) fn advance_requests(&mut self) {
        if !self.requests.is_empty() && self.is_primary() {
            self.requests.iter_mut().for_each(|request| request.again = Time(0));
            self.request_tick();
        }
    }
}

fn policy_ended(request: u64, result: Result<u64, PolicyError>) -> Output {
    Output::PolicyChanged { request, result }
}

fn removal_ended(request: u64, result: Result<(), RemoveError>) -> Output {
    Output::Removed { request, result }
}

/// The end of an arrangement that no primary has answered.
fn arrangement_ended(request: u64, change: Arrangement, error: ArrangeError) -> Output {
    match change {
        Arrangement::Monitor(_) => Output::Arranged { request, result: Err(error) },
        Arrangement::Activate | Arrangement::Demote { .. } | Arrangement::SwitchSites { .. } => {
            Output::SiteArranged { request, result: Err(error.into()) }
        }
    }
}

/// The version of the protocol from which on this can be arranged.
fn version_of(change: Arrangement) -> u32 {
    match change {
        Arrangement::Monitor(_) => UPKEEP_VERSION,
        Arrangement::Activate | Arrangement::Demote { .. } | Arrangement::SwitchSites { .. } => {
            SITES_VERSION
        }
    }
}

fn switch_ended(request: u64, result: Result<PeerName, SwitchError>) -> Output {
    Output::Switched { request, result }
}
