//! `force-primary`: a primary without those that are gone for good.

use serde_json::json;

use crate::arguments::command::Forcing;
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::{Reached, Survey};
use crate::report::document::Document;
use crate::report::status::Status;
use crate::text::style::Style;
use crate::text::table::{Cell, Side, Table};
use crate::text::units::{are, listed, moment};

/// Shows who has what, asks whether it is meant, and forces.
///
/// # Errors
///
/// If it is refused, or that is not meant.
pub(crate) async fn run(run: &mut Run<'_>, forcing: &Forcing) -> Result<Exit, Failure> {
    let survey = run.group()?.survey().await?;
    let name = match &forcing.name {
        Some(name) => name.clone(),
        None => best(&survey)?,
    };
    let gone = &forcing.gone;
    let group = survey.best().status.group.clone();
    let question = question(&survey, &name, gone);
    let mut reached = at(run, survey, &name).await?;
    run.consent_typed(&question, "group", &group)?;
    let answer = reached.act(json!({"ask": "force", "gone": gone}), run.patience()?).await?;
    run.tell(&reached, &answer, || {
        let answer = Document::of(&answer);
        let generation = answer.number("generation");
        let generation = generation.map(|it| format!(" of generation {it}")).unwrap_or_default();
        let as_of = answer.number("as_of_ms").map(moment);
        let kept = as_of.map(|as_of| format!("\nkept: everything decided up to {as_of}"));
        format!(
            "{name} is primary{generation}; {} {} counted out{}\nlost: what only {} held",
            listed(gone),
            are(gone.len()),
            kept.unwrap_or_default(),
            if gone.len() == 1 { "it" } else { "they" }
        )
    });
    Ok(Exit::Done)
}

/// The door of the peer that is to be primary: one that was seen, or is looked for.
async fn at(run: &Run<'_>, survey: Survey, name: &str) -> Result<Reached, Failure> {
    let seen = survey.peers.into_iter().find(|reached| reached.status.name == name);
    match seen {
        Some(reached) => Ok(reached),
        None => run.group()?.find(name).await,
    }
}

/// The one that has the most, by the word of those in reach.
///
/// # Errors
///
/// If they do not say, or do not agree.
fn best(survey: &Survey) -> Result<String, Failure> {
    let refused = |error: &str, detail: String| Err(Failure::new(Exit::Refused, error, detail));
    if let Some(primary) = survey.statuses().iter().find(|status| status.has_primary()) {
        let detail = format!(
            "{} hears a primary, {}: nothing is to be forced",
            primary.name,
            primary.primary.as_deref().unwrap_or_default()
        );
        return refused("has_quorum", detail);
    }
    let named = survey.statuses().into_iter().filter_map(|status| status.lost.as_ref());
    let mut named: Vec<&String> = named.filter_map(|lost| lost.best.as_ref()).collect();
    named.sort();
    named.dedup();
    match &named[..] {
        [best] => Ok((*best).clone()),
        [] => refused(
            "best_unknown",
            "nobody in reach says who has the most: name the member that is to be primary"
                .to_owned(),
        ),
        several => {
            let names: Vec<&str> = several.iter().map(|name| &***name).collect();
            let detail = format!(
                "those in reach do not agree on who has the most ({}): wait until they reach each \
                 other, or name the member that is to be primary",
                names.join(", ")
            );
            refused("best_disputed", detail)
        }
    }
}

/// Who has what, what is kept, and what may be lost.
fn question(survey: &Survey, name: &str, gone: &[String]) -> String {
    let mut table = Table::new(&[
        ("NAME", Side::Left),
        ("HERE", Side::Left),
        ("GENERATION", Side::Right),
        ("TERM", Side::Right),
        ("POSITION", Side::Right),
        ("CELLS", Side::Right),
        ("", Side::Left),
    ]);
    let number = |number: Option<u64>| Cell::from(number.map(|number| number.to_string()));
    for member in &survey.best().status.members {
        let status = survey.peers.iter().find(|it| it.status.name == member.name);
        let status = status.map(|reached| &reached.status);
        let of = |get: fn(&Status) -> Option<u64>| number(status.and_then(get));
        let is_gone = gone.contains(&member.name);
        let fate = match (is_gone, member.name == name) {
            (true, _) => "counted out",
            (false, true) => "primary",
            (false, false) => "",
        };
        table.rows.push(vec![
            Cell::plain(&member.name),
            Cell::plain(if status.is_some() { "yes" } else { "no" }),
            of(|status| status.generation),
            of(|status| status.term),
            of(|status| status.sequence),
            of(|status| status.cells),
            Cell::plain(fate),
        ]);
    }
    let lost = survey.statuses().into_iter().filter_map(|status| status.lost.as_ref());
    let as_of = lost.filter_map(|lost| lost.as_of_ms).max();
    let kept = as_of.map_or_else(
        || "kept: what the freshest of those in reach holds".to_owned(),
        |ms| format!("kept: everything decided up to {}", moment(ms)),
    );
    let here: Vec<&String> =
        gone.iter().filter(|name| survey.peers.iter().any(|it| it.status.name == **name)).collect();
    let alive = match &here[..] {
        [] => String::new(),
        alive => {
            let alive: Vec<&str> = alive.iter().map(|name| &***name).collect();
            format!("\nNOT gone, it answers: {}", alive.join(", "))
        }
    };
    format!(
        "{}\n\n{name} becomes primary of a new generation, and {} {} counted out for good.\n\
         {kept}\nmay be lost: what only {} held{alive}\nWhoever is named as gone and still runs \
         goes on deciding until it hears of this.",
        table.lines(Style::PLAIN).join("\n"),
        listed(gone),
        are(gone.len()),
        listed(gone),
    )
}
