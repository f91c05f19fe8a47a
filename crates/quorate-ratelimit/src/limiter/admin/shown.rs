//! Answers about limits, as documents.

use quorate::admin::Refused;
use serde_json::{Value, json};

use crate::limiter::admin::refused::acquire;
use crate::limiter::batch::Explanation;
use crate::model::limits::Limits;
use crate::numbers::top::Top;

/// Most bytes of keys in one answer: far below what a peer sends.
const MAX_BYTES: usize = 768 * 1024;

/// How all that was asked about stands, each with its decision or the reason why there is none.
pub(super) fn explanation(explanation: &Explanation, limits: &Limits) -> Value {
    let items = explanation.items.iter().map(|item| {
        let refused: Option<Refused> =
            item.decision.as_ref().err().map(|error| acquire(error.clone(), limits));
        json!({
            "limit": item.name,
            "rule": item.limit.as_ref().map(ToString::to_string),
            "amount": item.amount,
            "decision": item.decision.as_ref().ok(),
            "error": refused.as_ref().map(|refused| &refused.error),
            "text": item.to_string(),
        })
    });
    json!({
        "allowed": explanation.is_allowed(),
        "items": items.collect::<Vec<_>>(),
        "text": explanation.to_string(),
    })
}

/// The keys that are used and denied most, as many as fit.
pub(super) fn top(mut top: Top) -> Value {
    loop {
        let shown = json!(top);
        if shown.to_string().len() <= MAX_BYTES {
            return shown;
        }
        top.used.truncate(top.used.len() / 2);
        top.denied.truncate(top.denied.len() / 2);
    }
}
