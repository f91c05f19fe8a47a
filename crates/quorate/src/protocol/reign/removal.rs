//! Wishes to count a member out, as the primary sees them (docs/protocol.md, section 7).

use crate::base::error::RemoveError;
use crate::base::id::{PeerName, PeerStart};
use crate::protocol::machine::Machine;
use crate::protocol::message::{Message, RemoveOutcome};
use crate::protocol::reign::primary_state::Leaving;
use crate::protocol::role::Role;

impl Machine {
    /// The meaning of the primary's answer to whoever asked.
    pub(in crate::protocol) fn removal_result(
        &self,
        peer: PeerName,
        outcome: RemoveOutcome,
    ) -> Result<(), RemoveError> {
        match outcome {
            RemoveOutcome::Removed => Ok(()),
            RemoveOutcome::NotAllowed => Err(RemoveError::NotAllowed { peer }),
            RemoveOutcome::NotMember => Err(RemoveError::NotMember { peer }),
            RemoveOutcome::Alive => Err(RemoveError::Alive { peer }),
            RemoveOutcome::LastMember => Err(RemoveError::LastMember { peer }),
            RemoveOutcome::Primary => Err(RemoveError::Primary { peer }),
            RemoveOutcome::OldVersion => {
                let old = self.old_speaker().or_else(|| Some(&self.leader.as_ref()?.start.name));
                Err(RemoveError::OldVersion { peer, old: old.cloned() })
            }
        }
    }

    /// Answers another peer that asks for a removal, its own or that of one that has gone.
    pub(in crate::protocol) fn on_remove_asked(
        &mut self,
        from: &PeerStart,
        request: u64,
        peer: &PeerName,
    ) {
        if !self.is_primary() {
            return;
        }
        let is_own_wish = *peer == from.name;
        // Whoever asks to leave may ask again when it is out.
        let clients_may = self.config.client_rights.remove_members;
        let is_allowed = is_own_wish || self.may_ask(&from.name, clients_may);
        let outcome = match is_allowed {
            true => self.consider_removal(peer, is_own_wish),
            false => Some(RemoveOutcome::NotAllowed),
        };
        if let Some(outcome) = outcome {
            self.send(from, Message::Removed { request, outcome });
        }
    }

    /// The answer to a removal as things stand; `None` while it is under way. Asked again it says
    /// the same again.
    pub(in crate::protocol) fn consider_removal(
        &mut self,
        peer: &PeerName,
        is_own_wish: bool,
    ) -> Option<RemoveOutcome> {
        let membership = &self.meta.membership;
        // Without a lease there may be another primary already, with another list.
        if !matches!(&self.role, Role::Primary(reign) if reign.has_lease()) {
            return None;
        }
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
        let is_new = reign.let_leave(peer.clone(), Leaving { until, is_own_wish });
        if is_new {
            self.wake_soon();
        }
        None
    }

    /// The next member to be counted out, as primary. A wish that is not repeated is none any more,
    /// and one that was gone for good and is back stays.
    pub(in crate::protocol) fn next_leaver(&self) -> Option<&PeerName> {
        let Role::Primary(reign) = &self.role else { return None };
        let wanted = reign.leaving().find(|(name, leaving)| {
            let is_back = !leaving.is_own_wish && self.linked_id(name).is_some();
            self.now.time <= leaving.until && !is_back && self.meta.membership.has(name)
        });
        wanted.map(|(name, _)| name)
    }

    /// Forgets wishes that were met, or are not repeated.
    pub(in crate::protocol) fn forget_wishes(&mut self) {
        let now = self.now.time;
        let membership = &self.meta.membership;
        if let Role::Primary(reign) = &mut self.role {
            reign.forget_wishes(now, |name| membership.has(name));
        }
    }
}
