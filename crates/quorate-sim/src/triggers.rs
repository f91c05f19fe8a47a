//! Faults at states: what goes wrong just when something happens, for schedules that chance alone
//! would seldom meet.

use std::time::Duration;

use quorate::Event as GroupEvent;
use quorate::protocol::message::{Grant, Message};

use crate::faults::{Fault, Profile};
use crate::random::Random;
use crate::world::{Event, World};

/// A moment in the life of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Campaign,
    Elected,
    Follow,
    Fork,
    Held,
    LastPiece,
    MemberReplaced,
    Pull,
    Release,
    Tail,
    Vote,
    VoteReply,
}

/// What a trigger does, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// This fault at the peer itself.
    Here(Fault),
    /// This fault at the peer that it talks to.
    There(Fault),
}

/// A fault that strikes at a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trigger {
    pub(crate) moment: Moment,
    pub(crate) action: Action,
    pub(crate) per_mille: u64,
}

impl Trigger {
    const MOMENTS: [(Moment, u64); 12] = [
        (Moment::Campaign, 300),
        (Moment::Elected, 200),
        (Moment::Follow, 100),
        (Moment::Fork, 400),
        (Moment::Held, 10),
        (Moment::LastPiece, 10),
        (Moment::MemberReplaced, 200),
        (Moment::Pull, 400),
        (Moment::Release, 400),
        (Moment::Tail, 400),
        (Moment::Vote, 100),
        (Moment::VoteReply, 100),
    ];

    /// Up to three triggers; none in calm runs.
    pub(crate) fn draw(random: &mut Random, profile: Profile) -> Vec<Self> {
        if profile == Profile::Calm || random.chance(400) {
            return Vec::new();
        }
        let count = random.between(1, 3);
        let mut draw = |_| {
            let (moment, per_mille) = random.pick(&Self::MOMENTS);
            let faults = [Fault::Kill, Fault::Crash, Fault::Isolate, Fault::Pause, Fault::OneWay];
            let fault = random.pick(&faults);
            let action =
                if random.chance(500) { Action::Here(fault) } else { Action::There(fault) };
            Self { moment, action, per_mille }
        };
        (0..count).map(&mut draw).collect()
    }
}

impl World {
    pub(crate) fn trigger_on_message(&mut self, peer: usize, to: usize, message: &Message) {
        let is_of_client = self.is_client(peer) || self.is_client(to);
        if self.plan.faults.triggers.is_empty() || !self.are_faults_active || is_of_client {
            return;
        }
        let moment = match message {
            Message::Follow { .. } => Moment::Follow,
            Message::Fork { .. } => Moment::Fork,
            Message::Held { .. } => Moment::Held,
            Message::Piece(piece) if piece.end.is_some() => Moment::LastPiece,
            Message::Position { pull: true, .. } => Moment::Pull,
            Message::Release { .. } => Moment::Release,
            Message::Tail { .. } => Moment::Tail,
            Message::Vote(_) => Moment::Vote,
            Message::VoteReply { grant: Grant::Vote, .. } => Moment::VoteReply,
            _ => return,
        };
        self.trigger(moment, peer, to);
    }

    pub(crate) fn trigger_on_event(&mut self, peer: usize, event: &GroupEvent) {
        let is_of_client = self.is_client(peer);
        if self.plan.faults.triggers.is_empty() || !self.are_faults_active || is_of_client {
            return;
        }
        let moment = match event {
            GroupEvent::CampaignStarted { .. } => Moment::Campaign,
            GroupEvent::MemberReplaced { .. } => Moment::MemberReplaced,
            GroupEvent::PrimaryChanged { primary, .. }
                if primary.as_ref() == Some(&self.plan.group.members[peer]) =>
            {
                Moment::Elected
            }
            _ => return,
        };
        let other = (peer + 1) % self.plan.peers();
        self.trigger(moment, peer, other);
    }

    fn trigger(&mut self, moment: Moment, peer: usize, other: usize) {
        for trigger in self.plan.faults.triggers.clone() {
            if trigger.moment != moment || !self.fault_random.chance(trigger.per_mille) {
                continue;
            }
            let (fault, peer) = match trigger.action {
                Action::Here(fault) => (fault, peer),
                Action::There(fault) => (fault, other),
            };
            let later = self.plan.style.delay.1 * 2;
            let later = self.fault_random.duration(Duration::ZERO, later);
            let later = if self.fault_random.chance(500) { Duration::ZERO } else { later };
            self.counters.add("faults at states");
            self.at(later, Event::Strike { fault, peer });
        }
    }
}
