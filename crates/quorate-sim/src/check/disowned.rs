//! Whoever was counted out by a newer generation decides nothing after it has heard of that once
//! (docs/protocol.md, section 7, rule 16).
//!
//! Holds G37 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::Incarnation;

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Disowned {
    /// Starts that have heard of it, and follow nobody since.
    out: BTreeMap<usize, Incarnation>,
}

impl Check for Disowned {
    fn name(&self) -> &'static str {
        "disowned"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Disowned { peer, incarnation } => {
                self.out.insert(*peer, *incarnation);
                Ok(())
            }
            // It holds what another primary has sent it: it belongs to that one's group.
            Seen::Moved { peer, .. } => {
                self.out.remove(peer);
                Ok(())
            }
            Seen::Authority { peer }
            | Seen::Acknowledged { peer, op: Some(_), is_majority: false, .. }
            | Seen::DecidedAlone { peer, .. } => self.decides_nothing(world, *peer),
            _ => Ok(()),
        }
    }
}

impl Disowned {
    fn decides_nothing(&self, world: &World, peer: usize) -> Result<(), String> {
        let running = world.process(peer).map(|process| process.incarnation);
        if running.is_none() || self.out.get(&peer) != running.as_ref() {
            return Ok(());
        }
        Err(format!("{} decides, and has heard that it was counted out", world.plan().name(peer)))
    }
}
