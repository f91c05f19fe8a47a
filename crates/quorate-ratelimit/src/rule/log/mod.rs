//! The memory of a sliding window: how many units were taken, by slices of time (`span.rs`).
//!
//! The newest slice is as long as it has to be: its units are known by the moment at which the
//! last of them were taken. When units are taken in a later one it is closed, and its units count
//! as if all had been taken at its end.
//!
//! ```text
//!   slice      │   40   │   41   │   42   │   43   │
//!   units          3         0        5        2 ▲
//!                                                └ the newest: taken at this moment, or before it
//!   leave when the length has passed since  ──▶  the end of 40, of 42, that moment
//! ```
//!
//! 109 bits are all there is for counts: small ones have more slices. A log whose counts grow
//! changes to a coarser form, of whole slices of its own, so that units leave with the ends of the
//! new ones. The large form counts earlier slices in multiples; what is left over of one is kept
//! with the next. Of what is given back of one the multiples are taken off, and the rest is owed
//! (`owed.rs`). So no unit ever leaves before its time, and none is lost.
//!
//! Whenever units are taken it goes back to the form and the multiple of the limit's max, as far as
//! its counts fit there: an earlier max, or a debit, is felt for as long as what was taken counts.
//!
//! In a cell: the moment in the first word; in the other two the counts, the newest slice's in the
//! lowest bits, the form in two bits above them, and the tag above the mark of reservations.

mod forms;
mod merging;
mod refunds;
#[cfg(test)]
mod tests;

use quorate::internal::bug::{self, Bug};

use crate::rule::cell::TAG_SHIFT;
use crate::rule::fields::{low, sum};
use crate::rule::owed::Owed;
use crate::rule::span::{Form, Home, LARGE_BITS, LARGE_FULL, Look, MOST_UNITS, Span};

/// The form's place in the last word, below the mark.
const FORM_SHIFT: u32 = TAG_SHIFT - 3;
/// Bits of the multiple in the large form.
const SCALE_BITS: u32 = 6;

/// Units by the time at which they were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    form: Form,
    /// Earlier slices are counted in multiples of two to this; 0 unless the form is large.
    scale: u32,
    /// The moment at which the newest units were taken.
    last: u64,
    /// Units of the slice of that moment.
    newest: u64,
    /// Counts of the slices before it, the latest in the lowest bits.
    earlier: u128,
    /// Units of these that were given back.
    owed: Owed,
}

impl Log {
    /// Makes an empty log, at a moment.
    #[inline]
    pub(crate) const fn empty(home: Home, at: u64) -> Self {
        let scale = if matches!(home.form, Form::Large) { home.scale } else { 0 };
        Self { form: home.form, scale, last: at, newest: 0, earlier: 0, owed: Owed::NONE }
    }

    /// Makes a log of so many units, taken at a moment.
    pub(crate) fn with(span: &Span, home: Home, at: u64, units: u64) -> Self {
        let mut log = Self::empty(home, at);
        log.add(span, home, units);
        log
    }

    /// Returns the moment at which the newest units were taken.
    #[inline]
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Looks from a moment, which is not before `last`.
    #[inline]
    pub(crate) fn look(&self, span: &Span, at: u64) -> Look {
        span.look(self.form, self.last, at)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.newest == 0 && self.earlier == 0
    }

    /// Returns the units that count at a moment.
    #[inline]
    pub(crate) fn used(&self, look: &Look) -> u64 {
        let newest = if look.is_newest { self.newest } else { 0 };
        let used = newest.saturating_add(sum(self.counted(look), self.form) << self.scale);
        used.saturating_sub(self.owed(look))
    }

    /// Returns the units that were given back and are still counted in slices.
    #[inline]
    fn owed(&self, look: &Look) -> u64 {
        // With its slice it has left.
        if self.owed.units == 0 || self.owed.before > self.kept(look) {
            return 0;
        }
        self.owed.units
    }

    /// Returns the counts of earlier slices that count at a moment.
    #[inline]
    fn counted(&self, look: &Look) -> u128 {
        if look.passed == 0 {
            return self.earlier;
        }
        self.earlier & low(self.kept(look) * self.form.bits())
    }

    /// Returns how many of the earlier slices count at a moment.
    #[inline]
    fn kept(&self, look: &Look) -> u32 {
        let early = u64::from(bug::is(Bug::SliceLeavesEarly));
        let passed = u32::try_from(look.passed.saturating_add(early)).unwrap_or(u32::MAX);
        self.form.slices().saturating_sub(passed)
    }

    /// Returns how many units can be taken at a moment and given back: the newest slice counts no
    /// more, and says of the most that it can hold that they are so many, or more.
    pub(crate) fn room(mut self, span: &Span, home: Home, look: &Look) -> u64 {
        self.take(span, home, look, 0);
        (MOST_UNITS - 1).saturating_sub(self.newest)
    }

    /// Takes units at a moment.
    #[inline]
    pub(crate) fn take(&mut self, span: &Span, home: Home, look: &Look, units: u64) {
        if self.is_at(home) {
            self.advance(look);
        } else {
            self.go_home(span, home, look);
        }
        // Nothing keeps an empty log in the form that it had.
        if self.is_empty() {
            *self = Self::empty(home, look.at);
        }
        self.add(span, home, units);
    }

    /// Adds units to the newest slice, in a form that has room for them.
    #[inline]
    fn add(&mut self, span: &Span, home: Home, units: u64) {
        if self.newest.saturating_add(units) > self.form.most() {
            self.make_room(span, home, units);
        }
        self.newest = self.newest.saturating_add(units).min(MOST_UNITS);
    }

