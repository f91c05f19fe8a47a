//! A planned switch loses nothing (docs/protocol.md, section 8): once a primary has released its
//! reign to a successor, everything answered in it is in the state of every later primary, also
//! under `Primary`, where a failover may lose the last stretch.

use std::collections::BTreeSet;

use quorate::Ballot;

use crate::check::{Check, Seen};
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct HandedOver {
    released: BTreeSet<Ballot>,
}

impl Check for HandedOver {
    fn name(&self) -> &'static str {
        "handed_over"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Released { ballot, .. } => {
                self.released.insert(*ballot);
                Ok(())
            }
            Seen::Begun { ballot } => {
                let earlier = self.released.iter().filter(|released| **released < *ballot);
                let mut kin = earlier.filter(|b| world.history.are_kin(**b, *ballot));
                kin.try_for_each(|released| kept(world, *ballot, *released))
            }
            _ => Ok(()),
        }
    }
}

/// Whether what `released` answered last is in the state that `ballot` begins with.
fn kept(world: &World, ballot: Ballot, released: Ballot) -> Result<(), String> {
    let history = &world.history;
    let Some(last) = history.last_acknowledged(released) else { return Ok(()) };
    let parent = history.reign(ballot).and_then(|reign| reign.parent);
    if parent.is_some_and(|parent| history.includes(parent, last)) {
        return Ok(());
    }
    let (last, ballot) = (world.short_position(last), world.short(ballot));
    Err(format!("{last} was answered before its reign was released, and {ballot} lacks it"))
}
