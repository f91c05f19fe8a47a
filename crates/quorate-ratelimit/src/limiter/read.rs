//! From what the group decided to what the caller is told, counted on the way.

use quorate::{Basis, Bounded, DecideError, Reading};

use crate::limit::Kind;
use crate::limiter::RateLimiter;
use crate::limiter::decision::{Decision, JointDecision};
use crate::limiter::full_store::AtCapacity;
use crate::model::error::AcquireError;
use crate::model::key::{Key, KeyBuffer, limit_of};
use crate::model::limits::is_name;
use crate::model::named_limit::NamedLimit;
use crate::numbers::counters::{Counted, ErrorKind, Units};
use crate::rule::hash::limit_id;
use crate::rule::operation::Operation;

/// A limit as a caller names it.
#[derive(Clone, Copy)]
pub(crate) struct LimitRef<'n> {
    pub(crate) id: u32,
    /// By which it is counted.
    index: usize,
    pub(crate) name: &'n str,
    /// By which reading of the clock it is decided at the primary itself.
    pub(crate) reading: Reading,
}

impl RateLimiter {
    /// The limit of a name: one that this peer's code has, or that has come since.
    #[inline(always)]
    pub(crate) fn named<'n>(&self, name: &'n str) -> Result<LimitRef<'n>, AcquireError> {
        match self.code().table.find_name(name) {
            Some(named) => {
                let reading = self.reading(named);
                Ok(LimitRef { id: named.id, index: named.index as usize, name, reading })
            }
            None => self.named_since(name),
        }
    }

    #[cold]
    fn named_since<'n>(&self, name: &'n str) -> Result<LimitRef<'n>, AcquireError> {
        let present = self.current().present();
        let id = match present.find_name(name) {
            Some(named) => named.id,
            // Whoever decides knows: a client holds none of the group's limits, a peer that has
            // just started holds them in a moment, and until the first change the primary's code
            // counts.
            None if present.revision == 0 && is_name(name) => limit_id(name),
            None => return Err(self.unknown(name)),
        };
        Ok(LimitRef { id, index: self.code().iter().count(), name, reading: Reading::Exact })
    }

    /// The id of a limit that this peer knows.
    pub(crate) fn known_id(&self, name: &str) -> Result<u32, AcquireError> {
        let known = self.code().id(name).or_else(|_| self.limits().id(name));
        known.map_err(|_| self.unknown(name))
    }

    /// Counts that there is no limit of this name: as missing, if something here relies on it.
    fn unknown(&self, name: &str) -> AcquireError {
        let error = AcquireError::UnknownLimit { limit: name.to_owned() };
        if self.current().missing.is_expected(name) {
            return self.missed(name, error);
        }
        self.failed(None, error)
    }

    /// In a sliding window what is taken now is told from what is taken a moment later.
    #[inline(always)]
    fn reading(&self, named: &NamedLimit) -> Reading {
        let is_sliding = |named: &NamedLimit| matches!(named.limit.kind, Kind::Sliding { .. });
        let is_exact = match self.current().changed() {
            // It may be another limit by now.
            Some(present) => present.find(named.id).is_some_and(is_sliding),
            None => is_sliding(named),
        };
        if is_exact { Reading::Exact } else { Reading::Cheap }
    }

    /// The limit of a key that was named before; of one that is none any more, the name is empty.
    pub(crate) fn named_of<'n>(&self, name: &'n str, key: &[u8]) -> LimitRef<'n> {
        let known = self.code().table.find_name(name).map(|named| named.index as usize);
        let index = known.unwrap_or_else(|| self.code().iter().count());
        let id = limit_of(key).unwrap_or_default();
        LimitRef { id, index, name, reading: Reading::Exact }
    }

    /// The key of a caller's cell, written into `room`.
    #[inline(always)]
    pub(crate) fn fill<'r>(
        &self,
        room: &'r mut KeyBuffer,
        named: LimitRef<'_>,
        key: &[u8],
    ) -> Result<&'r [u8], AcquireError> {
        room.fill(named.id, key).map_err(|error| self.failed(Some(named), error))
    }

    /// The same, as a value.
    pub(crate) fn key(&self, named: LimitRef<'_>, key: &[u8]) -> Result<Key, AcquireError> {
        Key::new(named.id, key).map_err(|error| self.failed(Some(named), error))
    }

    /// Counts an error.
    #[cold]
    pub(crate) fn failed(
        &self,
        named: Option<LimitRef<'_>>,
        mut error: AcquireError,
    ) -> AcquireError {
        if let AcquireError::MissingLimit { limit, revision } = &mut error {
            // A primary of an older version does not say what it decides by.
            *revision = self.current().load().revision.max(*revision);
            let is_known = self.current().knows(limit);
            if is_known || self.current().missing.is_expected(limit) {
                self.current().miss(limit, *revision);
            }
            if !is_known {
                return self.unknown(&std::mem::take(limit));
            }
            let limit = limit.clone();
            return self.missed(&limit, error);
        }
        self.counters().note_error(named.map(|named| named.index), ErrorKind::from(&error));
        error
    }

    /// Counts a call on a limit that is missing, under its name if the code has it.
    fn missed(&self, name: &str, error: AcquireError) -> AcquireError {
        let known = self.code().table.find_name(name).map(|named| named.index as usize);
        let index = known.unwrap_or_else(|| self.code().iter().count());
        self.counters().note_error(Some(index), ErrorKind::MissingLimit);
        error
    }

    /// A limit that was missing is there.
    #[inline(always)]
    fn found(&self, name: &str) {
        if self.current().missing.has_any() {
            self.current().find(name);
        }
    }

    /// Reads a decision about one limit. Inlined into the one who asks: handing the answer on by memory
    /// costs more than counting it.
    #[inline(always)]
    pub(crate) fn read(
        &self,
        named: LimitRef<'_>,
        operation: Operation,
        amount: u64,
        decided: Result<quorate::Decision, DecideError>,
    ) -> Result<Decision, AcquireError> {
        let decision = match decided {
            Ok(decided) => match Decision::read(named.name, amount, &decided) {
                Ok(decision) => {
                    self.found(named.name);
                    decision
                }
                Err(error) => return Err(self.failed(Some(named), error)),
            },
            Err(error) => match self.admit_uncounted(named, operation, amount, &error) {
                Some(decision) => decision,
                None => return Err(self.failed(Some(named), error.into())),
            },
        };
        // A peek takes nothing; what is asked once more is counted then.
        if operation.takes() && amount > 0 && !decision.has_reservations() {
            self.count(named.index, &decision, Counted::from(&decision), decision.granted);
        } else if matches!(operation, Operation::Refund { .. }) && !decision.repeated {
            self.counters().note_units(named.index, Units::Refunded, decision.granted);
        }
        Ok(decision)
    }

    /// The same of a question that was asked once more: it is counted whatever it says.
    pub(crate) fn read_again(
        &self,
        named: LimitRef<'_>,
        operation: Operation,
        amount: u64,
        decided: Result<quorate::Decision, DecideError>,
    ) -> Result<Decision, AcquireError> {
        let decision = self.read(named, operation, amount, decided)?;
        if operation.takes() && amount > 0 && decision.has_reservations() {
            self.count(named.index, &decision, Counted::from(&decision), decision.granted);
        }
        Ok(decision)
    }

    /// Reads a decision about what is held: a permit, or a reservation, which is nothing if it is not
    /// counted. It is counted if an amount was asked for, by its units as `of` says.
    pub(crate) fn read_held(
        &self,
        named: LimitRef<'_>,
        (amount, of): (u64, Units),
        decided: Result<quorate::Decision, DecideError>,
    ) -> Result<Decision, AcquireError> {
        let read = decided.map_err(AcquireError::from);
        let read = read.and_then(|decided| Decision::read(named.name, amount, &decided));
        let decision = read.map_err(|error| self.failed(Some(named), error))?;
        self.found(named.name);
        if amount > 0 {
            let units = if of == Units::Granted { decision.granted } else { 0 };
            self.count(named.index, &decision, Counted::from(&decision), units);
            if of == Units::Reserved && decision.allowed && !decision.repeated {
                self.counters().note_units(named.index, of, decision.granted);
            }
        }
        Ok(decision)
    }

    /// Counts what was used of a reservation that is settled.
    pub(crate) fn count_settled(&self, named: LimitRef<'_>, decision: &Decision) {
        if !decision.repeated {
            self.counters().note_units(named.index, Units::Granted, decision.granted);
        }
    }

    /// Reads a decision about several limits; one that is asked once more is counted then.
    pub(crate) fn read_together(
        &self,
        items: &[(&str, u64)],
        decided: Result<quorate::Decision, DecideError>,
        is_last: bool,
    ) -> Result<JointDecision, AcquireError> {
        let read = match decided {
            Ok(decided) => JointDecision::read(items, &decided),
            Err(error) => self.admit_together(items, &error).ok_or_else(|| error.into()),
        };
        // An error is not of one of the limits: it speaks of the call.
        let joint = read.map_err(|error| self.failed(None, error))?;
        if joint.decision.counted {
            items.iter().for_each(|(limit, _)| self.found(limit));
        }
        if !is_last && joint.held().next().is_some() {
            return Ok(joint);
        }
        for (index, (limit, amount)) in items.iter().enumerate().filter(|(_, item)| item.1 > 0) {
            let Ok(named) = self.named(limit) else { continue };
            let outcome = match Counted::from(&joint.decision) {
                Counted::Denied if joint.violated.contains(&index) => Counted::Denied,
                // Another limit refuses: this one has not spoken.
                Counted::Denied => continue,
                Counted::Uncounted => Counted::Uncounted,
                _ if joint.shadowed.contains(&index) => Counted::Shadowed,
                _ => Counted::Allowed,
            };
            self.count(named.index, &joint.decision, outcome, *amount);
        }
        Ok(joint)
    }

    fn admit_together(&self, items: &[(&str, u64)], error: &DecideError) -> Option<JointDecision> {
        let (limit, amount) = items.first()?;
        let named = self.named(limit).ok()?;
        let decision = self.admit_uncounted(named, Operation::Acquire, *amount, error)?;
        Some(JointDecision::uncounted(decision))
    }

    #[inline(always)]
    fn count(&self, index: usize, decision: &Decision, outcome: Counted, units: u64) {
        // What an earlier call took was counted with that one.
        let is_taken = outcome == Counted::Allowed && !decision.repeated;
        let units = if is_taken { units } else { 0 };
        self.counters().note(index, outcome, decision.basis, units);
    }

    /// The decision that takes the place of an error, if there is to be one.
    #[cold]
    pub(crate) fn admit_uncounted(
        &self,
        named: LimitRef<'_>,
        operation: Operation,
        amount: u64,
        error: &DecideError,
    ) -> Option<Decision> {
        let DecideError::Overloaded { what, .. } = error else { return None };
        // A peek says what an acquire would come to: that it is let through.
        let is_asked = operation.takes() || operation == Operation::Peek;
        if self.at_capacity != AtCapacity::Admit || !error.is_store_full() || !is_asked {
            return None;
        }
        let basis = match what {
            Bounded::OverlayKeys => Basis::Local { since: self.peer().alone_since() },
            _ => Basis::Primary,
        };
        let capacity = self.current().load().find(named.id).map_or(0, |e| e.limit.capacity());
        let is_part_enough = operation == Operation::AcquireUpTo;
        let granted = match operation {
            Operation::Peek => 0,
            _ if is_part_enough => amount.min(capacity),
            _ => amount,
        };
        Some(Decision::uncounted(capacity, granted, (basis, self.peer().as_decider())))
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
