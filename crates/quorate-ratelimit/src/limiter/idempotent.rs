//! Calls that are charged once, however often they are tried.

use crate::limiter::RateLimiter;
use crate::limiter::ask::Asking;
use crate::limiter::decision::{Decision, JointDecision};
use crate::model::error::AcquireError;
use crate::rule::operation::{Operation, Request};

/// A limiter whose next call has an idempotency key; made by [`RateLimiter::idempotency_key`].
///
/// A call that is tried again with the same key, limits, callers' keys and amounts, within
/// [`IDEMPOTENCY_TIME`](crate::IDEMPOTENCY_TIME), is charged once and gets the first answer, with
/// `Decision::repeated`: also after a time-out, at another peer, and across a failover, as far as
/// the first one's charge is kept (under `Acknowledge::Majority`, always). A denial charges nothing
/// and is not kept: a retry may be admitted.
///
/// The key is as good as the units: who repeats a request that was admitted is let through with
/// `Decision::repeated`, and pays nothing. So it must be chosen by the service or by whoever is
/// trusted not to use it for something new: never taken from a request of a caller who is being
/// limited. To bound what comes of one that was, the answer is given again
/// [`MAX_REPEATS`](crate::MAX_REPEATS) times; from then on the same call is denied, with
/// `Decision::repeated` too, until the key is forgotten, unless it only gives back, or its limits
/// are shadows or counters.
///
/// A relaxed peer alone knows what it decides alone, until that is merged: the same call at two
/// peers that are cut off from each other is charged twice.
///
/// Each such call takes a cell of its own, of 128 bytes, for that time.
#[derive(Clone, Copy)]
#[must_use = "it does nothing until a call is made"]
pub struct Idempotent<'a> {
    limiter: &'a RateLimiter,
    id: &'a [u8],
}

impl RateLimiter {
    /// Gives the next call an idempotency key, such as the id of a job or of a payment: of any
    /// length but 0 ([`AcquireError::EmptyIdempotencyKey`]), and as unlikely to be drawn twice as
    /// you need. Not one that the caller chooses who is to be limited: whoever sends the same one
    /// again is not charged; see [`Idempotent`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::DecideError;
    /// use quorate_ratelimit::{AcquireError, Decision, RateLimiter};
    ///
    /// /// Tries again where the outcome is unknown: that counts nothing twice.
    /// async fn charge(limiter: &RateLimiter, request: &str) -> Result<Decision, AcquireError> {
    ///     loop {
    ///         let once = limiter.idempotency_key(request);
    ///         match once.acquire("api", "alice", 1).await {
    ///             Err(AcquireError::Undecided(DecideError::OutcomeUnknown { .. })) => {}
    ///             decided => return decided,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn idempotency_key<'a>(&'a self, id: &'a (impl AsRef<[u8]> + ?Sized)) -> Idempotent<'a> {
        Idempotent { limiter: self, id: id.as_ref() }
    }
}

impl Idempotent<'_> {
    /// Takes an amount once for the idempotency key, as [`RateLimiter::acquire`] does without one.
    ///
    /// # Errors
    ///
    /// Those of [`RateLimiter::acquire`].
    pub async fn acquire(
        self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::Acquire).await
    }

    /// Takes as much of an amount as there is once for the idempotency key, as
    /// [`RateLimiter::acquire_up_to`] does without one.
    ///
    /// # Errors
    ///
    /// Those of [`RateLimiter::acquire_up_to`].
    pub async fn acquire_up_to(
        self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::AcquireUpTo).await
    }

    /// Takes several amounts once for the idempotency key, at most 15, all or none, as
    /// [`RateLimiter::acquire_all`] does without one.
    ///
    /// # Errors
    ///
    /// Those of [`RateLimiter::acquire_all`].
    pub async fn acquire_all<K: AsRef<[u8]>>(
        self,
        items: &[(&str, K, u64)],
    ) -> Result<JointDecision, AcquireError> {
        self.limiter.ask_all(items, Some(self.id)).await
    }

    /// Counts an amount once for the idempotency key, as [`RateLimiter::debit`] does without one.
    ///
    /// # Errors
    ///
    /// Those of [`RateLimiter::debit`].
    pub async fn debit(
        self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::Debit).await
    }

    /// Gives an amount back once for the idempotency key, as [`RateLimiter::refund`] does without
    /// one.
    ///
    /// # Errors
    ///
    /// Those of [`RateLimiter::refund`].
    pub async fn refund(
        self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::Refund { window_ms: None }).await
    }

    async fn call(
        self,
        limit: &str,
        key: &[u8],
        amount: u64,
        operation: Operation,
    ) -> Result<Decision, AcquireError> {
        let asking = Asking { timeout: None, id: Some(self.id) };
        self.limiter.ask(limit, key, Request::new(operation, amount), asking).await
    }
}
