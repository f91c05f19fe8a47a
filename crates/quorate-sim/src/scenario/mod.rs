//! Directed schedules: exact faults at exact moments, for what chance alone seldom meets.

use std::time::Duration;

use quorate::protocol::message::Message;

use crate::network::Payload;
use crate::world::World;

/// Messages that a scenario does not let through.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) from: Option<usize>,
    pub(crate) to: Option<usize>,
    pub(crate) kind: Kind,
}

/// Kinds of messages, as far as scenarios tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Call,
    Follow,
    Fork,
    Held,
    Piece,
    Ping,
    Pong,
    Position,
    PreVote,
    PreVoteReply,
    Release,
    Reply,
    Tail,
    Vote,
    VoteReply,
}

impl Kind {
    fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Call(_) => Self::Call,
            Payload::Reply(_) => Self::Reply,
            Payload::Protocol(message) => match message {
                Message::Follow { .. } => Self::Follow,
                Message::Fork { .. } => Self::Fork,
                Message::Held { .. } => Self::Held,
                Message::Piece(_) => Self::Piece,
                Message::Ping { .. } => Self::Ping,
                Message::Pong { .. } => Self::Pong,
                Message::Position { .. } => Self::Position,
                Message::PreVote(_) => Self::PreVote,
                Message::PreVoteReply { .. } => Self::PreVoteReply,
                Message::Release { .. } => Self::Release,
                Message::Tail { .. } => Self::Tail,
                Message::Vote(_) => Self::Vote,
                Message::VoteReply { .. } => Self::VoteReply,
                _ => Self::Any,
            },
            _ => Self::Any,
        }
    }
}

impl World {
    /// Whether a scenario holds this message back.
    pub(crate) fn is_filtered(&self, from: usize, to: usize, payload: &Payload) -> bool {
        self.filters.iter().any(|filter| {
            filter.from.is_none_or(|f| f == from)
                && filter.to.is_none_or(|t| t == to)
                && (filter.kind == Kind::Any || filter.kind == Kind::of(payload))
        })
    }

    /// Runs for some failure timeouts, in hundredths.
    pub(crate) fn run_for(&mut self, percent: u32) {
        let length = self.plan.timeout() * percent / 100;
        self.run_until(self.now.after(length));
    }
}

/// Keeps the type of durations in scope for scenarios.
pub(crate) const TICK: Duration = Duration::from_millis(1);
