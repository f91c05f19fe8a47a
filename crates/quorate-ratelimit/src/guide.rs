//! A guide: which limit when, what it costs, and what it is called elsewhere. Documentation only.
//!
//! # Which limit
//!
//! | you want | use | because |
//! |---|---|---|
//! | a service protected from bursts | `Limit::per_second(n).burst(b)` | steady, without an edge |
//! | "1,000 mails a day" | `Limit::window(1000, day)` | the count and its end are easy to tell |
//! | a billing month in a time zone | `Limit::calendar(1000, calendar)` | days of 23 and 25 hours |
//! | "100 in any minute" | `Limit::sliding(100, minute)` | never more; comes back a little late |
//! | about so many a minute | `Limit::approximate_sliding(n, minute)` | at worst twice as many |
//! | at most so many at once | `Limit::concurrent(8)` | permits, free when their holder dies |
//! | to count, and decide elsewhere | `Limit::counter()` | denies nothing, never begins anew |
//! | to see what a limit would do | the same with `.shadow()` | counts, reports, denies nothing |
//! | several of these together | [`RateLimiter::acquire_all`] | the answer names who refuses |
//!
//! A window of fixed length has an edge, around which twice as much can get through; a sliding one
//! has none, and what is taken comes back late by an eighth of its length at most. Calendars know
//! months without a 31st, weeks from any day, and time zones: `Calendar::month(15).in_zone(..)`.
//!
//! A key is anything of up to 508 bytes: a user, a token, an address, nothing for a limit that all
//! share. Every key has a count of its own under every limit, 128 bytes, until it is full or over
//! again; `Bounds::max_cells` bounds them all, and a key beyond it is refused, never another one
//! forgotten.
//!
//! # Windows that slide
//!
//! | | `Limit::window` | `Limit::sliding` | `Limit::approximate_sliding` |
//! |---|---|---|---|
//! | most in any time of the length | twice the max | the max | twice the max |
//! | at least the max, in | the length | the length and a slice | two lengths |
//! | longest `retry_after` | the length | the length | two lengths |
//! | units come back | at the end of the window | a slice late at most | little by little |
//!
//! A slice is a thirty-second of the length for a max below 8, a sixteenth below 64, and an eighth
//! else; of a max above 4,095 a sixty-third may stay taken for longer, while units are taken. "In
//! any minute" is by group time, which runs as the clocks of a majority do, and a tenth faster
//! while it comes up with them.
//!
//! # Sizing
//!
//! A cell counts 128 bytes, and its key beyond 17 bytes; a permit, a reservation and a call with an
//! idempotency key have one each for as long as they last. A hundred thousand users under two
//! limits are 26 MB at every peer. `Bounds::max_bytes` and `max_cells` bound it, an event comes at
//! 80 %, and [`AtCapacity`](crate::AtCapacity) says what becomes of a new key when it is full. A
//! policy that is changed live holds about 1,300 limits, and fewer while many of them carry what
//! was taken over.
//!
//! # Cost that is known only afterwards
//!
//! Reserve the most that it may be, and commit what it was: the rest comes back, to the window that
//! it was taken from, and if the process dies in between, all of it does.
//!
//! ```
//! use quorate_ratelimit::{AcquireError, RateLimiter};
//!
//! /// Tokens of a model: at most 4,000 an answer, and how many is known when it has been written.
//! async fn answer(limiter: &RateLimiter, user: &str) -> Result<bool, AcquireError> {
//!     let Some(id) = limiter.reserve("tokens", user, 4_000).await?.id else { return Ok(false) };
//!     let used = 1_250;
//!     match limiter.commit(&id, used).await {
//!         // It took more than five minutes: what was reserved has come back by itself.
//!         Err(AcquireError::Ended) => _ = limiter.debit("tokens", user, used).await?,
//!         settled => _ = settled?,
//!     }
//!     Ok(true)
//! }
//! ```
//!
//! Without a reservation: ask for the least that a request costs, and [`RateLimiter::debit`] the
//! rest when it is known. It is counted even where there is no room for it, and the next ones wait
//! for it. Or ask for the most, and give back what was not used by [`RateLimiter::refund_of`],
//! which takes the decision and knows the window that the units were of; if the process dies in
//! between, they stay taken.
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
//! # So many at once
//!
//! ```
//! use quorate_ratelimit::{AcquireError, RateLimiter};
//!
//! /// One import of a customer at a time, whichever instance it runs at.
//! async fn import(limiter: &RateLimiter, customer: &str) -> Result<bool, AcquireError> {
//!     let Some(permit) = limiter.permit("imports", customer).await?.permit else {
//!         return Ok(false);
//!     };
//!     tokio::select! {
//!         () = do_it() => {}
//!         // This peer has not reached the group for a lease: somebody else may be at it now.
//!         () = permit.lost() => {}
//!     }
//!     Ok(true)
//! }
//! # async fn do_it() {}
//! ```
//!
//! A guard renews its permit every third of the lease, at any primary, and gives it back when it is
//! dropped. When its process dies the place is free within one and a half leases. Clocks that are
//! put right end no lease, and [`Permit::is_lost`] says that one is over before anybody else may
//! have the place, also right after the machine was suspended; a virtual machine whose clocks were
//! stopped with it cannot know. What may not be done twice, not even for a moment, should also
//! check the permit's id where it is done: [`PermitId`] fences.
//!
//! Ids of permits and of reservations are bearer tokens: whoever has one can give back, renew or
//! settle what it names, and who has none can guess none. Hand them to nobody else, and keep them
//! out of logs, as their `Debug` does; they have the caller's key in them, readable.
//!
//! # Changing limits
//!
//! Limits in code are those of the group until somebody changes them, by
//! [`RateLimiter::change_limits`] at any peer or by a watched file; from then on the group's count,
//! and a peer whose code, or file, has others is told so in its log and by
//! [`RateLimiter::limits_status`]. Who wins, and how files alone decide: [`LimitsFile`].
//!
//! | [`Carry`] | 80 of 100 used; the limit becomes 200 |
//! |---|---|
//! | `Keep` | 80 of 200 |
//! | `Proportional` | 160 of 200 |
//! | `Reset` | 0 of 200 |
//!
//! Units kept in another rate, length or kind count there as if they had been taken at the moment
//! of the change; where only the max of a window changes, units keep their time.
//!
//! Permits and reservations survive a change. A reservation is settled by what was used, to the
//! unit, however what it had taken was carried over; permits stay held, and are counted by the new
//! max, whatever the rule. Two things are exempt: of a limit that becomes another rate, length or
//! kind what was reserved stays taken, and permits are not carried into another lease, which needs
//! `Reset` and gives up those that are held.
//!
//! A limit that stays as it is keeps its counts in any case. A raised limit works at once; a
//! lowered one admits nothing until what is used is below it again. To go back to what the code
//! says, change to that.
//!
//! # Thresholds
//!
//! `Limit::per_day(1000).alert_at(80).alert_at(100)` tells [`RateLimiter::alerts`] once when a key
//! crosses 80 %, at the peer whose call it was, and not again after a failover. What is decided by
//! a share without a primary, and what is merged afterwards, crosses nothing. Of a bucket, which
//! fills all the time, a key that goes up and down crosses more than once.
//!
//! # Retries
//!
//! A call that ends with `DecideError::OutcomeUnknown` may have been counted. Tried again by itself
//! it may be counted twice; with [`RateLimiter::idempotency_key`] it is counted once, and the retry
//! gets the first answer, at any peer and across a failover, for ten minutes. A call that was
//! refused wrote nothing, and can be tried again in any case.
//!
//! Such an answer has `Decision::repeated`. It says that the units were taken before, by the same
//! request, and not that there was room for another one: a caller who may choose the key passes a
//! limit as often as it sends the same one again. So make the key of something that is yours (a
//! job, a payment, a number drawn when the request came in), never of a field of a request whose
//! sender is being limited. If it has to come from outside, put who sends it in front,
//! authenticated, and let `repeated` return the first result instead of doing the work anew. An
//! answer is given again [`MAX_REPEATS`] times, which is more than failures ask for, and bounds
//! what a mistake here costs: after that the call is denied, with `repeated` as well, for it is the
//! key that is used up and not the limit.
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
//! | strict, `Acknowledge::Majority` | nothing | a round trip between peers | money, logins |
//! | strict, `Acknowledge::Primary` | `max_unreplicated` units at most | nothing | protection |
//! | relaxed | as above | nothing | what must go on, whatever happens |
//!
//! Lost units are reported. In relaxed mode a peer without a primary decides on its local copy.
//! [`Decision::basis`](crate::Decision::basis) says which of them an answer was.
//!
//! # Without a primary
//!
//! Each limit may say for itself what a peer does that has no primary, whatever the group's mode
//! is:
//!
//! | [`WithoutPrimary`] | meanwhile | the group's excess in one outage |
//! |---|---|---|
//! | `Refuse` | refused at once | none |
//! | `Share` of three tenths | each such peer admits three tenths | at most that for each of them |
//! | `Open` | everything is admitted, and counted | whatever came |
//! | `AsGroup` in a relaxed group | decided on the local copy | the limit, for each of them |
//!
//! Limits that are asked for together, by `acquire_all` or as the rules of a layer of
//! `quorate-tower`, are refused together as well: one that refuses, and in a strict group one
//! `AsGroup`, leaves the `Share` or `Open` of the others without effect. So say it of all of them.
//!
//! Whatever was decided alone is merged when there is a primary, and counts as far as it still
//! matters; of an `Open` limit each peer's part counts up to the limit. Reservations are refused
//! meanwhile, whatever the limit says. A permit that the group has given is not renewed alone: its
//! holder is told when its lease ends. New permits of an `Open` limit are bounded by its max all
//! the same.
//!
//! Refused, that is in strict mode `acquire` is an error then, at once: answer 503 with a
//! `Retry-After` of a second or two, not 429, for the caller has done nothing wrong. Nothing was
//! counted.
//!
//! ```
//! use quorate_ratelimit::{AcquireError, RateLimiter};
//!
//! /// The status of a response and its `Retry-After` in seconds.
//! async fn gate(limiter: &RateLimiter, user: &str) -> (u16, Option<u64>) {
//!     match limiter.acquire("api", user, 1).await {
//!         Ok(decision) if decision.allowed => (200, None),
//!         // Rounded up: a client that comes then is not early.
//!         Ok(decision) => {
//!             let wait = decision.retry_after.unwrap_or_default();
//!             (429, Some(wait.as_millis().div_ceil(1000) as u64))
//!         }
//!         Err(error) if error.is_retryable() => (503, Some(1)),
//!         // Counted or not, nobody knows; or a limit that is not there.
//!         Err(AcquireError::Undecided(_)) => (503, None),
//!         Err(_) => (500, None),
//!     }
//! }
//! ```
//!
//! # Rolling out
//!
//! One peer after the other: ask [`Peer::safe_to_stop`](quorate::Peer::safe_to_stop) before one is
//! stopped, and wait for [`Peer::wait_counted`](quorate::Peer::wait_counted) when it has started
//! again before the next. `wait_ready` is too early for that: calls are answered, by the primary,
//! long before a restarted peer counts. A group of two stands while one of them is away, whatever
//! is asked.
//!
//! # Moving from something else
//!
//! | there | here |
//! |---|---|
//! | governor `Quota::per_second(n).allow_burst(b)` | `Limit::per_second(n).burst(b)` |
//! | governor `check_key`, `until_key_ready` | [`RateLimiter::acquire`], [`RateLimiter::wait`] |
//! | Redis `INCR` and `EXPIRE` | `Limit::window(max, length)` |
//! | Redis sliding window by two counters | `Limit::approximate_sliding(max, length)` |
//! | Redis sliding window by a sorted set | `Limit::sliding(max, length)` |
//! | Redis `INCR`, `DECRBY` without expiry | `Limit::counter()`, `debit`, `refund` |
//! | Gubernator `TOKEN_BUCKET`, `LEAKY_BUCKET` | `Limit::window`, `Limit::per_second`, .. |
//! | Gubernator hits 0; negative hits | [`RateLimiter::peek`]; [`RateLimiter::refund`] |
//! | Gubernator `RESET_REMAINING` | [`RateLimiter::reset`] |
//! | gateways `rateCreate(key, tokens, interval)` | `Limit::window(tokens, interval)` |
//! | gateways `rateCreate`, of type rolling | `Limit::sliding(tokens, interval)` |
//! | gateways `tokenbucketCreate(key, size, tokens, ..)` | `Limit::per(tokens, ..).burst(size)` |
//! | gateways `countCreate` | `Limit::counter()` |
//! | gateways `add`, `sub`, `count` | `debit`, `refund`, `peek` and `Decision::used` |
//! | gateways `concurrentCreate` | `Limit::concurrent(n)` |
//! | gateways `increment`, `decrement` | [`RateLimiter::permit`], dropped |
//! | Gubernator `DRAIN_OVER_LIMIT` | [`RateLimiter::acquire_up_to`] |
//! | Redis `SET key id NX PX`, renewed | `Limit::concurrent(1)`, [`RateLimiter::permit`] |
//! | a counter corrected afterwards | [`RateLimiter::reserve`], [`RateLimiter::commit`] |
//!
//! # In tests
//!
//! With the feature `testing`, `testing::TestGroup` is a group of peers on virtual time. Under
//! `#[tokio::test(start_paused = true)]` nothing takes any time: neither a failover, nor an hour,
//! nor the month until a window of the calendar turns.
//!
//! ```toml
//! [dev-dependencies]
//! quorate-ratelimit = { .., features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! ```
//! # #[cfg(all(feature = "testing", feature = "calendar"))]
//! # mod test {
//! use quorate::{Acknowledge, PeerBuilder};
//! use quorate_ratelimit::testing::{TestGroup, utc};
//! use quorate_ratelimit::{Calendar, Limit, Limits};
//!
//! type Test = Result<(), Box<dyn std::error::Error>>;
//!
//! fn plans(max: u64) -> Result<Limits, quorate_ratelimit::LimitsError> {
//!     Limits::builder().limit("plan", Limit::calendar(max, Calendar::month(1))).build()
//! }
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # pub(crate)
//! async fn a_plan_is_used_up_and_is_whole_again_next_month() -> Test {
//!     let acknowledge = Acknowledge::Majority;
//!     let group = TestGroup::builder(&plans(1_000)?)
//!         .starting_at(utc("2026-01-31T23:50:00Z"))
//!         .setup(move |peer: PeerBuilder| peer.acknowledge(acknowledge));
//!     let mut group = group.start().await?;
//!     group.client("web").await?;                  // as a service that holds nothing itself
//!     assert!(group.limiter("web").acquire("plan", "alice", 1_000).await?.allowed);
//!
//!     group.kill(&group.primary().await);
//!     group.primary().await;                       // there is another one, which counts on:
//!     assert!(!group.limiter("web").acquire("plan", "alice", 1).await?.allowed);
//!
//!     group.pass_until(utc("2026-02-01T00:00:01Z")).await;
//!     assert!(group.limiter("web").acquire("plan", "alice", 1).await?.allowed);
//!     Ok(())
//! }
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # pub(crate)
//! async fn a_larger_plan_is_rolled_out() -> Test {
//!     let mut group = TestGroup::builder(&plans(1_000)?).start().await?;
//!     group.join("d").await?;
//!     for name in ["a", "b", "c", "d"] {
//!         group.roll_out(name, &plans(2_000)?).await?;
//!     }
//!     assert_eq!(group.limiter("a").peek("plan", "alice", 1).await?.limit, 2_000);
//!     Ok(())
//! }
//! # }
//! # fn main() {
//! # #[cfg(all(feature = "testing", feature = "calendar"))]
//! # for test in [0, 1] {
//! #     let mut runtime = tokio::runtime::Builder::new_current_thread();
//! #     let runtime = runtime.enable_all().start_paused(true).build().unwrap();
//! #     let ended = runtime.block_on(async {
//! #         match test {
//! #             0 => test::a_plan_is_used_up_and_is_whole_again_next_month().await,
//! #             _ => test::a_larger_plan_is_rolled_out().await,
//! #         }
//! #     });
//! #     ended.unwrap();
//! # }
//! # }
//! ```
//!
//! [`Carry`]: crate::Carry
//! [`MAX_REPEATS`]: crate::MAX_REPEATS
//! [`PermitId`]: crate::PermitId
//! [`WithoutPrimary`]: crate::WithoutPrimary
//! [`RateLimiter::acquire_up_to`]: crate::RateLimiter::acquire_up_to
//! [`RateLimiter::alerts`]: crate::RateLimiter::alerts
//! [`RateLimiter::change_limits`]: crate::RateLimiter::change_limits
//! [`RateLimiter::commit`]: crate::RateLimiter::commit
//! [`LimitsFile`]: crate::LimitsFile
//! [`RateLimiter::limits_status`]: crate::RateLimiter::limits_status
//! [`RateLimiter::permit`]: crate::RateLimiter::permit
//! [`RateLimiter::reserve`]: crate::RateLimiter::reserve
//! [`RateLimiter::acquire`]: crate::RateLimiter::acquire
//! [`RateLimiter::acquire_all`]: crate::RateLimiter::acquire_all
//! [`RateLimiter::debit`]: crate::RateLimiter::debit
//! [`RateLimiter::idempotency_key`]: crate::RateLimiter::idempotency_key
//! [`RateLimiter::peek`]: crate::RateLimiter::peek
//! [`RateLimiter::refund`]: crate::RateLimiter::refund
//! [`RateLimiter::refund_of`]: crate::RateLimiter::refund_of
//! [`Permit::is_lost`]: crate::Permit::is_lost
//! [`RateLimiter::reset`]: crate::RateLimiter::reset
//! [`RateLimiter::wait`]: crate::RateLimiter::wait
