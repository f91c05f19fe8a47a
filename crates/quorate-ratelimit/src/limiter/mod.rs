//! The handle that an application asks.

pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod decision;
pub(crate) mod follow_up;
pub(crate) mod full_store;
pub(crate) mod hold_id;
pub(crate) mod idempotent;
pub(crate) mod limits_file;
pub(crate) mod observe;
pub(crate) mod permit;
pub(crate) mod permit_guard;
pub(crate) mod read;
pub(crate) mod readiness;
pub(crate) mod reservation;
pub(crate) mod wait;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quorate::{Item, MAX_ITEMS, Peer};
use tokio::time::Instant;

use crate::limiter::decision::{Decision, JointDecision};
use crate::limiter::full_store::AtCapacity;
use crate::model::RateLimitModel;
use crate::model::current::CurrentLimits;
use crate::model::error::AcquireError;
use crate::model::idempotency;
use crate::model::key::{Key, KeyBuffer};
use crate::model::limits::Limits;
use crate::model::side_cell::SideCell;
use crate::numbers::alert::AlertSender;
use crate::numbers::counters::Counters;
use crate::numbers::denials::Denials;
use crate::rule::operation::Operation;

/// Decides by the limits of a group, at any of its peers. Cheap to clone.
///
/// # Examples
///
/// See the [crate](crate#examples).
#[derive(Clone)]
pub struct RateLimiter {
    peer: Peer,
    /// What the code says: names are looked up here first.
    code: Limits,
    current: Arc<CurrentLimits>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    at_capacity: AtCapacity,
}

/// What a limiter and its clones share.
struct Shared {
    alerts: AlertSender,
    denials: Denials,
}

impl RateLimiter {
    /// Asks `peer`, which was started with [`Limits::model`] of the same limits.
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
        let (code, shared, at_capacity) = (limits.clone(), Arc::new(shared), AtCapacity::default());
        Self { peer, code, current, shared, counters, at_capacity }
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

    /// The limits that this peer decides by, which are the group's: those of its code until they were
    /// first changed.
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
    /// /// Whether the group decides by something else.
    /// fn is_changed(limiter: &RateLimiter) -> bool {
    ///     limiter.code().to_string() != limiter.limits().to_string()
    /// }
    /// ```
    #[inline]
    pub fn code(&self) -> &Limits {
        &self.code
    }

    /// The name of the limit that a key is of, or was; empty if this peer has none for it.
    pub(crate) fn name_of(&self, key: &[u8]) -> String {
        let present = self.current.load();
        let named = present.of(key).or_else(|| self.code.table.of(key));
        named.map_or_else(String::new, |named| named.name.to_string())
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
    pub async fn acquire(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        // By itself: a call through another future costs a tenth of the decision.
        let mut room = KeyBuffer::default();
        let named = self.named(limit)?;
        let key = self.fill(&mut room, named, key.as_ref())?;
        let item = Item { key, args: [amount, 0] };
        let decided = self.peer.decide_by(&[item], named.reading, None).await;
        let decision = self.read(named, Operation::Acquire, amount, decided)?;
        if decision.is_unusual() {
            if decision.has_more() {
                let operation = Operation::Acquire;
                return Box::pin(self.follow_up(decision, named, operation, item, None)).await;
            }
            self.denials().note(item.key);
        }
        Ok(decision)
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
    /// use std::time::{Duration, SystemTime};
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
        let mut room = KeyBuffer::default();
        let named = self.named(limit)?;
        let key = self.fill(&mut room, named, key.as_ref())?;
        let item = Item { key, args: [amount, 0] };
        let until = Instant::now() + timeout;
        let decided = self.peer.decide_by(&[item], named.reading, Some(timeout)).await;
        let decision = self.read(named, Operation::Acquire, amount, decided)?;
        if decision.is_unusual() {
            if decision.has_more() {
                let operation = Operation::Acquire;
                let rest = until.saturating_duration_since(Instant::now());
                return Box::pin(self.follow_up(decision, named, operation, item, Some(rest)))
                    .await;
            }
            self.denials().note(item.key);
        }
        Ok(decision)
    }

    /// Takes as many of `amount` units as there are; denied only if there is none. `granted` says how
    /// many. An amount of 0 is a peek, as of [`RateLimiter::acquire`].
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
    /// /// How many of these lines may be sent now.
    /// async fn batch(limiter: &RateLimiter, lines: u64) -> Result<u64, AcquireError> {
    ///     Ok(limiter.acquire_up_to("mail", "alice", lines).await?.granted)
    /// }
    /// ```
    pub async fn acquire_up_to(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::AcquireUpTo).await
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
    /// async fn check(limiter: &RateLimiter, user: &str, bytes: u64) -> Result<bool, AcquireError> {
    ///     let items = [("requests", user, 1), ("bytes", user, bytes), ("all", "", 1)];
    ///     Ok(limiter.acquire_all(&items).await?.allowed)
    /// }
    /// ```
    pub async fn acquire_all<K: AsRef<[u8]>>(
        &self,
        items: &[(&str, K, u64)],
    ) -> Result<JointDecision, AcquireError> {
        self.together(items, None).await
    }

    /// Asks for several amounts together, with an idempotency key or without.
    pub(crate) async fn together<K: AsRef<[u8]>>(
        &self,
        items: &[(&str, K, u64)],
        id: Option<&[u8]>,
    ) -> Result<JointDecision, AcquireError> {
        if id.is_some_and(<[u8]>::is_empty) {
            return Err(self.failed(None, AcquireError::EmptyIdempotencyKey));
        }
        // One place is the record's.
        let keys = self.keys_of(items, MAX_ITEMS - usize::from(id.is_some()))?;
        let argument = Operation::Acquire.argument();
        let asked = keys.iter().zip(items);
        let mut asked: Vec<_> = asked
            .map(|(key, (_, _, amount))| Item { key: key.as_ref(), args: [*amount, argument] })
            .collect();
        let record = id.map(|id| idempotency::key(id, &asked));
        asked.extend(record.as_ref().map(|key| Item { key, args: [0, 0] }));
        let told: Vec<_> = items.iter().map(|(limit, _, amount)| (*limit, *amount)).collect();
        let decided = self.peer.decide(&asked).await;
        let decision = self.read_together(&told, decided, false)?;
        self.follow_up_joint(decision, items, &asked, &keys).await
    }

    /// Says what taking `amount` units would come to, and takes nothing; of permits too. An amount
    /// of 0 is answered as 1.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`], `Overloaded` as well: a key for which there is no room is refused
    /// here as it would be there, or let through if that was chosen
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
    pub async fn peek(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::Peek).await
    }

