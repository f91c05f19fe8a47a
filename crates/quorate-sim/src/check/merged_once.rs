//! Decisions of a relaxed peer alone are merged exactly once, and forgotten by it only when a
//! majority holds the merge (docs/architecture.md, "Relaxed mode").
//!
//! Holds G27 of docs/guarantees.md.

use std::collections::BTreeSet;

use quorate::{Position, Sequence};

use crate::check::Check;
use crate::words::merge::MergeId;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct MergedOnce {
    /// Merges that their origins have forgotten.
    confirmed: BTreeSet<MergeId>,
}

impl Check for MergedOnce {
    fn name(&self) -> &'static str {
        "merged_once"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Confirmed { id } => {
                self.confirmed.insert(*id);
                Ok(())
            }
            Seen::Begun { ballot, .. } => {
                let parent = world.history().reign(*ballot).and_then(|reign| reign.parent);
                parent.map_or(Ok(()), |parent| once(world, parent))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let Some(newest) = world.last_reign() else { return Ok(()) };
        let tip = Position { ballot: newest, sequence: Sequence(u64::MAX) };
        once(world, tip)?;
        let (merges, _) = world.history().merges(tip);
        let mut absent = self.confirmed.iter().filter(|id| !merges.contains(id));
        let lost = absent.find(|id| {
            let reigns = world.history().reigns_of(**id);
            reigns.iter().all(|ballot| world.history().are_kin(*ballot, newest))
        });
        match lost {
            Some(id) => Err(format!("{id:?} was confirmed and is not in {}", world.short(newest))),
            None => Ok(()),
        }
    }
}

fn once(world: &World, tip: Position) -> Result<(), String> {
    match world.history().merges(tip).1.first() {
        Some(id) => Err(format!("{id:?} has been merged twice by {}", world.short_position(tip))),
        None => Ok(()),
    }
}
