//! Nothing acknowledged under `Majority` is ever lost within a generation:
//! it is in the state that every later primary begins with.
//!
//! Holds G2 and G8 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::{Ballot, Position, Sequence};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct MajorityKept {
    /// The last acknowledged decision of each reign.
    acknowledged: BTreeMap<Ballot, Sequence>,
}

impl Check for MajorityKept {
    fn name(&self) -> &'static str {
        "majority_kept"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Acknowledged { done, is_majority: true, .. } => {
                let position = done.position;
                let last = self.acknowledged.entry(position.ballot).or_default();
                if position.sequence <= *last {
                    return Ok(());
                }
                *last = position.sequence;
                // It may be acknowledged after its reign has ended: later ones must have it too.
                let later = world.history().reigns().map(|(ballot, _)| ballot);
                later
                    .filter(|ballot| is_later(world, *ballot, position))
                    .try_for_each(|b| kept(world, b, position))
            }
            Seen::Begun { ballot, .. } => {
                let earlier = self.acknowledged.iter();
                let positions = earlier.map(|(b, s)| Position { ballot: *b, sequence: *s });
                positions
                    .filter(|position| is_later(world, *ballot, *position))
                    .try_for_each(|position| kept(world, *ballot, position))
            }
            _ => Ok(()),
        }
    }
}

fn is_later(world: &World, ballot: Ballot, position: Position) -> bool {
    let history = world.history();
    // A site of which all have forgotten a promotion may be promoted below its ballot once more.
    let is_before = world.plan().has_sites() && history.began_before(ballot, position.ballot);
    ballot > position.ballot && history.are_kin(ballot, position.ballot) && !is_before
}

fn kept(world: &World, ballot: Ballot, position: Position) -> Result<(), String> {
    let parent = world.history().reign(ballot).and_then(|reign| reign.parent);
    if parent.is_some_and(|parent| world.history().includes(parent, position)) {
        return Ok(());
    }
    Err(format!("{position} was acknowledged, and {ballot} begins from {parent:?} without it"))
}
