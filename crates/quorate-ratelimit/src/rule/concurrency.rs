//! Concurrency: permits that are held at once, each under a lease.
//!
//! The cell of a key counts permits by the slice in which each was taken or last renewed
//! (`lapse.rs`); each permit has a cell of its own beside it, whose key is made of its random id.
//! To renew a permit moves it into the present slice, to give it back takes it off its slice;
//! whoever does neither is counted no more once its slice has lapsed, and its id is good for
//! nothing then. One that is renewed by a peer alone counts in both slices when that is merged,
//! until the older one lapses.
//!
//! A permit's cell: its units, the moment at which its slice lapses, and the tag of the limit.
//!
//! All of it goes by the group's steady clock: where the calendar jumps, for the clocks of a
//! majority were put right, no permit has been held for longer, and none lapses.

use quorate::{Cell, DecideContext, Delta, GroupTime, Value};

use crate::rule::cell::{TAG_SHIFT, confirm};
use crate::rule::hash::fnv;
use crate::rule::lapse::{LapseClock, Lapsing, MAX_UNITS};
use crate::rule::operation::{Operation, Request};
use crate::rule::verdict::{Ruling, Verdict};

/// A concurrency limit, prepared for deciding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concurrency {
    slices: LapseClock,
    max: u64,
    lease: u64,
    tag: u64,
}

/// A request about one permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitRequest {
    Take { units: u64 },
    Renew,
    Release,
}

/// The content of a permit's cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PermitCell {
    units: u64,
    slice: u64,
}

impl PermitCell {
    /// Orders what was said of one permit: later slices first, and its release last.
    fn newness(self) -> (u64, bool) {
        (self.slice, self.units == 0)
    }
}

impl Concurrency {
    /// Makes a limit of at most `max` permits, each held for a lease in nanoseconds without a word
    /// of its holder.
    pub(crate) const fn new(max: u64, lease: u64, salt: u64) -> Self {
        let hash = fnv(3 ^ salt, &lease.to_le_bytes());
        // A multiple of 8, not 0, and below the tags of rates: no other kind has such a one.
        let tag = (hash >> (TAG_SHIFT + 1)) & !7 | 8;
        Self { slices: LapseClock::new(lease, tag), max, lease, tag }
    }

    /// Returns this limit with another max: it reads the same cells.
    pub(crate) fn with_max(self, max: u64) -> Self {
        Self { max, ..self }
    }

    pub(crate) fn tag(&self) -> u64 {
        self.tag
    }

    /// Decides about a peek, at this steady time; permits are taken one by one, by
    /// [`Concurrency::decide_permit`].
    pub(crate) fn decide(&self, cell: &Cell, request: Request, now: GroupTime) -> Ruling {
        let held = self.slices.roll(cell.value(), now).held;
        match request.operation {
            Operation::Peek => {
                let units = request.amount.max(1);
                self.refusal(held, now, self.verdict(held, units), units)
            }
            _ => self.ruling(held, now, Verdict::Unsupported, 0),
        }
    }

    /// Takes, renews or gives back a permit, in its own cell beside the key's.
    pub(crate) fn decide_permit(
        &self,
        cell: &mut Cell,
        permit: &mut Cell,
        request: PermitRequest,
        context: DecideContext,
    ) -> Ruling {
        let now = context.steady();
        let mut held = self.slices.roll(cell.value(), now).held;
        // Of one that has lapsed the cell may still be there, and says nothing.
        let known = self.permit(permit).filter(|known| held.counts(known.slice));
        let open = known.filter(|known| known.units > 0);
        match request {
            PermitRequest::Take { units } => {
                if let Some(known) = known {
                    if known.units == 0 {
                        return self.ruling(held, now, Verdict::Ended, 0);
                    }
                    // Asked for again, for the first answer was lost.
                    confirm(permit);
                    return self.leased(held, now, known.units).repeated();
                }
                let verdict = self.verdict(held, units);
                if verdict != Verdict::Allowed || units == 0 {
                    return self.refusal(held, now, verdict, units);
                }
                held.add(units);
                permit.set(self.written(PermitCell { units, slice: held.number() }, context));
                cell.set(self.slices.value(held, context));
                self.leased(held, now, units)
            }
            PermitRequest::Renew => {
                let Some(PermitCell { units, slice }) = open else {
                    return self.ruling(held, now, Verdict::Ended, 0);
                };
                if slice == held.number() {
                    // Nothing changes, and the answer waits for what it was taken by all the same.
                    confirm(permit);
                } else {
                    held.remove(slice, units);
                    held.add(units);
                    permit.set(self.written(PermitCell { units, slice: held.number() }, context));
                    cell.set(self.slices.value(held, context));
                }
                self.leased(held, now, units)
            }
            PermitRequest::Release => {
                let Some(PermitCell { units, slice }) = open else {
                    // Given back already, by its holder or by time.
                    confirm(permit);
                    return self.ruling(held, now, Verdict::Allowed, 0);
                };
                held.remove(slice, units);
                // Kept as given back: a renewal that comes late must not take it again.
                permit.set(self.written(PermitCell { units: 0, slice }, context));
                cell.set(self.slices.value(held, context));
                self.ruling(held, now, Verdict::Allowed, units)
            }
        }
    }

