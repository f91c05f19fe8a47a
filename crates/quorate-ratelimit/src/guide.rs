//! A guide: which limit when, what it costs, and what it is called elsewhere. Documentation only.
//!
//! # Which limit
//!
//! | you want | use | because |
//! |---|---|---|
//! | to protect a service from bursts | `Limit::per_second(n).burst(b)` | steady, no edge at which twice as much gets through |
//! | "1,000 mails a day", told to customers | `Limit::window(1000, day)` | the count and its end are easy to tell |
//! | a billing month, a week from Sunday, in a time zone | `Limit::calendar(1000, Calendar::month(15).in_zone(..))` | days of 23 and 25 hours, months without a 31st |
//! | "100 in any minute", without the edge | `Limit::sliding(100, minute)` | two counters; its bound is stated there |
//! | to count, and decide elsewhere | `Limit::counter()` | denies nothing, never begins anew |
//! | to see what a limit would do | the same with `.shadow()` | counts, reports, denies nothing |
//! | several of these for one request | [`RateLimiter::acquire_all`] | all or nothing; the answer names who refuses |
//!
//! A key is anything of up to 508 bytes: a user, a token, an address, nothing for a limit that all
//! share. Every key has a count of its own under every limit, about 100 bytes, until it is full or over
//! again; `Bounds::max_cells` bounds them all, and a key beyond it is refused, never another one
//! forgotten.
//!
//! # Cost that is known only afterwards
//!
//! Ask for the least that a request costs, and [`RateLimiter::debit`] the rest when it is known: it is
//! counted even where there is no room for it, and the next ones wait for it. Or ask for the most, and
//! give back what was not used by [`RateLimiter::refund_of`], which takes the decision and knows the
//! window that the units were of.
//!
//! ```
//! use quorate_ratelimit::{AcquireError, RateLimiter};
//!
//! /// Tokens of a model: at most 4,000 an answer, and how many is known when it has been written.
//! async fn answer(limiter: &RateLimiter, user: &str) -> Result<Option<u64>, AcquireError> {
//!     let taken = limiter.acquire("tokens", user, 4_000).await?;
//!     if !taken.allowed {
//!         return Ok(None);
//!     }
//!     let used = 1_250;
//!     limiter.refund_of("tokens", user, 4_000 - used, &taken).await?;
//!     Ok(Some(used))
//! }
//! ```
//!
//! # Retries
//!
//! A call that ends with `DecideError::OutcomeUnknown` may have been counted. Tried again by itself it
//! may be counted twice; with [`RateLimiter::idempotency_key`] it is counted once, and the retry gets
//! the first answer, at any peer and across a failover, for ten minutes. A call that was refused wrote
//! nothing, and can be tried again in any case.
//!
//! ```
//! use quorate::DecideError;
//! use quorate_ratelimit::{AcquireError, RateLimiter};
//!
//! /// Charged once, whatever happens in between; `order` is the order's id.
//! async fn charge(limiter: &RateLimiter, order: &str) -> Result<bool, AcquireError> {
//!     let once = limiter.idempotency_key(order);
//!     match once.acquire("orders", "alice", 1).await {
//!         Err(AcquireError::Undecided(DecideError::OutcomeUnknown { .. })) => {
//!             let again = limiter.idempotency_key(order);
//!             Ok(again.acquire("orders", "alice", 1).await?.allowed)
//!         }
//!         decided => Ok(decided?.allowed),
//!     }
//! }
//! ```
//!
//! # Exactness and its price
//!
//! | group | a failover loses | an answer waits for | use it for |
//! |---|---|---|---|
//! | strict, `Acknowledge::Majority` | nothing | a round trip between peers | money, logins, what a contract says |
//! | strict, `Acknowledge::Primary` | at most `max_unreplicated` units, reported | nothing | protection of a service |
//! | relaxed | as above | nothing; without a primary it is decided on the local copy | what must go on, whatever happens |
//!
//! [`Decision::basis`](crate::Decision::basis) says which of them an answer was.
//!
//! # Without a primary
//!
//! In strict mode `acquire` is an error then, at once: answer 503 with a `Retry-After` of a second or
//! two, not 429, for the caller has done nothing wrong. Nothing was counted.
//!
//! ```
//! use quorate_ratelimit::{AcquireError, RateLimiter};
//!
//! /// The status of a response and its `Retry-After` in seconds.
//! async fn gate(limiter: &RateLimiter, user: &str) -> (u16, Option<u64>) {
//!     match limiter.acquire("api", user, 1).await {
//!         Ok(decision) if decision.allowed => (200, None),
//!         // Rounded up: a client that comes then is not early.
//!         Ok(decision) => (429, decision.retry_after.map(|wait| wait.as_millis().div_ceil(1000) as u64)),
//!         Err(error) if error.is_retryable() => (503, Some(1)),
//!         // Counted or not, nobody knows; or a limit that is not there.
//!         Err(AcquireError::Undecided(_)) => (503, None),
//!         Err(_) => (500, None),
//!     }
//! }
//! ```
//!
//! # Moving from something else
//!
//! | there | here |
//! |---|---|
//! | governor `Quota::per_second(n).allow_burst(b)` | `Limit::per_second(n).burst(b)` |
//! | governor `check_key`, `until_key_ready` | [`RateLimiter::acquire`], [`RateLimiter::wait`] |
//! | Redis `INCR` and `EXPIRE` | `Limit::window(max, length)` |
//! | Redis sliding window by two counters | `Limit::sliding(max, length)` |
//! | Redis `INCR`, `DECRBY` without expiry | `Limit::counter()`, [`RateLimiter::debit`], [`RateLimiter::refund`] |
//! | Gubernator `TOKEN_BUCKET`, `LEAKY_BUCKET` | `Limit::window`, `Limit::per_second` and its like |
//! | Gubernator hits 0; negative hits; `RESET_REMAINING` | [`RateLimiter::peek`]; [`RateLimiter::refund`]; [`RateLimiter::reset`] |
//! | gateways `rateCreate(key, tokens, interval)` | `Limit::window(tokens, interval)`; of type rolling `Limit::sliding` |
//! | gateways `tokenbucketCreate(key, size, tokens, interval)` | a rate of `tokens` per `interval` with `burst(size)` |
//! | gateways `countCreate`, `add`, `sub`, `count` | `Limit::counter()`, `debit`, `refund`, `peek` and `Decision::used` |
//! | gateways `concurrentCreate` | not in this version |
//!
//! # In tests
//!
//! With the feature `testing`, `testing::TestGroup` is a group on virtual time: kill its primary, cut its links,
//! let a minute pass, and none of it takes any time.
//!
//! [`RateLimiter::acquire`]: crate::RateLimiter::acquire
//! [`RateLimiter::acquire_all`]: crate::RateLimiter::acquire_all
//! [`RateLimiter::debit`]: crate::RateLimiter::debit
//! [`RateLimiter::idempotency_key`]: crate::RateLimiter::idempotency_key
//! [`RateLimiter::peek`]: crate::RateLimiter::peek
//! [`RateLimiter::refund`]: crate::RateLimiter::refund
//! [`RateLimiter::refund_of`]: crate::RateLimiter::refund_of
//! [`RateLimiter::reset`]: crate::RateLimiter::reset
//! [`RateLimiter::wait`]: crate::RateLimiter::wait
