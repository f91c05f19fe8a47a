//! The answer to an ask: what was asked for, or why not.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::error::{
    ArrangeError, DecideError, ForceError, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::told::shortened;
use crate::wire::MAX_ANSWER_BYTES;

/// Most characters of what is wrong with a document.
const MAX_DETAIL: usize = 400;

/// Why an ask was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[error("{detail}")]
pub struct Refused {
    /// The error for programs, like `not_member`: the name of the variant of the error that the
    /// peer's own handle returns, or `bad_request`, `unknown_ask`, `not_allowed`, `timed_out`,
    /// `too_long`.
    pub error: Cow<'static, str>,
    /// A sentence for people: why, and what to do.
    pub detail: String,
    /// What was done all the same.
    pub effect: Effect,
}

/// The effect of an ask that was refused, or is not known to have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing was changed.
    None,
    /// It may have been carried out, or may be yet.
    Unknown,
}

impl Refused {
    /// A refusal after which nothing has changed.
    pub fn new(error: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { error: error.into(), detail: detail.into(), effect: Effect::None }
    }

    /// A document that cannot be used. Nothing has changed. Of the sentence the first 400
    /// characters are told: it may say what was sent.
    pub fn bad_request(detail: impl AsRef<str>) -> Self {
        Self::new("bad_request", shortened(detail.as_ref(), MAX_DETAIL))
    }

    /// The same after which something may have changed.
    #[must_use]
    pub fn unknown(self) -> Self {
        Self { effect: Effect::Unknown, ..self }
    }

    /// The same of an ask that changes nothing.
    pub(crate) fn without_effect(self) -> Self {
        Self { effect: Effect::None, ..self }
    }

    fn of(error: &dyn fmt::Display, name: &'static str, effect: Effect) -> Self {
        Self { error: name.into(), detail: error.to_string(), effect }
    }
}

impl From<SwitchError> for Refused {
    fn from(error: SwitchError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            SwitchError::NotPrimary { .. } => ("not_primary", None),
            SwitchError::NoPrimary { .. } => ("no_primary", None),
            SwitchError::NotReached => ("not_reached", None),
            SwitchError::TimedOut { .. } => ("timed_out", Unknown),
            SwitchError::NotAllowed => ("not_allowed", None),
            SwitchError::LeaseEnded => ("lease_ended", None),
            SwitchError::OnlyMember => ("only_member", None),
            SwitchError::NoCandidate { .. } => ("no_candidate", None),
            SwitchError::NotMember { .. } => ("not_member", None),
            SwitchError::NotConnected { .. } => ("not_connected", None),
            SwitchError::NotReady { .. } => ("not_ready", None),
            SwitchError::PriorityZero { .. } => ("priority_zero", None),
            SwitchError::Aborted { .. } => ("aborted", None),
            SwitchError::NobodyElse => ("nobody_else", None),
            SwitchError::Busy => ("busy", None),
            SwitchError::TooMany { .. } => ("too_many", None),
            // It may have been asked for before that.
            SwitchError::ShuttingDown => ("shutting_down", Unknown),
        };
        Self::of(&error, name, effect)
    }
}

impl From<RemoveError> for Refused {
    fn from(error: RemoveError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            RemoveError::NoPrimary { .. } => ("no_primary", None),
            RemoveError::NotAllowed { .. } => ("not_allowed", None),
            RemoveError::NotMember { .. } => ("not_member", None),
            RemoveError::Alive { .. } => ("alive", None),
            RemoveError::LastMember { .. } => ("last_member", None),
            RemoveError::Primary { .. } => ("primary", None),
            RemoveError::NotHandedOver { reason } => {
                ("not_handed_over", Self::from(reason.clone()).effect)
            }
            RemoveError::OldVersion { .. } => ("old_version", None),
            RemoveError::NotBegun { .. } => ("not_begun", None),
            RemoveError::TimedOut { .. } => ("timed_out", Unknown),
            RemoveError::Busy { .. } => ("busy", None),
            RemoveError::ShuttingDown => ("shutting_down", Unknown),
        };
        Self::of(&error, name, effect)
    }
}

impl From<PolicyError> for Refused {
    fn from(error: PolicyError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            PolicyError::Refused { .. } => ("refused", None),
            PolicyError::NoPrimary { .. } => ("no_primary", None),
            PolicyError::TimedOut { .. } => ("timed_out", Unknown),
            PolicyError::OldVersion => ("old_version", None),
            PolicyError::NotAllowed => ("not_allowed", None),
            PolicyError::TooLong { .. } => ("too_long", None),
            PolicyError::Busy { .. } => ("busy", None),
            PolicyError::ShuttingDown => ("shutting_down", Unknown),
        };
        Self::of(&error, name, effect)
    }
}

impl From<ArrangeError> for Refused {
    fn from(error: ArrangeError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            ArrangeError::Invalid { .. } => ("bad_request", None),
            ArrangeError::NoPrimary { .. } => ("no_primary", None),
            ArrangeError::TimedOut { .. } => ("timed_out", Unknown),
            ArrangeError::NotAllowed => ("not_allowed", None),
            ArrangeError::OldVersion => ("old_version", None),
            ArrangeError::Busy { .. } => ("busy", None),
            ArrangeError::ShuttingDown => ("shutting_down", Unknown),
        };
        Self::of(&error, name, effect)
    }
}

