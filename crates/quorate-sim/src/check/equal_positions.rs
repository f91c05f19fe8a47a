//! Equal positions are equal states (docs/protocol.md, section 3): whatever way a peer came to
//! a position, its cells are those that the operations up to there make.
//!
//! Holds G17 of docs/guarantees.md.

use quorate::Event as GroupEvent;

use crate::check::Check;
use crate::model::reference::difference;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug)]
pub(super) struct EqualPositions;

impl Check for EqualPositions {
    fn name(&self) -> &'static str {
        "equal_positions"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Moved { peer, to, group_time, cells, expected, .. } => {
                match difference(expected, cells, *group_time) {
                    None => Ok(()),
                    Some(what) => {
                        let name = &world.plan().group.members[*peer];
                        Err(format!("{name} at {to}: {what}"))
                    }
                }
            }
            // The peers compare their states too, and nothing here changes them silently.
            Seen::Event { peer, event: GroupEvent::Diverged { position, .. } } => {
                let name = &world.plan().group.members[*peer];
                Err(format!("{name} differs from its primary at {position}"))
            }
            Seen::Reign { ballot, parent: Some(parent), group_time, cells, .. } => {
                let expected = world.history().cells_at(*parent)?;
                match difference(&expected, cells, *group_time) {
                    None => Ok(()),
                    Some(what) => Err(format!("{ballot} begins from {parent}: {what}")),
                }
            }
            _ => Ok(()),
        }
    }
}
