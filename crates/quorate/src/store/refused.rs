//! Reasons why an operation was not decided.

use std::time::Duration;

use crate::base::error::Bounded;
use crate::base::told::whole;

/// The rules of an operation, as [`Refused::Invalid`] says them.
pub(crate) const ITEMS: &str = "it has 1 item at least, and at most";
pub(crate) const KEY: &str = "a key has 1 byte at least, and at most";
pub(crate) const ONCE: &str = "times that one key may be in it:";

/// Why an operation was not decided. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This peer may not decide, or not any more.
    #[error("this peer has no authority to decide")]
    NoAuthority,
    /// A hand-over is under way.
    #[error("a hand-over is under way")]
    HandingOver,
    /// The operation needs a new cell and none may be made.
    #[error("{what} is at its bound of {bound}")]
    Full {
        /// Which bound is reached.
        what: Bounded,
        /// Its value.
        bound: u64,
    },
    /// What was decided alone was sealed longer ago than merges are remembered: it may have been
    /// merged.
    #[error("it was sealed more than {} ago, and may have been merged since", whole(*memory))]
    Forgotten {
        /// How long merges are remembered.
        memory: Duration,
    },
    /// What was decided alone says that it was sealed later than can be: its repeats would be taken
    /// for longer than its merge is remembered.
    #[error("it was sealed more than {} ahead of group time: is a clock wrong?", whole(*most))]
    Ahead {
        /// How much is taken.
        most: Duration,
    },
    /// The operation is not usable.
    #[error("{what} {bound}")]
    Invalid {
        /// The rule it breaks, which ends with the bound.
        what: &'static str,
        /// The bound of the rule.
        bound: u64,
    },
}
