//! How the members are to be looked after, as a document says it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admin::answer::Refused;
use crate::base::told::{millis, whole};
use crate::config::{Monitor, MonitorChange};
use crate::words::is_false;

/// How the members are to be looked after, as a document says it: one of `{"size":3}` with or
/// without `"grace_ms":60000`, `{"off":true}`, `{"pause_ms":7200000}` and `{"resume":true}`; or
/// nothing, which asks how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct MonitorDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    off: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    resume: bool,
}

impl MonitorDocument {
    /// This one, if what it asks for can be told.
    pub(crate) fn checked(self) -> Result<Self, Refused> {
        self.change().map(|_| self)
    }

    /// The change that it asks for; `None` if it asks for nothing.
    ///
    /// # Errors
    ///
    /// If it asks for two things at once, or for a grace without a size.
    pub fn change(&self) -> Result<Option<MonitorChange>, Refused> {
        let Self { size, grace_ms, off, pause_ms, resume } = *self;
        let set = size.map(|size| {
            let monitor = Monitor::new(size);
            let grace = grace_ms.map(Duration::from_millis);
            MonitorChange::Set(grace.map_or(monitor, |grace| monitor.grace(grace)))
        });
        let pause = pause_ms.map(|pause| MonitorChange::Pause(Duration::from_millis(pause)));
        let asked = [
            set,
            off.then_some(MonitorChange::Off),
            pause,
            resume.then_some(MonitorChange::Resume),
        ];
        let mut asked = asked.into_iter().flatten();
        match (asked.next(), asked.next()) {
            (None, _) if grace_ms.is_some() => {
                Err(Refused::bad_request("a grace goes with a size: say both"))
            }
            (change, None) => Ok(change),
            _ => Err(Refused::bad_request(
                "say one of size (with grace_ms), off, pause_ms and resume at a time",
            )),
        }
    }
}

impl From<MonitorChange> for MonitorDocument {
    fn from(change: MonitorChange) -> Self {
        let nothing = Self::default();
        match change {
            MonitorChange::Set(monitor) => {
                let grace_ms = monitor.own_grace().map(millis);
                Self { size: Some(monitor.size()), grace_ms, ..nothing }
            }
            MonitorChange::Off => Self { off: true, ..nothing },
            MonitorChange::Pause(pause) => Self { pause_ms: Some(millis(pause)), ..nothing },
            MonitorChange::Resume => Self { resume: true, ..nothing },
        }
    }
}

/// The change in a few words.
impl fmt::Display for MonitorDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |ms| whole(Duration::from_millis(ms));
        match (self.size, self.pause_ms) {
            (Some(size), _) => {
                write!(f, " size {size}")?;
                match self.grace_ms {
                    Some(grace) => write!(f, " grace {}", told(grace)),
                    None => Ok(()),
                }
            }
            (None, Some(pause)) => write!(f, " pause {}", told(pause)),
            (None, None) if self.off => f.write_str(" off"),
            (None, None) if self.resume => f.write_str(" resume"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<MonitorChange>, String> {
        let document = serde_json::from_str::<MonitorDocument>(text);
        let document = document.map_err(|error| error.to_string())?;
        document.change().map_err(|refused| refused.detail)
    }

    #[test]
    fn a_document_asks_for_one_thing_and_is_written_as_it_was_read() {
        let grace = Duration::from_millis(2000);
        for (text, change) in [
            ("{}", None),
            (r#"{"size":3}"#, Some(MonitorChange::Set(Monitor::new(3)))),
            (
                r#"{"size":3,"grace_ms":2000}"#,
                Some(MonitorChange::Set(Monitor::new(3).grace(grace))),
            ),
            (r#"{"off":true}"#, Some(MonitorChange::Off)),
            (r#"{"pause_ms":2000}"#, Some(MonitorChange::Pause(grace))),
            (r#"{"resume":true}"#, Some(MonitorChange::Resume)),
        ] {
            assert_eq!(read(text), Ok(change));
            let written = change.map(MonitorDocument::from).unwrap_or_default();
            assert_eq!(serde_json::to_string(&written).expect("it can be written"), text);
        }
    }

    #[test]
    fn a_change_is_told_in_a_few_words() {
        for (text, told) in [
            (r#"{"size":3}"#, " size 3"),
            (r#"{"size":3,"grace_ms":90000}"#, " size 3 grace 90s"),
            (r#"{"pause_ms":300000}"#, " pause 5m"),
            (r#"{"off":true}"#, " off"),
            (r#"{"resume":true}"#, " resume"),
            ("{}", ""),
        ] {
            let document: MonitorDocument = serde_json::from_str(text).expect("a document");
            assert_eq!(document.to_string(), told);
        }
    }

    #[test]
    fn two_things_at_once_and_half_of_one_are_refused() {
        for (text, says) in [
            (r#"{"size":3,"off":true}"#, "one of size"),
            (r#"{"pause_ms":1,"resume":true}"#, "one of size"),
            (r#"{"grace_ms":1000}"#, "a grace goes with a size"),
            (r#"{"sise":3}"#, "unknown field `sise`"),
        ] {
            let error = read(text).expect_err("refused");
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
