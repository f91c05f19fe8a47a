//! Reservations: units that are taken now, and settled when it is known how many were used.
//!
//! Reserving takes the units from the limit's cell like any acquire, and notes them twice: in a
//! cell of the reservation, and in one cell for all that is reserved of the key, by the time at
//! which it lapses (`lapse.rs`). To commit takes the reservation off that, and gives back, or
//! takes, the difference.
//!
//! ```text
//!   limit's cell        12 used, marked  ◀── 5 of these are reserved
//!   reserved of the key [5, 0, 0]          whoever settles a lapsed slice gives its units back
//!   the reservation     5, slice 7
//! ```
//!
//! A reservation whose holder has died lapses. Nobody has to notice at once: the limit's cell is
//! marked, and whoever is denied by a marked cell asks again together with what is reserved, which
//! settles that. Of a window only what was reserved in it is given back to it.
//!
//! All of this is the group's: a peer alone neither reserves nor commits.
//!
//! A limit may be changed in between. The reservation names the form of the limit that it was made
//! under, and what it has been charged with is worked out from there (`earlier_form.rs`), so that a
//! commit leaves what was used and nothing else: with what was reserved carried over it is that
//! part which it settles, and where that was forgotten it counts anew.
//!
//! ```text
//!   a reservation    units │ form 16, age 13, slice 34 │ tag 16, age 2, names its form 1, since 45
//! ```
//!
//! The age is that of what is reserved of the key; the time since which it counts is in
//! milliseconds. One that the version before this one has made does not name its form: it is taken
//! for one of the present.

use quorate::internal::bug::{self, Bug};
use quorate::{Cell, DecideContext, GroupTime, Value};

use crate::model::earlier_form::{Charge, FormNumber};
use crate::model::named_limit::NamedLimit;
use crate::rule::Rule;
use crate::rule::cell::{TAG_SHIFT, confirm, marked};
use crate::rule::lapse::{LapseClock, Lapsed, Lapsing, MAX_UNITS, Rolled};
use crate::rule::operation::{Operation, Request};
use crate::rule::sliding::Sliding;
use crate::rule::verdict::{NANOS_PER_MS, Ruling, Verdict};

/// The time that a reservation lasts if nobody commits or cancels it: between this and one and a
/// half times this, its units are given back.
pub(crate) const TERM_NANOS: u64 = 300_000_000_000;

/// The tag of a reservation's cell, in place of a limit's.
const RESERVATION_TAG: u64 = 0x7ff0;
/// The place of the age of the key's reservations in its last word, below its tag.
const AGE_SHIFT: u32 = TAG_SHIFT - 2;
/// The bit below that says that it names its form.
const NAMES_FORM: u64 = 1 << (AGE_SHIFT - 1);
/// Bits below that: the start of its window, or of a rate when it was made, in milliseconds.
const SINCE_MASK: u64 = NAMES_FORM - 1;
/// Bits of its slice.
const SLICE_BITS: u32 = 34;
/// Bits of the age above it.
const HIGH_AGE_BITS: u32 = 13;
/// Bits of the age in the last word.
const LOW_AGE_BITS: u32 = 2;
/// The place of the form of the limit above both; a bit is left between.
const FORM_SHIFT: u32 = 48;

/// The content of a reservation's cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reservation {
    units: u64,
    /// The slice that the units were taken in; of one that has ended, none.
    slice: Option<u64>,
    /// The window that they were taken in, or when they were, in milliseconds.
    since_ms: u64,
    /// The form of the limit that they were taken under.
    form: FormNumber,
    /// The number of times that what is reserved of the key had been forgotten by then.
    age: u16,
}

impl Reservation {
    const ENDED: u64 = u64::MAX;

    /// Reads a cell, under a limit that is of the form `present`.
    fn of(cell: &Cell, present: FormNumber) -> Option<Self> {
        let [units, second, last] = cell.value()?.words;
        let slice = (second != Self::ENDED).then_some(second & ((1 << SLICE_BITS) - 1));
        let named = slice.map_or(0, |_| (second >> FORM_SHIFT) as FormNumber);
        // One that has ended is settled under none; the bug that does so takes the present one.
        let names_form = last & NAMES_FORM != 0 && slice.is_some();
        let form = if names_form { named } else { present };
        let high_age = slice.map_or(0, |_| second >> SLICE_BITS & ((1 << HIGH_AGE_BITS) - 1));
        let low_age = last >> AGE_SHIFT & ((1 << LOW_AGE_BITS) - 1);
        let age = (high_age << LOW_AGE_BITS | low_age) as u16;
        let since_ms = last & SINCE_MASK;
        let is_one = last >> TAG_SHIFT == RESERVATION_TAG;
        is_one.then_some(Self { units, slice, since_ms, form, age })
    }

