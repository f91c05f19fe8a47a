//! What one screen shows, by what was heard and by what had been counted before.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::report::event::Event;
use crate::report::finding::Finding;
use crate::report::health::{Health, Thresholds};
use crate::report::members;
use crate::report::status::Status;
use crate::text::table::Table;
use crate::top::counts::{Counts, Times};
use crate::top::sample::{Counted, Sample, Used};

/// Calls a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) decisions: f64,
    pub(crate) denials: f64,
    pub(crate) errors: f64,
}

impl Rates {
    fn of(counts: Counts, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(0.001);
        // Far below the largest number that is whole in it.
        let rate = |count: u64| count as f64 / seconds;
        Self {
            decisions: rate(counts.decisions),
            denials: rate(counts.denied),
            errors: rate(counts.errors),
        }
    }

    fn document(self) -> Value {
        json!({
            "decisions_per_second": self.decisions,
            "denials_per_second": self.denials,
            "errors_per_second": self.errors,
        })
    }
}

/// A limit, its rates, and its fullest keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LimitRow {
    pub(crate) name: String,
    pub(crate) rates: Option<Rates>,
    /// The most units that are admitted at once.
    pub(crate) capacity: Option<u64>,
    pub(crate) keys: Vec<Used>,
}

/// All that a screen shows.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) now_ms: u64,
    pub(crate) best: Status,
    /// Who decides, if anybody does.
    pub(crate) decider: Option<String>,
    /// The same in words, and the members.
    pub(crate) primary_told: String,
    pub(crate) size_told: String,
    pub(crate) health: Health,
    pub(crate) findings: Vec<Finding>,
    pub(crate) members: Table,
    pub(crate) primary_since_ms: Option<u64>,
    /// `None` before there were two looks.
    pub(crate) rates: Option<Rates>,
    /// Bounds in microseconds that half, and 99 of 100, of the forwarded calls did not pass.
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    pub(crate) limits: Vec<LimitRow>,
    pub(crate) events: Vec<(String, Event)>,
}

/// What was counted at an earlier look, by peer, and how long ago that was.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) counted: BTreeMap<String, Counted>,
    pub(crate) ago: Duration,
}

impl Frame {
    pub(crate) fn new(sample: &Sample, before: Option<&Before>, now_ms: u64) -> Self {
        let survey = &sample.survey;
        let statuses = survey.statuses();
        let seen = survey.seen(&statuses, now_ms, Thresholds::default());
        let findings = seen.findings();
        let best = seen.best.clone();
        let decider = seen.decider().map(str::to_owned);
        let reign = sample.reign.as_ref().filter(|_| decider.is_some());
        let times = times(sample, before);
        Self {
            now_ms,
            health: Health::of(&findings),
            findings,
            members: members::table(&best, &statuses, now_ms).without_empty(),
            primary_since_ms: reign.map(|reign| reign.since_ms),
            primary_told: seen.primary_told(),
            size_told: seen.size_told(","),
            decider,
            rates: before.map(|before| rates(sample, before, |counted| Some(counted.totals))),
            p50_us: times.percentile(50),
            p99_us: times.percentile(99),
            limits: limits(sample, before),
            events: sample.events.clone(),
            best,
        }
    }

    /// For how long the primary has been primary.
    pub(crate) fn reign_ms(&self) -> Option<u64> {
        self.primary_since_ms.map(|since| self.now_ms.saturating_sub(since))
    }

    pub(crate) fn document(&self) -> Value {
        let best = &self.best;
        let limit = |row: &LimitRow| {
            let mut document = row.rates.map_or_else(|| json!({}), Rates::document);
            document["name"] = json!(row.name);
            document["capacity"] = json!(row.capacity);
            let key = |it: &Used| {
                let mut key = json!({"key": it.key, "used": it.used});
                if let Some(hex) = &it.key_hex {
                    key["key_hex"] = json!(hex);
                }
                key
            };
            document["keys"] = row.keys.iter().map(key).collect();
            document
        };
        let mut document = self.rates.map_or_else(|| json!({}), Rates::document);
        let more = json!({
            "at_ms": self.now_ms,
            "health": self.health.word(),
            "group": best.group,
            "group_id": best.group_id,
            "generation": best.generation,
            "term": best.term,
            "primary": self.decider,
            "primary_for_ms": self.reign_ms(),
            "quorum": self.decider.is_some(),
            "members": best.members.len(),
            "spare": self.decider.as_ref().map_or(0, |_| best.spare()),
            "forwarded_p50_us": self.p50_us,
            "forwarded_p99_us": self.p99_us,
            "at_risk_units": best.unacknowledged_units,
            "findings": self.findings.iter().map(Finding::document).collect::<Vec<_>>(),
            "limits": self.limits.iter().map(limit).collect::<Vec<_>>(),
        });
        if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
            document.extend(more);
        }
        document
    }
}

/// What all peers together have counted between the two looks.
fn rates(sample: &Sample, before: &Before, of: impl Fn(&Counted) -> Option<Counts>) -> Rates {
    let mut sum = Counts::default();
    for (peer, counted) in &sample.counted {
        // One that was not heard then cannot be compared.
        let then = before.counted.get(peer).and_then(&of);
        if let Some((now, then)) = of(counted).zip(then) {
            sum = sum.plus(now.since(then));
        }
    }
    Rates::of(sum, before.ago)
}

fn times(sample: &Sample, before: Option<&Before>) -> Times {
    let Some(before) = before else { return Times::default() };
    let mut sum = Times::default();
    for (peer, counted) in &sample.counted {
        if let Some(then) = before.counted.get(peer) {
            sum = sum.plus(&counted.times.since(&then.times));
        }
    }
    sum
}

fn limits(sample: &Sample, before: Option<&Before>) -> Vec<LimitRow> {
    let row = |name: String| {
        // A limit that a peer has just learned of had no decisions there.
        let of = |counted: &Counted| Some(counted.limits.get(&name).copied().unwrap_or_default());
        // Of one that nobody counts by itself nothing is known.
        let is_counted = sample.counted.values().any(|counted| counted.limits.contains_key(&name));
        LimitRow {
            rates: before.filter(|_| is_counted).map(|before| rates(sample, before, of)),
            capacity: sample.capacities.get(&name).copied().flatten(),
            keys: sample.keys.get(&name).cloned().unwrap_or_default(),
            name,
        }
    };
    sample.limits().into_iter().map(row).collect()
}
