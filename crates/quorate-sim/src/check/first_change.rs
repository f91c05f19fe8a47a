//! A reign serves only once a majority of the members holds its first change
//! (docs/protocol.md, section 4, step 6): before that, nobody knows that it has been elected by
//! members that keep what it begins with.
//!
//! Holds G4 of docs/guarantees.md.

use std::collections::{BTreeMap, BTreeSet};

use quorate::{Ballot, Member};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct FirstChange {
    /// The peers that have held a position of each reign.
    holders: BTreeMap<Ballot, BTreeSet<usize>>,
}

impl Check for FirstChange {
    fn name(&self) -> &'static str {
        "first_change"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Moved { peer, to, .. } | Seen::Cut { peer, to, .. } => {
                self.holders.entry(to.ballot).or_default().insert(*peer);
                Ok(())
            }
            Seen::Reign { peer, ballot, .. } => {
                self.holders.entry(*ballot).or_default().insert(*peer);
                Ok(())
            }
            Seen::Authority { peer } => {
                let Some(ballot) = world.process(*peer).and_then(|p| p.reign) else {
                    return Ok(());
                };
                let Some(process) = world.process(*peer) else { return Ok(()) };
                let membership = process.store.meta().membership;
                let none = BTreeSet::new();
                let holders = self.holders.get(&ballot).unwrap_or(&none);
                // A change that this reign has begun came after its first change.
                let inherited = membership.next.filter(|_| membership.stamp.ballot < ballot);
                let mut lists = [Some(membership.voters), inherited].into_iter().flatten();
                if lists.all(|list| is_majority(world, holders, &list)) {
                    return Ok(());
                }
                let name = &world.plan().group.members[*peer];
                Err(format!("{name} decides although {holders:?} alone have held {ballot}"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns true if these peers are a majority of a list of members.
fn is_majority(world: &World, peers: &BTreeSet<usize>, list: &[Member]) -> bool {
    let among = list.iter().filter(|member| peers.contains(&world.index_of(&member.name)));
    among.count() > list.len() / 2
}
