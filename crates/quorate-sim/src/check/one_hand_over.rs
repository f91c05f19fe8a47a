//! One wish, one hand-over (docs/protocol.md, section 8): a primary releases its reign to a peer no
//! more often than somebody has wished for that, however often a wish is sent, and however late it
//! comes. A wish that names nobody is one for any peer.
//!
//! A primary whose disk has failed hands over by itself.
//!
//! Holds G34 of docs/guarantees.md.

use std::collections::{BTreeMap, BTreeSet};

use quorate::Ballot;

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct OneHandOver {
    /// Wishes by the successor that they name.
    wished: BTreeMap<Option<usize>, u64>,
    /// Reigns that were released, by their successor.
    released: BTreeMap<usize, BTreeSet<Ballot>>,
}

impl Check for OneHandOver {
    fn name(&self) -> &'static str {
        "one_hand_over"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match *seen {
            Seen::Wished { to } => {
                *self.wished.entry(to).or_default() += 1;
                Ok(())
            }
            Seen::Released { peer, ballot, to } if !world.has_failed_storage(peer) => {
                self.released.entry(to).or_default().insert(ballot);
                self.count(world, ballot, to)
            }
            _ => Ok(()),
        }
    }
}

impl OneHandOver {
    /// Every release to a peer that nobody named takes up a wish that names none.
    fn count(&self, world: &World, ballot: Ballot, to: usize) -> Result<(), String> {
        let mut unnamed = 0;
        for (successor, reigns) in &self.released {
            let named = self.wished.get(&Some(*successor)).copied().unwrap_or_default();
            unnamed += (reigns.len() as u64).saturating_sub(named);
        }
        if unnamed <= self.wished.get(&None).copied().unwrap_or_default() {
            return Ok(());
        }
        let ballot = world.short(ballot);
        let to = world.plan().name(to);
        Err(format!("{ballot} is released to {to}, and every wish for that was met before"))
    }
}
