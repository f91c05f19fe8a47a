//! `ask`, `peek`, `reset` and `explain`: a key under a limit.

use serde_json::{Value, json};

use crate::arguments::command::{Amount, Key};
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::report::document::Document;
use crate::text::clean::clean;
use crate::text::units::{count, span};

/// The error of more units than a limit admits at once.
const NEVER: &str = "never_admitted";

/// Takes units.
///
/// # Errors
///
/// If nothing was decided, or that is not known.
pub(crate) async fn ask(run: &mut Run<'_>, amount: &Amount) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let answer = reached.act(question("limits.ask", amount), run.patience()?).await?;
    run.tell(&reached, &answer, || decision(amount, &answer, "admitted", "denied"));
    exit(&answer)
}

/// Says what would come of it.
///
/// # Errors
///
/// If that is not known.
pub(crate) async fn peek(run: &mut Run<'_>, amount: &Amount) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let answer = reached.look(question("limits.peek", amount), run.patience()?).await;
    let answer = answer.map_err(|failure| match &*failure.error {
        // Nothing was to be done that could have been refused.
        NEVER => Failure { exit: Exit::Denied, ..failure },
        _ => failure,
    })?;
    run.tell(&reached, &answer, || would_be(amount, &answer));
    exit(&answer)
}

/// Forgets what was taken.
///
/// # Errors
///
/// If it was not forgotten, or that is not meant.
pub(crate) async fn reset(run: &mut Run<'_>, of: &Key) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let Key { limit, key, .. } = of;
    let named = named(of);
    run.consent(&format!("All that {named} has taken under {limit} is forgotten."))?;
    let mut ask = json!({"ask": "limits.reset", "limit": limit});
    ask[field(of)] = json!(key);
    let answer = reached.act(ask, run.patience()?).await?;
    run.tell(&reached, &answer, || {
        let granted = Document::of(&answer).number("granted");
        let given_back = granted.map(|units| format!(": {} given back", count(units)));
        format!("{named} begins anew under {limit}{}", given_back.unwrap_or_default())
    });
    Ok(Exit::Done)
}

/// Says in words what a limit would decide.
///
/// # Errors
///
/// If that is not known.
pub(crate) async fn explain(run: &mut Run<'_>, amount: &Amount) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let answer = reached.look(question("limits.explain", amount), run.patience()?).await?;
    run.tell(&reached, &answer, || explained(amount, &answer));
    let errors = Document::of(&answer).list("items").filter_map(|item| item.text("error"));
    if errors.into_iter().any(|error| error != NEVER) {
        return Ok(Exit::Refused);
    }
    exit(&answer)
}

fn question(ask: &str, Amount { of, amount }: &Amount) -> Value {
    let mut question = json!({"ask": ask, "limit": of.limit, "amount": amount});
    question[field(of)] = json!(of.key);
    question
}

/// A key, fit for a terminal.
fn named(of: &Key) -> String {
    if of.key.is_empty() { "\"\"".to_owned() } else { clean(&of.key) }
}

/// The field in which a key stands.
fn field(of: &Key) -> &'static str {
    if of.hex { "key_hex" } else { "key" }
}

/// 0 or 7.
fn exit(answer: &Value) -> Result<Exit, Failure> {
    match Document::of(answer).flag("allowed") {
        Some(true) => Ok(Exit::Done),
        Some(false) => Ok(Exit::Denied),
        None => {
            let detail = "the answer does not say whether it was admitted: the peer may be newer";
            Err(Failure::new(Exit::Unknown, "bad_answer", detail))
        }
    }
}

/// What would come of it.
fn would_be(asked: &Amount, answer: &Value) -> String {
    decision(asked, answer, "would be admitted", "would be denied")
}

fn decision(asked: &Amount, answer: &Value, allowed: &str, denied: &str) -> String {
    let Amount { of: Key { limit, .. }, amount } = asked;
    let key = named(&asked.of);
    let answer = Document::of(answer);
    let word = if answer.flag("allowed") == Some(true) { allowed } else { denied };
    let mut said = format!("{limit}: {} for {key} {word}", count(*amount));
    if let Some(remaining) = answer.number("remaining") {
        let of = answer.number("limit").map(|limit| format!(" of {}", count(limit)));
        said += &format!("; {}{} left", count(remaining), of.unwrap_or_default());
    }
    if answer.flag("shadow") == Some(true) {
        said += "; the limit is a shadow, and would have denied it";
    }
    if let Some(wait) = answer.number("retry_after_ms") {
        said += &format!("; try again in {}", span(wait));
    }
    if let Some(reset) = answer.number("reset_after_ms").filter(|reset| *reset > 0) {
        let all = answer.number("limit").map(count);
        let all = all.map_or_else(|| "all of it".to_owned(), |all| format!("{all} of {all}"));
        said += &format!("; {all} again in {}, if nothing is taken until then", span(reset));
    }
    if let Some(by) = answer.text("decided_by") {
        said += &format!("; decided by {by}");
    }
    said
}

/// The sentences of an explanation, one for each limit.
fn explained(asked: &Amount, answer: &Value) -> String {
    let items = Document::of(answer).list("items").filter_map(|item| item.text("text"));
    let decided = answer.pointer("/items/0/decision").filter(|decision| decision.is_object());
    let told = decided.map(|decided| would_be(asked, decided));
    told.into_iter().chain(items).collect::<Vec<_>>().join("\n")
}
