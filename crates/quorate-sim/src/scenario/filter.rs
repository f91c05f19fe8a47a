//! Messages that a scenario loses or delays.

use std::time::Duration;

use quorate::protocol::message::Message;

use crate::network::Payload;
use crate::world::World;

/// Messages that do not go their ordinary way.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    from: Option<usize>,
    to: Option<usize>,
    kinds: &'static [Kind],
    /// Late by so much; lost if `None`.
    delay: Option<Duration>,
    /// Only this one of those that it meets, from 1.
    only: Option<u64>,
    /// Messages that it has met.
    hits: u64,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    Waits(Duration),
    Lost,
}

/// Kinds of messages, as far as scenarios tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    Piece,
    Ping,
    Pong,
    PreVote,
    PreVoteReply,
    Release,
    Switched,
    Vote,
    VoteReply,
}

impl Kind {
    fn of(payload: &Payload) -> Self {
        let Payload::Protocol(message) = payload else { return Self::Other };
        match message {
            Message::Piece(_) => Self::Piece,
            Message::Ping { .. } => Self::Ping,
            Message::Pong { .. } => Self::Pong,
            Message::PreVote(_) => Self::PreVote,
            Message::PreVoteReply { .. } => Self::PreVoteReply,
            Message::Release { .. } => Self::Release,
            Message::Switched { .. } => Self::Switched,
            Message::Vote(_) => Self::Vote,
            Message::VoteReply { .. } => Self::VoteReply,
            _ => Self::Other,
        }
    }
}

impl Filter {
    /// Loses messages of these kinds from one peer.
    pub(crate) fn from(peer: usize, kinds: &'static [Kind]) -> Self {
        Self { from: Some(peer), to: None, kinds, delay: None, only: None, hits: 0 }
    }

    /// Only those to this peer.
    pub(crate) fn to(self, peer: usize) -> Self {
        Self { to: Some(peer), ..self }
    }

    /// Only one of them, by its number.
    pub(crate) fn only(self, number: u64) -> Self {
        Self { only: Some(number), ..self }
    }

    /// Delays them instead.
    pub(crate) fn late(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }
}

impl World {
    /// Runs until a message has been delayed, for some failure timeouts at most.
    pub(super) fn wait_for_delayed(&mut self) {
        let bound = self.plan.timeout() * 2;
        let is_met = |filter: &Filter| filter.delay.is_some() && filter.hits > 0;
        self.run_while(bound, |world| world.filters.iter().any(is_met));
    }

    /// What becomes of a message in this scenario.
    pub(crate) fn filter(&mut self, from: usize, to: usize, payload: &Payload) -> Verdict {
        let kind = Kind::of(payload);
        let met = self.filters.iter_mut().find(|filter| {
            filter.from.is_none_or(|f| f == from)
                && filter.to.is_none_or(|t| t == to)
                && filter.kinds.contains(&kind)
        });
        let Some(filter) = met else { return Verdict::Passes };
        filter.hits += 1;
        if filter.only.is_some_and(|only| only != filter.hits) {
            return Verdict::Passes;
        }
        filter.delay.map_or(Verdict::Lost, Verdict::Waits)
    }
}
