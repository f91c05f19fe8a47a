//! A limit prepared for deciding.

use std::time::Duration;

use quorate::{Cell, Delta, GroupTime, Value};

use crate::counter::Counter;
use crate::limit::{Kind, Limit};
use crate::operation::Order;
use crate::outcome::{Effect, Outcome};
use crate::sliding::Sliding;
use crate::token_bucket::TokenBucket;
use crate::window::Window;

/// A limit with the constants that its decisions need.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Counter(Counter),
    Sliding(Sliding),
    TokenBucket(TokenBucket),
    Window(Window),
}

impl Rule {
    /// Prepares a limit that was checked.
    pub(crate) fn new(limit: &Limit) -> Self {
        match limit.kind {
            Kind::Rate { amount, period } => {
                Self::TokenBucket(TokenBucket::new(amount, nanos(period), limit.capacity()))
            }
            Kind::Calendar { max, calendar } => Self::Window(Window::calendar(max, &calendar)),
            Kind::Counter => Self::Counter(Counter),
            Kind::Sliding { max, length } => Self::Sliding(Sliding::new(max, nanos(length))),
            Kind::Window { max, length } => Self::Window(Window::new(max, nanos(length))),
        }
    }

    /// Decides about one key, and changes its cell if that is what comes of it.
    #[inline]
    pub(crate) fn decide(
        &self,
        cell: &mut Cell,
        order: Order,
        now: GroupTime,
        effect: Effect,
    ) -> Outcome {
        match self {
            Self::Counter(counter) => counter.decide(cell, order, effect),
            Self::Sliding(sliding) => sliding.decide(cell, order, now, effect),
            Self::TokenBucket(bucket) => bucket.decide(cell, order, now, effect),
            Self::Window(window) => window.decide(cell, order, now, effect),
        }
    }

    /// Keeps in `delta` what local decisions have taken, less what they gave back of that.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        match self {
            Self::Counter(counter) => counter.accumulate(before, after, delta),
            Self::Sliding(sliding) => sliding.accumulate(before, after, delta),
            Self::TokenBucket(bucket) => bucket.accumulate(before, after, delta),
            Self::Window(window) => window.accumulate(before, after, delta),
        }
    }

    /// The merged value and the units that were counted; `None` if nothing is left to count.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        now: GroupTime,
    ) -> Option<(Value, u64)> {
        match self {
            Self::Counter(counter) => counter.merge(value, delta),
            Self::Sliding(sliding) => sliding.merge(value, delta, now),
            Self::TokenBucket(bucket) => bucket.merge(value, delta, now),
            Self::Window(window) => window.merge(value, delta, now),
        }
    }
}

/// Checked limits are below 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