    fn write(self, cell: &mut Cell, expires: GroupTime) {
        let Self { units, slice, since_ms, form, age } = self;
        let age = u64::from(age);
        let above = u64::from(form) << FORM_SHIFT | age >> LOW_AGE_BITS << SLICE_BITS;
        let second = slice.map_or(Self::ENDED, |slice| slice | above);
        let low_age = (age & ((1 << LOW_AGE_BITS) - 1)) << AGE_SHIFT;
        let last = since_ms.min(SINCE_MASK) | NAMES_FORM | low_age;
        let words = [units, second, last | RESERVATION_TAG << TAG_SHIFT];
        cell.set(Value { words, expires });
    }

    /// Returns the charge that its limit bears for it.
    fn charge(self, named: &NamedLimit, held: Lapsing, slice: u64, now: GroupTime) -> Charge {
        // A peer whose code has another limit of the same name has counted afresh.
        let is_missing = self.form == named.form && held.units_of(slice) < self.units;
        if self.age != held.age() || is_missing && !bug::is(Bug::CommitTwice) {
            return Charge::FORGOTTEN;
        }
        let since = self.since_ms.saturating_mul(NANOS_PER_MS);
        named.charge(self.form, self.units, since, now.0)
    }
}

/// A key of which units are reserved: the cell of its limit, and that of all that is reserved.
pub(crate) struct ReservedKey<'a> {
    pub(crate) named: &'a NamedLimit,
    pub(crate) limit: &'a mut Cell,
    pub(crate) reserved: &'a mut Cell,
    pub(crate) context: DecideContext,
}

