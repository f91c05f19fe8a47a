//! The one that looks on as things happen, and may object.

use std::fmt;

use crate::words::seen::{Failure, Seen};
use crate::world::World;

/// Looks on at a world; its first objection ends the run.
///
/// It is shown what happens at that moment, and not when the event is over: within one event a
/// clock is read before and after it jumps, and a process that was frozen answers calls before its
/// event loop finds that its lease has ended. A queue that is drained afterwards would have it look
/// at another world than the one that it is told of.
pub(crate) trait Watch: fmt::Debug {
    /// Looks at something as it happens.
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), Failure>;

    /// Looks at the end, when all is healed and at rest.
    fn finish(&mut self, world: &World) -> Result<(), Failure>;
}
