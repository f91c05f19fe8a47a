//! The handle that an application asks.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod ask;
pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod decision;
pub(crate) mod full_store;
pub(crate) mod hold_id;
pub(crate) mod idempotent;
pub(crate) mod limit_ref;
pub(crate) mod limits_file;
pub(crate) mod observe;
pub(crate) mod permit;
pub(crate) mod permit_guard;
pub(crate) mod readiness;
pub(crate) mod reservation;
mod shown;
pub(crate) mod wait;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quorate::Peer;

use crate::limiter::ask::Asking;
use crate::limiter::decision::{Decision, JointDecision};
use crate::limiter::full_store::AtCapacity;
use crate::model::RateLimitModel;
use crate::model::current::CurrentLimits;
use crate::model::error::AcquireError;
use crate::model::limits::Limits;
use crate::model::side_cell::SideCell;
use crate::numbers::alert::AlertSender;
use crate::numbers::counters::Counters;
use crate::numbers::denials::Denials;
use crate::rule::operation::{Operation, Request};

/// Decides by the limits of a group, at any of its peers. Cheap to clone.
///
/// # Examples
///
/// See the [crate](crate#examples).
#[derive(Clone)]
pub struct RateLimiter {
    peer: Peer,
    /// The limits of the code: names are looked up here first.
    code: Limits,
    current: Arc<CurrentLimits>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    at_capacity: AtCapacity,
}

/// The state that a limiter and its clones share.
struct Shared {
    alerts: AlertSender,
    denials: Denials,
}

