//! Loss: how much of what was held a new generation may lack.

use serde::Serialize;

use crate::base::id::Position;

/// How much of what a majority of the members had held a new generation may lack.
///
/// That is what callers were told under [`Acknowledge::Majority`](crate::Acknowledge::Majority).
/// Under [`Acknowledge::Primary`](crate::Acknowledge::Primary) up to `max_unreplicated` units more
/// may be lost, as by any failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "known", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// Nothing: of every majority of the former members somebody took part, with what it had.
    Nothing,
    /// What was decided past the state that the generation begins from, as far as that went: up to
    /// this position at most, for members that have restarted remember how far they may have
    /// acknowledged ([`PeerBuilder::state_dir`](crate::PeerBuilder::state_dir)).
    UpTo {
        /// Nobody may have acknowledged anything later.
        position: Position,
    },
    /// Whatever was decided past that state: members that may have acknowledged it have lost it, or
    /// were not reached, and nobody knows how much it was.
    Unknown,
}
