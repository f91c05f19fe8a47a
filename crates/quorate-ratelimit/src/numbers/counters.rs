//! Counts of what came of calls, cheap enough to be kept for every one of them.
//!
//! Each thread counts on lines of its own, made when it first does: one line of memory for each
//! limit. A sum is made when somebody asks for it.

use std::ops::AddAssign;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate::Basis;
use serde::Serialize;

use crate::numbers::held::{Held, HeldCounts};
use crate::numbers::thread_slot::{self, SLOTS};

/// Counts of one thread for one limit: by [`Counted`], by [`Units`], and of local decisions.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; 8]);

/// The place of local decisions in a line.
const LOCAL: usize = 7;

/// The fates of units, by their places in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Units {
    Granted = 4,
    Reserved = 5,
    Refunded = 6,
}

/// Errors of calls on one limit, by kind.
#[derive(Debug, Default)]
struct Errors([AtomicU64; 6]);

/// A kind of error, as its place in [`Errors`].
#[derive(Clone, Copy)]
pub(crate) enum ErrorKind {
    NoPrimary,
    OutcomeUnknown,
    Overloaded,
    Invalid,
    MissingLimit,
    Other,
}

/// The results of calls as one limit counts them, by their places in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Allowed,
    Denied,
    Shadowed,
    Uncounted,
}

/// The counts of one limiter and its clones.
#[derive(Debug)]
pub(crate) struct Counters {
    /// The lines of all limits, by thread slot; the last for threads without one.
    lines: Box<[OnceLock<Box<[Line]>>]>,
    /// Lines of permits and reservations, in the same way.
    held: Box<[OnceLock<Box<[Line]>>]>,
    /// Errors by limit; the last of calls on none.
    errors: Box<[Errors]>,
}

impl Counters {
    pub(crate) fn new(limits: usize) -> Self {
        Self {
            lines: (0..=SLOTS).map(|_| OnceLock::new()).collect(),
            held: (0..=SLOTS).map(|_| OnceLock::new()).collect(),
            errors: (0..=limits).map(|_| Errors::default()).collect(),
        }
    }

    /// Counts a decision about the limit with this number, and the units that it took.
    #[inline]
    pub(crate) fn note(&self, limit: usize, counted: Counted, basis: Basis, units: u64) {
        let slot = thread_slot::own();
        let lines = self.lines[slot].get_or_init(|| self.new_lines());
        let Some(line) = lines.get(limit) else { return };
        let is_own = slot < SLOTS;
        add(&line.0[counted as usize], 1, is_own);
        if units > 0 {
            add(&line.0[Units::Granted as usize], units, is_own);
        }
        if basis.is_local() {
            add(&line.0[LOCAL], 1, is_own);
        }
    }

    /// Adds to one place of the lines of a limit; of one that is not known, nothing.
    fn bump(&self, all: &[OnceLock<Box<[Line]>>], limit: usize, place: usize, count: u64) {
        let slot = thread_slot::own();
        let lines = all[slot].get_or_init(|| self.new_lines());
        let Some(line) = lines.get(limit) else { return };
        add(&line.0[place], count, slot < SLOTS);
    }

    /// Counts units of which no decision is counted.
    pub(crate) fn note_units(&self, limit: usize, of: Units, units: u64) {
        if units > 0 {
            self.bump(&self.lines, limit, of as usize, units);
        }
    }

    /// Counts a step of a permit or a reservation.
    pub(crate) fn note_held(&self, limit: usize, step: Held) {
        self.bump(&self.held, limit, step as usize, 1);
    }

