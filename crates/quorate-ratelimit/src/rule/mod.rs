//! A limit prepared for deciding.

pub(crate) mod approximate;
pub(crate) mod calendar_windows;
pub(crate) mod cell;
pub(crate) mod concurrency;
pub(crate) mod counter;
pub(crate) mod divisor;
pub(crate) mod fields;
pub(crate) mod hash;
pub(crate) mod lapse;
pub(crate) mod log;
pub(crate) mod operation;
pub(crate) mod owed;
pub(crate) mod sliding;
pub(crate) mod span;
pub(crate) mod token_bucket;
pub(crate) mod verdict;
pub(crate) mod whole_units;
pub(crate) mod window;

use std::time::Duration;

use quorate::{Cell, DecideContext, Delta, GroupTime, Value};

use crate::limit::{Kind, Limit};
use crate::rule::approximate::ApproximateSliding;
use crate::rule::concurrency::Concurrency;
use crate::rule::counter::Counter;
use crate::rule::operation::Request;
use crate::rule::sliding::Sliding;
use crate::rule::token_bucket::TokenBucket;
use crate::rule::verdict::Ruling;
use crate::rule::window::Window;

/// A limit with the constants that its decisions need.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    ApproximateSliding(ApproximateSliding),
    Concurrency(Concurrency),
    Counter(Counter),
    Sliding(Sliding),
    TokenBucket(TokenBucket),
    Window(Window),
}

/// Does one thing with the rule of any kind.
macro_rules! with_each {
    ($rule:expr, $it:ident => $do:expr) => {
        match $rule {
            Self::ApproximateSliding($it) => $do,
            Self::Concurrency($it) => $do,
            Self::Counter($it) => $do,
            Self::Sliding($it) => $do,
            Self::TokenBucket($it) => $do,
            Self::Window($it) => $do,
        }
    };
}

impl Rule {
    /// Prepares a limit that was checked. Rules of another salt do not read each other's cells, but
    /// for a chance of one in some thousands: see [`Rule::apart`].
    pub(crate) fn new(limit: &Limit, salt: u64) -> Self {
        match limit.kind {
            Kind::Rate { amount, period } => {
                Self::TokenBucket(TokenBucket::new(amount, nanos(period), limit.capacity(), salt))
            }
            Kind::Calendar { max, calendar } => {
                Self::Window(Window::calendar(max, &calendar, salt))
            }
            Kind::Concurrent { max, lease } => {
                Self::Concurrency(Concurrency::new(max, nanos(lease), salt))
            }
            Kind::Counter => Self::Counter(Counter::new(salt)),
            Kind::Sliding { max, length } => Self::Sliding(Sliding::new(max, nanos(length), salt)),
            Kind::ApproximateSliding { max, length } => {
                Self::ApproximateSliding(ApproximateSliding::new(max, nanos(length), salt))
            }
            Kind::Window { max, length } => Self::Window(Window::new(max, nanos(length), salt)),
        }
    }

    /// Prepares a limit with the first salt, counted up from `salt`, by which its tag is none of
    /// `taken`; returns that salt as well.
    pub(crate) fn apart(limit: &Limit, mut salt: u64, taken: &[u64]) -> (Self, u64) {
        loop {
            let rule = Self::new(limit, salt);
            if !rule.tags().any(|tag| taken.contains(&tag)) {
                return (rule, salt);
            }
            salt = salt.wrapping_add(1);
        }
    }

    /// Returns the tag that tells this rule's cells from others.
    pub(crate) fn tag(&self) -> u64 {
        with_each!(self, rule => rule.tag())
    }

    /// Returns the tags of all cells that it reads: those of the version before this one may have
    /// another.
    pub(crate) fn tags(&self) -> impl Iterator<Item = u64> + use<> {
        let earlier = match self {
            Self::Sliding(sliding) => Some(sliding.former_tag()),
            _ => None,
        };
        [self.tag()].into_iter().chain(earlier)
    }

