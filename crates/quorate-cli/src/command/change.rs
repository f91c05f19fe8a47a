//! The commands that change who decides and who is a member.

use serde_json::{Value, json};

use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::Reached;
use crate::report::document::Document;
use crate::report::status::Status;
use crate::text::units::{are, counted, listed};

/// Has a member take over.
///
/// # Errors
///
/// If it does not.
pub(crate) async fn switch(run: &mut Run<'_>, name: &str) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let answer = reached.act(json!({"ask": "switch", "to": name}), run.patience()?).await?;
    let was = reached.status.has_primary() && reached.status.primary.as_deref() == Some(name);
    run.tell(&reached, &answer, || match was {
        true => format!("{name} was primary already"),
        false => format!("{name} is primary"),
    });
    Ok(Exit::Done)
}

/// Has a member count itself out.
///
/// # Errors
///
/// If it does not, or that is not meant.
pub(crate) async fn leave(run: &mut Run<'_>, name: &str) -> Result<Exit, Failure> {
    let mut reached = run.group()?.find(name).await?;
    let without = without(&reached.status, name);
    let group = reached.status.group.clone();
    let primary = match reached.status.primary.as_deref() == Some(name) {
        true => "\nIt is the primary: another one takes over first.",
        false => "",
    };
    run.consent(&format!("{name} leaves group {group} for good: {without}.{primary}"))?;
    let answer = reached.act(json!({"ask": "leave"}), run.patience()?).await?;
    run.tell(&reached, &answer, || {
        format!("{name} has left{}; its process may be stopped", members(&answer))
    });
    Ok(Exit::Done)
}

/// What majorities are of without a member, and how many more may fail then.
fn without(status: &Status, name: &str) -> String {
    let left = status.members.iter().filter(|member| member.name != name);
    let size = left.clone().count();
    let counting = left.filter(|member| status.counts(member)).count();
    let may_fail = match counting.saturating_sub(size / 2 + 1) {
        0 => "none of them may fail".to_owned(),
        spare => format!("{spare} of them may fail"),
    };
    format!("majorities are of {} then, and {may_fail}", counted(size as u64, "member"))
}

/// Counts a member out that is gone.
///
/// # Errors
///
/// If it is not counted out, or that is not meant.
pub(crate) async fn forget(run: &mut Run<'_>, name: &str) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let Status { group, members: known, .. } = &reached.status;
    if !known.is_empty() && reached.status.member(name).is_none() {
        let who: Vec<&str> = known.iter().map(|member| &*member.name).collect();
        let detail =
            format!("there is no member {name}: they are {}; nothing was changed", listed(&who));
        return Err(Failure::new(Exit::Refused, "not_member", detail));
    }
    let group = group.clone();
    let without = without(&reached.status, name);
    let link = reached.status.other(name).and_then(|other| other.is_linked);
    let still = match link {
        Some(true) => format!("\nIt is connected to {} at this moment.", reached.status.name),
        _ => String::new(),
    };
    run.consent(&format!(
        "{name} is counted out of group {group} for good: {without}. If it is not gone, it takes \
         part in nothing any more.{still}"
    ))?;
    let answer = reached.act(json!({"ask": "forget", "peer": name}), run.patience()?).await?;
    run.tell(&reached, &answer, || format!("{name} is forgotten{}", members(&answer)));
    Ok(Exit::Done)
}

/// Sets a member's priority.
///
/// # Errors
///
/// If it is not set.
pub(crate) async fn priority(run: &mut Run<'_>, name: &str, priority: u8) -> Result<Exit, Failure> {
    let mut reached = run.group()?.find(name).await?;
    let answer =
        reached.act(json!({"ask": "priority", "priority": priority}), run.patience()?).await?;
    run.tell(&reached, &answer, || match priority {
        0 => format!("{name} is not promoted any more"),
        _ => format!("{name} has priority {priority}"),
    });
    Ok(Exit::Done)
}

/// Has all members that answer found the group, or those that are named.
///
/// # Errors
///
/// If none of them does, or that is not meant.
pub(crate) async fn found(run: &mut Run<'_>, at: &[String]) -> Result<Exit, Failure> {
    let survey = run.group()?.survey().await?;
    let unanswered = survey.unanswered.clone();
    let best = &survey.best().status;
    let primary = best.primary.clone().filter(|_| best.has_primary());
    let is_asked = |reached: &Reached| {
        let name = &reached.status.name;
        let is_member = reached.status.member(name).is_some();
        if at.is_empty() { is_member } else { at.contains(name) }
    };
    let mut asked: Vec<Reached> = survey.peers.into_iter().filter(is_asked).collect();
    let names: Vec<String> = asked.iter().map(|reached| reached.status.name.clone()).collect();
    if let Some(missing) = at.iter().find(|name| !names.contains(name)) {
        let detail = format!("{missing} is not reached; nothing was changed");
        return Err(Failure::new(Exit::Unreached, "unreachable", detail));
    }
    let Some(first) = asked.first() else {
        let detail = "none of those that answer is a member; nothing was changed";
        return Err(Failure::new(Exit::Refused, "not_member", detail));
    };
    let without = match &unanswered[..] {
        [] => String::new(),
        missing => {
            let missing: Vec<&str> = missing.iter().map(|(name, _)| &**name).collect();
            let hold = if missing.len() == 1 { "holds" } else { "hold" };
            format!(" What only {} {hold} is lost.", listed(&missing))
        }
    };
    let group = first.status.group.clone();
    run.consent(&format!(
        "{} {} to found group {group} as soon as they are a majority, without waiting for \
         anybody else.{without}",
        listed(&names),
        are(names.len())
    ))?;
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    for reached in &mut asked {
        match reached.act(json!({"ask": "found"}), run.patience()?).await {
            Ok(answer) => answers.push(json!({"peer": reached.status.name, "answer": answer})),
            Err(failure) => failures.push(failure),
        }
    }
    match (answers.is_empty(), failures.into_iter().next()) {
        (true, Some(failure)) => return Err(failure),
        (false, Some(failure)) => {
            let detail = format!("some are told, and not all: {}", failure.detail);
            return Err(Failure::new(Exit::Unknown, &failure.error, detail));
        }
        (_, None) => {}
    }
    match (run.manner.json, primary) {
        (true, _) => run.output.json(&json!({"answers": answers})),
        (false, Some(primary)) => run.output.text(&format!(
            "nothing is to be done: group {group} is founded, and {primary} decides"
        )),
        (false, None) => run.output.text(&format!(
            "{} {} told; quorate status says when somebody decides",
            listed(&names),
            are(names.len())
        )),
    }
    Ok(Exit::Done)
}

/// The members that an answer names.
fn members(answer: &Value) -> String {
    let members = Document::of(answer).texts("members");
    if members.is_empty() { String::new() } else { format!("; members: {}", members.join(", ")) }
}