    /// Takes `amount` units that have been used already, whether there is room for them or not: what
    /// is beyond the limit is waited for, or lasts until the window ends. An amount of 0 takes
    /// nothing and says how the key stands.
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
    /// /// What a request cost is known only now.
    /// async fn used(limiter: &RateLimiter, user: &str, tokens: u64) -> Result<(), AcquireError> {
    ///     limiter.debit("tokens", user, tokens).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn debit(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::Debit).await
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
    pub async fn refund(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        self.call(limit, key.as_ref(), amount, Operation::Refund { window_ms: None }).await
    }

    /// Gives back units that an earlier decision on this key took, and no more than those: nothing
    /// if it denied, or if its window has ended.
    ///
    /// What was taken before a reset of the key was given back by that: given back once more it is
    /// taken off what others have taken in the same window, or of a sliding window since.
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
        // What it did not take somebody else did.
        let amount = if taken.counted { amount.min(taken.granted) } else { 0 };
        self.call(limit, key.as_ref(), amount, Operation::Refund { window_ms }).await
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
        let named = self.named(limit)?;
        let key = self.key(named, key.as_ref())?;
        let holds = SideCell::Reserved.key(&[key.as_ref()]);
        let items = [
            Item { key: key.as_ref(), args: [0, Operation::Reset.argument()] },
            Item { key: &holds, args: [0, 0] },
        ];
        self.read(named, Operation::Reset, 0, self.peer.decide(&items).await)
    }

    /// The keys of items that are asked for together.
    fn keys_of<K: AsRef<[u8]>>(
        &self,
        items: &[(&str, K, u64)],
        max: usize,
    ) -> Result<Vec<Key>, AcquireError> {
        let (count, failed) = (items.len(), |error| self.failed(None, error));
        if count == 0 || count > max {
            return Err(failed(AcquireError::Items { count, max }));
        }
        let mut keys = Vec::with_capacity(count);
        for (limit, key, _) in items {
            let key = Key::new(self.named(limit)?.id, key.as_ref()).map_err(failed)?;
            if keys.contains(&key) {
                return Err(failed(AcquireError::Twice { limit: (*limit).to_owned() }));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    async fn call(
        &self,
        limit: &str,
        key: &[u8],
        amount: u64,
        operation: Operation,
    ) -> Result<Decision, AcquireError> {
        let mut room = KeyBuffer::default();
        let named = self.named(limit)?;
        let key = self.fill(&mut room, named, key)?;
        let item = Item { key, args: [amount, operation.argument()] };
        let decided = self.peer.decide_by(&[item], named.reading, None).await;
        let decision = self.read(named, operation, amount, decided)?;
        if decision.is_unusual() {
            if decision.has_more() {
                return Box::pin(self.follow_up(decision, named, operation, item, None)).await;
            }
            // Whoever only looks is not denied.
            if operation != Operation::Peek {
                self.denials().note(item.key);
            }
        }
        Ok(decision)
    }
}
