//! Refused means that nothing was written.
//!
//! Holds G22 of docs/guarantees.md.

use crate::check::Check;
use crate::words::operation::Outcome;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug)]
pub(super) struct RefusedHasNoEffect;

impl Check for RefusedHasNoEffect {
    fn name(&self) -> &'static str {
        "refused"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Refused { peer, op, is_unchanged: false } => {
                let name = &world.plan().group.members[*peer];
                Err(format!("{name} refused call {op} and changed cells"))
            }
            Seen::Ended { op, outcome: Outcome::Refused } if world.ops()[*op].is_executed => {
                Err(format!("call {op} was executed and is refused"))
            }
            _ => Ok(()),
        }
    }
}
