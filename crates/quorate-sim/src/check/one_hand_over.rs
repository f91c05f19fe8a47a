//! A wish to switch leads to one hand-over, or to none, however often it is asked for
//! (docs/protocol.md, section 8.6): a primary begins no more of them than it has heard wishes.

use std::collections::{BTreeMap, BTreeSet};

use quorate::{Ballot, Event};

use crate::check::{Check, Seen};
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct OneHandOver {
    /// Requests that each peer has heard of.
    wishes: BTreeMap<usize, BTreeSet<u64>>,
    /// Hand-overs of each peer: those that it has given up, and reigns that it has released.
    aborted: BTreeMap<usize, usize>,
    released: BTreeMap<usize, BTreeSet<Ballot>>,
    /// Peers whose storage has failed: they hand over by themselves.
    failed: BTreeSet<usize>,
}

impl Check for OneHandOver {
    fn name(&self) -> &'static str {
        "one_hand_over"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let peer = match seen {
            Seen::Wish { peer, request } => {
                self.wishes.entry(*peer).or_default().insert(*request);
                return Ok(());
            }
            Seen::Event { peer, event: Event::StorageFailed { .. } } => {
                self.failed.insert(*peer);
                return Ok(());
            }
            Seen::Event { peer, event: Event::SwitchAborted { .. } } => {
                *self.aborted.entry(*peer).or_default() += 1;
                *peer
            }
            Seen::Released { peer, ballot } => {
                self.released.entry(*peer).or_default().insert(*ballot);
                *peer
            }
            _ => return Ok(()),
        };
        let released = self.released.get(&peer).map_or(0, BTreeSet::len);
        let begun = self.aborted.get(&peer).copied().unwrap_or_default() + released;
        let wishes = self.wishes.get(&peer).map_or(0, BTreeSet::len);
        if begun <= wishes || self.failed.contains(&peer) {
            return Ok(());
        }
        Err(format!("{} has begun {begun} hand-overs for {wishes} wishes", world.plan.name(peer)))
    }
}
