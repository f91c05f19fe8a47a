//! A peer that restarts empty can never empty the others (docs/protocol.md, section 6): a reign
//! begins with nothing only when nobody who has data could be heard, and no peer loses its data to
//! anything but a newer state.
//!
//! Holds G13 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::Ballot;

use crate::base::clock::Moment;
use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct NoEmptyPeer {
    /// The moment since which each peer that has any data has had some.
    filled: BTreeMap<usize, Moment>,
}

impl Check for NoEmptyPeer {
    fn name(&self) -> &'static str {
        "no_empty_peer"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Moved { peer, from, to, .. } = seen
            && from.is_blank()
            && !to.is_blank()
        {
            self.filled.insert(*peer, world.now());
        }
        match seen {
            Seen::Started { peer } => {
                self.filled.remove(peer);
                Ok(())
            }
            Seen::Moved { from, to, .. }
                if to.is_blank() && world.history().came_to_nothing(from.ballot) =>
            {
                Ok(())
            }
            Seen::Moved { peer, from, to, .. } if to.is_blank() && !from.is_blank() => {
                let name = &world.plan().group.members[*peer];
                Err(format!("{name} was emptied at {from}"))
            }
            Seen::Reign { peer, ballot, parent: None, .. } => {
                self.filled.insert(*peer, world.now());
                self.founded(world, *peer, *ballot)
            }
            _ => Ok(()),
        }
    }
}

impl NoEmptyPeer {
    /// A founding is not possible past a member with data that its founder hears. One that has
    /// founded in this moment cannot be heard yet: of two foundings the later ballot stays.
    fn founded(&self, world: &World, founder: usize, ballot: Ballot) -> Result<(), String> {
        let near = (0..world.plan().peers()).filter(|peer| *peer != founder).find(|peer| {
            let timeout = world.plan().timeout();
            let filled = self.filled.get(peer);
            let in_contact = world.contact().length(world.now(), founder, *peer);
            world.process(*peer).is_some_and(|process| !process.position.is_blank())
                && filled.is_none_or(|since| world.now().since(*since) >= timeout / 10)
                && world.plan().priorities[*peer] > 0
                && !world.hosts()[*peer].is_aside
                && in_contact >= timeout * 11 / 10
        });
        match near {
            None => Ok(()),
            Some(near) => {
                let names = &world.plan().group.members;
                let near = &names[near];
                let founder = &names[founder];
                Err(format!("{founder} founds {ballot} although it hears {near}, which has data"))
            }
        }
    }
}
