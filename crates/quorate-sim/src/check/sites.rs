//! Of two sites one decides (docs/protocol.md, section 16): each site epoch has reigns of one site,
//! none is founded before somebody has said which of them is to decide, nothing is executed in a
//! site epoch that is sealed, nor by who knows of a later one, and what a peer holds is replaced
//! only by what comes of the same history. A promotion that is to lose nothing is checked as any
//! other election is.
//!
//! Holds G38 of docs/guarantees.md.

pub(super) mod at_risk;

use std::collections::BTreeSet;

use quorate::internal::state::SitePhase;
use quorate::{Ballot, Position};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Sites {
    /// Site epochs in which nobody may execute anything any more.
    sealed: BTreeSet<u64>,
    /// Site epochs that have begun.
    begun: BTreeSet<u64>,
}

impl Check for Sites {
    fn name(&self) -> &'static str {
        "sites"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !world.plan().has_sites() {
            return Ok(());
        }
        match seen {
            Seen::Reign { peer, ballot, parent, .. } => {
                let name = world.plan().name(*peer);
                let epoch = ballot.generation.site_epoch();
                if world.is_standby(*peer) != is_of_west(*ballot) {
                    return Err(format!("{name} reigns in site epoch {epoch} of the other site"));
                }
                let is_first = epoch > 0 && self.begun.insert(epoch);
                if is_first && !world.is_promoted_in(*peer, epoch) {
                    return Err(format!("{name} begins site epoch {epoch}, and was not promoted"));
                }
                if parent.is_none() && world.activations() == 0 {
                    let ballot = world.short(*ballot);
                    return Err(format!("{name} founds {ballot}, and nobody has told it to"));
                }
                Ok(())
            }
            Seen::Executed { done, .. } => self.executed(world, done.position),
            Seen::Moved { peer, from, to, .. } => {
                self.note_sealed(world, *peer, *to);
                // A member gives its state up for what a majority stands behind.
                let follows = world.is_standby(*peer) != is_of_west(to.ballot);
                let is_kin = !follows || from.is_blank() || are_of_one_history(world, *from, *to);
                let name = world.plan().name(*peer);
                let [from, to] = [*from, *to].map(|position| world.short_position(position));
                is_kin.then_some(()).ok_or_else(|| {
                    format!("{name} gives {from} up for {to}, which did not come of it")
                })
            }
            _ => Ok(()),
        }
    }
}

/// East comes first, and has the odd ones; the first of all is the one that was told to decide.
fn is_of_west(ballot: Ballot) -> bool {
    let epoch = ballot.generation.site_epoch();
    epoch > 0 && epoch.is_multiple_of(2)
}

impl Sites {
    /// A peer holds that nobody decides in its site epoch any more, and that a majority does.
    fn note_sealed(&mut self, world: &World, peer: usize, to: Position) {
        let Some(process) = world.process(peer) else { return };
        if process.store.meta().membership.site_phase() == SitePhase::Sealed {
            self.sealed.insert(to.ballot.generation.site_epoch());
        }
    }

    fn executed(&self, world: &World, position: Position) -> Result<(), String> {
        let Some(reign) = world.history().reign(position.ballot) else { return Ok(()) };
        let peer = reign.primary.peer;
        // A thread that was paused in the middle of it is not answered.
        let host = &world.hosts()[peer];
        let process = host.process.as_ref();
        if !process.is_some_and(|process| process.is_authorized(&host.clock, world.now())) {
            return Ok(());
        }
        let name = world.plan().name(peer);
        let epoch = position.ballot.generation.site_epoch();
        if self.sealed.contains(&epoch) {
            return Err(format!("{name} executes in site epoch {epoch}, which is sealed"));
        }
        let known = world.process(peer).map_or(0, |process| process.machine.site_epoch());
        if known > epoch {
            return Err(format!("{name} executes in site epoch {epoch}, and knows {known}"));
        }
        Ok(())
    }
}

fn are_of_one_history(world: &World, one: Position, other: Position) -> bool {
    let foundings = |at: Position| -> BTreeSet<Ballot> {
        let ends = world.history().path(at);
        ends.filter_map(|end| world.history().founding_of(end.ballot)).collect()
    };
    !foundings(one).is_disjoint(&foundings(other))
}
