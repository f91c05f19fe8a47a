//! New generations: when one may begin.

use serde::Serialize;

/// The condition on which a new generation may begin, or a group be founded, without some of its
/// members.
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
