//! `check`: one line for a monitor, and its codes.

use serde_json::{Value, json};

use crate::arguments::command::{Checking, Unreachable};
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::Survey;
use crate::report::finding::{Finding, Severity};
use crate::report::health::{Seen, Thresholds};

/// Findings that fit into the line.
const MAX_IN_LINE: usize = 4;

/// What a monitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl State {
    /// The worst of some findings.
    pub(crate) fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Critical) => Self::Critical,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::Notice) | None => Self::Ok,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// Checks the group; whatever comes in between is a state as well.
pub(crate) async fn run(run: &mut Run<'_>, checking: &Checking) -> u8 {
    let surveyed = match run.group() {
        Ok(group) => group.survey().await,
        Err(failure) => Err(failure),
    };
    let (state, line, document) = match surveyed {
        Ok(survey) => checked(&survey, checking, (run.now_ms)()),
        Err(failure) => unchecked(&failure, checking),
    };
    match run.manner.json {
        true => run.output.json(&document),
        false => run.output.text(&line),
    }
    state.code()
}

/// The state, the line, and the document of a group that was seen.
pub(crate) fn checked(survey: &Survey, checking: &Checking, now_ms: u64) -> (State, String, Value) {
    let thresholds = Thresholds {
        certificate_warning: checking.certificate_warning,
        certificate_critical: checking.certificate_critical,
        fill_warning: checking.fill_warning,
        fill_critical: checking.fill_critical,
        lag_warning: checking.lag_warning,
        min_spare: checking.min_spare,
    };
    let statuses = survey.statuses();
    let seen = survey.seen(&statuses, now_ms, thresholds);
    let findings = seen.findings();
    let state = State::of(&findings);
    let best = seen.best;
    let summary = summary(&seen, &findings);
    let numbers = Numbers::of(&seen);
    let line = format!(
        "{}: group {}: {summary} | {}",
        state.word().to_uppercase(),
        best.group,
        numbers.performance(checking)
    );
    let document = json!({
        "state": state.word(),
        "exit": state.code(),
        "group": best.group,
        "summary": summary,
        "findings": findings.iter().map(Finding::document).collect::<Vec<_>>(),
        "numbers": numbers.document(),
    });
    (state, line, document)
}

/// The same where nobody was seen.
fn unchecked(failure: &Failure, checking: &Checking) -> (State, String, Value) {
    let is_unreachable = failure.exit == Exit::Unreached && failure.error == "unreachable";
    let state = match checking.unreachable {
        Unreachable::Critical if is_unreachable => State::Critical,
        _ => State::Unknown,
    };
    let line = format!("{}: {}", state.word().to_uppercase(), failure.detail);
    let document = json!({
        "state": state.word(),
        "exit": state.code(),
        "group": null,
        "summary": failure.detail,
        "error": failure.error,
        "findings": [],
        "numbers": null,
    });
    (state, line.replace(['\n', '|'], " "), document)
}

fn summary(seen: &Seen<'_>, findings: &[Finding]) -> String {
    let is_told = |finding: &&Finding| finding.severity > Severity::Notice;
    let told: Vec<&str> = findings.iter().filter(is_told).map(|finding| &*finding.text).collect();
    let summary = match &told[..] {
        [] => {
            format!("{} decides, {}", seen.primary_told(), seen.size_told(","))
        }
        told if told.len() > MAX_IN_LINE => {
            let more = told.len() - MAX_IN_LINE;
            format!("{}, and {more} more", told[..MAX_IN_LINE].join(", "))
        }
        told => told.join(", "),
    };
    // What stands behind a bar is read as numbers.
    summary.replace('|', "/")
}

/// What is drawn as a line over time.
struct Numbers {
    members: u64,
    here: u64,
    spare: u64,
    unacknowledged_units: u64,
    /// The fullest store, in percent.
    fill: u64,
    /// The first certificate to end, in whole days from now.
    certificate_days: Option<u64>,
}

impl Numbers {
    fn of(seen: &Seen<'_>) -> Self {
        let Seen { best, all, now_ms, .. } = *seen;
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let own = all.iter().filter_map(|status| status.certificate.as_ref());
        let shown = best.others.iter().filter_map(|other| other.certificate.as_ref());
        let first = own.chain(shown).map(|certificate| certificate.ends_at_ms).min();
        Self {
            members: best.members.len() as u64,
            here: best.here() as u64,
            spare: if seen.decider().is_some() { best.spare() } else { 0 },
            unacknowledged_units: best.unacknowledged_units.unwrap_or_default(),
            fill: all.iter().filter_map(|status| status.fill_percent()).max().unwrap_or_default(),
            certificate_days: first.map(|end| end.saturating_sub(now_ms) / DAY_MS),
        }
    }

    /// As Nagios reads them: name, value, unit, and from where on it warns.
    fn performance(&self, checking: &Checking) -> String {
        let Self { members, here, spare, unacknowledged_units, fill, certificate_days } = self;
        let (warning, critical) = (checking.fill_warning, checking.fill_critical);
        let mut told = format!(
            "members={members} here={here} spare={spare} at_risk={unacknowledged_units} \
             fill={fill}%;{warning};{critical}"
        );
        if let Some(days) = certificate_days {
            told += &format!(" certificate_days={days}");
        }
        told
    }

    fn document(&self) -> Value {
        json!({
            "members": self.members,
            "here": self.here,
            "spare": self.spare,
            "unacknowledged_units": self.unacknowledged_units,
            "fill_percent": self.fill,
            "certificate_days": self.certificate_days,
        })
    }
}
