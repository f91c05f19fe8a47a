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

use quorate::bug::{self, Bug};

use crate::rule::cell::TAG_SHIFT;
use crate::rule::fields::{low, sum};
use crate::rule::owed::Owed;
use crate::rule::span::{Form, Home, LARGE_BITS, LARGE_FULL, Look, MOST_SCALE, MOST_UNITS, Span};
use crate::rule::whole_units;

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

    #[inline]
    fn is_at(&self, home: Home) -> bool {
        self.form == home.form && (self.form != Form::Large || self.scale == home.scale)
    }

    /// Moves on to a moment in the form and the multiple of the max, or as near as its counts let
    /// it: units of coarser slices leave with the ends of those.
    #[cold]
    pub(crate) fn go_home(&mut self, span: &Span, home: Home, look: &Look) {
        // What has left keeps it from nothing.
        self.earlier = self.counted(look);
        if !look.is_newest {
            self.newest = 0;
        }
        while self.form < home.form {
            self.grow(span, home);
        }
        if self.form == Form::Large {
            self.fit(home.scale);
        }
        while self.form > home.form {
            let Some(finer) = self.finer(span) else { break };
            *self = finer;
        }
        let look = self.look(span, look.at);
        self.advance(&look);
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
            (self.newest, self.earlier, self.owed) = (0, 0, Owed::NONE);
            return;
        };
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

    /// Returns units as an earlier slice counts them, and what is left over.
    fn multiples(&self, units: u64) -> (u64, u64) {
        if self.form != Form::Large {
            return (units, 0);
        }
        let count = units >> self.scale;
        if count >= LARGE_FULL {
            // More than the max, or than any: nothing is admitted while it counts.
            return (LARGE_FULL, 0);
        }
        (count, units & ((1 << self.scale) - 1))
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

    /// The next coarser form: two slices become one, with the units of both.
    fn coarsen(&mut self, span: &Span, home: Home) {
        if self.form >= Form::Coarse {
            // Commutes: what is more than the max is "so many, or more" in any order.
            return self.recount(home.scale.max(self.scale));
        }
        let top = span.number(self.form, self.last);
        let mut coarse = Self { form: self.form.coarser(), earlier: 0, ..*self };
        for before in 1..=self.form.slices() {
            let number = top.saturating_sub(before.into()) >> 1;
            let units = self.count(before);
            match ((top >> 1) - number) as u32 {
                0 => coarse.newest += units,
                before => coarse.set_count(before, coarse.count(before) + units),
            }
        }
        *self = coarse;
    }

    /// The next coarser form, with multiples in which all counts are what they were.
    fn grow(&mut self, span: &Span, home: Home) {
        if self.form < Form::Coarse {
            self.coarsen(span, home);
        } else {
            self.fit(home.scale.max(self.scale));
        }
    }

    /// The next finer form, in which the units of a slice are in the last part of it: they leave
    /// when they would have. `None` if a count does not fit.
    fn finer(&self, span: &Span) -> Option<Self> {
        let form = self.form.finer();
        let mut finer = Self { form, scale: 0, earlier: 0, owed: Owed::NONE, ..*self };
        let parts = form.slices() / self.form.slices();
        let after = span.number(form, self.last) % u64::from(parts);
        let mut is_fitting = self.newest <= form.most();
        for before in 1..=self.form.slices() {
            let units = self.units(before);
            is_fitting &= units <= form.most() && !self.is_full(before);
            finer.set_count((before - 1) * parts + after as u32 + 1, units.min(form.most()));
        }
        is_fitting.then_some(finer)
    }

    /// The large form with these multiples.
    #[cold]
    fn recount(&mut self, scale: u32) {
        *self = self.recounted(scale).0;
    }

    /// The large form with the smallest multiples, not below these, in which all counts are what
    /// they were.
    fn fit(&mut self, least: u32) {
        let mut scale = least;
        while scale < MOST_SCALE && !self.recounted(scale).1 {
            scale += 1;
        }
        self.recount(scale);
    }

    /// Fits the multiples to the newest slice before it is closed, if they can say how many units
    /// it has.
    #[cold]
    fn fit_newest(&mut self) {
        while self.newest < MOST_UNITS && self.newest >> self.scale >= LARGE_FULL {
            self.fit(self.scale + 1);
        }
    }

    /// The large form with these multiples, and whether no count is less in it: what is left over
    /// of a slice is kept with the next.
    fn recounted(&self, scale: u32) -> (Self, bool) {
        let mut large = Self { form: Form::Large, scale, earlier: 0, ..*self };
        if scale != self.scale {
            large.owed = Owed::NONE;
        }
        let mut is_fitting = true;
        let mut rest = 0;
        for before in (1..=large.form.slices()).rev() {
            let count;
            if self.is_full(before) {
                is_fitting &= scale >= self.scale;
                (count, rest) = (LARGE_FULL, 0);
            } else {
                let units = self.units(before) + rest;
                is_fitting &= units >> scale < LARGE_FULL;
                (count, rest) = large.multiples(units);
            }
            large.set_count(before, count);
        }
        large.newest = large.newest.saturating_add(rest).min(MOST_UNITS);
        (large, is_fitting)
    }

    /// Returns true if an earlier slice says "so many units, or more".
    fn is_full(&self, before: u32) -> bool {
        self.form == Form::Large && self.count(before) == LARGE_FULL
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

    /// Gives back units that were taken in the slice of a moment, as far as they are there.
    ///
    /// Units that are not there are looked for where they may be kept, the oldest first: in the
    /// large form in all later slices, and in finer ones within the coarsest that the moment is in,
    /// for the form may have been that.
    pub(crate) fn give_back_of(&mut self, span: &Span, look: &Look, of: u64, units: u64) -> u64 {
        let top = span.number(self.form, self.last);
        let before = |number| {
            let before = top.checked_sub(number)?;
            u32::try_from(before).ok()
        };
        let Some(oldest) = before(span.number(self.form, of)) else { return 0 };
        if oldest > self.kept(look) || !look.is_newest {
            return 0;
        }
        if self.form == Form::Large {
            let units = units.min(self.of_slice(span, look, oldest));
            return self.give_from(look, oldest, units);
        }
        let latest = before(span.last_beside(self.form, of)).unwrap_or(0);
        let slices = (latest..=oldest).rev();
        slices.fold(0, |given, before| given + self.remove(before, units - given))
    }

    /// Returns how many units of a slice are there at most, in the large form. Less than a multiple
    /// of it is kept with later ones. Of a slice that has none and has left in part that is not
    /// sure: all of it may have left, as the newest one does by its last moment, and where nothing
    /// was closed since, whatever is there may have been taken after that.
    fn of_slice(&self, span: &Span, look: &Look, before: u32) -> u64 {
        if before == 0 {
            return self.newest;
        }
        let own = if self.is_full(before) { 0 } else { self.units(before) };
        let number = span.number(self.form, self.last).saturating_sub(before.into());
        let is_whole = look.at < span.start(self.form, number).saturating_add(span.length());
        let has_later = self.earlier & low(self.form.bits() * (before - 1)) > 0;
        if own == 0 && !is_whole && !has_later {
            return 0;
        }
        own.saturating_add((1 << self.scale) - 1)
    }

    /// Gives back units of the slice of the moment, and what is not there from the oldest ones on:
    /// whatever slice they were taken in, none that stays leaves before its time.
    pub(crate) fn give_back(&mut self, look: &Look, units: u64) -> u64 {
        let mut rest = units;
        if look.passed == 0 {
            // What was left over of earlier slices is not of this one.
            let own = self.newest.saturating_sub((1 << self.scale) - 1);
            rest -= self.remove(0, rest.min(own));
        }
        if self.form == Form::Large {
            return units - rest + self.give_from(look, self.kept(look), rest);
        }
        for before in (1..=self.kept(look)).rev() {
            rest -= self.remove(before, rest);
        }
        if look.is_newest && self.counted(look) == 0 {
            rest -= self.remove(0, rest);
        }
        units - rest
    }

    /// Takes units off a slice, counted by ones; returns how many.
    fn remove(&mut self, before: u32, units: u64) -> u64 {
        if before == 0 {
            let removed = if self.newest == MOST_UNITS { 0 } else { units.min(self.newest) };
            self.newest -= removed;
            return removed;
        }
        let count = self.count(before);
        let removed = count.min(units);
        self.set_count(before, count - removed);
        removed
    }

    /// Gives back units of a slice and of those after it, which may have been left over of that, in
    /// the large form; returns how many. Of a slice that has more than it can say, none.
    fn give_from(&mut self, look: &Look, oldest: u32, units: u64) -> u64 {
        let said = (0..=oldest).rev().take_while(|before| *before == 0 || !self.is_full(*before));
        let there = said.fold(0, |sum: u64, before| sum.saturating_add(self.units(before)));
        let units = units.min(there.min(self.used(look)));
        let multiple = 1 << self.scale;
        let known = self.owed(look);
        let mut owed = known + units;
        let from = if known > 0 { self.owed.before.max(oldest) } else { oldest };
        let mut has_more = false;
        let mut place = from;
        for before in (1..=from).rev() {
            // What is after one that does not say how much it has may be of that.
            if self.is_full(before) {
                has_more = true;
                break;
            }
            let count = self.count(before);
            let taken = count.min(owed / multiple);
            self.set_count(before, count - taken);
            owed -= taken * multiple;
            has_more |= taken < count;
            if taken > 0 {
                // What is left of it was given back just now.
                place = oldest;
            }
        }
        if !has_more {
            owed -= self.remove(0, owed);
        }
        let kept = Owed { units: owed, before: place.max(1) }.kept(self.scale, self.newest);
        self.owed = kept;
        units.saturating_sub(owed - kept.units)
    }
}

/// Several logs put together.
impl Log {
    /// Moves back to an earlier moment: what was taken later was taken then.
    pub(crate) fn move_back(&mut self, span: &Span, home: Home, at: u64) {
        let passed = span.number(self.form, self.last) - span.number(self.form, at);
        let later = u32::try_from(passed).unwrap_or(u32::MAX).min(self.form.slices());
        let units = (0..=later).fold(0u64, |sum, before| sum.saturating_add(self.units(before)));
        self.earlier >>= self.form.bits() * later;
        (self.newest, self.last, self.owed) = (0, at, Owed::NONE);
        self.add(span, home, units);
    }

    /// Forgets what does not count at a moment, and of the rest all but the newest `most` units;
    /// returns how many are left.
    pub(crate) fn trim(&mut self, look: &Look, most: u64) -> u64 {
        let kept = self.kept(look);
        let newest = if look.is_newest { self.newest } else { 0 };
        let mut units = newest.min(most);
        (self.newest, self.owed) = (units, Owed::NONE);
        for before in 1..=self.form.slices() {
            let counted = if before <= kept { self.units(before).min(most - units) } else { 0 };
            units += counted;
            self.set_count(before, counted >> self.scale);
            // Of the one that is cut, less than a multiple.
            self.newest += counted & ((1 << self.scale) - 1);
        }
        units
    }

    /// Raises the multiples to those of the max. A count that says "so many, or more" says
    /// more than this max then.
    #[inline]
    pub(crate) fn raise(&mut self, home: Home) {
        if self.form == Form::Large && self.scale < home.scale {
            self.recount(home.scale);
        }
    }

    /// Moves on what was taken locally by a decision that has changed a log.
    pub(crate) fn moved(span: &Span, home: Home, at: u64, mut logs: [Self; 3]) -> Self {
        if logs.iter().all(|log| log.form != Form::Large) {
            return Self::combine(span, home, at, logs, |[known, before, after]| {
                whole_units::moved(known, before, after)
            });
        }
        logs.iter_mut().for_each(|log| log.advance(&log.look(span, at)));
        Self::align(span, home, &mut logs);
        let [mut known, before, after] = logs;
        let look = known.look(span, at);
        let was = before.used(&look);
        let is = after.used(&look);
        if is >= was {
            known.add(span, home, is - was);
            return known;
        }
        let oldest = (0..=known.form.slices())
            .rev()
            .find(|slice| before.units(*slice) > after.units(*slice))
            .unwrap_or(0);
        let slice = if after.owed == before.owed { oldest } else { oldest.max(after.owed.before) };
        // Of what others took there nothing was taken locally; the rest of a multiple is later.
        let most = known.units(slice).saturating_add((1 << known.scale) - 1);
        known.give_from(&look, slice, (was - is).min(most));
        known
    }

    /// The units of logs slice by slice, as `f` says of their counts; all move on to `at` before.
    pub(crate) fn combine<const N: usize>(
        span: &Span,
        home: Home,
        at: u64,
        mut logs: [Self; N],
        f: impl Fn([u64; N]) -> u64,
    ) -> Self {
        logs.iter_mut().for_each(|log| log.advance(&log.look(span, at)));
        loop {
            Self::align(span, home, &mut logs);
            if let Some(combined) = Self::combine_aligned(&logs, &f) {
                return combined;
            }
            logs.iter_mut().for_each(|log| log.coarsen(span, home));
        }
    }

    /// Brings logs of one moment into one form.
    fn align(span: &Span, home: Home, logs: &mut [Self]) {
        let form = logs.iter().map(|log| log.form).max().unwrap_or(home.form);
        for log in &mut *logs {
            while log.form < form {
                log.coarsen(span, home);
            }
        }
        let scale = logs.iter().map(|log| log.scale).max().unwrap_or(0);
        for log in logs.iter_mut().filter(|log| log.scale < scale) {
            log.recount(scale);
        }
    }

    /// `None` if a count does not fit into the form.
    fn combine_aligned<const N: usize>(
        logs: &[Self; N],
        f: &impl Fn([u64; N]) -> u64,
    ) -> Option<Self> {
        let newest = f(logs.map(|log| log.newest));
        let mut combined = Self { newest, earlier: 0, owed: Owed::NONE, ..logs[0] };
        let form = combined.form;
        if form == Form::Large {
            combined.newest = combined.newest.min(MOST_UNITS);
        }
        let mut is_fitting = combined.newest <= form.most();
        for before in 1..=form.slices() {
            let count = f(logs.map(|log| log.count(before)));
            let most = (1 << form.bits()) - 1;
            is_fitting &= form == Form::Large || count <= most;
            combined.set_count(before, count.min(most));
        }
        is_fitting.then_some(combined)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;
    const SPAN: Span = Span::new(320 * MS);

    /// Units and the moments at which they leave, the same moments together.
    fn leaving(log: &Log) -> Vec<(u64, u64)> {
        let mut all: Vec<(u64, u64)> = Vec::new();
        for before in (0..=log.form.slices()).rev() {
            let (at, units) = (log.leaves(&SPAN, before), log.units(before));
            match all.last_mut() {
                Some((last, sum)) if *last == at => *sum += units,
                _ => all.push((at, units)),
            }
        }
        all.retain(|(_, units)| *units > 0);
        all
    }

    fn logs() -> impl Strategy<Value = Log> {
        let max = prop_oneof![1..8u64, 8..64u64, 64..4_096u64, 4_096..MOST_UNITS];
        let steps = prop::collection::vec((0..60 * MS, 0..1000u64), 1..60);
        (max, steps).prop_map(|(max, steps)| {
            let home = Home::new(max);
            let mut at = 1_753_000_000_000_000_000;
            let mut log = Log::empty(home, at);
            for (gap, part) in steps {
                at += gap;
                let look = log.look(&SPAN, at);
                let left = max.saturating_sub(log.used(&look));
                let units = u128::from(left) * u128::from(part) / 1000;
                log.take(&SPAN, home, &look, units as u64);
            }
            log
        })
    }

    proptest! {
        #[test]
        fn a_log_is_read_as_it_was_written(log in logs()) {
            let words = log.pack();
            prop_assert_eq!(words[2] >> (TAG_SHIFT - 1), 0, "the mark and the tag are not of it");
            prop_assert_eq!(Log::unpack(&words), log);
        }

        /// In a coarser form no unit leaves earlier, none is lost, and none leaves later than with
        /// the end of its new slice.
        #[test]
        fn a_coarser_form_keeps_every_unit_at_least_as_long(log in logs(), max in 1..MOST_UNITS) {
            let mut coarse = log;
            coarse.coarsen(&SPAN, Home::new(max));
            let sum = |all: &[(u64, u64)]| all.iter().map(|(_, units)| units).sum::<u64>();
            let (before, after) = (leaving(&log), leaving(&coarse));
            let is_full = (1..=coarse.form.slices()).any(|before| coarse.is_full(before));
            if !is_full {
                prop_assert_eq!(sum(&before), sum(&after));
            }
            for (at, _) in &before {
                let left = |all: &[(u64, u64)], until: u64| {
                    all.iter().filter(|(at, _)| *at > until).map(|(_, units)| units).sum::<u64>()
                };
                prop_assert!(left(&after, at - 1) >= left(&before, at - 1));
                if coarse.form != Form::Large {
                    let late = at + SPAN.slice(coarse.form);
                    prop_assert!(left(&after, late) <= left(&before, *at));
                }
            }
        }

        #[test]
        fn the_sum_of_packed_counts_is_that_of_all(
            bits in any::<u128>(),
            number in 0..4u64,
        ) {
            let form = Form::of(number);
            let earlier = bits & low(form.bits() * form.slices());
            let log = Log { form, scale: 0, last: 0, newest: 0, earlier, owed: Owed::NONE };
            let all = (1..=form.slices()).map(|before| log.count(before));
            prop_assert_eq!(sum(earlier, form), all.sum::<u64>());
        }
    }

    #[test]
    fn a_slice_that_has_more_than_it_can_say_blocks_until_it_leaves() {
        let home = Home::new(5_000);
        let at = 1_000 * 320 * MS;
        let mut log = Log::with(&SPAN, home, at, MOST_UNITS);
        let look = log.look(&SPAN, at + 320 * MS - 1);
        log.take(&SPAN, home, &look, 1);
        assert!(log.used(&look.taken()) > 5_000);
        assert_eq!(log.give_back_of(&SPAN, &look.taken(), at, 999_999), 0);
        assert_eq!(log.used(&log.look(&SPAN, at + 320 * MS + SPAN.slice(Form::Large))), 1);
    }
}
