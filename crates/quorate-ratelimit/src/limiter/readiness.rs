//! Waiting until this peer decides, and knows by what.

use std::time::Duration;

use quorate::{DecideError, NotReadyError, PeerRole, Reading, Status};
use tokio::time::Instant;

use crate::limiter::RateLimiter;
use crate::model::RateLimitModel;
use crate::model::answer::{code, word};
use crate::rule::operation::Request;

/// The pause between two looks for limits that are to arrive.
const PAUSE: Duration = Duration::from_millis(10);
/// The least time for which who decides is asked for its revision, however little is left: it says
/// it within a round trip.
const LEAST: Duration = Duration::from_millis(500);
/// The id of a limit that nobody has: who is asked about it says by which revision it decides.
const NOBODYS: u32 = u32::MAX;

/// Reasons why a limiter is not ready within the time given; the peer goes on trying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadyError {
    /// The group does not decide here.
    #[error(transparent)]
    NoPrimary(#[from] NotReadyError),
    /// The group decides here, by limits that this peer has not been sent yet: it is being brought
    /// up to date.
    #[error(
        "the group decides by revision {revision} of its limits, and this peer holds revision \
         {held}{}: it is still being brought up to date",
        if waited.is_zero() { String::new() } else { format!(" after {waited:?}") }
    )]
    LimitsNotHere {
        /// The revision by which the group decides.
        revision: u64,
        /// The revision that this peer holds; 0 for its code.
        held: u64,
        /// The time that it was waited for.
        waited: Duration,
    },
    /// There is a primary as far as this peer knows, and it did not say by which limits it decides:
    /// it may have gone just now.
    #[error("the primary did not say within {waited:?} by which limits the group decides: {error}")]
    LimitsUnknown {
        /// The error of the question that was asked last.
        error: DecideError,
        /// The time that it was waited for.
        waited: Duration,
    },
}

impl RateLimiter {
    /// Waits until the group decides here, as [`Peer::wait_ready`](quorate::Peer::wait_ready) does,
    /// and until this peer holds the limits that it decides by: then [`RateLimiter::limits`] and
    /// [`RateLimiter::limits_status`] are those of the group. A client holds no limits but those of
    /// its code, so it does not wait for others.
    ///
    /// # Errors
    ///
    /// If that is not so within `timeout`, or half a second where that is less and the primary is
    /// asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::{RateLimiter, ReadyError};
    ///
    /// async fn start(limiter: &RateLimiter) -> Result<(), ReadyError> {
    ///     limiter.wait_ready(Duration::from_secs(30)).await?;
    ///     println!("decides by {}", limiter.limits());
    ///     Ok(())
    /// }
    /// ```
    pub async fn wait_ready(&self, timeout: Duration) -> Result<Status, ReadyError> {
        // None: longer than any clock goes.
        let until = Instant::now().checked_add(timeout);
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let rest = || until.map_or(timeout, left);
        let revision = loop {
            let status = self.peer().wait_ready(rest()).await?;
            if status.role == PeerRole::Client || status.primary.is_none() {
                return Ok(status);
            }
            match self.revision_of_group(rest().max(LEAST)).await {
                Ok(Some(revision)) => break revision,
                Ok(None) => return Ok(status),
                Err(error) if error == DecideError::ShuttingDown || rest().is_zero() => {
                    return Err(ReadyError::LimitsUnknown { error, waited: timeout });
                }
                // Who was asked has gone, perhaps: another one may say it.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        while self.held() < revision {
            if until.is_some_and(|until| left(until).is_zero()) {
                let held = self.held();
                return Err(ReadyError::LimitsNotHere { revision, held, waited: timeout });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(self.peer().status())
    }

    /// Asks for the revision of the limits that are decided by; `None` if whoever decides does not
    /// say.
    async fn revision_of_group(&self, timeout: Duration) -> Result<Option<u64>, DecideError> {
        let key = NOBODYS.to_le_bytes();
        let peek = [Request::PEEK.item(&key)];
        let decided = self.peer().decide_by(&peek, Reading::Cheap, Some(timeout)).await?;
        let answer = decided.answer;
        Ok((answer.code == code::UNKNOWN_LIMIT).then(|| answer.words[word::LIMIT]))
    }

    /// Returns the revision that this peer's model has been given, or could have been.
    fn held(&self) -> u64 {
        let is_known = self.peer().model::<RateLimitModel>().is_some();
        let revision = self.peer().policy().revision;
        // One that this version cannot use was given all the same.
        if is_known && !self.current().has_refused(revision) {
            return self.current().load().revision;
        }
        revision
    }
}
