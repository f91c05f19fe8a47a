//! A wish of this peer's embedder to the primary, and its answer.

use bytes::Bytes;

use crate::base::id::{Ballot, PeerName, Time};
use crate::protocol::message::{
    ArrangeOutcome, Arrangement, PolicyOutcome, RemoveOutcome, SwitchOutcome,
};

/// Requests that one peer has under way at most.
pub(in crate::protocol) const MAX_REQUESTS: usize = 16;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Ask {
    /// Decide by another policy.
    Policy(Bytes),
    /// Count a member out.
    Remove(PeerName),
    /// Hand over to a member.
    Switch(PeerName),
    /// Arrange something for the group.
    Arrange(Arrangement),
}

/// The primary's answer.
#[derive(Clone, Debug)]
pub(in crate::protocol) enum Answer {
    Policy(PolicyOutcome),
    Remove(RemoveOutcome),
    Switch(SwitchOutcome),
    Arrange(ArrangeOutcome),
}

/// A request of this peer's embedder.
#[derive(Debug)]
pub(in crate::protocol) struct Request {
    pub(in crate::protocol) number: u64,
    pub(in crate::protocol) ask: Ask,
    pub(in crate::protocol) since: Time,
    pub(in crate::protocol) until: Time,
    /// When the primary is asked, or looks, again.
    pub(in crate::protocol) again: Time,
    /// The reign whose primary was asked last: what it does about it may be done without an answer.
    pub(in crate::protocol) asked: Option<Ballot>,
}
