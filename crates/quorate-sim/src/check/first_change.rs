//! A reign serves only once a majority of the members holds its first change
//! (docs/protocol.md, section 4, step 6): before that, nobody knows that it has been elected by
//! members that keep what it begins with.

use std::collections::{BTreeMap, BTreeSet};

use quorate::Ballot;

use crate::check::{Check, Seen};
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
                let holders = self.holders.get(&ballot).map_or(0, BTreeSet::len);
                if holders >= world.plan.majority() {
                    return Ok(());
                }
                let name = &world.plan.group.members[*peer];
                Err(format!("{name} decides although {holders} peers have held {ballot}"))
            }
            _ => Ok(()),
        }
    }
}
