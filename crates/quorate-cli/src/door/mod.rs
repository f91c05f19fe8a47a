//! The way into a peer: one question, one answer. What stands behind it is the admin lane of the
//! library, or in tests a group that exists on paper.

pub(crate) mod lane;
#[cfg(test)]
pub(crate) mod paper;

use quorate::transport::BoxFuture;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// Opens doors.
pub(crate) trait Doors: Send + Sync {
    /// Connects to the peer at an address.
    ///
    /// # Errors
    ///
    /// If nobody answers there, or whoever does is no peer of this group, or lets nobody in.
    fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>>;
}

/// An open connection to one peer.
pub(crate) trait Door: Send {
    /// The name of the peer behind it.
    fn peer(&self) -> &str;

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If it is refused, or the connection is lost.
    fn ask<'a>(&'a mut self, ask: &'a Value) -> BoxFuture<'a, Result<Value, DoorError>>;
}

/// The reason why a peer was not reached or did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DoorError {
    /// Nobody answered there, or no peer of this group. Nothing was changed.
    Unreachable { detail: String },
    /// A peer did, and does not let this one in. Nothing was changed.
    NotAllowed { detail: String },
    /// The peer has refused. Nothing was changed.
    Refused { error: String, detail: String },
    /// The connection was lost after the question was sent, or the peer does not know the outcome.
    Unknown { error: String, detail: String },
}

impl DoorError {
    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Unreachable { detail }
            | Self::NotAllowed { detail }
            | Self::Refused { detail, .. }
            | Self::Unknown { detail, .. } => detail,
        }
    }

    /// What is said of a command that wanted to change something.
    pub(crate) fn of_act(self) -> Failure {
        match self {
            Self::Unreachable { detail } => Failure::new(Exit::Unreached, "unreachable", detail),
            Self::NotAllowed { detail } => Failure::new(Exit::Unreached, "not_allowed", detail),
            Self::Refused { error, detail } => Failure::new(Exit::Refused, &error, detail),
            Self::Unknown { error, detail } => Failure::new(Exit::Unknown, &error, detail),
        }
    }

    /// What is said of a command that only looks: it has no outcome that could be unknown.
    pub(crate) fn of_look(self) -> Failure {
        match self {
            Self::Unknown { error, detail } => Failure::new(Exit::Unreached, &error, detail),
            other => other.of_act(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_act_has_an_outcome_that_may_be_unknown() {
        let lost = DoorError::Unknown { error: "lost".into(), detail: "gone".into() };
        assert_eq!(lost.clone().of_act().exit, Exit::Unknown);
        assert_eq!(lost.of_look().exit, Exit::Unreached);
        let refused = DoorError::Refused { error: "alive".into(), detail: "b is here".into() };
        assert_eq!(refused.clone().of_look().exit, Exit::Refused);
        assert_eq!(refused.of_act().error, "alive");
        let kept_out = DoorError::NotAllowed { detail: "no".into() };
        assert_eq!(kept_out.of_act().exit, Exit::Unreached);
    }
}
