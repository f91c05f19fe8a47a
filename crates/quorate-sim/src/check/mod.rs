//! What must hold: one checker per file, each with the promise that it checks.
//!
//! The world shows everything worth seeing to every checker as it happens; the first that objects
//! ends the run. docs/testing.md lists them with what they excuse; references are to
//! docs/protocol.md.

mod calls_end;
mod clients;
mod conserved;
mod equal_positions;
mod first_change;
mod generation;
mod handed_over;
mod has_room;
mod limit_held;
mod loss_told;
mod majority_kept;
mod merged_once;
mod monotone;
mod no_empty_peer;
mod one_change;
mod one_decider;
mod one_hand_over;
mod one_vote;
mod permits_held;
mod policy_kept;
mod primary_loss;
mod real_limits;
mod refused;
mod relaxed_limits;

use std::fmt;

use bytes::Bytes;
use quorate::{Answer, Ballot, DecideContext, Delta, Event as GroupEvent, GroupTime, Position};

use crate::calls::Done;
use crate::history::{Cells, MergeId};
use crate::workload::Outcome;
use crate::world::World;

/// Something worth seeing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// A decision is final for its caller as far as the group is concerned.
    Acknowledged { peer: usize, op: Option<usize>, done: Done, is_majority: bool },
    /// A peer has got the authority to decide.
    Authority { peer: usize },
    /// A peer says that this is the newest ballot that it knows.
    Ballot { peer: usize, ballot: Ballot },
    /// A reign has become part of the history.
    Begun { ballot: Ballot },
    /// A wall clock has been moved, or is about to be.
    Clocks,
    /// A merge is forgotten by its origin.
    Confirmed { id: MergeId },
    /// A primary's own position has moved.
    Cut { peer: usize, from: Position, to: Position, group_time: GroupTime },
    /// A peer without a primary has decided.
    DecidedAlone { peer: usize, op: usize, answer: Answer, context: DecideContext },
    /// An operation has ended for its caller.
    Ended { op: usize, outcome: Outcome },
    /// A peer has forgotten the batch that it sealed last, or all that it decided alone.
    Forgotten { peer: usize, is_all: bool },
    /// A primary has no room for what an operation needs.
    Full { peer: usize, op: usize },
    /// Nobody has asked for anything for so long that every limit has expired.
    Idled,
    /// The state machine reports something.
    Event { peer: usize, event: &'a GroupEvent },
    /// A decision has been made.
    Executed { op: Option<usize>, done: Done },
    /// A primary has merged this, for the first time.
    Merged {
        id: Option<MergeId>,
        position: Position,
        context: DecideContext,
        entries: &'a [(Bytes, Delta)],
    },
    /// A batch has been applied.
    Moved {
        peer: usize,
        from: Position,
        to: Position,
        group_time: GroupTime,
        cells: &'a Cells,
        expected: &'a Cells,
    },
    /// A primary says that a majority holds a policy.
    PolicyChanged { ballot: Ballot, revision: u64 },
    /// A decision has been refused.
    Refused { peer: usize, op: usize, is_unchanged: bool },
    /// A reign is about to begin with these cells.
    Reign {
        peer: usize,
        ballot: Ballot,
        parent: Option<Position>,
        is_founding: bool,
        group_time: GroupTime,
        cells: &'a Cells,
    },
    /// A primary has given its reign up to a successor of its choice.
    Released { peer: usize, ballot: Ballot },
    /// A peer has sealed this, to have it merged.
    Sealed { peer: usize, entries: &'a [(Bytes, Delta)] },
    /// A process has started.
    Started { peer: usize },
    /// A vote has been granted.
    Vote { peer: usize, ballot: Ballot, to: usize },
    /// A peer is asked to have the primary hand over, by its embedder or by another peer.
    Wish { peer: usize, request: u64 },
}

/// Something that must always hold.
pub(crate) trait Check: fmt::Debug {
    fn name(&self) -> &'static str;

    /// Looks at something as it happens.
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String>;

    /// Looks at the end, when all is healed and at rest.
    fn finish(&mut self, _world: &World) -> Result<(), String> {
        Ok(())
    }
}

/// A checker's objection.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) checker: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}

/// All checkers of a run.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Box<dyn Check>>);

impl Checks {
    pub(crate) fn all() -> Self {
        Self(vec![
            Box::new(calls_end::CallsEnd),
            Box::new(clients::Clients::default()),
            Box::new(conserved::Conserved),
            Box::new(equal_positions::EqualPositions),
            Box::new(first_change::FirstChange::default()),
            Box::new(generation::GenerationRule),
            Box::new(handed_over::HandedOver::default()),
            Box::new(has_room::HasRoom::default()),
            Box::new(limit_held::LimitHeld::default()),
            Box::new(loss_told::LossTold::default()),
            Box::new(majority_kept::MajorityKept::default()),
            Box::new(merged_once::MergedOnce::default()),
            Box::new(monotone::Monotone::default()),
            Box::new(no_empty_peer::NoEmptyPeer::default()),
            Box::new(one_change::OneChange::default()),
            Box::new(one_decider::OneDecider::default()),
            Box::new(one_hand_over::OneHandOver::default()),
            Box::new(one_vote::OneVote::default()),
            Box::new(permits_held::PermitsHeld::default()),
            Box::new(policy_kept::PolicyKept::default()),
            Box::new(primary_loss::PrimaryLoss::default()),
            Box::new(real_limits::RealLimits::default()),
            Box::new(refused::RefusedHasNoEffect),
            Box::new(relaxed_limits::RelaxedLimits::default()),
        ])
    }

    pub(crate) fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), Failure> {
        self.each(|check| check.see(world, seen))
    }

    pub(crate) fn finish(&mut self, world: &World) -> Result<(), Failure> {
        self.each(|check| check.finish(world))
    }

    fn each(
        &mut self,
        mut look: impl FnMut(&mut dyn Check) -> Result<(), String>,
    ) -> Result<(), Failure> {
        for check in &mut self.0 {
            let checker = check.name();
            look(&mut **check).map_err(|what| Failure { checker, what })?;
        }
        Ok(())
    }
}
