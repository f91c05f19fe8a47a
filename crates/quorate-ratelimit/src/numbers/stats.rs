//! What a limiter has decided so far, in numbers.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::limiter::RateLimiter;

/// What came of the calls at one limiter and its clones, since it was made.
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
    /// By the name of the limit: every one that this peer's code has, and `(others)` for those that have
    /// come since.
    pub limits: BTreeMap<String, Counts>,
}

/// Counts of calls that take units: `acquire` in all its forms, and `debit`.
///
/// A peek, an amount of 0, a commit, a refund and a reset are no decisions, and count by their units
/// only, and if they end in an error. A call on several
/// limits counts once for each of them if it was allowed, and else for those that refused it; each
/// try of a `wait` counts.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::Counts;
/// assert_eq!(Counts::default().decisions(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Decisions that allowed and counted.
    pub allowed: u64,
    /// Decisions that denied.
    pub denied: u64,
    /// Decisions that would have been denied by a limit that is a shadow.
    pub shadowed: u64,
    /// Calls that were let through at a full store, and not counted: see
    /// [`AtCapacity::Admit`](crate::AtCapacity::Admit).
    pub uncounted: u64,
    /// How many of all these were made by this peer alone, without a primary.
    pub local: u64,
    /// Units that were taken; `u64::MAX` if they are more. Of a call that was repeated with an
    /// idempotency key: once. Of a reservation what was used of it, when it is committed; of one that
    /// lapses nothing.
    pub granted: u64,
    /// Units that were taken for reservations, at full: more than were used of them in the end.
    pub reserved: u64,
    /// Units that were given back by refunds, and by a [`wait`](crate::RateLimiter::wait) that nobody
    /// awaited any more: `granted` has them too.
    pub refunded: u64,
    /// Calls that were not decided.
    pub errors: ErrorCounts,
}

impl Counts {
    /// Calls that ended in a decision of any kind.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn calls(limiter: &RateLimiter) -> u64 {
    ///     let totals = limiter.stats().totals;
    ///     totals.decisions() + totals.errors.all()
    /// }
    /// ```
    pub fn decisions(&self) -> u64 {
        self.allowed + self.denied + self.shadowed + self.uncounted
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.shadowed += other.shadowed;
        self.uncounted += other.uncounted;
        self.local += other.local;
        self.granted = self.granted.saturating_add(other.granted);
        self.reserved = self.reserved.saturating_add(other.reserved);
        self.refunded = self.refunded.saturating_add(other.refunded);
        self.errors += other.errors;
    }
}

/// Calls that were not decided, by what was wrong.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::ErrorCounts;
/// assert_eq!(ErrorCounts::default().all(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorCounts {
    /// There was no primary.
    pub no_primary: u64,
    /// Whether they were decided is not known: their time was over, or the primary had changed.
    pub outcome_unknown: u64,
    /// A bound was reached: of a store that is full, or of calls that wait.
    pub overloaded: u64,
    /// The call itself was not usable: an unknown limit, a long key, an amount that is never admitted.
    pub invalid: u64,
    /// They were of a limit that this peer has, or something here relies on, and the group has not:
    /// see [`AcquireError::MissingLimit`](crate::AcquireError::MissingLimit). Rules of a layer that
    /// skip such a limit count here, one for each request.
    pub missing_limit: u64,
    /// This peer was shutting down, or the peer that decides has another version.
    pub other: u64,
}

impl ErrorCounts {
    /// All of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn has_failed(limiter: &RateLimiter) -> bool {
    ///     limiter.stats().totals.errors.all() > 0
    /// }
    /// ```
    pub fn all(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    /// Each with the name of its kind.
    pub(crate) fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("no_primary", self.no_primary),
            ("outcome_unknown", self.outcome_unknown),
            ("overloaded", self.overloaded),
            ("invalid", self.invalid),
            ("missing_limit", self.missing_limit),
            ("other", self.other),
        ]
    }
}

impl AddAssign for ErrorCounts {
    fn add_assign(&mut self, other: Self) {
        self.no_primary += other.no_primary;
        self.outcome_unknown += other.outcome_unknown;
        self.overloaded += other.overloaded;
        self.invalid += other.invalid;
        self.missing_limit += other.missing_limit;
        self.other += other.other;
    }
}

/// Limits that have come since the limiter was made, together.
const OTHERS: &str = "(others)";

impl RateLimiter {
    /// What came of the calls at this limiter and its clones so far. Another limiter of the same peer
    /// counts by itself, and so does every peer.
    ///
    /// Calls that end meanwhile may be in it or not. It is put together here: for each limit one line of
    /// memory is read of every thread that has ever called.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn denied(limiter: &RateLimiter) -> u64 {
    ///     limiter.stats().limits.get("api").map_or(0, |counts| counts.denied)
    /// }
    /// ```
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { totals: self.counters.of_none(), ..Stats::default() };
        for (number, (name, _)) in self.code().iter().enumerate() {
            let counts = self.counters.of(number);
            stats.totals += counts;
            stats.limits.insert(name.to_owned(), counts);
        }
        let others = self.counters.of(self.code().iter().count());
        if others != Counts::default() {
            stats.totals += others;
            stats.limits.insert(OTHERS.to_owned(), others);
        }
        stats
    }
}
