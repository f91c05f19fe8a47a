//! `status`: the group in one table, and what is wrong with it.

use serde_json::{Value, json};

use crate::arguments::command::Watching;
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::Survey;
use crate::report::finding::{Finding, Severity};
use crate::report::health::{Health, Seen, Thresholds};
use crate::report::members;
use crate::report::status::Status;
use crate::text::style::{Paint, Style};
use crate::text::units::{count, counted, moment, percent, span};

/// Shows the status, once or again and again.
///
/// # Errors
///
/// If nobody is reached; while it watches it goes on then.
pub(crate) async fn run(run: &mut Run<'_>, watching: &Watching) -> Result<Exit, Failure> {
    if !watching.watch {
        let survey = run.group()?.survey().await?;
        return Ok(show(run, &survey));
    }
    let group = run.group()?.clone();
    let mut exit = Exit::Done;
    while !run.output.is_closed() {
        let surveyed = group.survey().await;
        if !run.manner.json {
            let at = moment((run.now_ms)());
            run.output.clear();
            run.output.text(&run.output.style.paint(Paint::Faint, &at));
        }
        match surveyed {
            Ok(survey) => exit = show(run, &survey),
            Err(failure) if run.manner.json => run.output.json(&failure.document()),
            Err(failure) => run.output.text(&format!("quorate: {}", failure.detail)),
        }
        tokio::time::sleep(watching.every).await;
    }
    Ok(exit)
}

fn show(run: &mut Run<'_>, survey: &Survey) -> Exit {
    let statuses = survey.statuses();
    let now_ms = (run.now_ms)();
    let seen = survey.seen(&statuses, now_ms, Thresholds::default());
    let findings = seen.findings();
    let health = Health::of(&findings);
    if run.manner.json {
        run.output.json(&document(survey, &findings, health));
    } else {
        let style = run.output.style;
        let best = &survey.best().status;
        run.output.lines(heading(&seen, health, style));
        run.output.text("");
        run.output.lines(members::table(best, &statuses, now_ms).without_empty().lines(style));
        if !findings.is_empty() {
            run.output.text("");
            run.output.lines(findings.iter().flat_map(|finding| told(finding, style)));
        }
    }
    exit(health)
}

/// The code for the shell.
pub(crate) fn exit(health: Health) -> Exit {
    match health {
        Health::Healthy => Exit::Done,
        Health::Degraded => Exit::Degraded,
        Health::NoPrimary => Exit::NoPrimary,
    }
}

fn document(survey: &Survey, findings: &[Finding], health: Health) -> Value {
    let best = survey.best();
    let findings: Vec<Value> = findings.iter().map(Finding::document).collect();
    let unanswered: Vec<Value> = survey
        .unanswered
        .iter()
        .map(|(peer, detail)| json!({"peer": peer, "detail": detail}))
        .collect();
    json!({
        "peer": best.status.name,
        "address": best.address,
        "health": health.word(),
        "exit": exit(health).code(),
        "findings": findings,
        "unanswered": unanswered,
        "status": best.document,
    })
}

/// What is said of the group as a whole.
fn heading(seen: &Seen<'_>, health: Health, style: Style) -> Vec<String> {
    let best = seen.best;
    let (paint, word) = match health {
        Health::Healthy => (Paint::Good, "healthy"),
        Health::Degraded => (Paint::Warning, "degraded"),
        Health::NoPrimary => (Paint::Bad, "nobody decides"),
    };
    let mut lines = vec![format!(
        "group {}: {}",
        style.paint(Paint::Strong, &best.group),
        style.paint(paint, word)
    )];
    let mut line = |name: &str, said: String| {
        let name = style.paint(Paint::Faint, &format!("{name:<10}"));
        lines.push(format!("{name}{said}"));
    };
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
    line("primary", seen.primary_told());
    let (generation, term) = (number(best.generation), number(best.term));
    let id = best.group_id.as_ref().map(|id| format!(", group id {id}")).unwrap_or_default();
    line("reign", format!("generation {generation}, term {term}{id}"));
    line("members", seen.size_told(";"));
    let guests = members::guests(best) as u64;
    if guests > 0 {
        let told = match guests {
            1 => "1 connected that is no member".to_owned(),
            _ => format!("{} connected that are no members", count(guests)),
        };
        line("others", told);
    }
    if let Some(units) = best.unacknowledged_units.filter(|_| best.decides()) {
        line("at risk", format!("{} that a failover would lose now", counted(units, "unit")));
    }
    if let (Some(cells), Some(max)) = (best.cells, best.max_cells) {
        let fill = percent(cells, max).unwrap_or_default();
        line("store", format!("{} of {} ({fill} %)", count(cells), counted(max, "cell")));
    }
    line("monitor", monitor(best));
    line("seen by", format!("{} ({})", best.name, best.role));
    lines
}

fn monitor(best: &Status) -> String {
    let Some(monitor) = &best.monitor else {
        return if best.decides() { "off" } else { "not known here" }.to_owned();
    };
    let Some(size) = monitor.size else { return "off".to_owned() };
    let grace = monitor.grace_ms.map(|ms| format!(", grace {}", span(ms))).unwrap_or_default();
    let paused = monitor.paused_until_ms.map(|ms| format!(", paused until {}", moment(ms)));
    format!("size {size}{grace}{}", paused.unwrap_or_default())
}

fn told(finding: &Finding, style: Style) -> Vec<String> {
    let paint = match finding.severity {
        Severity::Notice => Paint::Faint,
        Severity::Warning => Paint::Warning,
        Severity::Critical => Paint::Bad,
    };
    let word = style.paint(paint, finding.severity.word());
    let mut lines = vec![format!("{word}: {}", finding.text)];
    lines.extend(finding.advice.iter().map(|advice| format!("    {advice}")));
    lines
}
