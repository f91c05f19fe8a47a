//! Exit codes, and what is said of a command that was not done.

use std::process::ExitCode;

use serde_json::{Value, json};

/// The outcome of a command, as the shell is told it. `check` has codes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done; of `status`, the group is healthy.
    Done = 0,
    /// It was refused, and nothing was changed.
    Refused = 1,
    /// The command line says nothing that can be done.
    Usage = 2,
    /// It may have been done, or not.
    Unknown = 3,
    /// Nobody was reached, or whoever was does not let this command in.
    Unreached = 4,
    /// The group decides, and something is wrong with it.
    Degraded = 5,
    /// Nobody decides.
    NoPrimary = 6,
    /// The limit has denied what was asked for.
    Denied = 7,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// A command that was not done, or of which that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// The reason as a word, for programs.
    pub(crate) error: String,
    /// The reason as a sentence, with what to do.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: &str, detail: impl Into<String>) -> Self {
        Self { exit, error: error.to_owned(), detail: detail.into() }
    }

    /// What the command line lacks, or has too much of.
    pub(crate) fn usage(error: &str, detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, error, detail)
    }

    /// The document that `--json` prints.
    pub(crate) fn document(&self) -> Value {
        let effect = if self.exit == Exit::Unknown { "unknown" } else { "none" };
        json!({
            "error": self.error,
            "detail": self.detail,
            "effect": effect,
            "exit": self.exit.code(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_outcome_may_have_had_an_effect() {
        let unknown = Failure::new(Exit::Unknown, "lost", "the connection was lost");
        assert_eq!(unknown.document()["effect"], "unknown");
        assert_eq!(unknown.document()["exit"], 3);
        for exit in [Exit::Refused, Exit::Usage, Exit::Unreached] {
            assert_eq!(Failure::new(exit, "x", "y").document()["effect"], "none");
        }
    }
}
