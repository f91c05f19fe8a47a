//! Waiting until an amount is admitted, without taking it from whoever has stopped waiting.
//!
//! ```text
//!   wait ── acquire in a task of its own ──▶ Taken ──▶ kept by the waiter
//!     │ denied: sleep                          └─ dropped on its way: given back
//! ```
//!
//! An acquire that is dropped while it is under way may have taken its amount. So it runs in a task
//! that nobody drops, and what it takes is handed over as something that gives itself back.

use tokio::sync::oneshot;

use crate::limiter::RateLimiter;
use crate::limiter::decision::Decision;
use crate::model::error::AcquireError;

/// An amount that was taken, and is given back when this is dropped.
struct Taken {
    limiter: RateLimiter,
    limit: String,
    key: Vec<u8>,
    decision: Option<Decision>,
}

impl Taken {
    /// Keeps the amount: it has come to where it was wanted.
    fn keep(mut self) -> Option<Decision> {
        self.decision.take()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(decision) = self.decision.take().filter(|decision| decision.granted > 0) else {
            return;
        };
        // A runtime that ends takes what waits on it along.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let limiter = self.limiter.clone();
        let limit = std::mem::take(&mut self.limit);
        let key = std::mem::take(&mut self.key);
        runtime.spawn(async move {
            // Best effort: if it fails the units count until their time is over.
            let _ = limiter.refund_of(&limit, &key, decision.granted, &decision).await;
        });
    }
}

impl RateLimiter {
    /// Waits until `amount` units are admitted, and takes them. For an amount of 0 it waits until
    /// one unit would be, and takes none.
    ///
    /// Several that wait for one key are served in no order, and each of them asks again whenever
    /// one may be served: a hundred that wait for a unit of a rate come to some five thousand
    /// calls, and as many denials in the numbers. Where there may be many, let one at a time wait
    /// here.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`]; it does not wait for a primary.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped takes nothing: what was admitted at that moment is given back, a
    /// moment later, unless the runtime ends or there is no primary.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// Calls a partner as often as it allows, and gives up after 5 s.
    /// async fn call(limiter: &RateLimiter) -> Result<bool, AcquireError> {
    ///     let waiting = limiter.wait("partner", "", 1);
    ///     match tokio::time::timeout(Duration::from_secs(5), waiting).await {
    ///         Ok(decision) => decision.map(|decision| decision.allowed),
    ///         Err(_) => Ok(false),
    ///     }
    /// }
    /// ```
    pub async fn wait(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        loop {
            let decision = self.take_in_background(limit, key.as_ref(), amount).await?;
            let Some(wait) = decision.retry_after else { return Ok(decision) };
            tokio::time::sleep(wait).await;
        }
    }

    async fn take_in_background(
        &self,
        limit: &str,
        key: &[u8],
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        let (sender, receiver) = oneshot::channel();
        let limiter = self.clone();
        let limit = limit.to_owned();
        let key = key.to_vec();
        tokio::spawn(async move {
            let taken = match limiter.acquire(&limit, &key, amount).await {
                Ok(decision) => Ok(Taken { limiter, limit, key, decision: Some(decision) }),
                Err(error) => Err(error),
            };
            // If nobody waits any more it is dropped here, and gives itself back.
            drop(sender.send(taken));
        });
        let gone = || AcquireError::Undecided(quorate::DecideError::ShuttingDown);
        let taken = receiver.await.map_err(|_| gone())??;
        taken.keep().ok_or_else(gone)
    }
}
