//! What the group decides by, and how it is changed: by the primary, as part of the replicated
//! state (docs/protocol.md, section 14).

use bytes::Bytes;

use crate::base::bug::{self, Bug};
use crate::base::error::PolicyError;
use crate::base::event::Event;
use crate::base::id::{PeerName, PeerStart, Sequence};
use crate::base::policy::{MAX_POLICY_BYTES, Policy};
use crate::protocol::group::request::Answer;
use crate::protocol::io::POLICY_VERSION;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Message, PolicyOutcome};
use crate::protocol::reign::made_changes::{Change, Made};
use crate::protocol::role::Role;

impl PolicyOutcome {
    pub(in crate::protocol) fn into_result(self) -> Result<u64, PolicyError> {
        match self {
            Self::Changed { revision } => Ok(revision),
            Self::Refused { reason } => Err(PolicyError::Refused { reason }),
            Self::NotAllowed => Err(PolicyError::NotAllowed),
            Self::OldVersion => Err(PolicyError::OldVersion),
        }
    }
}

impl Machine {
    /// Returns true if a linked peer knows of no policies.
    pub(in crate::protocol) fn has_old_policy(&self, name: &PeerName) -> bool {
        self.speaks_less_than(name, POLICY_VERSION)
    }

    /// Answers another peer that asks for a change.
    pub(in crate::protocol) fn on_policy_asked(
        &mut self,
        from: &PeerStart,
        request: u64,
        bytes: &Bytes,
    ) {
        if !self.is_primary() {
            return;
        }
        let is_allowed = self.may_ask(&from.name, self.config.client_rights.change_policy);
        // What was made for a member is answered, whatever has become of that one since.
        let outcome = match is_allowed || self.has_made(from, request) {
            true => self.consider_policy(from, request, bytes),
            false => Some(PolicyOutcome::NotAllowed),
        };
        if let Some(outcome) = outcome {
            self.send(from, Message::PolicyChanged { request, outcome });
        }
    }

    /// Returns true if this change was made in this reign, and may be asked for again.
    fn has_made(&self, from: &PeerStart, request: u64) -> bool {
        let Role::Primary(reign) = &self.role else { return false };
        reign.policy_changes().has(from, request)
    }

    /// The answer to a change as things stand; `None` while it is under way. It is made once,
    /// however often it is asked for.
    pub(in crate::protocol) fn consider_policy(
        &mut self,
        from: &PeerStart,
        request: u64,
        bytes: &Bytes,
    ) -> Option<PolicyOutcome> {
        let Role::Primary(reign) = &mut self.role else { return None };
        // Without a lease there may be another primary already, with another policy.
        if !reign.is_calm() || !reign.has_lease() {
            return None;
        }
        let committed = reign.committed();
        match reign.policy_changes_mut().ask(from, request, committed) {
            Some(Made::Held { revision }) => return Some(PolicyOutcome::Changed { revision }),
            Some(Made::UnderWay) => return None,
            None if reign.policy_changes().is_full() => return None,
            None => {}
        }
        if self.meta.membership.names().into_iter().any(|name| self.has_old_policy(name)) {
            return Some(PolicyOutcome::OldVersion);
        }
        if self.meta.membership.is_sealed() {
            let reason = "this site has given up deciding: change it at the one that decides next";
            return Some(PolicyOutcome::Refused { reason: reason.to_owned() });
        }
        let at = match self.model.0.change_policy(&self.meta.policy, bytes, self.calendar()) {
            Err(reason) => return Some(PolicyOutcome::Refused { reason }),
            Ok(None) => self.policy_at(),
            Ok(Some(changed)) if changed.len() > MAX_POLICY_BYTES => {
                let bytes = changed.len();
                let reason = format!("it would take {bytes} bytes, and {MAX_POLICY_BYTES} is most");
                return Some(PolicyOutcome::Refused { reason });
            }
            Ok(Some(changed)) => self.change_policy(changed),
        };
        let until = self.now.time.after(self.group.io_timeout);
        let from = from.clone();
        let revision = self.meta.policy.revision;
        let Role::Primary(reign) = &mut self.role else { return None };
        let is_told = reign.committed() >= at || bug::is(Bug::PolicyAnsweredEarly);
        let change = Change { from, request, revision, at, until, is_told };
        reign.policy_changes_mut().add(change);
        is_told.then_some(PolicyOutcome::Changed { revision })
    }

    /// The policy is this one from the next cut on; what is decided meanwhile may be by it already.
    fn change_policy(&mut self, bytes: Bytes) -> Sequence {
        let at = Sequence(self.store.position().sequence.0 + 1);
        let revision = self.meta.policy.revision + 1;
        self.meta.policy = Policy { revision, bytes };
        self.store.set_meta(self.meta.clone());
        self.meta_version += 1;
        if let Role::Primary(reign) = &mut self.role {
            reign.policy_changes_mut().note_changed(at);
        }
        self.take_up_policy();
        self.replicate();
        self.advance_commitment();
        at
    }

    /// The sequence at which a majority has the present policy.
    fn policy_at(&self) -> Sequence {
        let Role::Primary(reign) = &self.role else { return Sequence(u64::MAX) };
        let first = reign.first();
        reign.policy_changes().last_at().unwrap_or(first)
    }

    /// Has the model decide by the policy that this peer holds.
    pub(in crate::protocol) fn take_up_policy(&mut self) {
        let revision = self.meta.policy.revision;
        match self.model.0.set_policy(&self.meta.policy) {
            Ok(()) => self.event(Event::PolicyChanged { revision }),
            Err(reason) => self.event(Event::PolicyUnusable { revision, reason }),
        }
    }

    /// Tells those who asked for changes that a majority holds them now, as primary.
    pub(in crate::protocol) fn advance_policy(&mut self) {
        let now = self.now.time;
        let Role::Primary(reign) = &mut self.role else { return };
        let committed = reign.committed();
        let changes = reign.policy_changes_mut();
        let held = changes.take_held(committed);
        changes.forget(now);
        for Change { from, request, revision, .. } in held {
            let outcome = PolicyOutcome::Changed { revision };
            if from.incarnation == self.incarnation {
                self.answer(request, Answer::Policy(outcome));
            } else {
                self.send(&from, Message::PolicyChanged { request, outcome });
            }
        }
    }
}
