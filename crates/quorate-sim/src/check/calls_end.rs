//! Every call ends: it is answered, refused, or ended at its deadline, wherever it was made and
//! whatever became of the peers.
//!
//! Holds G23 of docs/guarantees.md.

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug)]
pub(super) struct CallsEnd;

impl Check for CallsEnd {
    fn name(&self) -> &'static str {
        "calls_end"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Ended { op, .. } = seen else { return Ok(()) };
        let long = world.now().since(world.ops()[*op].issued);
        let bound = world.plan().group.io_timeout;
        if long > bound {
            return Err(format!("call {op} has ended after {long:?}, not within {bound:?}"));
        }
        Ok(())
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let bound = world.plan().group.io_timeout;
        let mut open = world.ops().iter().filter(|op| op.outcome.is_none());
        match open.find(|op| world.now().since(op.issued) > bound) {
            Some(op) => Err(format!("a call has not ended within {bound:?}: {op:?}")),
            None => Ok(()),
        }
    }
}
