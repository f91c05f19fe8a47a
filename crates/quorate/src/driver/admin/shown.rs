//! What a peer says of itself, as much of it as fits into one answer.

use serde_json::{Value, json};

use crate::base::id::Incarnation;
use crate::base::told::printable;
use crate::driver::report::events::NumberedEvent;
use crate::driver::report::status::Status;
use crate::wire::MAX_ANSWER_BYTES;

/// The part of an answer that it may take: what is around it fits into the rest.
const MAX_BYTES: usize = MAX_ANSWER_BYTES / 8 * 7;

/// A status. One that is too long goes without the peers that are not known here, which clients
/// are, and says how many those were.
pub(super) fn status(status: &Status, is_known: impl Fn(&str) -> bool) -> Value {
    status_within(MAX_BYTES, json!(status), is_known)
}

fn status_within(max: usize, mut shown: Value, is_known: impl Fn(&str) -> bool) -> Value {
    if shown.to_string().len() <= max {
        return shown;
    }
    if let Some(Value::Array(peers)) = shown.get_mut("peers") {
        let all = peers.len();
        peers.retain(|peer| peer["name"].as_str().is_some_and(&is_known));
        let left_out = all - peers.len();
        shown["peers_left_out"] = json!(left_out);
    }
    shown
}

/// Events of a start of a peer after the one of number `since`, oldest first, as many as fit.
pub(super) fn events(events: &[NumberedEvent], since: u64, incarnation: Incarnation) -> Value {
    let (listed, next) = events_within(MAX_BYTES, events, since);
    // Numbers have no gaps: what is not there is not kept any more.
    let missed = next - since - listed.len() as u64;
    json!({ "events": listed, "next": next, "missed": missed, "incarnation": incarnation })
}

/// Events as documents, and the number of the last of them.
fn events_within(max: usize, events: &[NumberedEvent], since: u64) -> (Vec<Value>, u64) {
    let mut listed = Vec::new();
    let mut bytes = 0;
    let mut next = since;
    for event in events {
        let shown = event_shown(event);
        bytes += shown.to_string().len() + 1;
        if bytes > max {
            break;
        }
        next = event.number;
        listed.push(shown);
    }
    (listed, next)
}

/// An event, with what it says to people.
fn event_shown(event: &NumberedEvent) -> Value {
    let mut shown = json!(event);
    shown["severity"] = json!(event.event.severity());
    shown["text"] = json!(printable(&event.event.to_string()));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::event::Event;

    #[test]
    fn a_status_that_is_too_long_goes_without_those_who_are_not_known() {
        let peer = |name: &str| json!({ "name": name, "address": "x".repeat(100) });
        let whole = json!({ "name": "a", "peers": [peer("b"), peer("web-1"), peer("web-2")] });
        let is_known = |name: &str| name == "b";
        let max = whole.to_string().len();
        assert_eq!(status_within(max, whole.clone(), is_known), whole);
        let cut = status_within(max - 1, whole, is_known);
        assert_eq!(cut, json!({ "name": "a", "peers": [peer("b")], "peers_left_out": 2 }));
    }

    #[test]
    fn as_many_events_are_told_as_fit_and_the_next_answer_goes_on_from_there() {
        let event = |number| {
            let event = Event::PeerUp { peer: "b".into() };
            NumberedEvent { number, at_ms: 5, event }
        };
        // Two are not kept any more.
        let kept = [event(3), event(4), event(5)];
        let whole = events(&kept, 0, Incarnation(9));
        assert_eq!((&whole["next"], &whole["missed"]), (&json!(5), &json!(2)));
        let first = &whole["events"][0];
        assert_eq!((&first["number"], &first["event"]), (&json!(3), &json!("peer_up")));
        assert_eq!(
            (&first["severity"], &first["text"]),
            (&json!("info"), &json!("b is connected"))
        );
        let one = first.to_string().len() + 1;
        let (listed, next) = events_within(2 * one, &kept, 2);
        assert_eq!((listed.len(), next), (2, 4));
        assert_eq!(events_within(0, &kept, 2), (vec![], 2));
        let none = events(&[], 7, Incarnation(9));
        assert_eq!((&none["next"], &none["missed"]), (&json!(7), &json!(0)));
    }
}
