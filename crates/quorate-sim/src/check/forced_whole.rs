//! A generation that is begun by force has every old member either as a voter of it or among its
//! removed (docs/protocol.md, section 6, rule 10).
//!
//! Holds G36 of docs/guarantees.md.

use std::collections::{BTreeMap, BTreeSet};

use quorate::{Event as GroupEvent, Generation, PeerName};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct ForcedWhole {
    /// Who has given its vote to whom.
    votes: BTreeMap<(Generation, usize), BTreeSet<usize>>,
}

impl Check for ForcedWhole {
    fn name(&self) -> &'static str {
        "forced_whole"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Vote { peer, ballot, to } => {
                self.votes.entry((ballot.generation, *to)).or_default().insert(*peer);
                Ok(())
            }
            Seen::Event { peer, event: GroupEvent::PrimaryForced { generation, gone, .. } } => {
                self.is_whole(world, *peer, *generation, gone)
            }
            _ => Ok(()),
        }
    }
}

impl ForcedWhole {
    fn is_whole(
        &self,
        world: &World,
        primary: usize,
        generation: Generation,
        gone: &[PeerName],
    ) -> Result<(), String> {
        let Some(process) = world.process(primary) else { return Ok(()) };
        let now = process.store.meta().membership;
        let votes = self.votes.get(&(generation, primary));
        let before = &process.members;
        for name in before.names() {
            let index = world.index_of(name);
            let has_voted = index == primary || votes.is_some_and(|votes| votes.contains(&index));
            let is_voter = now.has(name) && has_voted;
            let is_removed = gone.contains(name) && !now.has(name) && now.has_removed_name(name);
            if !is_voter && !is_removed {
                return Err(format!("{name} is neither a voter of {generation} nor removed"));
            }
        }
        Ok(())
    }
}
