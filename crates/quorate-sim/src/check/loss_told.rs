//! A new generation that says that it lacks nothing has every decision that a majority of its
//! former members had acknowledged (docs/protocol.md, section 6); and none begins without a member
//! that it was to wait for: by their settings, or where one that has restarted remembers that more
//! was acknowledged than is left. Of any majority that has acknowledged something one at least is
//! in reach of whoever founds, and holds it or remembers.
//!
//! Holds G12 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::{Ballot, Event as GroupEvent, Loss, NewGenerations, PeerName, Position, Sequence};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct LossTold {
    /// The last acknowledged decision of each reign.
    acknowledged: BTreeMap<Ballot, Sequence>,
}

impl Check for LossTold {
    fn name(&self) -> &'static str {
        "loss_told"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Acknowledged { done, is_majority: true, .. } => {
                let Position { ballot, sequence } = done.position;
                let last = self.acknowledged.entry(ballot).or_default();
                *last = (*last).max(sequence);
                Ok(())
            }
            Seen::Event { event: GroupEvent::Founded { unreached, .. }, .. } => {
                complete(world, unreached)?;
                self.remembered(world, unreached, Position::BLANK)
            }
            Seen::Event { event, .. } => self.on_event(world, event),
            _ => Ok(()),
        }
    }
}

impl LossTold {
    /// Returns where members remember, none that has acknowledged more is passed over for want of
    /// another.
    fn remembered(
        &self,
        world: &World,
        unreached: &[PeerName],
        position: Position,
    ) -> Result<(), String> {
        if world.plan().remembers.is_none() || unreached.is_empty() {
            return Ok(());
        }
        let mut acknowledged = self
            .acknowledged
            .iter()
            .map(|(ballot, sequence)| Position { ballot: *ballot, sequence: *sequence });
        let lost = acknowledged.find(|acknowledged| {
            let is_newer = acknowledged.ballot.generation >= position.ballot.generation;
            is_newer && !world.history().includes(position, *acknowledged)
        });
        match lost {
            Some(lost) => Err(format!("begins without {unreached:?} and without {lost}")),
            None => Ok(()),
        }
    }

    fn on_event(&self, world: &World, event: &GroupEvent) -> Result<(), String> {
        let GroupEvent::NewGeneration { unreached, position, loss, .. } = event else {
            return Ok(());
        };
        complete(world, unreached)?;
        self.remembered(world, unreached, *position)?;
        let bound = match loss {
            Loss::Nothing => *position,
            Loss::UpTo { position } => *position,
            _ => return Ok(()),
        };
        let mut former = self.acknowledged.iter().filter(|(ballot, _)| {
            **ballot <= bound.ballot && world.history().are_kin(**ballot, position.ballot)
        });
        let lost = former.find_map(|(ballot, sequence)| {
            let acknowledged = Position { ballot: *ballot, sequence: *sequence };
            let is_kept = world.history().includes(*position, acknowledged)
                || (matches!(loss, Loss::UpTo { .. }) && acknowledged <= bound);
            (!is_kept).then_some(acknowledged)
        });
        match lost {
            Some(lost) => Err(format!("{lost} was acknowledged, and {event:?} is without it")),
            None => Ok(()),
        }
    }
}

/// Nobody tells a group of a simulated run to found without its members.
fn complete(world: &World, unreached: &[PeerName]) -> Result<(), String> {
    if unreached.is_empty() || world.plan().new_generations == NewGenerations::Automatic {
        return Ok(());
    }
    Err(format!("a generation begins without {unreached:?}, for which it was to wait"))
}
