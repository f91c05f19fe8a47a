//! Faults that strike at a state, just when something happens.

use std::time::Duration;

use quorate::Event as GroupEvent;
use quorate::internal::protocol::message::{Grant, Message};

use crate::plan::trigger::{Action, Occasion};
use crate::world::World;
use crate::world::event::Event;

impl World {
    pub(crate) fn trigger_on_message(&mut self, peer: usize, to: usize, message: &Message) {
        let is_of_client = self.is_client(peer) || self.is_client(to);
        if self.plan.faults.triggers.is_empty() || !self.are_faults_active || is_of_client {
            return;
        }
        let occasion = match message {
            Message::Follow { .. } => Occasion::Follow,
            Message::Fork { .. } => Occasion::Fork,
            Message::Held { .. } => Occasion::Held,
            Message::Piece(piece) if piece.end.is_some() => Occasion::LastPiece,
            Message::Position { pull: true, .. } => Occasion::Pull,
            Message::Release { .. } => Occasion::Release,
            Message::Tail { .. } => Occasion::Tail,
            Message::Vote(_) => Occasion::Vote,
            Message::VoteReply { grant: Grant::Vote, .. } => Occasion::VoteReply,
            _ => return,
        };
        self.trigger(occasion, peer, to);
    }

    pub(crate) fn trigger_on_event(&mut self, peer: usize, event: &GroupEvent) {
        let is_of_client = self.is_client(peer);
        if self.plan.faults.triggers.is_empty() || !self.are_faults_active || is_of_client {
            return;
        }
        let occasion = match event {
            GroupEvent::CampaignStarted { .. } => Occasion::Campaign,
            GroupEvent::MemberReplaced { .. } => Occasion::MemberReplaced,
            GroupEvent::PrimaryChanged { primary, .. }
                if primary.as_ref() == Some(&self.plan.group.members[peer]) =>
            {
                Occasion::Elected
            }
            _ => return,
        };
        let other = (peer + 1) % self.plan.peers();
        self.trigger(occasion, peer, other);
    }

    fn trigger(&mut self, occasion: Occasion, peer: usize, other: usize) {
        for trigger in self.plan.faults.triggers.clone() {
            if trigger.occasion != occasion || !self.fault_random.chance(trigger.per_mille) {
                continue;
            }
            let (fault, peer) = match trigger.action {
                Action::Here(fault) => (fault, peer),
                Action::There(fault) => (fault, other),
            };
            let longest = self.plan.style.delay.1 * 2;
            let drawn = self.fault_random.duration(Duration::ZERO, longest);
            let is_at_once = self.fault_random.chance(500);
            let later = if is_at_once { Duration::ZERO } else { drawn };
            self.counters.add("faults at states");
            self.at(later, Event::Strike { fault, peer });
        }
    }
}
