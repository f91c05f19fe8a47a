//! Counts of what came of calls, cheap enough to be kept for every one of them.
//!
//! Each thread counts on lines of its own, made when it first does: one line of memory for each limit.
//! A sum is made when somebody asks for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate::{Basis, DecideError};

use crate::limiter::decision::Decision;
use crate::model::error::AcquireError;
use crate::numbers::stats::{Counts, ErrorCounts};
use crate::numbers::thread_slot::{self, SEATS};

/// What one thread has counted of one limit.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line {
    allowed: AtomicU64,
    denied: AtomicU64,
    shadowed: AtomicU64,
    uncounted: AtomicU64,
    local: AtomicU64,
    granted: AtomicU64,
    reserved: AtomicU64,
    refunded: AtomicU64,
}

/// What becomes of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Units {
    Granted,
    Reserved,
    Refunded,
}

/// Why calls on one limit were not decided: as many as there are kinds.
#[derive(Debug, Default)]
struct Errors([AtomicU64; 6]);

/// A kind of error, as its place in [`Errors`].
#[derive(Clone, Copy)]
enum ErrorKind {
    NoPrimary,
    OutcomeUnknown,
    Overloaded,
    Invalid,
    MissingLimit,
    Other,
}

/// What came of a call, as far as one limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Denied,
    Shadowed,
    Uncounted,
}

impl Outcome {
    #[inline]
    pub(crate) fn of(decision: &Decision) -> Self {
        match decision {
            Decision { allowed: false, .. } => Self::Denied,
            Decision { counted: false, .. } => Self::Uncounted,
            Decision { shadow: true, .. } => Self::Shadowed,
            _ => Self::Allowed,
        }
    }
}

/// The counts of one limiter and its clones.
#[derive(Debug)]
pub(crate) struct Counters {
    /// By seat, and the last for threads without one: the lines of all limits.
    lines: Box<[OnceLock<Box<[Line]>>]>,
    /// By limit; last, of calls on none.
    errors: Box<[Errors]>,
}

impl Counters {
    pub(crate) fn new(limits: usize) -> Self {
        Self {
            lines: (0..=SEATS).map(|_| OnceLock::new()).collect(),
            errors: (0..=limits).map(|_| Errors::default()).collect(),
        }
    }

    /// Counts a decision about the limit with this number, and the units that it took.
    #[inline]
    pub(crate) fn note(&self, limit: usize, outcome: Outcome, basis: Basis, units: u64) {
        let seat = thread_slot::own();
        let lines = self.lines[seat].get_or_init(|| self.new_lines());
        let Some(line) = lines.get(limit) else { return };
        let counter = match outcome {
            Outcome::Allowed => &line.allowed,
            Outcome::Denied => &line.denied,
            Outcome::Shadowed => &line.shadowed,
            Outcome::Uncounted => &line.uncounted,
        };
        let is_own = seat < SEATS;
        add(counter, 1, is_own);
        if units > 0 {
            add(&line.granted, units, is_own);
        }
        if basis.is_local() {
            add(&line.local, 1, is_own);
        }
    }

    /// Counts units of which no decision is counted.
    pub(crate) fn note_units(&self, limit: usize, of: Units, units: u64) {
        let seat = thread_slot::own();
        let lines = self.lines[seat].get_or_init(|| self.new_lines());
        let Some(line) = lines.get(limit).filter(|_| units > 0) else { return };
        let counter = match of {
            Units::Granted => &line.granted,
            Units::Reserved => &line.reserved,
            Units::Refunded => &line.refunded,
        };
        add(counter, units, seat < SEATS);
    }

    /// Counts a call that was not decided, on the limit with this number, or on none.
    #[cold]
    pub(crate) fn note_error(&self, limit: Option<usize>, error: &AcquireError) {
        self.note_kind(limit, kind(error));
    }