    /// Returns true if it reads cells of a tag.
    pub(crate) fn reads(&self, tag: u64) -> bool {
        self.tags().any(|own| own == tag)
    }

    /// Returns the time by which units of this rule count: the steady one of what is held, else
    /// that of the calendar.
    pub(crate) fn clock(&self, context: DecideContext) -> GroupTime {
        if matches!(self, Self::Concurrency(_)) { context.steady() } else { context.now() }
    }

    /// Decides about one key, and changes its cell if that is what comes of it.
    #[inline]
    pub(crate) fn decide(
        &self,
        cell: &mut Cell,
        request: Request,
        context: DecideContext,
    ) -> Ruling {
        // What is held lapses by the steady clock; all else begins anew, and flows back, by the
        // calendar.
        let now = context.now();
        match self {
            Self::Concurrency(concurrency) => concurrency.decide(cell, request, context.steady()),
            Self::Counter(counter) => counter.decide(cell, request),
            Self::ApproximateSliding(sliding) => sliding.decide(cell, request, now),
            Self::Sliding(sliding) => sliding.decide(cell, request, now),
            Self::TokenBucket(bucket) => bucket.decide(cell, request, now),
            Self::Window(window) => window.decide(cell, request, now),
        }
    }

    /// Returns those of units taken so long ago that have not come back by themselves.
    pub(crate) fn returnable(&self, units: u64, elapsed: u64) -> u64 {
        match self {
            Self::TokenBucket(bucket) => units.saturating_sub(bucket.flowed_in(elapsed)),
            Self::ApproximateSliding(_)
            | Self::Concurrency(_)
            | Self::Counter(_)
            | Self::Sliding(_)
            | Self::Window(_) => units,
        }
    }

    /// Returns true if it matters when units were taken.
    pub(crate) fn is_timed(&self) -> bool {
        !matches!(self, Self::Counter(_))
    }

    /// Returns true if units are of a window.
    pub(crate) fn has_windows(&self) -> bool {
        matches!(self, Self::ApproximateSliding(_) | Self::Sliding(_) | Self::Window(_))
    }

    /// Returns the units that count at `at` in a cell of this rule: by the steady clock of what is
    /// held, else by the calendar.
    pub(crate) fn used(&self, value: &Value, at: u64) -> u64 {
        with_each!(self, rule => rule.used(value, at))
    }

    /// Makes a cell in which so many units were taken at `at`; permits come from nowhere else than
    /// their holders.
    pub(crate) fn with(&self, units: u64, at: u64) -> Option<Value> {
        match self {
            Self::Concurrency(_) => None,
            Self::Counter(counter) => Some(counter.with(units)),
            Self::ApproximateSliding(sliding) => Some(sliding.with(units, at)),
            Self::Sliding(sliding) => Some(sliding.with(units, at)),
            Self::TokenBucket(bucket) => Some(bucket.with(units, at)),
            Self::Window(window) => Some(window.with(units, at)),
        }
    }

    /// Keeps in `delta` what local decisions have taken, less what they gave back of that.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        with_each!(self, rule => rule.accumulate(before, after, delta))
    }

    /// Returns the merged value and the units that were counted; `None` if nothing is left to
    /// count.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        context: DecideContext,
    ) -> Option<(Value, u64)> {
        let now = context.now();
        match self {
            Self::Concurrency(concurrency) => concurrency.merge(value, delta, context),
            Self::Counter(counter) => counter.merge(value, delta),
            Self::ApproximateSliding(sliding) => sliding.merge(value, delta, now),
            Self::Sliding(sliding) => sliding.merge(value, delta, now),
            Self::TokenBucket(bucket) => bucket.merge(value, delta, now),
            Self::Window(window) => window.merge(value, delta, now),
        }
    }
}

/// Counts a time in nanoseconds: those of checked limits are below 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
