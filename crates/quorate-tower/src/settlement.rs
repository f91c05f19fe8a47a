//! What a request cost in the end, once its response is known.

use std::sync::Arc;

use http::response::Parts;
use quorate_ratelimit::{AcquireError, Decision, RateLimiter};

use crate::admission::Taken;
use crate::rule::Rule;

/// Costs that could not be corrected: what was taken before stays counted, nothing else. In the
/// extensions of the response, for layers outside to log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsettled {
    /// The limits, and why not.
    pub limits: Vec<(Arc<str>, AcquireError)>,
}

/// What is left to be done for an item.
pub(crate) struct Settlement {
    taken: Taken,
    actual: u64,
}

/// Asks all rules what the request cost.
pub(crate) fn settlements(rules: &[Rule], taken: Vec<Taken>, response: &Parts) -> Vec<Settlement> {
    let settled = taken.into_iter().map(|taken| {
        let shares = taken.item.shares.iter();
        let actual = shares.map(|(rule, units)| rules[*rule].actual_units(response, *units));
        let actual = actual.fold(0, u64::saturating_add);
        Settlement { taken, actual }
    });
    settled.filter(|it| it.actual != it.taken.item.amount).collect()
}

impl Settlement {
    async fn settle(&self, limiter: &RateLimiter) -> Result<Decision, AcquireError> {
        let Taken { item, decision, .. } = &self.taken;
        let (limit, key) = (&item.limit, &item.key);
        if self.actual > item.amount {
            return limiter.debit(limit, key, self.actual - item.amount).await;
        }
        limiter.refund_of(limit, key, item.amount - self.actual, decision).await
    }
}

/// What came of settling.
#[derive(Default)]
pub(crate) struct Settled {
    pub(crate) unsettled: Option<Unsettled>,
    /// How the limit that the response tells of stands since.
    pub(crate) told: Option<Decision>,
}

/// Has the group count what each cost.
pub(crate) async fn settle(limiter: &RateLimiter, settlements: &[Settlement]) -> Settled {
    let (mut limits, mut told) = (Vec::new(), None);
    for settlement in settlements {
        match settlement.settle(limiter).await {
            Ok(decision) if settlement.taken.is_told => told = Some(decision),
            Ok(_) => {}
            Err(error) => limits.push((settlement.taken.item.limit.clone(), error)),
        }
    }
    Settled { unsettled: (!limits.is_empty()).then_some(Unsettled { limits }), told }
}