    fn verdict(&self, held: Lapsing, units: u64) -> Verdict {
        match held.total().checked_add(units) {
            _ if units > self.max => Verdict::Never,
            Some(total) if total <= self.max => Verdict::Allowed,
            Some(_) | None => Verdict::Denied,
        }
    }

    fn ruling(&self, held: Lapsing, now: GroupTime, verdict: Verdict, granted: u64) -> Ruling {
        let lapses = self.slices.lapses(held.number());
        Ruling {
            limit: self.max,
            remaining: self.max.saturating_sub(held.total()),
            beyond: held.total().saturating_sub(self.max),
            granted,
            reset_after: if held.total() == 0 { 0 } else { lapses.saturating_sub(now.0) },
            ..Ruling::new(verdict)
        }
    }

    /// Rules that a permit is held for a lease from now on.
    fn leased(&self, held: Lapsing, now: GroupTime, units: u64) -> Ruling {
        Ruling { reset_after: self.lease, ..self.ruling(held, now, Verdict::Allowed, units) }
    }

    /// Rules that nothing was taken. A denial lasts until enough leases have ended, unless permits
    /// are given back earlier.
    fn refusal(&self, held: Lapsing, now: GroupTime, verdict: Verdict, units: u64) -> Ruling {
        let ruling = self.ruling(held, now, verdict, 0);
        if verdict != Verdict::Denied {
            return ruling;
        }
        let lapses = self.slices.lapses(held.leaving(self.max - units));
        Ruling { retry_after: lapses.saturating_sub(now.0), ..ruling }
    }

    /// Returns all units held at this steady time.
    pub(crate) fn used(&self, value: &Value, at: u64) -> u64 {
        self.slices.roll(Some(value), GroupTime(at)).held.total()
    }

    /// Keeps in `delta` what was taken locally, less what was given back of it.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let Some(after) = self.slices.read(Some(after)) else { return };
        let at = GroupTime(after.number().saturating_mul(self.slices.length()));
        let before = self.slices.roll(before, at).held;
        let known = Value { words: delta.words, expires: GroupTime::MAX };
        let mut moved = self.slices.roll(Some(&known), at).held;
        moved.move_on(&before, &after);
        delta.words = self.slices.words(moved);
    }

    /// Counts what is still held of what was taken locally. Bounded by the max in each slice,
    /// whatever a peer claims.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        context: DecideContext,
    ) -> Option<(Value, u64)> {
        let taken = Value { words: delta.words, expires: GroupTime::MAX };
        let local = self.slices.read(Some(&taken))?;
        let mut held = self.slices.roll(value, context.steady()).held;
        let units = held.merge(&local, self.max);
        (units > 0).then(|| (self.slices.value(held, context), units))
    }

    fn permit(&self, cell: &Cell) -> Option<PermitCell> {
        let [units, lapses, tag] = cell.value()?.words;
        let is_own = tag >> TAG_SHIFT == self.tag && units <= MAX_UNITS;
        is_own.then(|| PermitCell { units, slice: self.slices.that_lapses(lapses) })
    }

    fn written(&self, PermitCell { units, slice }: PermitCell, context: DecideContext) -> Value {
        let lapses = self.slices.lapses(slice);
        let expires = context.by_calendar(GroupTime(lapses));
        Value { words: [units, lapses, self.tag << TAG_SHIFT], expires }
    }
}

impl Concurrency {
    /// Merges a permit: it is what was said of it last, here or by a peer alone, and nothing once
    /// it has lapsed. One of a peer whose clock is ahead counts in the present slice, as its units
    /// do.
    pub(crate) fn merge_permit(&self, delta: &Delta, cell: &mut Cell, context: DecideContext) {
        let now = context.steady();
        let value = Value { words: delta.words, expires: GroupTime::MAX };
        let Some(mut local) = self.permit(&Cell::new(Some(value))) else { return };
        local.slice = local.slice.min(self.slices.none(now).number());
        let known = self.permit(cell);
        let is_newer = known.is_none_or(|known| local.newness() > known.newness());
        if self.slices.lapses(local.slice) > now.0 && is_newer {
            cell.set(self.written(local, context));
        }
    }
}
