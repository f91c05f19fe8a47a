//! A wish met once (docs/protocol.md, section 8.6): a primary begins no more hand-overs than it has
//! heard wishes, however often each of them is asked for.
//!
//! A peer whose storage has failed hands over by itself: from then on nothing is said of it.
//!
//! Holds G34 of docs/guarantees.md.

use std::collections::{BTreeMap, BTreeSet};

use quorate::{Ballot, Event};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct WishMetOnce {
    /// Requests that each peer has heard of.
    wishes: BTreeMap<usize, BTreeSet<u64>>,
    /// Hand-overs that each peer has given up.
    aborted: BTreeMap<usize, usize>,
    /// Reigns that each peer has released.
    released: BTreeMap<usize, BTreeSet<Ballot>>,
    /// Peers whose storage has failed at some time.
    failed: BTreeSet<usize>,
}

impl Check for WishMetOnce {
    fn name(&self) -> &'static str {
        "wish_met_once"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match *seen {
            Seen::Heard { peer, request } => {
                self.wishes.entry(peer).or_default().insert(request);
                Ok(())
            }
            Seen::Event { peer, event: Event::StorageFailed { .. } } => {
                self.failed.insert(peer);
                Ok(())
            }
            Seen::Event { peer, event: Event::SwitchAborted { .. } } => {
                *self.aborted.entry(peer).or_default() += 1;
                self.count(world, peer)
            }
            Seen::Released { peer, ballot, .. } => {
                self.released.entry(peer).or_default().insert(ballot);
                self.count(world, peer)
            }
            _ => Ok(()),
        }
    }
}

impl WishMetOnce {
    fn count(&self, world: &World, peer: usize) -> Result<(), String> {
        let released = self.released.get(&peer).map_or(0, BTreeSet::len);
        let begun = self.aborted.get(&peer).copied().unwrap_or_default() + released;
        let wishes = self.wishes.get(&peer).map_or(0, BTreeSet::len);
        if begun <= wishes || self.failed.contains(&peer) {
            return Ok(());
        }
        let peer = world.plan().name(peer);
        Err(format!("{peer} has begun {begun} hand-overs for {wishes} wishes"))
    }
}
