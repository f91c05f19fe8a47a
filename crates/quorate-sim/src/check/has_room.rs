//! Expired cells stand in nobody's way (docs/protocol.md, section 3.13): an operation is refused
//! for room only if what lives, or has lived lately, fills the store. And they go, at every peer
//! alike, whether anything is decided or not.
//!
//! That is said of a primary that a majority has been together with for a while, over a network
//! that loses nothing and keeps the order: what nobody can see expire stays. Expiries are kept by
//! the steady clock, which goes on by nine tenths of the time that passes at least.
//!
//! Holds G20 of docs/guarantees.md.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::GroupTime;

use crate::base::clock::Moment;
use crate::check::Check;
use crate::model::key::is_limit;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct HasRoom {
    /// The moment since which each peer decides, and the steady time that it began at, at the
    /// earliest.
    since: BTreeMap<usize, (Moment, GroupTime)>,
}

impl Check for HasRoom {
    fn name(&self) -> &'static str {
        "has_room"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Authority { peer } => {
                if let Some(process) = world.process(*peer) {
                    self.since.insert(*peer, (world.now(), process.store.group_time()));
                }
                Ok(())
            }
            Seen::Reign { peer, .. } => {
                self.since.remove(peer);
                Ok(())
            }
            Seen::Full { peer, op } => self.full(world, *peer, *op),
            Seen::Idled => idled(world),
            _ => Ok(()),
        }
    }
}

impl HasRoom {
    fn full(&self, world: &World, peer: usize, op: usize) -> Result<(), String> {
        let Some(process) = world.process(peer) else { return Ok(()) };
        let Some(ballot) = process.reign else { return Ok(()) };
        let Some((since, began)) = self.since.get(&peer) else { return Ok(()) };
        let lately = lately(world);
        let passed = world.now().since(*since);
        let is_settled = passed > lately * 2
            && world.is_led_by(peer, lately * 2)
            && world.plan().style.is_orderly
            && world.plan().disk.as_ref().is_none_or(|disk| disk.stalls == 0);
        if !is_settled {
            return Ok(());
        }
        // Its clock may be a little slow as well.
        let long_ago = began.after((passed * 89 / 100).saturating_sub(lately));
        let live = world.history().live_cells(ballot, long_ago);
        let needed = world.ops()[op].items.len();
        if live + needed <= world.plan().bounds.max_cells {
            let max = world.plan().bounds.max_cells;
            return Err(format!("call {op} is refused for room with {live} of {max} cells live"));
        }
        Ok(())
    }
}

fn idled(world: &World) -> Result<(), String> {
    for (peer, name) in world.plan().group.members.iter().enumerate() {
        let Some(process) = world.process(peer).filter(|_| world.is_counted(peer)) else {
            continue;
        };
        let cells = process.cells(world.keys());
        let left = cells.keys().filter(|key| is_limit(key)).count();
        if left > 0 {
            return Err(format!("{name} holds {left} cells that have expired long ago"));
        }
    }
    Ok(())
}

/// By then a majority has surely seen what there was to be seen.
fn lately(world: &World) -> Duration {
    world.plan().timeout()
}
