//! Data are given up only when they cannot be kept (design, section 4 "Founding, loss, and
//! starting anew"): a new generation begins only if no majority of the members that keep their
//! data has been together for a failure timeout.
//!
//! "Together" is what the network really did, in real time: linked both ways, nothing cut, nobody
//! frozen.

use quorate::{Ballot, Position};

use crate::check::{Check, Seen};
use crate::world::World;

#[derive(Debug)]
pub(super) struct GenerationRule;

impl Check for GenerationRule {
    fn name(&self) -> &'static str {
        "generation"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Reign { ballot, parent, .. } = seen else { return Ok(()) };
        let is_new = world.history.reigns().all(|(b, _)| b.generation != ballot.generation);
        if is_new { may_begin(world, *ballot) } else { goes_on(*ballot, *parent) }
    }
}

/// A reign of a generation that exists goes on from it.
fn goes_on(ballot: Ballot, parent: Option<Position>) -> Result<(), String> {
    match parent {
        Some(parent) if parent.ballot.generation == ballot.generation => Ok(()),
        _ => Err(format!("{ballot} begins from {parent:?}, which is of another generation")),
    }
}

fn may_begin(world: &World, ballot: Ballot) -> Result<(), String> {
    let keepers: Vec<usize> = world
        .keepers_before(ballot.generation)
        .into_iter()
        .filter(|peer| world.process(*peer).is_some_and(|p| !p.position.is_blank()))
        .collect();
    let long = world.plan.timeout() * 11 / 10;
    if !world.were_together(&keepers, world.plan.majority(), long) {
        return Ok(());
    }
    let names: Vec<_> =
        keepers.iter().map(|peer| world.plan.group.members[*peer].as_str()).collect();
    Err(format!("{ballot} begins although {names:?} keep their data, together"))
}
