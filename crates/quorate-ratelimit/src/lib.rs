//! Exact rate limits that a group of peers shares.
//!
//! A service names its limits, links a [`Peer`](quorate::Peer), and asks [`RateLimiter`]. Whichever
//! peer is asked, an amount is decided once for the whole group, and the counts survive the loss of
//! a minority of peers. A denial is a value; an error says that nothing was decided, and why.
//!
//! ```text
//!  Limits ── named Limit: a rate (token bucket), a window, fixed or sliding, or a counter
//!    │ model()                          │ key(limit, key)
//!    ▼                                  ▼
//!  RateLimitModel ── Peer ◀── RateLimiter::acquire(limit, key, amount) ──▶ Decision
//!  pure: cells, group time ─▶ cells, answer
//! ```
//!
//! # Examples
//!
//! One of three peers; with the other two it is the same but for its name:
//!
//! ```no_run
//! use quorate::Peer;
//! use quorate_ratelimit::{Limit, Limits, RateLimiter};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = Limits::builder()
//!     .limit("api", Limit::per_second(100).burst(50)) // 100 each second
//!     .build()?;
//! let peer = Peer::builder("a", limits.model())
//!     .members([("a", "127.0.0.1:7101"), ("b", "127.0.0.1:7102"), ("c", "127.0.0.1:7103")])
//!     .start()
//!     .await?;
//! let limiter = RateLimiter::new(peer.clone(), &limits);
//! let decision = limiter.acquire("api", "alice", 1).await?;
//! println!("{} ({} left)", decision.allowed, decision.remaining);
//! // Whenever the service ends: a primary hands over, and nobody waits for the failure timeout.
//! peer.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A group of one, which decides by itself, is enough for a test:
//!
//! ```
//! use std::time::Duration;
//!
//! use quorate::Peer;
//! use quorate::transport::InProcess;
//! use quorate_ratelimit::{Limit, Limits, RateLimiter};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let limits = Limits::builder()
//!     .limit("mail", Limit::window(3, Duration::from_secs(24 * 60 * 60)))
//!     .build()?;
//! let network = InProcess::network();
//! let peer = Peer::builder("a", limits.model())
//!     .members([("a", "a")])
//!     .transport(network.at("a"))
//!     .start()
//!     .await?;
//! peer.wait_ready(Duration::from_secs(5)).await?;
//!
//! let limiter = RateLimiter::new(peer, &limits);
//! let first = limiter.acquire("mail", "alice", 2).await?;
//! assert!(first.allowed && first.remaining == 1);
//! let second = limiter.acquire("mail", "alice", 2).await?;
//! assert!(!second.allowed && second.retry_after.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! See the [`guide`] for which limit when, retries, exactness, and other names of these things.
//!
//! # What is promised
//!
//! - A rate admits at most `burst + rate * T` units of a key in any time T of group time, a window
//!   at most its max, and a sliding window at most its max in any time of its length: exactly,
//!   with whole numbers, from one a day to ten million a second. What that means across failovers
//!   is the core's promise, by mode and acknowledgement.
//! - Whoever waits exactly as long as a decision says is admitted if nobody else has taken anything
//!   meanwhile: to the nanosecond of group time, which a majority of wall clocks steers.
//! - Denied amounts are not counted.
//! - A refund gives back no more than was taken, and of a window only to the window that it was
//!   taken from, of a sliding one to the slice; a debit counts what was used even if there was no
//!   room for it.
//! - Group time that went back, by a failover or a step of a clock, neither opens an older window
//!   nor fills a bucket twice.
//! - What a peer decided alone, in relaxed mode, counts when it is merged as far as it still
//!   matters: not if its window has closed, nor what has flowed back into its bucket since, nor
//!   what one peer took beyond the limit where that was open. The counts of several peers may then
//!   be above the limit: nothing more is admitted until that is paid back.
//! - Permits are never held by more than the max, each from when it was taken or last renewed for a
//!   lease; half a lease later at the latest a place whose holder was not heard of is free.
//! - What is held lapses by time that has passed and by no other: permits, reservations and answers
//!   kept for an idempotency key are not touched where group time jumps because clocks were put
//!   right. Windows and rates go by that time, as they say.
//! - A reservation takes what it was settled by, once, whatever its limit was changed to meanwhile;
//!   what is not settled comes back.
//! - A change of limits keeps what was taken, if that is asked for, and counts from the primary's
//!   next decision on.
//!
//! # Features
//!
//! - `calendar`: windows of days, weeks, months, quarters and years in a time zone ([`Calendar`]).
//! - `metrics`: [`RateLimiter::metrics`] handed to the recorder of the crate `metrics`, on request.
//! - `testing`: a group of peers on virtual time for the tests of your service, `TestGroup`.

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod headers;
mod limit;
mod limiter;
mod model;
mod numbers;
mod rule;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;

pub use headers::{Header, HeaderStyle, Reset, quota_exceeded, retry_after_seconds};
pub use limit::Limit;
pub use limit::bounds::{MAX_LIMIT_NAME_BYTES, MAX_LIMITS};
pub use limit::calendar::{Calendar, StartsOn, Weekday};
pub use limit::error::{LimitError, LimitsError, LimitsErrorKind};
pub use limit::without_primary::WithoutPrimary;
pub use limiter::RateLimiter;
pub use limiter::batch::{Explained, Explanation};
pub use limiter::change::LimitsStatus;
pub use limiter::decision::{Decision, JointDecision};
pub use limiter::full_store::AtCapacity;
pub use limiter::hold_id::{HoldIdError, PermitId, ReservationId};
pub use limiter::idempotent::Idempotent;
pub use limiter::limits_file::{FileChange, LimitsFile};
pub use limiter::permit::PermitAnswer;
pub use limiter::permit_guard::Permit;
pub use limiter::readiness::ReadyError;
pub use limiter::reservation::{RESERVATION_TIME, ReservationAnswer};
pub use model::RateLimitModel;
pub use model::differences::LimitsSource;
pub use model::error::AcquireError;
pub use model::file::{LimitSpec, LimitsSpec};
pub use model::idempotency::{IDEMPOTENCY_TIME, MAX_REPEATS};
pub use model::key::Key;
pub use model::limits::{Limits, LimitsBuilder};
pub use model::policy::Carry;
pub use numbers::alert::{Alert, Alerts};
pub use numbers::counters::{Counts, ErrorCounts};
pub use numbers::held::HeldCounts;
pub use numbers::metric::{Metric, MetricKind, Sample};
pub use numbers::stats::Stats;
pub use numbers::text::METRICS_CONTENT_TYPE;
pub use numbers::top::{Denied, Top, Used};
pub use rule::operation::{Operation, SideOperation};
