//! Units that are taken for something whose cost is known only when it is done.

use std::time::Duration;

use crate::limiter::RateLimiter;
use crate::limiter::decision::Decision;
use crate::limiter::hold_id::{HoldId, ReservationId};
use crate::model::error::AcquireError;
use crate::model::reservation::TERM_NANOS;
use crate::rule::operation::SideOperation;

/// The least time that a reservation lasts which is neither committed nor cancelled; its units are
/// given back by one and a half times this. Group time that jumps meanwhile, for clocks were put
/// right, lets it lapse no earlier; if it lapses after that its units are not given back to a
/// window or rate, for nobody can tell to which they belong.
pub const RESERVATION_TIME: Duration = Duration::from_nanos(TERM_NANOS);

/// The answer to a reservation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "units are held until the reservation is committed, cancelled, or has lapsed"]
#[non_exhaustive]
pub struct ReservationAnswer {
    /// The decision about the units.
    pub decision: Decision,
    /// The reservation; there is one if the units were admitted.
    pub id: Option<ReservationId>,
}

impl RateLimiter {
    /// Takes `amount` units until it is known how many are used: [`RateLimiter::commit`] settles
    /// that, [`RateLimiter::cancel`] gives all of them back. If neither comes within
    /// [`RESERVATION_TIME`] they are given back by themselves, half that time later at the latest:
    /// when the next one who would be denied for them asks.
    ///
    /// Of a window that has ended meanwhile nothing is given back: it has begun anew. Of a rate,
    /// what would have flowed back meanwhile is back already. A limit whose max or burst is changed
    /// meanwhile is left with what is committed, whatever was carried over. Of one that was changed
    /// to another rate, length or kind, what was reserved stays taken, and more counts as well; of
    /// one that was changed with [`Carry::Reset`](crate::Carry::Reset), and of a key that was
    /// reset, it is forgotten, and what is committed counts anew. Where nobody is ever denied, by
    /// counters and shadows, what lapses is found by the next who reserves.
    ///
    /// An amount of 0 takes nothing, and is admitted where one unit would be: what is committed is
    /// taken then. Without a primary it is refused, in relaxed mode too.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have reserved the units, which lapse then.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// /// At most 4,000 tokens an answer, and how many is known when it has been written.
    /// async fn answer(limiter: &RateLimiter, user: &str) -> Result<bool, AcquireError> {
    ///     let Some(id) = limiter.reserve("tokens", user, 4_000).await?.id else {
    ///         return Ok(false);
    ///     };
    ///     let used = 1_250;
    ///     limiter.commit(&id, used).await?;
    ///     Ok(true)
    /// }
    /// ```
    pub async fn reserve(
        &self,
        limit: &str,
        key: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<ReservationAnswer, AcquireError> {
        let limit = self.look_up(limit)?;
        let id = ReservationId(HoldId::new(self.key(limit, key.as_ref())?));
        let decision = self.ask_held(limit, &id.0, SideOperation::Reserve, amount).await?;
        Ok(ReservationAnswer { decision, id: decision.allowed.then_some(id) })
    }

    /// Settles a reservation by what was used: less than was reserved gives the rest back, more is
    /// taken whether there is room for it or not. Committed again it gets the same answer.
    /// `granted` is what the reservation has come to.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire`]; [`AcquireError::Ended`] if it came too late: what was used is
    /// to be debited then.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have settled it.
    ///
    /// # Examples
    ///
    /// See [`RateLimiter::reserve`].
    pub async fn commit(&self, id: &ReservationId, actual: u64) -> Result<Decision, AcquireError> {
        self.ask_known(&id.0, SideOperation::Commit, actual).await
    }

    /// Gives back all that was reserved: nothing was used.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::commit`]; if it came too late its units are given back already.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have given them back.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter, ReservationId};
    ///
    /// async fn failed(limiter: &RateLimiter, id: ReservationId) -> Result<(), AcquireError> {
    ///     limiter.cancel(&id).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn cancel(&self, id: &ReservationId) -> Result<Decision, AcquireError> {
        self.commit(id, 0).await
    }
}
