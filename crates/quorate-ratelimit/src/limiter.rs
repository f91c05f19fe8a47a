//! The handle that an application asks.

use std::time::Duration;

use quorate::{Item, Peer};

use crate::decision::Decision;
use crate::error::AcquireError;
use crate::key::Room;
use crate::limits::Limits;

/// Decides by the limits of a group, at any of its peers. Cheap to clone.
///
/// # Examples
///
/// See the [crate](crate#examples).
#[derive(Clone)]
pub struct RateLimiter {
    peer: Peer,
    limits: Limits,
}

impl RateLimiter {
    /// Asks `peer`, which was started with [`Limits::model`] of the same limits.
    ///
    /// # Examples
    ///
    /// See the [crate](crate#examples).
    pub fn new(peer: Peer, limits: &Limits) -> Self {
        Self { peer, limits: limits.clone() }
    }

    /// The peer that is asked.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// async fn stop(limiter: RateLimiter) {
    ///     limiter.peer().shutdown().await;
    /// }
    /// ```
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The limits as this peer knows them.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn log(limiter: &RateLimiter) {
    ///     println!("{}", limiter.limits());
    /// }
    /// ```
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes `amount` units of `key` under the limit called `limit`, or none at all, within the
    /// group's I/O timeout.
    ///
    /// Every key has a count of its own under every limit; an empty key is a key too, for limits
    /// that all callers share. An amount of 0 is a peek: it takes nothing, and is answered as one
    /// unit would be. Which window an amount counts for is settled when it reaches the primary.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`]: each variant says whether anything may have been written. A denial is
    /// a [`Decision`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it was polled has done nothing. One that is dropped later
    /// may have taken the amount.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// 429 with its `Retry-After`, or 200.
    /// async fn check(limiter: &RateLimiter, user: &str) -> Result<(u16, u64), AcquireError> {
    ///     let decision = limiter.acquire("api", user, 1).await?;
    ///     Ok(match decision.retry_after {
    ///         None => (200, 0),
    ///         Some(wait) => (429, wait.as_secs() + 1),
    ///     })
    /// }
    /// ```
    pub async fn acquire(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        let mut room = Room::default();
        let key = room.fill(self.limits.id(limit)?, key.as_ref())?;
        let item = Item { key, args: [amount, 0] };
        Decision::read(limit, amount, &self.peer.decide(&[item]).await?)
    }

    /// The same, with a deadline of its own.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Cancel safety
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn check(limiter: &RateLimiter, user: &str) -> Result<bool, AcquireError> {
    ///     let soon = Duration::from_millis(200);
    ///     Ok(limiter.acquire_within("api", user, 1, soon).await?.allowed)
    /// }
    /// ```
    pub async fn acquire_within(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
        timeout: Duration,
    ) -> Result<Decision, AcquireError> {
        let mut room = Room::default();
        let key = room.fill(self.limits.id(limit)?, key.as_ref())?;
        let item = Item { key, args: [amount, 0] };
        let decided = self.peer.decide_within(&[item], timeout).await?;
        Decision::read(limit, amount, &decided)
    }
}
