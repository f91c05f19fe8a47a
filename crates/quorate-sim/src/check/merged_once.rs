//! What a relaxed peer decided alone is merged exactly once, and forgotten by it only when a
//! majority holds the merge (S15; design, section 3 "Histories and divergence").

use std::collections::BTreeSet;

use quorate::{Ballot, Position, Sequence};

use crate::check::{Check, Seen};
use crate::history::MergeId;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct MergedOnce {
    /// Merges that their origins have forgotten, with the reign of that moment.
    confirmed: BTreeSet<(Ballot, MergeId)>,
}

impl Check for MergedOnce {
    fn name(&self) -> &'static str {
        "merged_once"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Confirmed { id } => {
                let Some(ballot) = world.history.newest() else {
                    return Err(format!("{id:?} is confirmed before any reign"));
                };
                self.confirmed.insert((ballot, *id));
                Ok(())
            }
            Seen::Begun { ballot, .. } => {
                self.look(world, Position { ballot: *ballot, sequence: Sequence(0) })
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let Some(ballot) = world.history.newest() else { return Ok(()) };
        self.look(world, Position { ballot, sequence: Sequence(u64::MAX) })
    }
}

impl MergedOnce {
    fn look(&self, world: &World, tip: Position) -> Result<(), String> {
        let (merges, twice) = world.history.merges(tip);
        if let Some(id) = twice.first() {
            return Err(format!("{id:?} has been merged twice in {}", tip.ballot));
        }
        let mut confirmed = self.confirmed.iter();
        let lost = confirmed
            .find(|(then, id)| world.history.are_kin(*then, tip.ballot) && !merges.contains(id));
        match lost {
            Some((_, id)) => Err(format!("{id:?} was confirmed and is not in {}", tip.ballot)),
            None => Ok(()),
        }
    }
}
