//! Counts of permits and reservations: what is held for a while.

use std::ops::AddAssign;

use serde::Serialize;

/// The fates of permits and reservations, by their places in a line of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    PermitTaken,
    PermitReleased,
    PermitLate,
    ReservationMade,
    ReservationCommitted,
    ReservationCancelled,
    ReservationLate,
}

/// Counts of permits and reservations, each where the call was made: one that is taken at one peer
/// and given back at another counts at both.
///
/// Those that are neither given back nor renewed lapse by themselves, and nobody is told of it.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::RateLimiter;
///
/// /// Permits that were taken here and not given back here; some of them may have lapsed.
/// fn held(limiter: &RateLimiter) -> u64 {
///     let held = limiter.stats().totals.held;
///     held.permits.saturating_sub(held.permits_released)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldCounts {
    /// Permits that were taken, whatever the number of their places.
    pub permits: u64,
    /// Permits that were given back.
    pub permits_released: u64,
    /// Renewals of permits that were not held any more: somebody else may have had their places.
    pub permits_late: u64,
    /// Reservations that were made.
    pub reservations: u64,
    /// Reservations that were committed; of one that is committed again, once.
    pub reservations_committed: u64,
    /// Reservations that were cancelled, or committed with nothing used.
    pub reservations_cancelled: u64,
    /// Commits and cancellations that came too late: their units were given back by then, or may
    /// have been.
    pub reservations_late: u64,
}

impl AddAssign for HeldCounts {
    fn add_assign(&mut self, other: Self) {
        self.permits += other.permits;
        self.permits_released += other.permits_released;
        self.permits_late += other.permits_late;
        self.reservations += other.reservations;
        self.reservations_committed += other.reservations_committed;
        self.reservations_cancelled += other.reservations_cancelled;
        self.reservations_late += other.reservations_late;
    }
}
