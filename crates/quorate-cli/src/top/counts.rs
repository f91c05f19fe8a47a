//! Numbers that only grow, and what two looks at them say of the time between.

use quorate::CallTimes;

use crate::report::document::Document;

/// Decisions about a limit, or about all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) decisions: u64,
    pub(crate) denied: u64,
    pub(crate) errors: u64,
}

impl Counts {
    pub(crate) fn read(counts: Document<'_>) -> Self {
        let number = |key| counts.number(key).unwrap_or_default();
        let denied = number("denied");
        let others = ["allowed", "shadowed", "uncounted"].map(number);
        let errors =
            counts.at("errors").entries().filter_map(|(_, count)| count.shown().parse().ok());
        Self {
            decisions: others.into_iter().fold(denied, u64::saturating_add),
            denied,
            errors: errors.fold(0, u64::saturating_add),
        }
    }

    /// What was added since; nothing if the peer has started anew meanwhile.
    pub(crate) fn since(self, before: Self) -> Self {
        if self.decisions < before.decisions {
            return Self::default();
        }
        Self {
            decisions: self.decisions - before.decisions,
            denied: self.denied.saturating_sub(before.denied),
            errors: self.errors.saturating_sub(before.errors),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            decisions: self.decisions.saturating_add(other.decisions),
            denied: self.denied.saturating_add(other.denied),
            errors: self.errors.saturating_add(other.errors),
        }
    }
}

/// Calls by how long they took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Upper bounds in microseconds, each with the calls that passed the one before and not it.
    buckets: Vec<(u64, u64)>,
    longer: u64,
}

impl Times {
    /// Those of calls that a peer has forwarded; of all that were not decided at once, where it
    /// does not tell them apart.
    pub(crate) fn of_peer(stats: Document<'_>) -> Self {
        let forwarded = stats.at("forwarded_times");
        Self::read(if forwarded.is_there() { forwarded } else { stats.at("call_times") })
    }

    pub(crate) fn read(times: Document<'_>) -> Self {
        let counts = times.numbers("counts");
        let told = times.numbers("bounds_us");
        let bounds = if told.is_empty() { CallTimes::BOUNDS_US.to_vec() } else { told };
        // Of other bounds than these nothing can be said.
        let is_known = bounds.len() == counts.len() && bounds.is_sorted();
        let buckets = if is_known { bounds.into_iter().zip(counts).collect() } else { Vec::new() };
        Self { buckets, longer: times.number("longer").unwrap_or_default() }
    }

    /// What was added since; nothing if the peer has started anew meanwhile.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let is_same = self.buckets.len() == before.buckets.len();
        let pairs = self.buckets.iter().zip(&before.buckets);
        let added = pairs
            .map(|((bound, now), (_, then))| now.checked_sub(*then).map(|added| (*bound, added)));
        match added.collect::<Option<Vec<_>>>().filter(|_| is_same) {
            Some(buckets) => Self { buckets, longer: self.longer.saturating_sub(before.longer) },
            None => Self::default(),
        }
    }

    pub(crate) fn plus(self, other: &Self) -> Self {
        if self.buckets.is_empty() {
            return other.clone();
        }
        let bounds: Vec<u64> = self.buckets.iter().map(|(bound, _)| *bound).collect();
        let is_same = other.buckets.iter().map(|(bound, _)| bound).eq(&bounds);
        if !is_same {
            return self;
        }
        let pairs = self.buckets.iter().zip(&other.buckets);
        let buckets = pairs.map(|((bound, one), (_, two))| (*bound, one.saturating_add(*two)));
        Self { buckets: buckets.collect(), longer: self.longer.saturating_add(other.longer) }
    }

    /// The bound in microseconds that so many percent of the calls did not pass; `None` without
    /// calls, and where they took longer than the last bound.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let counts = self.buckets.iter().map(|(_, count)| *count).chain([self.longer]);
        let all: u128 = counts.map(u128::from).sum();
        let wanted = (all * u128::from(percent)).div_ceil(100).max(1);
        let mut so_far = 0_u128;
        let reached = self.buckets.iter().find(|(_, count)| {
            so_far += u128::from(*count);
            so_far >= wanted
        });
        reached.filter(|_| all > 0).map(|(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn times(counts: &[u64], longer: u64) -> Times {
        let bounds: Vec<u64> = (1..=counts.len() as u64).map(|n| n * 100).collect();
        let value = json!({"counts": counts, "bounds_us": bounds, "longer": longer});
        Times::read(Document::of(&value))
    }

    #[test]
    fn decisions_are_of_every_kind() {
        let counts = json!({
            "allowed": 5, "denied": 3, "shadowed": 2, "uncounted": 1, "granted": 100,
            "errors": {"no_primary": 4, "other": 1},
        });
        let read = Counts::read(Document::of(&counts));
        assert_eq!(read, Counts { decisions: 11, denied: 3, errors: 5 });
    }

    #[test]
    fn a_peer_that_has_started_anew_has_added_nothing() {
        let before = Counts { decisions: 100, denied: 50, errors: 0 };
        let after = Counts { decisions: 3, denied: 60, errors: 0 };
        assert_eq!(after.since(before), Counts::default());
        assert_eq!(times(&[1, 2], 0).since(&times(&[2, 2], 0)), Times::default());
    }

    #[test]
    fn a_percentile_is_the_bound_that_so_many_did_not_pass() {
        let times = times(&[50, 49, 1], 0);
        assert_eq!(times.percentile(50), Some(100));
        assert_eq!(times.percentile(99), Some(200));
        assert_eq!(times.percentile(100), Some(300));
        assert_eq!(Times::default().percentile(50), None);
    }

    #[test]
    fn forwarded_calls_are_told_apart_where_the_peer_does() {
        let of = |counts: [u64; 2]| json!({"counts": counts, "bounds_us": [100, 200]});
        let stats = json!({"call_times": of([1, 0]), "forwarded_times": of([0, 1])});
        assert_eq!(Times::of_peer(Document::of(&stats)).percentile(50), Some(200));
        let older = json!({"call_times": of([1, 0])});
        assert_eq!(Times::of_peer(Document::of(&older)).percentile(50), Some(100));
    }

    #[test]
    fn calls_beyond_the_last_bound_have_none() {
        assert_eq!(times(&[1, 0], 99).percentile(50), None);
        assert_eq!(times(&[99, 0], 1).percentile(99), Some(100));
    }

    #[test]
    fn bounds_that_do_not_fit_say_nothing() {
        let value = json!({"counts": [1, 2, 3]});
        assert_eq!(Times::read(Document::of(&value)).percentile(50), None);
        let sum = times(&[1, 2], 1).plus(&times(&[1, 2], 1));
        assert_eq!(sum, times(&[2, 4], 2));
        assert_eq!(times(&[1, 2], 0).plus(&times(&[1, 2, 3], 0)), times(&[1, 2], 0));
    }
}
