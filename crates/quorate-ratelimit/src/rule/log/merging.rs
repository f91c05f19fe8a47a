//! Several logs put together: what a peer has decided alone, and what the group knows.

use super::Log;
use crate::rule::owed::Owed;
use crate::rule::span::{Form, Home, Look, MOST_UNITS, Span};
use crate::rule::whole_units;

impl Log {
    /// Moves back to an earlier moment: what was taken later was taken then.
    pub(crate) fn move_back(&mut self, span: &Span, home: Home, at: u64) {
        let passed = span.number(self.form, self.last) - span.number(self.form, at);
        let later = u32::try_from(passed).unwrap_or(u32::MAX).min(self.form.slices());
        let units = (0..=later).fold(0u64, |sum, before| sum.saturating_add(self.units(before)));
        self.earlier >>= self.form.bits() * later;
        self.newest = 0;
        self.last = at;
        self.owed = Owed::NONE;
        self.add(span, home, units);
    }

    /// Forgets what does not count at a moment, and of the rest all but the newest `most` units;
    /// returns how many are left.
    pub(crate) fn trim(&mut self, look: &Look, most: u64) -> u64 {
        let kept = self.kept(look);
        let newest = if look.is_newest { self.newest } else { 0 };
        let mut units = newest.min(most);
        self.newest = units;
        self.owed = Owed::NONE;
        // From the newest on: of a peer that claims too much, what counts the longest is believed.
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

    /// Combines the units of logs slice by slice, as `f` says of their counts; all move on to `at`
    /// before.
    pub(crate) fn combine<const N: usize>(
        span: &Span,
        home: Home,
        at: u64,
        mut logs: [Self; N],
        f: impl Fn([u64; N]) -> u64,
    ) -> Self {
        logs.iter_mut().for_each(|log| log.advance(&log.look(span, at)));
        // A sum may be more than a slice of this form can count: then in the next coarser one.
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

    /// Combines logs of one form; `None` if a count does not fit into it.
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
            // The large form says "so many, or more" of what does not fit.
            is_fitting &= form == Form::Large || count <= most;
            combined.set_count(before, count.min(most));
        }
        is_fitting.then_some(combined)
    }
}
