//! Wishes to count a member out: asked at any peer, passed on to the primary, and asked again until
//! they are answered (docs/protocol.md, section 7).

use crate::error::RemoveError;
use crate::id::{Incarnation, PeerName, Time};
use crate::protocol::io::Output;
use crate::protocol::machine::{Machine, Role};
use crate::protocol::message::{Message, RemoveOutcome};

/// Requests that one peer has under way at most.
const MAX_REQUESTS: usize = 16;

/// A request of this peer's embedder.
#[derive(Debug)]
pub(super) struct Request {
    number: u64,
    peer: PeerName,
    since: Time,
    until: Time,
    /// When the primary is asked, or looks, again.
    again: Time,
}

/// As primary: a member that is to be counted out, as long as it is asked for.
#[derive(Debug)]
pub(super) struct Leaving {
    until: Time,
    /// It has asked for it itself.
    is_own_wish: bool,
}

impl Machine {
    pub(super) fn on_remove(&mut self, number: u64, peer: PeerName) {
        if self.requests.len() >= MAX_REQUESTS {
            let result = Err(RemoveError::Busy { bound: MAX_REQUESTS });
            self.outputs.push_back(Output::Removed { request: number, result });
            return;
        }
        let now = self.now.time;
        let until = now.after(self.group.io_timeout);
        self.requests.push(Request { number, peer, since: now, until, again: now });
        self.request_tick();
    }

    /// Asks the primary again where it has not answered, and gives up in time.
    pub(super) fn request_tick(&mut self) {
        let now = self.now.time;
        let mut due = Vec::new();
        let again = now.after(self.group.heartbeat);
        for request in &mut self.requests {
            if request.again <= now || request.until <= now {
                request.again = again;
                due.push((request.number, request.peer.clone(), now >= request.until));
            }
        }
        for (number, peer, is_late) in due {
            self.ask(number, peer, is_late);
        }
        let next = self.requests.iter().map(|request| request.again.min(request.until)).min();
        if let Some(next) = next {
            self.wake_by(next);
        }
    }

    fn ask(&mut self, number: u64, peer: PeerName, is_late: bool) {
        if self.is_primary() {
            let is_own_wish = peer == self.config.name;
            if let Some(outcome) = self.consider_removal(&peer, is_own_wish) {
                return self.answer(number, outcome);
            }
        }
        if is_late {
            return self.give_up(number);
        }
        if let Some(leader) = self.leader.as_ref().filter(|leader| !leader.is_dead) {
            if self.old_speaker() == Some(&leader.name) {
                return self.answer(number, RemoveOutcome::OldVersion);
            }
            let to = (leader.name.clone(), leader.incarnation);
            self.send(&to, Message::Remove { request: number, peer });
        }
    }

    fn take_request(&mut self, number: u64) -> Option<Request> {
        let index = self.requests.iter().position(|request| request.number == number)?;
        Some(self.requests.remove(index))
    }

    fn give_up(&mut self, number: u64) {
        let has_primary = self.is_primary() || !self.primary_is_absent();
        let Some(request) = self.take_request(number) else { return };
        let (peer, waited) = (request.peer, self.now.time.since(request.since));
        let error = if has_primary {
            RemoveError::TimedOut { peer, waited }
        } else {
            RemoveError::NoPrimary { waited }
        };
        self.outputs.push_back(Output::Removed { request: number, result: Err(error) });
    }

    fn answer(&mut self, number: u64, outcome: RemoveOutcome) {
        let Some(Request { peer, .. }) = self.take_request(number) else { return };
        let result = match outcome {
            RemoveOutcome::Removed => Ok(()),
            RemoveOutcome::NotMember => Err(RemoveError::NotMember { peer }),
            RemoveOutcome::Alive => Err(RemoveError::Alive { peer }),
            RemoveOutcome::LastMember => Err(RemoveError::LastMember { peer }),
            RemoveOutcome::Primary => Err(RemoveError::Primary { peer }),
            RemoveOutcome::OldVersion => {
                let old = self.old_speaker().or_else(|| Some(&self.leader.as_ref()?.name));
                Err(RemoveError::OldVersion { peer, old: old.cloned() })
            }
        };
        self.outputs.push_back(Output::Removed { request: number, result });
    }

    /// The primary's answer to a request that this peer has passed on.
    pub(super) fn on_removed(&mut self, number: u64, outcome: RemoveOutcome) {
        self.answer(number, outcome);
    }

    /// Another peer asks for a removal, its own or that of one that has gone.
    pub(super) fn on_remove_asked(
        &mut self,
        from: &(PeerName, Incarnation),
        request: u64,
        peer: &PeerName,
    ) {
        if !self.is_primary() {
            return;
        }
        if let Some(outcome) = self.consider_removal(peer, *peer == from.0) {
            self.send(from, Message::Removed { request, outcome });
        }
    }

    /// Looks after requests that may be done now.
    pub(super) fn advance_requests(&mut self) {
        if !self.requests.is_empty() && self.is_primary() {
            self.requests.iter_mut().for_each(|request| request.again = Time(0));
            self.request_tick();
        }
    }

    /// What is to be said of a removal as things stand; `None` while it is under way. Asked again
    /// it says the same again.
    fn consider_removal(&mut self, peer: &PeerName, is_own_wish: bool) -> Option<RemoveOutcome> {
        let membership = &self.meta.membership;
        if !membership.has(peer) {
            let is_done = membership.has_removed_name(peer);
            if !is_done {
                return Some(RemoveOutcome::NotMember);
            }
            return self.is_change_committed().then_some(RemoveOutcome::Removed);
        }
        if !membership.keeps(peer) {
            return None;
        }
        if self.old_speaker().is_some() {
            return Some(RemoveOutcome::OldVersion);
        }
        if membership.voters.len() == 1 {
            return Some(RemoveOutcome::LastMember);
        }
        if *peer == self.config.name {
            return Some(RemoveOutcome::Primary);
        }
        if !is_own_wish && self.linked_id(peer).is_some() {
            return Some(RemoveOutcome::Alive);
        }
        let until = self.now.time.after(self.reach());
        let Role::Primary(reign) = &mut self.role else { return None };
        let is_new = reign.leaving.insert(peer.clone(), Leaving { until, is_own_wish }).is_none();
        if is_new {
            self.wake_soon();
        }
        None
    }

    /// As primary: the next member to be counted out. A wish that is not repeated is none any more,
    /// and one that was gone for good and is back stays.
    pub(super) fn next_leaver(&self) -> Option<&PeerName> {
        let Role::Primary(reign) = &self.role else { return None };
        let wanted = reign.leaving.iter().find(|(name, leaving)| {
            let is_back = !leaving.is_own_wish && self.linked_id(name).is_some();
            self.now.time <= leaving.until && !is_back && self.meta.membership.has(name)
        });
        wanted.map(|(name, _)| name)
    }

    /// Forgets wishes that were met, or are not repeated.
    pub(super) fn forget_wishes(&mut self) {
        let (now, membership) = (self.now.time, &self.meta.membership);
        if let Role::Primary(reign) = &mut self.role {
            reign.leaving.retain(|name, leaving| now <= leaving.until && membership.has(name));
        }
    }
}
