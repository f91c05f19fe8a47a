//! Decisions of the group, counted on their way to the caller.

use quorate::{Basis, Bounded, DecideError};

use crate::limiter::RateLimiter;
use crate::limiter::decision::{Decision, FollowUp, JointDecision, Part};
use crate::limiter::full_store::AtCapacity;
use crate::limiter::limit_ref::LimitRef;
use crate::model::error::AcquireError;
use crate::model::side_cell::SideCell;
use crate::numbers::counters::{Counted, ErrorKind, Units};
use crate::numbers::held::Held;
use crate::rule::operation::{Operation, Request, SideOperation};

/// The answer of the core.
type Decided = Result<quorate::Decision, DecideError>;

impl RateLimiter {
    /// Counts an error.
    #[cold]
    pub(crate) fn count_error(
        &self,
        limit: Option<LimitRef<'_>>,
        mut error: AcquireError,
    ) -> AcquireError {
        if let AcquireError::MissingLimit { limit: name, revision } = &mut error {
            let present = self.current().load();
            let missing = &self.current().missing;
            // A primary of an older version does not say what it decides by.
            *revision = present.revision.max(*revision);
            let is_known = missing.knows(name, &present);
            if is_known || missing.is_expected(name) {
                missing.note_missing(name, *revision, &present);
            }
            let name = name.clone();
            return if is_known { self.count_missing(&name, error) } else { self.unknown(&name) };
        }
        if let AcquireError::Unsupported { limit: name } = &error {
            let missing = &self.current().missing;
            // What relies on its units goes without them, as if it were not there.
            if missing.is_expected(name) {
                missing.note_permits_only(name, &self.current().load());
                let name = name.clone();
                return self.count_missing(&name, error);
            }
        }
        self.counters().note_error(limit.map(|limit| limit.index), ErrorKind::from(&error));
        error
    }

    /// Counts a call on a limit that is missing, under its name if the code has it.
    pub(crate) fn count_missing(&self, name: &str, error: AcquireError) -> AcquireError {
        let known = self.code().table.find_name(name).map(|named| named.index as usize);
        let index = known.unwrap_or_else(|| self.code().iter().count());
        self.counters().note_error(Some(index), ErrorKind::MissingLimit);
        error
    }

    /// A limit that was missing is there; for units as well, if it was asked for some.
    #[inline(always)]
    fn found(&self, name: &str, is_about_units: bool) {
        if self.current().missing.has_any() {
            self.current().missing.note_found(name, is_about_units, &self.current().load());
        }
    }

    /// Reads and counts a decision about one limit; one that is asked again is counted then.
    ///
    /// Inlined into the one who asks: handing the answer on by memory costs more than counting it.
    #[inline(always)]
    pub(crate) fn account(
        &self,
        limit: LimitRef<'_>,
        request: Request,
        decided: Decided,
        is_last: bool,
    ) -> Result<Decision, AcquireError> {
        let decision = match decided {
            Ok(decided) => match Decision::read(limit.name, request.amount, &decided) {
                Ok(decision) => {
                    self.found(limit.name, request.operation != Operation::Peek);
                    decision
                }
                Err(error) => return Err(self.count_error(Some(limit), error)),
            },
            Err(error) => match self.admit_uncounted(limit, request, &error) {
                Some(decision) => decision,
                None => return Err(self.count_error(Some(limit), error.into())),
            },
        };
        let Request { operation, amount, .. } = request;
        // A peek takes nothing.
        if operation.takes() && amount > 0 {
            if is_last || decision.follow_up != FollowUp::SettleReserved {
                self.count(limit.index, &decision, Counted::from(&decision), decision.granted);
            }
        } else if matches!(operation, Operation::Refund { .. }) && !decision.repeated {
            self.counters().note_units(limit.index, Units::Refunded, decision.granted);
        }
        Ok(decision)
    }

    /// Reads and counts a decision about a permit or reservation, which is nothing if it is not
    /// counted: taking one is a decision, and settling a reservation takes what was used of it.
    pub(crate) fn account_held(
        &self,
        limit: LimitRef<'_>,
        operation: SideOperation,
        amount: u64,
        decided: Decided,
    ) -> Result<Decision, AcquireError> {
        let read = match decided {
            Ok(decided) => Decision::read(limit.name, amount, &decided),
            Err(error) => Err(error.into()),
        };
        let is_about_units = operation.cell() == SideCell::Reservation;
        let decision = read.map_err(|error| {
            let error = match error {
                // It was asked for a permit, and has units.
                AcquireError::Unsupported { .. } if !is_about_units => {
                    self.counters().note_error(Some(limit.index), ErrorKind::from(&error));
                    error
                }
                error => self.count_error(Some(limit), error),
            };
            if !operation.is_first() && matches!(error, AcquireError::Ended) {
                let is_permit = operation.cell() == SideCell::Permit;
                let late = if is_permit { Held::PermitLate } else { Held::ReservationLate };
                self.counters().note_held(limit.index, late);
            }
            if operation.is_first() { error } else { error.of_held() }
        })?;
        self.found(limit.name, is_about_units);
        match operation {
            SideOperation::TakePermit => {
                self.count(limit.index, &decision, Counted::from(&decision), decision.granted);
            }
            SideOperation::Reserve if amount > 0 => {
                self.count(limit.index, &decision, Counted::from(&decision), 0);
                if decision.allowed && !decision.repeated {
                    self.counters().note_units(limit.index, Units::Reserved, decision.granted);
                }
            }
            SideOperation::Commit if !decision.repeated => {
                self.counters().note_units(limit.index, Units::Granted, decision.granted);
            }
            _ => {}
        }
        if !decision.repeated
            && let Some(step) = Held::of(operation, &decision, amount)
        {
            self.counters().note_held(limit.index, step);
        }
        Ok(decision)
    }

