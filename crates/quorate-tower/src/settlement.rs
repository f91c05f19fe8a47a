//! The settlement of what a request cost, once its response is known.

use std::sync::Arc;

use http::response::Parts;
use quorate_ratelimit::{AcquireError, Decision, RateLimiter};

use crate::admit::{Hold, Taken};
use crate::demand::Item;
use crate::rule::Rule;

/// Costs that could not be settled: what was taken stays counted, and what was reserved is given
/// back when it lapses. In the extensions of the response, for layers outside to log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsettled {
    /// The limits, each with the reason.
    pub limits: Vec<(Arc<str>, AcquireError)>,
}

/// The correction of what was taken for an item.
pub(crate) struct Settlement {
    taken: Taken,
    actual: u64,
}

/// Asks all rules what the request cost.
pub(crate) fn by_response(rules: &[Rule], taken: Vec<Taken>, response: &Parts) -> Vec<Settlement> {
    settlements(taken, |rule, units| rules[rule].actual_units(response, units))
}

/// Settles a request that failed without a response: it cost what was taken.
pub(crate) fn without_response(taken: Vec<Taken>) -> Vec<Settlement> {
    settlements(taken, |_, units| units)
}

fn settlements(taken: Vec<Taken>, cost: impl Fn(usize, u64) -> u64) -> Vec<Settlement> {
    let settled = taken.into_iter().map(|taken| {
        let shares = taken.item.shares.iter().map(|share| cost(share.rule, share.units));
        let actual = shares.fold(0, u64::saturating_add);
        Settlement { taken, actual }
    });
    settled.filter(Settlement::is_needed).collect()
}

impl Settlement {
    /// A reservation has to be ended in any case.
    fn is_needed(&self) -> bool {
        let is_reserved = matches!(self.taken.hold, Hold::Reserved(_));
        is_reserved || self.actual != self.taken.item.amount
    }

    async fn settle(&self, limiter: &RateLimiter) -> Result<Decision, AcquireError> {
        let Taken { item, hold, .. } = &self.taken;
        let Item { limit, key, .. } = item;
        match hold {
            Hold::Decided(taken) => {
                // More than was taken is only ever told of a reservation.
                let unused = item.amount.saturating_sub(self.actual);
                limiter.refund_of(limit, key, unused, taken).await
            }
            Hold::Reserved(id) => match limiter.commit(id, self.actual).await {
                // It lapsed, for the response took longer than that. What it was for is used.
                Err(AcquireError::Ended) => limiter.debit(limit, key, self.actual).await,
                settled => settled,
            },
        }
    }
}

/// The outcome of settling a request.
#[derive(Default)]
pub(crate) struct Settled {
    pub(crate) unsettled: Option<Unsettled>,
    /// The state since then of the limit that the response tells of.
    pub(crate) told: Option<Decision>,
}

/// Has the group count what each cost.
pub(crate) async fn settle(limiter: &RateLimiter, settlements: &[Settlement]) -> Settled {
    let mut limits = Vec::new();
    let mut told = None;
    for settlement in settlements {
        match settlement.settle(limiter).await {
            Ok(decision) if settlement.taken.is_told => told = Some(decision),
            Ok(_) => {}
            Err(error) => limits.push((settlement.taken.item.limit.clone(), error)),
        }
    }
    Settled { unsettled: (!limits.is_empty()).then_some(Unsettled { limits }), told }
}
