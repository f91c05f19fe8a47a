//! Events of a peer, a line for each.

use serde_json::Value;

use crate::report::document::Document;
use crate::text::style::Paint;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) number: u64,
    /// When it happened, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    pub(crate) name: String,
    /// `info`, `warn` or `error`; empty if the peer does not say.
    pub(crate) severity: String,
    /// What else it says: as a sentence, or else field by field.
    pub(crate) text: String,
    /// The primary that it names.
    pub(crate) primary: Option<String>,
}

impl Event {
    pub(crate) fn read(value: &Value) -> Self {
        let event = Document::of(value);
        let fields = || {
            let told = event.entries().filter(|(name, _)| !is_frame(name));
            let told = told.map(|(name, value)| format!("{name}={}", value.shown()));
            told.collect::<Vec<_>>().join(" ")
        };
        let name = event.text("event").unwrap_or_default();
        Self {
            number: event.number("number").unwrap_or_default(),
            at_ms: event.number("at_ms").unwrap_or_default(),
            severity: event.text("severity").unwrap_or_else(|| severity(&name).to_owned()),
            text: event.text("text").unwrap_or_else(fields),
            primary: event.text("primary"),
            name,
        }
    }

    pub(crate) fn paint(&self) -> Paint {
        match &*self.severity {
            "error" => Paint::Bad,
            "warn" | "warning" => Paint::Warning,
            _ => Paint::Plain,
        }
    }
}

/// Returns true of what every event has.
fn is_frame(field: &str) -> bool {
    ["number", "at_ms", "event", "severity", "text"].contains(&field)
}

/// The severity of events that may only be of one, where the peer does not say; docs/operations.md,
/// section 3.
fn severity(name: &str) -> &'static str {
    match name {
        "quorum_lost"
        | "majority_lost"
        | "new_generation"
        | "new_generation_waits"
        | "older_generation_dropped"
        | "local_decisions_refused"
        | "diverged"
        | "storage_failed"
        | "store_full"
        | "policy_unusable"
        | "primary_forced"
        | "counted_out" => "error",
        "clock_doubted"
        | "config_mismatch"
        | "certificate_refused"
        | "certificate_expiring"
        | "ca_not_trusted"
        | "store_nearly_full"
        | "changes_lost"
        | "primary_suspected"
        | "failure_agreed"
        | "switch_aborted"
        | "model_differs"
        | "transport_differs"
        | "older_files_set_aside"
        | "local_decisions_discarded"
        | "member_stale"
        | "member_forgotten"
        | "admin_acted" => "warn",
        _ => "info",
    }
}

/// The events of an answer, and the number to go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    pub(crate) events: Vec<(Event, Value)>,
    pub(crate) next: u64,
    /// Events between that are not kept any more.
    pub(crate) missed: u64,
    /// The start of the peer that they are of; `null` if it does not say.
    pub(crate) incarnation: Value,
}

impl Events {
    /// Reads an answer to the question for what happened after event `since`.
    pub(crate) fn read(answer: &Value, since: u64) -> Self {
        let list = answer.get("events").or(Some(answer)).and_then(Value::as_array);
        let list = list.map_or(&[][..], Vec::as_slice);
        let events: Vec<_> = list.iter().map(|it| (Event::read(it), it.clone())).collect();
        let newest = events.iter().map(|(event, _)| event.number).max();
        let next = Document::of(answer).number("next").or(newest).unwrap_or(since);
        let missed = Document::of(answer).number("missed").unwrap_or_default();
        let incarnation = answer.get("incarnation").cloned().unwrap_or_default();
        Self { events, next, missed, incarnation }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_without_a_sentence_is_told_field_by_field() {
        let event = Event::read(&json!({
            "number": 7, "at_ms": 1000, "event": "primary_changed", "primary": "b",
            "ballot": {"generation": 1, "term": 4},
        }));
        assert_eq!((event.number, &*event.name, &*event.severity), (7, "primary_changed", "info"));
        assert_eq!(event.text, r#"ballot={"generation":1,"term":4} primary=b"#);
    }

    #[test]
    fn an_event_with_a_sentence_is_told_by_it() {
        let event = Event::read(&json!({
            "number": 7, "at_ms": 1000, "event": "quorum_lost", "severity": "error",
            "text": "it decides nothing until a majority answers", "ballot": {},
        }));
        assert_eq!(event.text, "it decides nothing until a majority answers");
        assert_eq!(event.paint(), Paint::Bad);
    }

    #[test]
    fn the_number_to_go_on_from_is_the_peers_or_the_newest() {
        let events = json!([{"number": 3, "event": "peer_up"}, {"number": 5, "event": "peer_up"}]);
        assert_eq!(Events::read(&json!({"events": events, "next": 9}), 2).next, 9);
        assert_eq!(Events::read(&json!({"events": events}), 2).next, 5);
        assert_eq!(Events::read(&events, 2).next, 5);
        assert_eq!(Events::read(&json!({"events": []}), 2).next, 2);
        let nothing = Events { next: 2, ..Events::default() };
        assert_eq!(Events::read(&json!("what"), 2), nothing);
    }
}
