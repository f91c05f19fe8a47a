//! Units given back: of the slice that they were taken in, or of whichever has some.
//!
//! In the large form what is given back is less than a multiple at times: then it is owed
//! (`owed.rs`).

use super::Log;
use crate::rule::fields::low;
use crate::rule::owed::Owed;
use crate::rule::span::{Form, Look, MOST_UNITS, Span};

impl Log {
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
    pub(super) fn give_from(&mut self, look: &Look, oldest: u32, units: u64) -> u64 {
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
