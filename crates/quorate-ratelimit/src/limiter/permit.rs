//! Permits: places of a concurrency limit, held while something is done.

use crate::limiter::RateLimiter;
use crate::limiter::decision::Decision;
use crate::limiter::hold_id::{HoldId, PermitId};
use crate::limiter::permit_guard::Permit;
use crate::model::error::AcquireError;
use crate::rule::operation::SideOperation;

/// The answer to a permit that was asked for.
#[derive(Debug)]
#[must_use = "the permit is given back when this is dropped"]
#[non_exhaustive]
pub struct PermitAnswer {
    /// The decision about the place. Of a denial `retry_after` is when a lease would end: a permit
    /// may be given back earlier.
    pub decision: Decision,
    /// The permit; there is one if it was admitted.
    pub permit: Option<Permit>,
}

impl RateLimiter {
    /// Takes a place of a concurrency limit, held until the permit is dropped.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`]; `Unsupported` if the limit is of another kind.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have taken a permit, which is free within one and a half leases
    /// then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// At most so many reports of a customer are made at once, whoever makes them.
    /// async fn report(limiter: &RateLimiter, customer: &str) -> Result<bool, AcquireError> {
    ///     let Some(permit) = limiter.permit("reports", customer).await?.permit else {
    ///         return Ok(false);
    ///     };
    ///     // .. the work, and at its end:
    ///     drop(permit);
    ///     Ok(true)
    /// }
    /// ```
    pub async fn permit(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
    ) -> Result<PermitAnswer, AcquireError> {
        // From when it was asked for: it may have been decided at once.
        let asked = self.peer().time();
        let (decision, id) = self.take_permit(limit, key, 1).await?;
        let permit = id.map(|id| Permit::hold(self, id, &decision, asked));
        Ok(PermitAnswer { decision, permit })
    }

    /// Takes `amount` places under one id, held for a lease, which is the decision's `reset_after`,
    /// and longer if [`RateLimiter::renew_permit`] is called within it; there is an id if they were
    /// admitted. Count the lease from before the call, take off a twentieth for clocks that run
    /// apart, and use a clock that goes on while the machine is suspended
    /// ([`Peer::time`](quorate::Peer::time)).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::permit`]; [`AcquireError::ZeroPermits`] for an amount of 0.
    ///
    /// # Cancel safety
    ///
    /// As [`RateLimiter::permit`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn begin(limiter: &RateLimiter, job: &str) -> Result<Option<String>, AcquireError> {
    ///     let (_, id) = limiter.take_permit("jobs", job, 1).await?;
    ///     Ok(id.map(|id| id.to_string()))
    /// }
    /// ```
    pub async fn take_permit(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<(Decision, Option<PermitId>), AcquireError> {
        let limit = self.look_up(limit)?;
        if amount == 0 {
            return Err(self.count_error(Some(limit), AcquireError::ZeroPermits));
        }
        let id = PermitId(HoldId::new(self.key(limit, key.as_ref())?));
        let decision = self.ask_held(limit, &id.0, SideOperation::TakePermit, amount).await?;
        let is_taken = decision.allowed && decision.granted > 0 || decision.shadow;
        Ok((decision, is_taken.then_some(id)))
    }

    /// Holds a permit for another lease, which is the decision's `reset_after`.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`]; [`AcquireError::Ended`] if it is not held any more: somebody
    /// else may have its place.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have renewed it.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, PermitId, RateLimiter};
    ///
    /// async fn still_ours(limiter: &RateLimiter, id: &PermitId) -> Result<bool, AcquireError> {
    ///     match limiter.renew_permit(id).await {
    ///         Ok(_) => Ok(true),
    ///         Err(AcquireError::Ended) => Ok(false),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    pub async fn renew_permit(&self, id: &PermitId) -> Result<Decision, AcquireError> {
        self.ask_known(&id.0, SideOperation::RenewPermit, 0).await
    }

    /// Gives a permit back; one that is not held any more is none, and `granted` is 0 then.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have given it back.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, PermitId, RateLimiter};
    ///
    /// async fn done(limiter: &RateLimiter, id: &PermitId) -> Result<(), AcquireError> {
    ///     limiter.release_permit(id).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn release_permit(&self, id: &PermitId) -> Result<Decision, AcquireError> {
        self.ask_known(&id.0, SideOperation::ReleasePermit, 0).await
    }
}