    /// Reads and counts a decision about several limits; one that is asked again is counted then.
    pub(crate) fn account_all(
        &self,
        parts: &[Part<'_>],
        decided: Decided,
        is_last: bool,
    ) -> Result<JointDecision, AcquireError> {
        let read = match decided {
            Ok(decided) => JointDecision::read(parts, &decided),
            Err(error) => self.admit_all_uncounted(parts, &error).ok_or_else(|| error.into()),
        };
        // An error is not of one of the limits: it speaks of the call.
        let joint = read.map_err(|error| self.count_error(None, error))?;
        if joint.decision.counted {
            parts.iter().for_each(|part| self.found(part.limit, true));
        }
        if !is_last && joint.reserved(parts.len()).next().is_some() {
            return Ok(joint);
        }
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| part.amount > 0) {
            let Ok(limit) = self.look_up(part.limit) else { continue };
            let counted = match Counted::from(&joint.decision) {
                Counted::Denied if joint.violated.contains(&index) => Counted::Denied,
                // Another limit refuses: this one has not spoken.
                Counted::Denied => continue,
                Counted::Uncounted => Counted::Uncounted,
                _ if joint.shadowed.contains(&index) => Counted::Shadowed,
                _ => Counted::Allowed,
            };
            self.count(limit.index, &joint.decision, counted, part.amount);
        }
        Ok(joint)
    }

    fn admit_all_uncounted(
        &self,
        parts: &[Part<'_>],
        error: &DecideError,
    ) -> Option<JointDecision> {
        let part = parts.first()?;
        let limit = self.look_up(part.limit).ok()?;
        let request = Request::new(Operation::Acquire, part.amount);
        self.admit_uncounted(limit, request, error).map(JointDecision::uncounted)
    }

    #[inline(always)]
    fn count(&self, index: usize, decision: &Decision, counted: Counted, units: u64) {
        // What an earlier call took was counted with that one.
        let is_taken = counted == Counted::Allowed && !decision.repeated;
        let taken = if is_taken { units } else { 0 };
        self.counters().note(index, counted, decision.basis, taken);
    }

    /// Returns the decision that takes the place of an error, if there is to be one.
    #[cold]
    fn admit_uncounted(
        &self,
        limit: LimitRef<'_>,
        request: Request,
        error: &DecideError,
    ) -> Option<Decision> {
        let DecideError::Overloaded { what, .. } = error else { return None };
        let Request { operation, amount, .. } = request;
        // A peek says what an acquire would come to: that it is let through.
        let is_asked = operation.takes() || operation == Operation::Peek;
        if self.at_capacity != AtCapacity::Admit || !error.is_store_full() || !is_asked {
            return None;
        }
        let basis = match what {
            Bounded::OverlayKeys => Basis::Local { since: self.peer().alone_since() },
            _ => Basis::Primary,
        };
        let capacity = self.current().load().find(limit.id).map_or(0, |it| it.limit.capacity());
        let granted = match operation {
            Operation::Peek => 0,
            Operation::AcquireUpTo => amount.min(capacity),
            _ => amount,
        };
        Some(Decision::uncounted(capacity, granted, basis, self.peer().as_decider()))
    }
}

impl Held {
    /// The step that an operation has come to; `None` if that is none.
    fn of(operation: SideOperation, decision: &Decision, amount: u64) -> Option<Self> {
        match operation {
            SideOperation::TakePermit if decision.granted > 0 => Some(Self::PermitTaken),
            SideOperation::ReleasePermit if decision.granted > 0 => Some(Self::PermitReleased),
            SideOperation::Reserve if decision.allowed => Some(Self::ReservationMade),
            SideOperation::Commit if amount > 0 => Some(Self::ReservationCommitted),
            SideOperation::Commit => Some(Self::ReservationCancelled),
            _ => None,
        }
    }
}

impl From<&Decision> for Counted {
    #[inline]
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision { allowed: false, .. } => Self::Denied,
            Decision { counted: false, .. } => Self::Uncounted,
            Decision { shadow: true, .. } => Self::Shadowed,
            _ => Self::Allowed,
        }
    }
}

impl From<&AcquireError> for ErrorKind {
    fn from(error: &AcquireError) -> Self {
        match error {
            AcquireError::MissingLimit { .. } => Self::MissingLimit,
            AcquireError::UnknownLimit { .. }
            | AcquireError::KeyTooLong { .. }
            | AcquireError::NeverAdmitted { .. }
            | AcquireError::EmptyIdempotencyKey
            | AcquireError::ZeroPermits
            | AcquireError::Items { .. }
            | AcquireError::Twice { .. } => Self::Invalid,
            AcquireError::Undecided(error) => match error {
                DecideError::NoPrimary { .. } => Self::NoPrimary,
                DecideError::OutcomeUnknown { .. } => Self::OutcomeUnknown,
                DecideError::Overloaded { .. } => Self::Overloaded,
                DecideError::Invalid { .. } => Self::Invalid,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}
