//! How far a state is behind another one, in cuts.

use crate::base::id::{Ballot, Position};
use crate::store::EPOCH;

/// How many cuts a peer may be behind, and is taken to keep up all the same: under load, and where
/// the way is long, some hundreds are under way.
pub(crate) const MAX_LAG: u64 = 1000;

/// The number of cuts that this peer's state is behind that of the primary of `ballot`; `None`
/// where they cannot be compared. Of a state of an older reign it is not known here how much of it
/// the primary holds, whatever its length: it may be a tail that will be given up.
pub(in crate::protocol) fn own_cuts_behind(
    own: Position,
    primary: Position,
    ballot: Ballot,
) -> Option<u64> {
    if own.ballot == primary.ballot {
        return cuts_behind(own, primary);
    }
    // Data of the new reign may come before the heartbeat that was sent ahead of them.
    (own.ballot == ballot && !own.is_blank()).then_some(0)
}

/// The number of cuts that a state is behind which the primary is known to hold as well; `None` if
/// it is of another generation.
pub(in crate::protocol) fn cuts_behind(position: Position, primary: Position) -> Option<u64> {
    let sequences = primary.sequence.0.saturating_sub(position.sequence.0);
    let is_comparable = position.ballot.generation == primary.ballot.generation;
    is_comparable.then(|| sequences.div_ceil(EPOCH))
}