    #[cold]
    fn make_room(&mut self, span: &Span, home: Home, units: u64) {
        while self.form != Form::Large && self.newest.saturating_add(units) > self.form.most() {
            self.grow(span, home);
        }
    }

    /// Moves on to a moment: what has left is forgotten, and the newest slice is closed if the
    /// moment is in a later one.
    #[inline]
    fn advance(&mut self, look: &Look) {
        if !look.is_newest {
            self.newest = 0;
        }
        if look.passed > 0 {
            self.close(look.passed);
        }
        self.last = look.at;
    }

    fn close(&mut self, passed: u64) {
        let slices = self.form.slices();
        let bits = self.form.bits();
        let Some(passed) = u32::try_from(passed).ok().filter(|passed| *passed <= slices) else {
            // All of it has left.
            self.newest = 0;
            self.earlier = 0;
            self.owed = Owed::NONE;
            return;
        };
        // An earlier slice may be able to say less than the newest one has.
        if self.form == Form::Large && self.newest >> self.scale >= LARGE_FULL {
            self.fit_newest();
        }
        let (count, rest) = self.multiples(self.newest);
        let earlier = (self.earlier << bits | u128::from(count)) << (bits * (passed - 1));
        self.earlier = earlier & low(bits * slices);
        self.newest = rest;
        if self.owed.units > 0 {
            self.owed = self.owed.after(passed, slices);
        }
    }

    /// Returns the count of the slice that is so many before the newest.
    fn count(&self, before: u32) -> u64 {
        let bits = self.form.bits();
        (self.earlier >> (bits * (before - 1))) as u64 & ((1 << bits) - 1)
    }

    /// Returns the units of the slice that is so many before the newest; of the newest for 0.
    fn units(&self, before: u32) -> u64 {
        if before == 0 { self.newest } else { self.count(before) << self.scale }
    }

    fn set_count(&mut self, before: u32, count: u64) {
        let bits = self.form.bits();
        let shift = bits * (before - 1);
        self.earlier &= !(low(bits) << shift);
        self.earlier |= u128::from(count) << shift;
    }
}

/// The moments at which units leave.
impl Log {
    /// Returns when the units of a slice leave.
    fn leaves(&self, span: &Span, before: u32) -> u64 {
        if before == 0 {
            return self.last.saturating_add(span.length());
        }
        let number = span.number(self.form, self.last).saturating_sub(u64::from(before) - 1);
        span.start(self.form, number).saturating_add(span.length())
    }

    /// Returns when no more than `most` units count, if none are taken; at the moment itself more
    /// do.
    #[inline]
    pub(crate) fn falls_to(&self, span: &Span, look: &Look, mut used: u64, most: u64) -> u64 {
        let mut counted = self.counted(look);
        let owed = self.owed(look);
        used = used.saturating_add(owed);
        // The oldest first, which leaves first.
        while let Some(before) = self.oldest(counted) {
            used = used.saturating_sub(self.units(before));
            let still_owed = if self.owed.before < before { owed } else { 0 };
            if used.saturating_sub(still_owed) <= most {
                return self.leaves(span, before);
            }
            counted &= low(self.form.bits() * (before - 1));
        }
        self.leaves(span, 0)
    }

    /// Returns the oldest slice of these counts that has units.
    #[inline]
    fn oldest(&self, counts: u128) -> Option<u32> {
        let bit = counts.checked_ilog2()?;
        // A division by a constant each.
        Some(
            1 + match self.form {
                Form::Fine => bit / Form::Fine.bits(),
                Form::Medium => bit / Form::Medium.bits(),
                Form::Coarse => bit / Form::Coarse.bits(),
                Form::Large => bit / Form::Large.bits(),
            },
        )
    }

    /// Returns when nothing counts, if nothing is taken; `None` if nothing does at the moment.
    #[inline]
    pub(crate) fn ends(&self, span: &Span, look: &Look) -> Option<u64> {
        if self.newest > 0 && look.is_newest {
            return Some(self.leaves(span, 0));
        }
        let counted = self.counted(look);
        let latest = (1..=self.kept(look)).find(|before| self.count(*before) > 0);
        latest.filter(|_| counted > 0).map(|latest| self.leaves(span, latest))
    }
}

/// A log in a cell.
impl Log {
    /// Reads a cell's words; any words are a log.
    #[inline]
    pub(crate) fn unpack(&[last, second, third]: &[u64; 3]) -> Self {
        let packed = u128::from(third & ((1 << FORM_SHIFT) - 1)) << 64 | u128::from(second);
        let form = Form::of(third >> FORM_SHIFT);
        if form == Form::Large {
            let scale = (packed >> LARGE_BITS) as u32 & ((1 << SCALE_BITS) - 1);
            let (newest, scale, owed) = Owed::unpack(packed as u64, scale);
            let earlier = packed >> (LARGE_BITS + SCALE_BITS);
            return Self { form, scale, last, newest, earlier, owed };
        }
        let newest = (packed & low(form.bits())) as u64;
        let earlier = packed >> form.bits() & low(form.bits() * form.slices());
        Self { form, scale: 0, last, newest, earlier, owed: Owed::NONE }
    }

    /// Returns a cell's words, the tag apart.
    #[inline]
    pub(crate) fn pack(&self) -> [u64; 3] {
        let packed = if self.form == Form::Large {
            let mut low = self.newest | u64::from(self.scale) << LARGE_BITS;
            if self.owed.units > 0 {
                low = self.owed.kept(self.scale, self.newest).pack(self.scale, self.newest);
            }
            u128::from(low) | self.earlier << (LARGE_BITS + SCALE_BITS)
        } else {
            u128::from(self.newest) | self.earlier << self.form.bits()
        };
        [self.last, packed as u64, (packed >> 64) as u64 | (self.form as u64) << FORM_SHIFT]
    }
}
