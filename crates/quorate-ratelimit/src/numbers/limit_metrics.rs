//! Metrics of what was decided, by limit.

use crate::numbers::counters::Counts;
use crate::numbers::metric::{Metric, MetricKind};
use crate::numbers::stats::Stats;

pub(crate) fn of_decisions(stats: &Stats) -> Vec<Metric> {
    let by_limit = |name, help| Metric::new(name, MetricKind::Counter, help);
    let mut decisions = by_limit("quorate_decisions_total", "Decisions by limit and outcome.");
    let mut local =
        by_limit("quorate_local_decisions_total", "Of these, made by this peer without a primary.");
    let mut units = by_limit(
        "quorate_granted_units_total",
        "Units taken; of reservations what was used of them.",
    );
    let mut reserved =
        by_limit("quorate_reserved_units_total", "Units taken for reservations, at full.");
    let mut refunded = by_limit("quorate_refunded_units_total", "Units given back by refunds.");
    let mut errors =
        by_limit("quorate_errors_total", "Calls that were not decided, by what was wrong.");
    let mut missing = by_limit(
        "quorate_missing_limit_calls_total",
        "Calls of a limit that is used here and that the group has not.",
    );
    for (limit, counts) in &stats.limits {
        for (outcome, count) in outcomes(counts) {
            decisions = decisions.with([("limit", limit), ("outcome", outcome)], count);
        }
        local = local.with([("limit", limit)], counts.local);
        units = units.with([("limit", limit)], counts.granted);
        missing = missing.with([("limit", limit)], counts.errors.missing_limit);
        reserved = reserved.with([("limit", limit)], counts.reserved);
        refunded = refunded.with([("limit", limit)], counts.refunded);
    }
    // Some calls name no limit, or several.
    for (kind, count) in stats.totals.errors.by_kind() {
        errors = errors.with([("kind", kind)], count);
    }
    let [permits, ended_permits, reservations, ended_reservations] = of_held(stats);
    vec![
        decisions,
        local,
        units,
        reserved,
        refunded,
        permits,
        ended_permits,
        reservations,
        ended_reservations,
        errors,
        missing,
    ]
}

/// Permits and reservations: what was begun, and what was ended.
fn of_held(stats: &Stats) -> [Metric; 4] {
    let by_limit = |name, help| Metric::new(name, MetricKind::Counter, help);
    let mut permits = by_limit("quorate_permits_total", "Permits that were taken.");
    let mut ended_permits =
        by_limit("quorate_ended_permits_total", "Permits that were given back, or had lapsed.");
    let mut reservations = by_limit("quorate_reservations_total", "Reservations that were made.");
    let mut ended_reservations = by_limit(
        "quorate_ended_reservations_total",
        "Reservations that were committed or cancelled, or had lapsed.",
    );
    for (limit, Counts { held, .. }) in &stats.limits {
        permits = permits.with([("limit", limit)], held.permits);
        let outcomes = [("released", held.permits_released), ("late", held.permits_late)];
        for (outcome, count) in outcomes {
            ended_permits = ended_permits.with([("limit", limit), ("outcome", outcome)], count);
        }
        reservations = reservations.with([("limit", limit)], held.reservations);
        let outcomes = [
            ("committed", held.reservations_committed),
            ("cancelled", held.reservations_cancelled),
            ("late", held.reservations_late),
        ];
        for (outcome, count) in outcomes {
            let labels = [("limit", limit.as_str()), ("outcome", outcome)];
            ended_reservations = ended_reservations.with(labels, count);
        }
    }
    [permits, ended_permits, reservations, ended_reservations]
}

fn outcomes(counts: &Counts) -> [(&'static str, u64); 4] {
    [
        ("allowed", counts.allowed),
        ("denied", counts.denied),
        ("shadowed", counts.shadowed),
        ("uncounted", counts.uncounted),
    ]
}

/// Returns the numbers of the group's limits: how often they were changed, and of those that are
/// others here, or missing there.
pub(crate) fn of_limits(revision: u64, differing: usize, missing: usize) -> Vec<Metric> {
    vec![
        Metric::gauge(
            "quorate_limits_revision",
            "How often the limits were changed that this peer decides by.",
            revision,
        ),
        Metric::gauge(
            "quorate_differing_limits",
            "Limits that are others in this peer's code than in the group.",
            differing as u64,
        ),
        Metric::gauge(
            "quorate_missing_limits",
            "Limits that are used here and that the group has not.",
            missing as u64,
        ),
    ]
}