impl RateLimiter {
    /// Asks `peer`, which was started with [`Limits::model`] of the same limits. From now on the
    /// peer answers asks about limits over its admin lane ([`quorate::admin`]), like
    /// `{"ask":"limits.get"}`, by the last limiter that was made for it.
    ///
    /// # Examples
    ///
    /// See the [crate](crate#examples).
    pub fn new(peer: Peer, limits: &Limits) -> Self {
        // Of a model that wraps this one nothing is known: its limits do not change here.
        let current = match peer.model::<RateLimitModel>() {
            Some(model) => Arc::clone(model.current()),
            None => Arc::new(CurrentLimits::new(Arc::clone(&limits.table))),
        };
        let shared = Shared { alerts: AlertSender::new(), denials: Denials::new() };
        // One more for limits that come later.
        let counters = Arc::new(Counters::new(limits.iter().count() + 1));
        let limiter = Self {
            peer,
            code: limits.clone(),
            current,
            shared: Arc::new(shared),
            counters,
            at_capacity: AtCapacity::default(),
        };
        limiter.answer_asks();
        limiter
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

    /// The limits that this peer decides by, which are the group's: those of its code until they
    /// were first changed.
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
    pub fn limits(&self) -> Limits {
        Limits { table: self.current.present() }
    }

    /// The limits that this peer was started with: those of its code.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// /// Returns true if the group decides by something else.
    /// fn is_changed(limiter: &RateLimiter) -> bool {
    ///     limiter.code().to_string() != limiter.limits().to_string()
    /// }
    /// ```
    #[inline]
    pub fn code(&self) -> &Limits {
        &self.code
    }

    pub(crate) fn current(&self) -> &CurrentLimits {
        &self.current
    }

    pub(crate) fn alert_sender(&self) -> &AlertSender {
        &self.shared.alerts
    }

    #[inline(always)]
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn denials(&self) -> &Denials {
        &self.shared.denials
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
    pub fn acquire(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> impl Future<Output = Result<Decision, AcquireError>> {
        self.ask(limit, key, Request::new(Operation::Acquire, amount), Asking::default())
    }

    /// Takes `amount` units as [`RateLimiter::acquire`] does, with a deadline of its own. One that
    /// is shorter than the failure timeout ends with an unknown outcome while a silent primary is
    /// not known to be lost, whatever the limit says of times without one.
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
    /// use std::time::{Duration, SystemTime};
    ///
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn check(limiter: &RateLimiter, user: &str) -> Result<bool, AcquireError> {
    ///     let soon = Duration::from_millis(200);
    ///     Ok(limiter.acquire_within("api", user, 1, soon).await?.allowed)
    /// }
    /// ```
    pub fn acquire_within(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
        timeout: Duration,
    ) -> impl Future<Output = Result<Decision, AcquireError>> {
        let asking = Asking { timeout: Some(timeout), id: None };
        self.ask(limit, key, Request::new(Operation::Acquire, amount), asking)
    }

    /// Takes as many of `amount` units as there are; denied only if there is none. `granted` says
    /// how many. An amount of 0 is a peek, as of [`RateLimiter::acquire`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], but for `NeverAdmitted`.
    ///
    /// # Cancel safety
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// Takes what may be sent now of these lines.
    /// async fn batch(limiter: &RateLimiter, lines: u64) -> Result<u64, AcquireError> {
    ///     Ok(limiter.acquire_up_to("mail", "alice", lines).await?.granted)
    /// }
    /// ```
    pub fn acquire_up_to(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> impl Future<Output = Result<Decision, AcquireError>> {
        self.ask(limit, key, Request::new(Operation::AcquireUpTo, amount), Asking::default())
    }

    /// Takes all of these amounts or none, each of a key under a limit: one operation, in which
    /// nobody comes between. 1 to 16 of them, each limit and key once. Of an item with an amount of
    /// 0 nothing is taken, and all are denied where one unit of it would be.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], about the first item that has one; `Items` and `Twice`.
    ///
    /// # Cancel safety
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn check(limiter: &RateLimiter, user: &str, size: u64) -> Result<bool, AcquireError> {
    ///     let items = [("requests", user, 1), ("bytes", user, size), ("all", "", 1)];
    ///     Ok(limiter.acquire_all(&items).await?.allowed)
    /// }
    /// ```
    pub async fn acquire_all<K: AsRef<[u8]>>(
        &self,
        items: &[(&str, K, u64)],
    ) -> Result<JointDecision, AcquireError> {
        self.ask_all(items, None).await
    }

    /// Says what taking `amount` units would come to, and takes nothing; of permits too. An amount
    /// of 0 is answered as 1.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], `Overloaded` as well: a key for which there is no room is
    /// refused here as it would be there, or let through if that was chosen
    /// ([`RateLimiter::at_capacity`]).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has changed nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn left(limiter: &RateLimiter, user: &str) -> Result<u64, AcquireError> {
    ///     Ok(limiter.peek("api", user, 1).await?.remaining)
    /// }
    /// ```
    pub fn peek(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> impl Future<Output = Result<Decision, AcquireError>> {
        self.ask(limit, key, Request::new(Operation::Peek, amount), Asking::default())
    }

    /// Takes `amount` units that have been used already, whether there is room for them or not:
    /// what is beyond the limit is waited for, or lasts until the window ends. An amount of 0 takes
    /// nothing and says how the key stands.
    ///
    /// Of an amount that is more than a cell can count as much is taken as it can, which
    /// [`granted`](Decision::granted) says: under a sliding window less than 2^47 units in a part
    /// of its length.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], but for `NeverAdmitted`.
    ///
    /// # Cancel safety
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// Counts what a request has cost, which is known only now.
    /// async fn used(limiter: &RateLimiter, user: &str, tokens: u64) -> Result<(), AcquireError> {
    ///     limiter.debit("tokens", user, tokens).await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn debit(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> impl Future<Output = Result<Decision, AcquireError>> {
        self.ask(limit, key, Request::new(Operation::Debit, amount), Asking::default())
    }

    /// Gives back units of the present window, or of a rate, and no more than were taken and have
    /// not flowed back; `granted` says how many. Of a sliding window those of its present slice
    /// come first, and then the oldest that count. Where a window, or the slice, may have ended
    /// since they were taken use [`RateLimiter::refund_of`]. An amount of 0 gives nothing back and
    /// says how the key stands.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], but for `NeverAdmitted`.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have given the units back.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn failed(limiter: &RateLimiter, user: &str) -> Result<u64, AcquireError> {
    ///     Ok(limiter.refund("api", user, 1).await?.granted)
    /// }
    /// ```
    pub fn refund(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> impl Future<Output = Result<Decision, AcquireError>> {
        self.ask(
            limit,
            key,
            Request::new(Operation::Refund { window_ms: None }, amount),
            Asking::default(),
        )
    }

    /// Gives back units that an earlier decision on this key took, and no more than those: nothing
    /// if it denied, or if its window has ended.
    ///
    /// Units that were taken before a reset of the key were given back by that: given back once
    /// more they are taken off what others have taken in the same window, or of a sliding window
    /// since.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::refund`].
    ///
    /// # Cancel safety
    ///
    /// As [`RateLimiter::refund`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn send(limiter: &RateLimiter, user: &str) -> Result<(), AcquireError> {
    ///     let taken = limiter.acquire("mail", user, 5).await?;
    ///     let sent = 3;
    ///     limiter.refund_of("mail", user, 5 - sent, &taken).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn refund_of(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
        taken: &Decision,
    ) -> Result<Decision, AcquireError> {
        let since = |window: SystemTime| window.duration_since(SystemTime::UNIX_EPOCH).ok();
        let window_ms = taken.window.and_then(since).map(|since| since.as_millis() as u64);
        let operation = Operation::Refund { window_ms };
        // What it did not take somebody else did.
        let amount = if taken.counted { amount.min(taken.granted) } else { 0 };
        self.ask(limit, key, Request::new(operation, amount), Asking::default()).await
    }

    /// Forgets what was taken of a key: its bucket is full, or its window empty. What is reserved
    /// of it is forgotten too, and counts by what was used when it is committed.
    ///
    /// Its cell stays until it would have expired without: one of a counter
    /// ([`Limit::counter`](crate::Limit::counter)) for good.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], but for `NeverAdmitted`.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have reset the key.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// After a successful login wrong passwords do not count any more.
    /// async fn logged_in(limiter: &RateLimiter, user: &str) -> Result<(), AcquireError> {
    ///     limiter.reset("login", user).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn reset(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
    ) -> Result<Decision, AcquireError> {
        let limit = self.look_up(limit)?;
        let key = self.key(limit, key.as_ref())?;
        let reserved = SideCell::Reserved.key(&[key.as_ref()]);
        let reset = Request::new(Operation::Reset, 0);
        let decided = self.peer.decide(&[reset.item(key.as_ref()), reserved.item()]).await;
        self.account(limit, reset, decided, false)
    }
}
