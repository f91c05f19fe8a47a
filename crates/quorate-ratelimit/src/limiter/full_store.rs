//! Calls on new keys when there is no room for their counts.

use serde::Serialize;

use crate::limiter::RateLimiter;

/// The fate of a call on a new key when there is no room for its count at the peer that decides.
///
/// Keys that are there are counted and denied as ever; only a call that would have been allowed,
/// and needs a new cell for it, is asked about here.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::AtCapacity;
/// assert_eq!(AtCapacity::default(), AtCapacity::Refuse);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AtCapacity {
    /// It is let through and not counted: [`Decision::counted`](crate::Decision::counted) is false.
    /// Whoever fills the store, with keys that nobody else uses, is not limited any more.
    Admit,
    /// It ends in an error ([`DecideError::Overloaded`](quorate::DecideError::Overloaded)), and
    /// nothing is let through uncounted.
    #[default]
    Refuse,
}

quorate::words! { AtCapacity, "value of at_capacity", Refuse => "refuse", Admit => "admit" }

impl RateLimiter {
    /// Says what becomes of calls on new keys when there is no room for their counts: at this
    /// handle and its clones from now on. Default [`AtCapacity::Refuse`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, AtCapacity, RateLimiter};
    ///
    /// /// Rather lets a stranger in than keeps a customer out.
    /// async fn check(limiter: RateLimiter, user: &str) -> Result<bool, AcquireError> {
    ///     let limiter = limiter.at_capacity(AtCapacity::Admit);
    ///     let decision = limiter.acquire("api", user, 1).await?;
    ///     if !decision.counted {
    ///         println!("no room to count {user}");
    ///     }
    ///     Ok(decision.allowed)
    /// }
    /// ```
    pub fn at_capacity(mut self, at_capacity: AtCapacity) -> Self {
        self.at_capacity = at_capacity;
        self
    }
}
