//! New generations: when one may begin, and what it may lack.

use serde::Serialize;

use crate::base::id::Position;

/// When a new generation may begin, or a group be founded, without some of its members.
///
/// A group of which a majority has lost its data goes on from what is left, as a new generation; a
/// member that is not reached may hold more than that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NewGenerations {
    /// By itself, once a majority of the members is reached and the others have not come for a
    /// failure timeout.
    #[default]
    Automatic,
    /// Only with every member in reach. While one is missing the group waits for it, without a
    /// primary, or for
    /// [`Peer::found_new_group`](crate::Peer::found_new_group).
    WhenComplete,
}

crate::words! {
    NewGenerations, "value of new_generations",
    Automatic => "automatic",
    WhenComplete => "when-complete",
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_as_it_is_written() {
        for setting in [NewGenerations::Automatic, NewGenerations::WhenComplete] {
            assert_eq!(setting.to_string().parse(), Ok(setting));
        }
        let error = "never".parse::<NewGenerations>().expect_err("no such word");
        assert_eq!(
            error.to_string(),
            "\"never\" is no value of new_generations: write automatic or when-complete"
        );
    }
}