impl From<ForceError> for Refused {
    fn from(error: ForceError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            ForceError::Blank => ("blank", None),
            ForceError::StorageFailed => ("storage_failed", None),
            ForceError::NotMember { .. } => ("not_member", None),
            ForceError::HasQuorum { .. } => ("has_quorum", None),
            ForceError::Alive { .. } => ("alive", None),
            ForceError::Unaccounted { .. } => ("unaccounted", None),
            ForceError::Refused { .. } | ForceError::NoAnswer { .. } => ("refused", None),
            ForceError::OldVersion { .. } => ("old_version", None),
            ForceError::TimedOut { .. } => ("outcome_unknown", Unknown),
            ForceError::Busy => ("busy", None),
            ForceError::ShuttingDown => ("shutting_down", Unknown),
        };
        Self::of(&error, name, effect)
    }
}

impl From<SiteError> for Refused {
    fn from(error: SiteError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            SiteError::NoSite => ("no_site", None),
            SiteError::OtherDecides => ("other_decides", None),
            SiteError::OtherHolds => ("other_holds", None),
            SiteError::NotVerified => ("not_verified", None),
            SiteError::Sealed => ("sealed", None),
            SiteError::Undecided => ("undecided", None),
            SiteError::Already => ("already", None),
            SiteError::ActiveReachable { .. } => ("active_reachable", None),
            SiteError::NeedsForce { .. } => ("needs_force", None),
            SiteError::NotReady { .. } => ("not_ready", None),
            SiteError::NoMajority { .. } => ("no_majority", None),
            SiteError::Refused { .. } => ("refused", None),
            SiteError::Promoting => ("promoting", None),
            SiteError::EpochsUsedUp => ("epochs_used_up", None),
            SiteError::NoPrimary { .. } => ("no_primary", None),
            SiteError::TimedOut { .. } => ("timed_out", Unknown),
            SiteError::NotAllowed => ("not_allowed", None),
            SiteError::OldVersion => ("old_version", None),
            SiteError::Busy { .. } => ("busy", None),
            SiteError::ShuttingDown => ("shutting_down", Unknown),
        };
        Self::of(&error, name, effect)
    }
}

impl From<DecideError> for Refused {
    fn from(error: DecideError) -> Self {
        use Effect::{None, Unknown};
        let (name, effect) = match &error {
            DecideError::NoPrimary { .. } => ("no_primary", None),
            DecideError::OutcomeUnknown { .. } => ("outcome_unknown", Unknown),
            DecideError::Overloaded { .. } => ("overloaded", None),
            DecideError::Invalid { .. } => ("invalid", None),
            DecideError::ShuttingDown => ("shutting_down", None),
        };
        Self::of(&error, name, effect)
    }
}

/// The document that answers an ask.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Value>,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

impl From<Result<Value, Refused>> for Answer {
    fn from(result: Result<Value, Refused>) -> Self {
        match result {
            Ok(answer) => Self { ok: true, answer: Some(answer), refused: None },
            Err(refused) => Self { ok: false, answer: None, refused: Some(refused) },
        }
    }
}

impl Answer {
    /// Writes it; in place of one that is too long, that it is.
    pub(crate) fn write(&self) -> Bytes {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        if (1..=MAX_ANSWER_BYTES).contains(&bytes.len()) {
            return bytes.into();
        }
        let detail = format!(
            "the answer takes {} bytes, and at most {MAX_ANSWER_BYTES} are sent: ask for less",
            bytes.len()
        );
        let refused = Refused::new("too_long", detail).unknown();
        serde_json::to_vec(&Self::from(Err(refused))).unwrap_or_default().into()
    }

    /// Reads one, of a peer of this version or a later one; `None` of what is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Result<Value, Refused>> {
        let Self { ok, answer, refused } = serde_json::from_slice(bytes).ok()?;
        match (ok, refused) {
            (true, _) => Some(Ok(answer.unwrap_or_default())),
            (false, refused) => refused.map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(result: Result<Value, Refused>) -> Value {
        serde_json::from_slice(&Answer::from(result).write()).expect("it is JSON")
    }

    #[test]
    fn an_answer_is_written_as_documented_and_read_back() {
        let answer = written(Ok(json!({ "priority": 10 })));
        assert_eq!(answer, json!({ "ok": true, "answer": { "priority": 10 } }));
        let refused = Refused::from(SwitchError::Busy);
        let document = written(Err(refused.clone()));
        let detail = "another switch is under way: wait until it has ended";
        let expected = json!({ "ok": false, "error": "busy", "detail": detail, "effect": "none" });
        assert_eq!(document, expected);
        assert_eq!(Answer::read(document.to_string().as_bytes()), Some(Err(refused)));
        assert_eq!(Answer::read(br#"{"ok":true,"answer":[1]}"#), Some(Ok(json!([1]))));
        for garbled in [&b"{"[..], b"[]", b"{}", br#"{"ok":false}"#, br#"{"ok":1}"#] {
            assert_eq!(Answer::read(garbled), None);
        }
    }

    #[test]
    fn an_answer_that_is_too_long_says_so_in_its_place() {
        let document = written(Ok(Value::String("x".repeat(MAX_ANSWER_BYTES))));
        assert_eq!(document["error"], "too_long");
    }
}
