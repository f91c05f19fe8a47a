//! An operation of a caller: what it asks for, where, and how it ended.

use bytes::Bytes;
use quorate::{Incarnation, Item, Time};

use crate::base::clock::Moment;
use crate::words::call::Done;

/// The kind of an operation; the second argument of each of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Units of one or more limits, all or nothing.
    Acquire,
    /// Units given back to one limit.
    Refund,
    /// From the first account to the second.
    Transfer,
    /// Units added to plain counters, without any limit.
    Count,
    /// An operation of the crate `quorate-ratelimit`, by its number there (`real.rs`).
    Real(u8),
}

impl Kind {
    const OWN: [Self; 4] = [Self::Acquire, Self::Refund, Self::Transfer, Self::Count];

    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Acquire => 0,
            Self::Refund => 1,
            Self::Transfer => 2,
            Self::Count => 3,
            Self::Real(operation) => Self::OWN.len() as u64 + u64::from(operation),
        }
    }

    pub(crate) fn from_code(code: u64) -> Self {
        let own = usize::try_from(code).ok().and_then(|code| Self::OWN.get(code)).copied();
        own.unwrap_or_else(|| Self::Real((code - Self::OWN.len() as u64) as u8))
    }
}

/// [`quorate::Answer::code`] of an operation that changed nothing.
pub(crate) const DENIED: u8 = 0;

/// [`quorate::Answer::code`] of an operation that was done.
pub(crate) const DONE: u8 = 1;

/// An item of an operation.
pub(crate) fn item(key: &Bytes, amount: u64, kind: Kind) -> Item<'_> {
    Item { key, args: [amount, kind.code()] }
}

/// One operation of a client.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    /// Keys and amounts.
    pub(crate) items: Vec<(Bytes, u64)>,
    /// The peer at which it was called.
    pub(crate) peer: usize,
    pub(crate) incarnation: Incarnation,
    /// The reading of its caller's clock before.
    pub(crate) asked: Time,
    pub(crate) client: Option<usize>,
    pub(crate) issued: Moment,
    pub(crate) outcome: Option<Outcome>,
    /// True if some primary has executed it, with effect.
    pub(crate) is_executed: bool,
    /// What some primary has decided for it last.
    pub(crate) decided: Option<Done>,
}

/// The end of an operation for its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Acknowledged(Done),
    /// Decided on the local copy of a relaxed peer.
    Local,
    /// Nothing was written.
    Refused,
    /// It may have been written.
    Unknown,
}

/// The items of an operation, as the product takes them.
pub(crate) fn items(op: &Op) -> Vec<Item<'_>> {
    op.items.iter().map(|(key, amount)| item(key, *amount, op.kind)).collect()
}
