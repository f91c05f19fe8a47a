//! Changes of a log's form: to a coarser one when a count is too large for the slices that it has,
//! and back to that of the limit's max as soon as its counts fit there.
//!
//! A change to a coarser form keeps all units, and none leaves earlier than before.

use super::Log;
use crate::rule::owed::Owed;
use crate::rule::span::{Form, Home, LARGE_FULL, Look, MOST_SCALE, MOST_UNITS, Span};

impl Log {
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

    /// Returns true if it is of the form and the multiple of the max.
    #[inline]
    pub(super) fn is_at(&self, home: Home) -> bool {
        self.form == home.form && (self.form != Form::Large || self.scale == home.scale)
    }

    /// Changes to the next coarser form: two slices become one, with the units of both.
    pub(super) fn coarsen(&mut self, span: &Span, home: Home) {
        if self.form >= Form::Coarse {
            // Commutes: what is more than the max is "so many, or more" in any order.
            return self.recount(home.scale.max(self.scale));
        }
        let top = span.number(self.form, self.last);
        let mut coarse = Self { form: self.form.coarser(), earlier: 0, ..*self };
        for before in 1..=self.form.slices() {
            // Slices of the coarser form begin at even numbers of this one.
            let number = top.saturating_sub(before.into()) >> 1;
            let units = self.count(before);
            match ((top >> 1) - number) as u32 {
                0 => coarse.newest += units,
                before => coarse.set_count(before, coarse.count(before) + units),
            }
        }
        *self = coarse;
    }

    /// Changes to the next coarser form, with multiples in which all counts are what they were.
    pub(super) fn grow(&mut self, span: &Span, home: Home) {
        if self.form < Form::Coarse {
            self.coarsen(span, home);
        } else {
            self.fit(home.scale.max(self.scale));
        }
    }

    /// Makes the next finer form, in which the units of a slice are in the last part of it: they
    /// leave when they would have. `None` if a count does not fit.
    fn finer(&self, span: &Span) -> Option<Self> {
        let form = self.form.finer();
        let mut finer = Self { form, scale: 0, earlier: 0, owed: Owed::NONE, ..*self };
        let parts = form.slices() / self.form.slices();
        let after = span.number(form, self.last) % u64::from(parts);
        let mut is_fitting = self.newest <= form.most();
        // What was left over of a multiple is in the newest slice, and is counted there.
        for before in 1..=self.form.slices() {
            let units = self.units(before);
            is_fitting &= units <= form.most() && !self.is_full(before);
            finer.set_count((before - 1) * parts + after as u32 + 1, units.min(form.most()));
        }
        is_fitting.then_some(finer)
    }

    /// Changes to the large form with these multiples.
    #[cold]
    pub(super) fn recount(&mut self, scale: u32) {
        *self = self.recounted(scale).0;
    }

    /// Changes to the large form with the smallest multiples, not below these, in which all counts
    /// are what they were.
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
    pub(super) fn fit_newest(&mut self) {
        while self.newest < MOST_UNITS && self.newest >> self.scale >= LARGE_FULL {
            self.fit(self.scale + 1);
        }
    }

    /// Makes the large form with these multiples; returns true as well if no count is less in it.
    /// What is left over of a slice is kept with the next.
    fn recounted(&self, scale: u32) -> (Self, bool) {
        let mut large = Self { form: Form::Large, scale, earlier: 0, ..*self };
        // What is owed is less than a multiple: of other multiples it is counted as taken again.
        if scale != self.scale {
            large.owed = Owed::NONE;
        }
        let mut is_fitting = true;
        let mut rest = 0;
        for before in (1..=large.form.slices()).rev() {
            let count;
            if self.is_full(before) {
                is_fitting &= scale >= self.scale;
                // Nobody knows how much is left over of what is "so many, or more".
                count = LARGE_FULL;
                rest = 0;
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
    pub(super) fn is_full(&self, before: u32) -> bool {
        self.form == Form::Large && self.count(before) == LARGE_FULL
    }

    /// Returns units as an earlier slice counts them, and what is left over.
    pub(super) fn multiples(&self, units: u64) -> (u64, u64) {
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
}