    /// Counts a call that was not decided, on the limit with this number, or on none.
    #[cold]
    pub(crate) fn note_error(&self, limit: Option<usize>, kind: ErrorKind) {
        let limit = limit.unwrap_or(self.errors.len() - 1);
        if let Some(errors) = self.errors.get(limit) {
            errors.0[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of the limit with this number.
    pub(crate) fn of(&self, limit: usize) -> Counts {
        let mut counts = Counts { errors: self.errors_of(limit), ..Counts::default() };
        for line in self.lines.iter().filter_map(|lines| lines.get()?.get(limit)) {
            // Each number by itself: calls that end meanwhile may be in some of them.
            let value = |place: usize| line.0[place].load(Ordering::Relaxed);
            counts += Counts {
                allowed: value(Counted::Allowed as usize),
                denied: value(Counted::Denied as usize),
                shadowed: value(Counted::Shadowed as usize),
                uncounted: value(Counted::Uncounted as usize),
                local: value(LOCAL),
                granted: value(Units::Granted as usize),
                reserved: value(Units::Reserved as usize),
                refunded: value(Units::Refunded as usize),
                ..Counts::default()
            };
        }
        counts.held = self.held_of(limit);
        counts
    }

    fn held_of(&self, limit: usize) -> HeldCounts {
        let mut held = HeldCounts::default();
        for line in self.held.iter().filter_map(|lines| lines.get()?.get(limit)) {
            let value = |step: Held| line.0[step as usize].load(Ordering::Relaxed);
            held += HeldCounts {
                permits: value(Held::PermitTaken),
                permits_released: value(Held::PermitReleased),
                permits_late: value(Held::PermitLate),
                reservations: value(Held::ReservationMade),
                reservations_committed: value(Held::ReservationCommitted),
                reservations_cancelled: value(Held::ReservationCancelled),
                reservations_late: value(Held::ReservationLate),
            };
        }
        held
    }

    /// Errors of calls on no limit.
    pub(crate) fn of_none(&self) -> Counts {
        Counts { errors: self.errors_of(self.errors.len() - 1), ..Counts::default() }
    }

    fn errors_of(&self, limit: usize) -> ErrorCounts {
        let value = |kind: ErrorKind| self.errors[limit].0[kind as usize].load(Ordering::Relaxed);
        ErrorCounts {
            no_primary: value(ErrorKind::NoPrimary),
            outcome_unknown: value(ErrorKind::OutcomeUnknown),
            overloaded: value(ErrorKind::Overloaded),
            invalid: value(ErrorKind::Invalid),
            missing_limit: value(ErrorKind::MissingLimit),
            other: value(ErrorKind::Other),
        }
    }

    #[cold]
    fn new_lines(&self) -> Box<[Line]> {
        (1..self.errors.len()).map(|_| Line::default()).collect()
    }
}

/// Adds to a counter, which never goes back; nobody else writes one that is the thread's own.
#[inline]
fn add(counter: &AtomicU64, amount: u64, is_own: bool) {
    if is_own {
        // Without a locked instruction, which costs several times as much.
        let sum = counter.load(Ordering::Relaxed).saturating_add(amount);
        counter.store(sum, Ordering::Relaxed);
    } else {
        let add = |sum: u64| Some(sum.saturating_add(amount));
        // It never fails: there is always a sum.
        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// Counts of calls that take units: `acquire` in all its forms, and `debit`.
///
/// A peek, an amount of 0, a commit, a refund and a reset are no decisions, and count by their
/// units only, and if they end in an error. A call on several limits counts once for each of them
/// if it was allowed, and else for those that refused it; each try of a `wait` counts.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::Counts;
/// assert_eq!(Counts::default().decisions(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Decisions that allowed and counted.
    pub allowed: u64,
    /// Decisions that denied.
    pub denied: u64,
    /// Decisions that would have been denied by a limit that is a shadow.
    pub shadowed: u64,
    /// Calls that were let through at a full store, and not counted: see
    /// [`AtCapacity::Admit`](crate::AtCapacity::Admit).
    pub uncounted: u64,
    /// Decisions of all these that this peer made alone, without a primary.
    pub local: u64,
    /// Units that were taken; `u64::MAX` if they are more. Of a call that was repeated with an
    /// idempotency key: once. Of a reservation what was used of it, when it is committed; of one
    /// that lapses nothing.
    pub granted: u64,
    /// Units that were taken for reservations, at full: more than were used of them in the end.
    pub reserved: u64,
    /// Units that were given back by refunds, and by a [`wait`](crate::RateLimiter::wait) that
    /// nobody awaited any more: `granted` has them too.
    pub refunded: u64,
    /// Permits and reservations.
    pub held: HeldCounts,
    /// Calls that were not decided.
    pub errors: ErrorCounts,
}

impl Counts {
    /// Calls that ended in a decision of any kind.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn calls(limiter: &RateLimiter) -> u64 {
    ///     let totals = limiter.stats().totals;
    ///     totals.decisions() + totals.errors.all()
    /// }
    /// ```
    pub fn decisions(&self) -> u64 {
        self.allowed + self.denied + self.shadowed + self.uncounted
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.shadowed += other.shadowed;
        self.uncounted += other.uncounted;
        self.local += other.local;
        self.granted = self.granted.saturating_add(other.granted);
        self.reserved = self.reserved.saturating_add(other.reserved);
        self.refunded = self.refunded.saturating_add(other.refunded);
        self.held += other.held;
        self.errors += other.errors;
    }
}

/// Calls that were not decided, by what was wrong.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::ErrorCounts;
/// assert_eq!(ErrorCounts::default().all(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorCounts {
    /// There was no primary.
    pub no_primary: u64,
    /// It is not known whether they were decided: their time was over, or the primary had changed.
    pub outcome_unknown: u64,
    /// A bound was reached: of a store that is full, or of calls that wait.
    pub overloaded: u64,
    /// The call itself was not usable: an unknown limit, a long key, an amount that is never
    /// admitted.
    pub invalid: u64,
    /// They were of a limit that this peer has, or something here relies on, and the group has not:
    /// see [`AcquireError::MissingLimit`](crate::AcquireError::MissingLimit); or the group has it
    /// as a limit of permits, and something relies on its units. Rules of a layer that skip such a
    /// limit count here, one for each request.
    pub missing_limit: u64,
    /// This peer was shutting down, or the peer that decides has another version.
    pub other: u64,
}

impl ErrorCounts {
    /// All of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn has_failed(limiter: &RateLimiter) -> bool {
    ///     limiter.stats().totals.errors.all() > 0
    /// }
    /// ```
    pub fn all(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    /// Each with the name of its kind.
    pub(crate) fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("no_primary", self.no_primary),
            ("outcome_unknown", self.outcome_unknown),
            ("overloaded", self.overloaded),
            ("invalid", self.invalid),
            ("missing_limit", self.missing_limit),
            ("other", self.other),
        ]
    }
}

impl AddAssign for ErrorCounts {
    fn add_assign(&mut self, other: Self) {
        self.no_primary += other.no_primary;
        self.outcome_unknown += other.outcome_unknown;
        self.overloaded += other.overloaded;
        self.invalid += other.invalid;
        self.missing_limit += other.missing_limit;
        self.other += other.other;
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use quorate::GroupTime;

    use super::*;

    const LOCAL: Basis = Basis::Local { since: GroupTime(0) };

    /// More threads than slots, one after the other and at the same time: nothing is lost between
    /// those that count by themselves, those that share, and those that take a slot over.
    #[test]
    fn no_count_is_lost_whoever_counts() {
        const EACH: u64 = 1_000;
        let counters = Counters::new(2);
        for _ in 0..3 {
            thread::scope(|scope| {
                for _ in 0..SLOTS + 16 {
                    scope.spawn(|| {
                        for number in 0..EACH {
                            let limit = number as usize % 2;
                            counters.note(limit, Counted::Allowed, Basis::Primary, 3);
                            counters.note(limit, Counted::Denied, LOCAL, 0);
                        }
                    });
                }
            });
        }
        let calls = 3 * (SLOTS as u64 + 16) * EACH / 2;
        let expected = Counts {
            allowed: calls,
            denied: calls,
            local: calls,
            granted: 3 * calls,
            ..Counts::default()
        };
        assert_eq!([counters.of(0), counters.of(1)], [expected, expected]);
    }

    #[test]
    fn no_count_goes_back_however_many_units_are_taken() {
        let counters = Counters::new(2);
        for units in [u64::MAX, 7] {
            counters.note(0, Counted::Allowed, Basis::Primary, units);
            counters.note(1, Counted::Allowed, Basis::Primary, units);
            assert_eq!(counters.of(0).granted, u64::MAX);
        }
        let mut both = counters.of(0);
        both += counters.of(1);
        assert_eq!((both.granted, both.allowed), (u64::MAX, 4));
    }

    #[test]
    fn no_step_of_a_permit_or_reservation_is_lost_either() {
        const STEPS: [Held; 7] = [
            Held::PermitTaken,
            Held::PermitReleased,
            Held::PermitLate,
            Held::ReservationMade,
            Held::ReservationCommitted,
            Held::ReservationCancelled,
            Held::ReservationLate,
        ];
        let counters = Counters::new(2);
        thread::scope(|scope| {
            for _ in 0..SLOTS + 16 {
                scope.spawn(|| {
                    for (times, step) in STEPS.into_iter().enumerate() {
                        (0..=times).for_each(|_| counters.note_held(1, step));
                    }
                });
            }
        });
        let threads = SLOTS as u64 + 16;
        let expected = HeldCounts {
            permits: threads,
            permits_released: 2 * threads,
            permits_late: 3 * threads,
            reservations: 4 * threads,
            reservations_committed: 5 * threads,
            reservations_cancelled: 6 * threads,
            reservations_late: 7 * threads,
        };
        assert_eq!((counters.of(0).held, counters.of(1).held), (HeldCounts::default(), expected));
    }

    #[test]
    fn a_number_that_is_no_limits_counts_nothing() {
        let counters = Counters::new(1);
        counters.note_held(1, Held::PermitTaken);
        counters.note(1, Counted::Allowed, Basis::Primary, 1);
        counters.note_error(Some(7), ErrorKind::Other);
        counters.note_error(None, ErrorKind::Other);
        assert_eq!(counters.of(0), Counts::default());
        assert_eq!(counters.of_none().errors.other, 1);
    }
}