    /// Counts a call on a limit that the group has not.
    #[cold]
    pub(crate) fn note_missing(&self, limit: usize) {
        self.note_kind(Some(limit), ErrorKind::MissingLimit);
    }

    fn note_kind(&self, limit: Option<usize>, kind: ErrorKind) {
        let limit = limit.unwrap_or(self.errors.len() - 1);
        if let Some(errors) = self.errors.get(limit) {
            errors.0[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of the limit with this number.
    pub(crate) fn of(&self, limit: usize) -> Counts {
        let mut counts = Counts { errors: self.errors_of(limit), ..Counts::default() };
        for line in self.lines.iter().filter_map(|lines| lines.get()?.get(limit)) {
            let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            counts += Counts {
                allowed: value(&line.allowed),
                denied: value(&line.denied),
                shadowed: value(&line.shadowed),
                uncounted: value(&line.uncounted),
                local: value(&line.local),
                granted: value(&line.granted),
                reserved: value(&line.reserved),
                refunded: value(&line.refunded),
                errors: ErrorCounts::default(),
            };
        }
        counts
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
        let sum = counter.load(Ordering::Relaxed).saturating_add(amount);
        counter.store(sum, Ordering::Relaxed);
    } else {
        let add = |sum: u64| Some(sum.saturating_add(amount));
        // It never fails: there is always a sum.
        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

fn kind(error: &AcquireError) -> ErrorKind {
    match error {
        AcquireError::MissingLimit { .. } => ErrorKind::MissingLimit,
        AcquireError::UnknownLimit { .. }
        | AcquireError::KeyTooLong { .. }
        | AcquireError::NeverAdmitted { .. }
        | AcquireError::EmptyIdempotencyKey
        | AcquireError::ZeroPermits
        | AcquireError::Items { .. }
        | AcquireError::Twice { .. } => ErrorKind::Invalid,
        AcquireError::Undecided(error) => match error {
            DecideError::NoPrimary { .. } => ErrorKind::NoPrimary,
            DecideError::OutcomeUnknown { .. } => ErrorKind::OutcomeUnknown,
            DecideError::Overloaded { .. } => ErrorKind::Overloaded,
            DecideError::Invalid { .. } => ErrorKind::Invalid,
            _ => ErrorKind::Other,
        },
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use quorate::GroupTime;

    use super::*;

    const LOCAL: Basis = Basis::Local { since: GroupTime(0) };

    /// More threads than seats, one after the other and at the same time: nothing is lost between
    /// those that count by themselves, those that share, and those that take a seat over.
    #[test]
    fn no_count_is_lost_whoever_counts() {
        const EACH: u64 = 1_000;
        let counters = Counters::new(2);
        for _ in 0..3 {
            thread::scope(|scope| {
                for _ in 0..SEATS + 16 {
                    scope.spawn(|| {
                        for number in 0..EACH {
                            let limit = number as usize % 2;
                            counters.note(limit, Outcome::Allowed, Basis::Primary, 3);
                            counters.note(limit, Outcome::Denied, LOCAL, 0);
                        }
                    });
                }
            });
        }
        let calls = 3 * (SEATS as u64 + 16) * EACH / 2;
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
            counters.note(0, Outcome::Allowed, Basis::Primary, units);
            counters.note(1, Outcome::Allowed, Basis::Primary, units);
            assert_eq!(counters.of(0).granted, u64::MAX);
        }
        let mut both = counters.of(0);
        both += counters.of(1);
        assert_eq!((both.granted, both.allowed), (u64::MAX, 4));
    }

    #[test]
    fn a_number_that_is_no_limits_counts_nothing() {
        let counters = Counters::new(1);
        counters.note(1, Outcome::Allowed, Basis::Primary, 1);
        counters.note_error(Some(7), &AcquireError::UnknownOperation);
        counters.note_error(None, &AcquireError::UnknownOperation);
        assert_eq!(counters.of(0), Counts::default());
        assert_eq!(counters.of_none().errors.other, 1);
    }
}
