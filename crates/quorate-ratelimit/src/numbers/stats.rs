//! The decisions of a limiter so far, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::numbers::counters::Counts;

/// Counts of the calls at one limiter and its clones, since it was made.
///
/// Every number only grows. There are no keys in it, whatever was asked for.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::RateLimiter;
///
/// /// How many calls of a hundred were refused.
/// fn refused(limiter: &RateLimiter) -> u64 {
///     let totals = limiter.stats().totals;
///     100 * totals.denied / totals.decisions().max(1)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The sums over all limits, and the errors of calls that named none.
    pub totals: Counts,
    /// Counts by the name of the limit: every one that this peer's code has, and `(others)` for
    /// those that have come since.
    pub limits: BTreeMap<String, Counts>,
}
