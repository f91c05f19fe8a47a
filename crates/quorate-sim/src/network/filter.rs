//! Messages that a scenario loses or delays.

use std::time::Duration;

use quorate::internal::protocol::message::Message;

use crate::network::packet::Payload;

/// Messages that do not go their ordinary way.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    from: Option<usize>,
    to: Option<usize>,
    kinds: &'static [MessageKind],
    /// Late by so much; lost if `None`.
    delay: Option<Duration>,
    /// Only this one of those that it meets, from 1.
    only: Option<u64>,
    /// Messages that it has met.
    hits: u64,
}

impl Filter {
    /// Loses messages of these kinds from one peer.
    pub(crate) fn from(peer: usize, kinds: &'static [MessageKind]) -> Self {
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

    /// Returns what becomes of a message, if it is one that this filter meets.
    pub(crate) fn meet(&mut self, from: usize, to: usize, payload: &Payload) -> Option<Verdict> {
        let is_met = self.from.is_none_or(|f| f == from)
            && self.to.is_none_or(|t| t == to)
            && self.kinds.contains(&MessageKind::of(payload));
        if !is_met {
            return None;
        }
        self.hits += 1;
        if self.only.is_some_and(|only| only != self.hits) {
            return Some(Verdict::Passes);
        }
        Some(self.delay.map_or(Verdict::Lost, Verdict::Waits))
    }

    /// Returns true if it has delayed a message.
    pub(crate) fn has_delayed(&self) -> bool {
        self.delay.is_some() && self.hits > 0
    }
}

/// The fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    Waits(Duration),
    Lost,
}

/// Kinds of messages, as far as scenarios tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Other,
    Piece,
    Ping,
    Pong,
    PreVote,
    PreVoteReply,
    Release,
    Reply,
    SwitchPrimary,
    Switched,
    Vote,
    VoteReply,
}

impl MessageKind {
    fn of(payload: &Payload) -> Self {
        let message = match payload {
            Payload::Protocol(message) => message,
            Payload::Reply(_) => return Self::Reply,
            _ => return Self::Other,
        };
        match message {
            Message::Piece(_) => Self::Piece,
            Message::Ping { .. } => Self::Ping,
            Message::Pong { .. } => Self::Pong,
            Message::PreVote(_) => Self::PreVote,
            Message::PreVoteReply { .. } => Self::PreVoteReply,
            Message::Release { .. } => Self::Release,
            Message::SwitchPrimary { .. } => Self::SwitchPrimary,
            Message::Switched { .. } => Self::Switched,
            Message::Vote(_) => Self::Vote,
            Message::VoteReply { .. } => Self::VoteReply,
            _ => Self::Other,
        }
    }
}
