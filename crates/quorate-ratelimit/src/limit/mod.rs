//! One limit: how much is admitted, and in which time.

pub(crate) mod bounds;
pub(crate) mod calendar;
pub(crate) mod check;
pub(crate) mod duration;
pub(crate) mod error;
pub(crate) mod text;
pub(crate) mod without_primary;

use std::time::Duration;

use crate::limit::calendar::Calendar;
use crate::limit::without_primary::WithoutPrimary;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time that a permit is held unless the limit says something else.
const LEASE: Duration = Duration::from_secs(30);

/// Alerts that cannot be, as [`Limit::alert_at`] keeps them: one at 0 percent.
const ZERO_ALERT: [u8; 2] = [0, u8::MAX];
/// Alerts that cannot be: more than two.
const MANY_ALERTS: [u8; 2] = [u8::MAX, u8::MAX - 1];

/// A limit: how many units of one key are admitted, and in which time.
///
/// There are seven kinds:
///
/// - a **rate** (`per_second`, `per_minute`, `per_hour`, `per_day`, `per`) is a token bucket. It
///   holds at most its *burst* and gains tokens steadily, at any moment and not only when a second
///   begins: over any time T it admits at most `burst + rate * T`.
/// - a **window** admits up to its *max* in each window of fixed length. Windows are aligned to
///   the Unix epoch, so a day begins at midnight UTC. A caller who knows the edge can have twice
///   the max within a moment around it; a rate with a small burst does not allow that.
/// - a **sliding** window admits up to its *max* in any time of its length.
/// - an **approximate sliding** window does so about, by two counters: up to twice the max.
/// - a **calendar** window is a day, week, month, quarter or year in a time zone.
/// - a **counter** is a number that is added to and subtracted from, and denies nothing.
/// - a **concurrency** limit is a number of permits that are held at once, and given back.
///
/// The numbers are checked when a set is built ([`LimitsBuilder::build`]), so that limits can be
/// constants.
///
/// # Examples
///
/// `per_second(100)` is 100 **each** second, and not one every 100 seconds:
///
/// ```
/// use quorate::{Cell, GroupTime, Model};
/// use quorate_ratelimit::{Limit, Limits, Operation};
///
/// const API: Limit = Limit::per_second(100).burst(50);
/// assert_eq!(API.to_string(), "100 per 1s, burst 50");
///
/// // What a group of peers does with it, without the peers:
/// let limits = Limits::builder().limit("api", API).build()?;
/// let (model, key) = (limits.model(), limits.key("api", "alice")?);
/// let (mut cell, mut now) = (Cell::new(None), GroupTime(1_753_000_000_000_000_000));
/// let mut take = |now| {
///     let one = Operation::Acquire.item(key.as_ref(), 1);
///     model.decide(&[one], std::slice::from_mut(&mut cell), now).units
/// };
///
/// // The burst at once ..
/// assert_eq!((0..1000).map(|_| take(now)).sum::<u64>(), 50);
/// // .. and then 100 in each of 60 seconds.
/// for _ in 0..60 {
///     let milliseconds = (0..1000).map(|_| {
///         now.0 += 1_000_000;
///         take(now)
///     });
///     assert_eq!(milliseconds.sum::<u64>(), 100);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`LimitsBuilder::build`]: crate::LimitsBuilder::build
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Limit {
    pub(crate) kind: Kind,
    pub(crate) burst: Option<u64>,
    pub(crate) is_shadow: bool,
    pub(crate) without_primary: WithoutPrimary,
    /// Percentages at which events are told, the lower one first; 0 for none.
    pub(crate) alerts: [u8; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Rate { amount: u64, period: Duration },
    Window { max: u64, length: Duration },
    Sliding { max: u64, length: Duration },
    ApproximateSliding { max: u64, length: Duration },
    Calendar { max: u64, calendar: Calendar },
    Concurrent { max: u64, lease: Duration },
    Counter,
}

impl Limit {
    const fn of(kind: Kind) -> Self {
        let without_primary = WithoutPrimary::AsGroup;
        Self { kind, burst: None, is_shadow: false, without_primary, alerts: [0; 2] }
    }

    /// Admits `amount` units each second.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_second(100).to_string(), "100 per 1s, burst 100");
    /// ```
    pub const fn per_second(amount: u64) -> Self {
        Self::rate(amount, SECOND)
    }

    /// Admits `amount` units each minute.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_minute(5).to_string(), "5 per 1m, burst 5");
    /// ```
    pub const fn per_minute(amount: u64) -> Self {
        Self::rate(amount, MINUTE)
    }

    /// Admits `amount` units each hour.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_hour(5000).to_string(), "5000 per 1h, burst 5000");
    /// ```
    pub const fn per_hour(amount: u64) -> Self {
        Self::rate(amount, HOUR)
    }

    /// Admits `amount` units each day of 24 hours.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_day(1).to_string(), "1 per 1d, burst 1");
    /// ```
    pub const fn per_day(amount: u64) -> Self {
        Self::rate(amount, DAY)
    }

    /// Admits `amount` units each `period`: whole milliseconds, 1 ms to 366 days.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::Limit;
    ///
    /// const YEARLY: Limit = Limit::per(1, Duration::from_secs(365 * 24 * 60 * 60));
    /// assert_eq!(YEARLY.to_string(), "1 per 365d, burst 1");
    /// ```
    pub const fn per(amount: u64, period: Duration) -> Self {
        Self::rate(amount, period)
    }

    /// Admits `max` units in each window of `length`, aligned to the Unix epoch.
    ///
    /// `length` is a whole number of milliseconds, 1 ms to 366 days.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::Limit;
    ///
    /// const DAILY: Limit = Limit::window(1000, Duration::from_secs(24 * 60 * 60));
    /// assert_eq!(DAILY.to_string(), "1000 in each window of 1d");
    /// ```
    pub const fn window(max: u64, length: Duration) -> Self {
        Self::of(Kind::Window { max, length })
    }

    /// Admits `max` units in any time of `length`: in group time no such time, its end left out,
    /// sees more than `max` units admitted, whatever comes when.
    ///
    /// A unit counts for `length` from when it was taken on, and then no longer than to the end of
    /// its slice of time: a slice is a thirty-second of `length` if `max` is below 8, a sixteenth
    /// if it is below 64, and an eighth else. So units come back late by an eighth of `length` at
    /// most, never early; and those that were taken last, as all are by a burst within one slice,
    /// at once when `length` is over. Of a `max` above 4,095 a sixty-third may stay taken for
    /// longer, while units are taken. No denial says to wait for longer than `length`, and none
    /// again if nobody else takes anything. If group time goes back, as it may by the primary's
    /// clock, what was taken before leaves at the same moment of group time as ever: `retry_after`
    /// and `reset_after` are longer than `length` then, by as much as it went back.
    ///
    /// Units that [`RateLimiter::refund_of`] gives back are given back to their slice; by
    /// [`RateLimiter::refund`] to the present one, and what is not there to the oldest ones that
    /// count. Of a `max` above 4,095 slices are counted in multiples, of less than a sixty-third of
    /// it: whatever is given back comes back at once and whole, but if less than one multiple of
    /// it is there when the slice leaves that it was first given back to, that counts again, until
    /// its own slice leaves. Above 33 million what is given back after its slice is rounded down by
    /// up to a five-hundredth of a multiple, and above 17,000 million to whole multiples.
    ///
    /// A `max` that is changed while the group runs, or debits beyond it, may count by longer
    /// slices or larger multiples for as long as those units count; then by its own again.
    ///
    /// `length` is a whole number of milliseconds, 1 ms to 366 days; `max` is below 2^47. For very
    /// large ones [`Limit::approximate_sliding`] costs a little less.
    ///
    /// [`RateLimiter::refund`]: crate::RateLimiter::refund
    /// [`RateLimiter::refund_of`]: crate::RateLimiter::refund_of
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::Limit;
    ///
    /// const SEARCH: Limit = Limit::sliding(100, Duration::from_secs(60));
    /// assert_eq!(SEARCH.to_string(), "100 in any 1m, sliding");
    /// ```
    pub const fn sliding(max: u64, length: Duration) -> Self {
        Self::of(Kind::Sliding { max, length })
    }

    /// Admits about `max` units in the time of `length` before each decision, by two counters: what
    /// the present window of that length has, and the part of the one before it that still lies
    /// within.
    ///
    /// If units come evenly, no time of `length` has more than `max`. At worst one has up to twice
    /// the max: if those of one window come all at its end, a time that reaches the part `p` into
    /// the next one has up to `max * (1 + p)`. And at worst, if those of one window come all at
    /// its beginning, they are waited for twice the `length`. `length` is a whole number of
    /// milliseconds, 1 ms to 366 days; `max` is below 2^47.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::Limit;
    ///
    /// const PAGES: Limit = Limit::approximate_sliding(100_000, Duration::from_secs(60));
    /// assert_eq!(PAGES.to_string(), "about 100000 in any 1m, sliding");
    /// ```
    pub const fn approximate_sliding(max: u64, length: Duration) -> Self {
        Self::of(Kind::ApproximateSliding { max, length })
    }

    /// Admits `max` units in each window of a calendar; with the feature `calendar`.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Calendar, Limit, Weekday};
    ///
    /// const WEEKLY: Limit = Limit::calendar(50, Calendar::week(Weekday::Monday));
    /// assert_eq!(WEEKLY.to_string(), "50 per week from monday, UTC");
    /// ```
    pub const fn calendar(max: u64, calendar: Calendar) -> Self {
        Self::of(Kind::Calendar { max, calendar })
    }

    /// Counts, by a number that is added to and subtracted from: [`RateLimiter::debit`] adds,
    /// [`RateLimiter::refund`] subtracts at most what is there, and `Decision::used` is the count.
    /// It denies nothing and never begins anew. Use `Acknowledge::Majority` where none of it may
    /// get lost.
    ///
    /// Each key that was ever counted keeps its cell for as long as the group has its data: a reset
    /// sets it to 0, and removes nothing. So keys are to be few and known, such as tenants; where
    /// callers make them up a [`Limit::window`] of a long time forgets those that are not used.
    ///
    /// [`RateLimiter::debit`]: crate::RateLimiter::debit
    /// [`RateLimiter::refund`]: crate::RateLimiter::refund
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::counter().to_string(), "a counter");
    /// ```
    pub const fn counter() -> Self {
        Self::of(Kind::Counter)
    }

    /// Gives at most `max` permits at once, below 2^42: taken by [`RateLimiter::permit`], given
    /// back when the [`Permit`] is dropped, and free by themselves between one and one and a half
    /// leases after their holder was last heard of. The lease is 30 s; see [`Limit::lease`].
    ///
    /// [`RateLimiter::permit`]: crate::RateLimiter::permit
    /// [`Permit`]: crate::Permit
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::concurrent(8).to_string(), "8 at once, lease 30s");
    /// ```
    pub const fn concurrent(max: u64) -> Self {
        Self::of(Kind::Concurrent { max, lease: LEASE })
    }

    /// Sets how long a permit is held without a word of its holder, who renews it every third of
    /// that: whole milliseconds, 100 ms to a day. Of concurrency limits only. A short one frees the
    /// permits of a holder that has died early, and takes a short failure of the network for its
    /// death; so it does the loss of the primary. A permit outlasts that if three fifths of the
    /// lease are longer than the group is without a primary: the failure timeout, 10 s by default,
    /// and a moment.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::Limit;
    ///
    /// const JOBS: Limit = Limit::concurrent(8).lease(Duration::from_secs(5));
    /// assert_eq!(JOBS.to_string(), "8 at once, lease 5s");
    /// ```
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.kind = match self.kind {
            Kind::Concurrent { max, .. } => Kind::Concurrent { max, lease },
            kind => kind,
        };
        self
    }

    /// Sets what a peer without a primary does with it. Default: as the group's mode says.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, WithoutPrimary};
    ///
    /// // Never guessed, in a relaxed group too.
    /// const LOGIN: Limit = Limit::per_minute(5).without_primary(WithoutPrimary::Refuse);
    /// assert_eq!(LOGIN.to_string(), "5 per 1m, burst 5, alone refused");
    /// ```
    pub const fn without_primary(mut self, what: WithoutPrimary) -> Self {
        self.without_primary = what;
        self
    }

    /// Tells an event when this many percent of it, 1 to 100, are used; twice for two thresholds.
    /// See [`RateLimiter::alerts`](crate::RateLimiter::alerts).
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    ///
    /// const PLAN: Limit = Limit::per_day(1000).alert_at(80).alert_at(100);
    /// assert_eq!(PLAN.to_string(), "1000 per 1d, burst 1000, alerts at 80%, 100%");
    /// ```
    pub const fn alert_at(mut self, percent: u8) -> Self {
        // What cannot be is kept as what cannot be, which the check finds: a 0 in front of another
        // number, and two that do not grow.
        self.alerts = match (self.alerts, percent) {
            ([0, 0], 0) => ZERO_ALERT,
            ([0, 0], percent) => [percent, 0],
            ([first, 0], percent) if percent >= first => [first, percent],
            ([first, 0], percent) => [percent, first],
            ([_, _], _) => MANY_ALERTS,
        };
        self
    }

    /// Sets the most units of a rate that are admitted at once: the capacity of its bucket.
    ///
    /// Default: the amount of the rate, so that `per_second(100)` admits 100 at once and
    /// `per_day(100)` too. A bucket that is full again takes no memory; the time it takes to fill,
    /// `burst / rate`, is the time its key is remembered.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_second(100).burst(50).capacity(), 50);
    /// ```
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Makes this limit a shadow: it counts and reports, and denies nothing. What it would have
    /// denied is not counted, as if it had been, and `Decision::shadow` says so. For trying a limit
    /// out.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_second(9).shadow().to_string(), "9 per 1s, burst 9, shadow");
    /// ```
    pub const fn shadow(mut self) -> Self {
        self.is_shadow = true;
        self
    }

    /// Returns true if it is a concurrency limit, which has permits and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert!(Limit::concurrent(8).is_concurrent());
    /// ```
    pub const fn is_concurrent(&self) -> bool {
        matches!(self.kind, Kind::Concurrent { .. })
    }

    /// Returns true if it only counts and reports: see [`Limit::shadow`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert!(Limit::per_second(9).shadow().is_shadow());
    /// ```
    pub const fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// Returns the most units that can be admitted at once: the burst of a rate, the max of a
    /// window.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    /// assert_eq!(Limit::per_second(100).capacity(), 100);
    /// ```
    pub const fn capacity(&self) -> u64 {
        match (self.burst, self.kind) {
            (Some(burst), _) => burst,
            (None, Kind::Rate { amount, .. }) => amount,
            (
                None,
                Kind::Window { max, .. }
                | Kind::Sliding { max, .. }
                | Kind::ApproximateSliding { max, .. }
                | Kind::Calendar { max, .. }
                | Kind::Concurrent { max, .. },
            ) => max,
            (None, Kind::Counter) => u64::MAX,
        }
    }

    /// Returns the units at which a threshold of this many percent of `max` is reached.
    pub(crate) fn threshold(max: u64, percent: u8) -> u64 {
        let product = u128::from(max) * u128::from(percent);
        u64::try_from(product.div_ceil(100)).unwrap_or(u64::MAX)
    }

    /// Makes a fixed window a sliding one.
    pub(crate) const fn slide(mut self) -> Self {
        if let Kind::Window { max, length } = self.kind {
            self.kind = Kind::Sliding { max, length };
        }
        self
    }

    /// Makes a fixed window an approximate sliding one.
    pub(crate) const fn slide_about(mut self) -> Self {
        if let Kind::Window { max, length } = self.kind {
            self.kind = Kind::ApproximateSliding { max, length };
        }
        self
    }

    pub(crate) const fn rate(amount: u64, period: Duration) -> Self {
        Self::of(Kind::Rate { amount, period })
    }
}
