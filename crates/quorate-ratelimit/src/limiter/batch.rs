//! Several questions at once, each with an answer of its own.

use std::fmt;
use std::pin::Pin;
use std::task::Poll;

use crate::limit::Limit;
use crate::limit::duration::Wait;
use crate::limiter::RateLimiter;
use crate::limiter::decision::Decision;
use crate::model::error::AcquireError;

/// The answers of all limits that apply to a request; nothing was taken.
///
/// Its text has a line for each: worth a log line when a caller asks why it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// One for each item that was asked about, in that order.
    pub items: Vec<Explained>,
}

/// The answer of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// The limit's name.
    pub name: String,
    /// The limit; `None` if this peer knows none of that name.
    pub limit: Option<Limit>,
    /// The amount that was asked about.
    pub amount: u64,
    /// The decision that it would come to, or why that is not known.
    pub decision: Result<Decision, AcquireError>,
}

impl Explanation {
    /// Returns true if all would admit it.
    pub fn is_allowed(&self) -> bool {
        self.items.iter().all(|item| item.decision.as_ref().is_ok_and(|decision| decision.allowed))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            let new_line = if index > 0 { "\n" } else { "" };
            write!(f, "{new_line}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, limit, amount, decision } = self;
        write!(f, "{name}: ")?;
        if let Some(limit) = limit {
            write!(f, "{limit}: ")?;
        }
        match decision {
            Err(error) => write!(f, "{error}"),
            Ok(Decision { retry_after: Some(wait), remaining, .. }) => {
                write!(f, "refuses {amount}, {remaining} left; try in {}", Wait(*wait))
            }
            Ok(Decision { shadow: true, remaining, .. }) => {
                write!(f, "would refuse {amount}, {remaining} left, and is a shadow")
            }
            Ok(Decision { remaining, .. }) => write!(f, "admits {amount}, {remaining} left"),
        }
    }
}

impl RateLimiter {
    /// Asks for several amounts, each by itself: some may be admitted and others denied. They are
    /// decided at once, in no order; for all or none use [`RateLimiter::acquire_all`].
    ///
    /// # Errors
    ///
    /// Each has an answer of its own, in the order of the items; see [`RateLimiter::acquire`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have taken any of the amounts.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// async fn admitted(limiter: &RateLimiter, users: &[&str]) -> usize {
    ///     let items: Vec<_> = users.iter().map(|user| ("api", *user, 1)).collect();
    ///     let decisions = limiter.batch(&items).await;
    ///     decisions.iter().filter(|one| one.as_ref().is_ok_and(|one| one.allowed)).count()
    /// }
    /// ```
    pub async fn batch<K: AsRef<[u8]>>(
        &self,
        items: &[(&str, K, u64)],
    ) -> Vec<Result<Decision, AcquireError>> {
        let asked = items.iter().map(|(limit, key, amount)| self.acquire(limit, key, *amount));
        all(asked.collect()).await
    }

    /// Says of every limit that applies to a request how it stands, which of them would refuse it,
    /// and for how long. Takes nothing.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has changed nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// async fn why(limiter: &RateLimiter, user: &str) -> String {
    ///     limiter.explain(&[("api", user, 1), ("all", "", 1)]).await.to_string()
    /// }
    /// ```
    pub async fn explain<K: AsRef<[u8]>>(&self, items: &[(&str, K, u64)]) -> Explanation {
        let asked = items.iter().map(|(limit, key, amount)| self.peek(limit, key, *amount));
        let decisions = all(asked.collect()).await;
        let explained =
            items.iter().zip(decisions).map(|((name, _, amount), decision)| Explained {
                name: (*name).to_owned(),
                limit: self.limits().get(name),
                amount: *amount,
                decision,
            });
        Explanation { items: explained.collect() }
    }
}

/// Waits for all of these at once; each is polled whenever one of them is woken.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for (future, done) in waiting.iter_mut().zip(&mut done) {
            // One that is done must not be polled again.
            if done.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
