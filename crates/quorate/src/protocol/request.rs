//! A wish of this peer's embedder to the primary, and its answer.

use bytes::Bytes;

use crate::id::{Ballot, PeerName, Time};
use crate::protocol::message::{PolicyOutcome, RemoveOutcome, SwitchOutcome};

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Decide by another policy.
    Policy(Bytes),
    /// Count a member out.
    Remove(PeerName),
    /// Hand over to a member.
    Switch(PeerName),
}

/// The primary's answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Policy(PolicyOutcome),
    Remove(RemoveOutcome),
    Switch(SwitchOutcome),
}

/// A request of this peer's embedder.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) ask: Ask,
    pub(super) since: Time,
    pub(super) until: Time,
    /// When the primary is asked, or looks, again.
    pub(super) again: Time,
    /// The reign whose primary was asked last: what it does about it may be done without an answer.
    pub(super) asked: Option<Ballot>,
}