impl ReservedKey<'_> {
    /// Gives back what was reserved of the key and has lapsed; decides nothing.
    pub(crate) fn settle(&mut self) {
        let Rolled { held, lapsed } = self.roll();
        let rule = &self.named.rule;
        // The present window, without deciding anything in the cell itself.
        let mut bare = Cell::new(self.named.present(self.limit.value()).0);
        let window = rule.decide(&mut bare, Request::PEEK, self.context).window;
        let now = self.context.now().0;
        let mut units: u64 = 0;
        for Lapsed { start, units: of_slice } in lapsed {
            units = units.saturating_add(match self.context.calendar_at(GroupTime(start)) {
                // Of a slice that began before the window a part may have been taken in an older
                // one.
                Some((began, _)) if window.is_none_or(|window| began.0 >= window) => {
                    rule.returnable(of_slice, now.saturating_sub(began.0))
                }
                // The calendar has jumped since: in which window it was, or how much has flowed
                // back, nobody can tell.
                None if !rule.is_timed() => of_slice,
                Some(_) | None => 0,
            });
        }
        if let Rule::Sliding(sliding) = rule {
            lapsed.iter().for_each(|lapsed| self.give_back_parts(sliding, *lapsed));
        } else if units > 0 {
            self.decide(Request::new(Operation::Refund { window_ms: None }, units));
        }
        if lapsed.iter().any(|lapsed| lapsed.units > 0) {
            self.write(held);
        }
        if held.total() == 0 {
            self.mark(false);
        }
    }

    /// Gives back reserved units of a slice to the parts of a sliding window that they may have
    /// been taken in, the oldest first: so none that stays leaves before its time. What was carried
    /// over by a change was taken at its moment. Where the calendar has jumped since, nobody can
    /// tell in which, and they stay taken.
    fn give_back_parts(&mut self, sliding: &Sliding, lapsed: Lapsed) {
        let end = GroupTime(lapsed.start.saturating_add(self.clock().length() - 1));
        let Some((first, _)) = self.context.calendar_at(GroupTime(lapsed.start)) else { return };
        let Some((_, to)) = self.context.calendar_at(end) else { return };
        let changed = self.named.changed_at();
        let from = first.0.max(changed);
        let now = self.context.now().0;
        // Some of them may have left: what is found may be others'.
        if !sliding.counts(from, now) {
            return;
        }
        let mut units = lapsed.units;
        for part in sliding.parts_within(from, to.0.max(changed), now) {
            if units == 0 {
                return;
            }
            let operation = Operation::Refund { window_ms: Some(part) };
            units -= self.decide(Request::new(operation, units)).granted;
        }
    }

    /// Forgets what was reserved of the key, which is reset: nothing of it is given back.
    pub(crate) fn forget(&mut self) {
        let mut held = self.roll().held;
        if held.total() > 0 {
            held.forget();
            let expires = self.reserved.value().map_or(GroupTime(0), |value| value.expires);
            let value = self.clock().value(held, self.context);
            // It has to outlive the reservations, which are told by it that they were forgotten.
            self.reserved.set(Value { expires: value.expires.max(expires), ..value });
        }
    }

    /// Takes units and notes that they are reserved.
    pub(crate) fn reserve(&mut self, reservation: &mut Cell, amount: u64) -> Ruling {
        self.settle();
        let mut held = self.roll().held;
        if let Some(known) = Reservation::of(reservation, self.named.form) {
            // Asked for again, for the first answer was lost.
            confirm(reservation);
            return Ruling { reset_after: TERM_NANOS, ..self.repeated(known) };
        }
        if held.total().saturating_add(amount) > MAX_UNITS {
            // A shadow denies nothing.
            let limit = &self.named.limit;
            let most = if limit.is_shadow() { u64::MAX } else { limit.capacity() };
            return Ruling { limit: most.min(MAX_UNITS), ..Ruling::new(Verdict::Never) };
        }
        let mut ruling = self.decide(Request::new(Operation::Acquire, amount));
        ruling.marks.has_reservations = false;
        if !matches!(ruling.verdict, Verdict::Allowed | Verdict::Shadow) {
            return ruling;
        }
        let units = ruling.granted;
        let since_ms = ruling.window.unwrap_or_else(|| self.context.now().0) / NANOS_PER_MS;
        let lapses = GroupTime(self.clock().lapses(held.number()));
        let slice = Some(held.number());
        Reservation { units, slice, since_ms, form: self.named.form, age: held.age() }
            .write(reservation, self.context.by_calendar(lapses));
        ruling.reset_after = TERM_NANOS;
        if units > 0 {
            held.add(units);
            self.write(held);
            self.mark(true);
        }
        ruling
    }

    /// Settles a reservation by what was used of it; 0 to cancel it.
    ///
    /// No more is given back than the limit was charged with for it, or than is still reserved in
    /// its slice, and nothing once the limit has become another. Of a rate, what has flowed back
    /// since was given back by time.
    pub(crate) fn commit(&mut self, reservation: &mut Cell, actual: u64) -> Ruling {
        self.settle();
        let mut held = self.roll().held;
        let Some(known) = Reservation::of(reservation, self.named.form) else {
            return Ruling::new(Verdict::Ended);
        };
        let twice = Some(held.number()).filter(|_| bug::is(Bug::CommitTwice));
        let Some(slice) = known.slice.or(twice) else {
            // Asked for again, for the first answer was lost.
            confirm(reservation);
            return self.repeated(known);
        };
        if known.units > 0 && !held.counts(slice) {
            return Ruling::new(Verdict::Ended);
        }
        let now = self.context.now();
        let charge = known.charge(self.named, held, slice, now);
        let removed = if charge.is_returnable { held.remove(slice, charge.total) } else { 0 };
        let request = if actual < charge.total {
            // What is reserved under an earlier form is less where a rate has flowed meanwhile.
            let is_exact = known.form == self.named.form && twice.is_none();
            let most = if is_exact || !charge.is_returnable { removed } else { charge.total };
            let unused = (charge.total - actual).min(most);
            let has_windows = self.named.rule.has_windows();
            let window_ms = has_windows.then_some(charge.since / NANOS_PER_MS);
            Request::new(Operation::Refund { window_ms }, unused.saturating_sub(charge.flowed))
        } else {
            Request::new(Operation::Debit, actual - charge.total)
        };
        let mut ruling = self.decide(request);
        if removed > 0 {
            self.write(held);
        }
        self.mark(held.total() > 0);
        // No more than the limit can count is told.
        let charged = match request.operation {
            Operation::Debit => actual - (request.amount - ruling.granted.min(request.amount)),
            _ => actual,
        };
        let units = if twice.is_some() { known.units } else { charged };
        // Remembered for as long again: who asks again for an answer that was lost is not told that
        // it is over.
        let expires = GroupTime(now.0.saturating_add(TERM_NANOS));
        Reservation { units, slice: None, ..known }.write(reservation, expires);
        ruling.granted = charged;
        ruling.marks.has_reservations = false;
        ruling
    }

    /// Returns the answer that an earlier call got, once more.
    fn repeated(&self, known: Reservation) -> Ruling {
        let ruling = self.named.decide(&mut self.limit.clone(), Request::PEEK, self.context);
        Ruling { verdict: Verdict::Allowed, granted: known.units, ..ruling }.repeated()
    }

    fn decide(&mut self, request: Request) -> Ruling {
        self.named.decide(self.limit, request, self.context)
    }

    /// Returns the clock by which reservations of the limit's keys lapse.
    fn clock(&self) -> LapseClock {
        LapseClock::new(TERM_NANOS, self.named.rule.tag())
    }

    /// Returns what is reserved of the key at present, and what has lapsed since that was written.
    /// If the limit has become another meanwhile that is nothing: what was reserved under that form
    /// stays taken.
    fn roll(&self) -> Rolled {
        let present = self.named.reserved(self.reserved.value(), TERM_NANOS, self.context);
        self.clock().roll(present.as_ref(), self.context.steady())
    }

    /// Marks the limit's cell, or takes the mark off; one that is absent holds nothing.
    fn mark(&mut self, has_reservations: bool) {
        if let Some(value) = self.limit.value().copied() {
            let wanted = marked(value, has_reservations);
            if wanted != value {
                self.limit.set(wanted);
            }
        }
    }

    /// Writes what is reserved of the key, for as long as the limit's cell counts: what lapses may
    /// be given back until then.
    fn write(&mut self, held: Lapsing) {
        let mut value = self.clock().value(held, self.context);
        let until = self.limit.value().map_or(GroupTime(0), |value| value.expires);
        value.expires = value.expires.max(until);
        self.reserved.set(value);
    }
}
