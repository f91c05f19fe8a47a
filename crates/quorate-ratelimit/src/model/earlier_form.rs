//! Earlier forms of a limit, before it was changed: their cells still count, as the present form
//! reads them.
//!
//! ```text
//!   form        3               5               6
//!   was     100 a day ──────▶ 200 a day ──────▶ 200 an hour
//!                     × 200/100          × 1
//! ```
//!
//! A form is known by a number: the lower bits of what makes the tag of its cells, which grows with
//! every change. Reservations name the form that they were made under.

use quorate::{Cell, DecideContext, GroupTime, Value};

use crate::rule::Rule;
use crate::rule::lapse::LapseClock;
use crate::rule::operation::Request;

/// The number of a form of a limit; 0 for one that was never changed.
pub(crate) type FormNumber = u16;

/// The ratio by which units are multiplied on their way to the next form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) to: u64,
    pub(crate) from: u64,
}

/// A form of a limit before it was changed.
#[derive(Clone, Debug)]
pub(crate) struct EarlierForm {
    pub(crate) number: FormNumber,
    pub(crate) rule: Rule,
    pub(crate) scale: Scale,
    /// The group time at which the next form began.
    pub(crate) until: u64,
    /// True if only its numbers were others: the next form has the same windows, or the same rate.
    pub(crate) is_renumbered: bool,
}

impl EarlierForm {
    /// Returns the units of a cell that were carried over to the next form: not less than were
    /// taken.
    pub(crate) fn used(&self, value: &Value) -> u64 {
        let scaled = u128::from(self.rule.used(value, self.until)) * u128::from(self.scale.to);
        u64::try_from(scaled.div_ceil(u128::from(self.scale.from).max(1))).unwrap_or(u64::MAX)
    }

    /// Returns how many units of the next form these units, carried over with others, are sure to
    /// have become.
    fn part(&self, units: u64) -> u64 {
        let scaled = u128::from(units) * u128::from(self.scale.to);
        u64::try_from(scaled / u128::from(self.scale.from).max(1)).unwrap_or(u64::MAX)
    }

    /// Returns how many of units that were taken at `since` are sure to have counted when the next
    /// form began. What was taken in a window that had ended was not carried over.
    fn carried(&self, units: u64, since: u64) -> Option<u64> {
        match &self.rule {
            Rule::Sliding(sliding) => sliding.counts(since, self.until).then_some(units),
            Rule::ApproximateSliding(sliding) => sliding.part(units, since, self.until),
            rule => (since >= window_at(rule, self.until).unwrap_or(0)).then_some(units),
        }
    }

    /// Returns how many of units that were reserved in a slice are sure to be reserved in the next
    /// form. The slice began at `start`; a change before this one carried units over at `earlier`.
    fn reserved_units(
        &self,
        units: u64,
        start: u64,
        slice: u64,
        earlier: u64,
        context: DecideContext,
    ) -> u64 {
        let began = context.calendar_at(GroupTime(start)).map(|(began, _)| began.0);
        // Of a slice in which a window began a part is of the one before, and nobody gives that
        // back; of one of which a part had left a sliding one, nobody knows which.
        let taken = match (&self.rule, began) {
            (Rule::Sliding(_), Some(began)) => began,
            (Rule::Sliding(_), None) => return 0,
            _ => context.by_calendar(GroupTime(start.saturating_add(slice - 1))).0,
        };
        let Some(carried) = self.carried(units, taken.max(earlier)) else { return 0 };
        // Whoever settles the slice takes off what has flowed back since it began. What had before
        // the change was scaled with it; all of it, if that cannot be told.
        let elapsed = self.until.saturating_sub(began.unwrap_or(0));
        let flowed = carried - self.rule.returnable(carried, elapsed).min(carried);
        self.part(carried).saturating_sub(self.part(flowed).saturating_sub(flowed))
    }
}

/// Returns the start of the window that a moment is in; `None` of a rule without windows.
fn window_at(rule: &Rule, at: u64) -> Option<u64> {
    let context = DecideContext::at(GroupTime(at));
    rule.decide(&mut Cell::new(None), Request::PEEK, context).window
}

/// The charge for some units that a limit bears at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Units of the present form that they have become; 0 if they were forgotten.
    pub(crate) total: u64,
    /// Units of these that time has given back.
    pub(crate) flowed: u64,
    /// True if those that are not used can be given back.
    pub(crate) is_returnable: bool,
    /// The window in which it counts them, or when they were taken.
    pub(crate) since: u64,
}

impl Charge {
    /// The charge for units that were forgotten.
    pub(crate) const FORGOTTEN: Self = Self { total: 0, flowed: 0, is_returnable: false, since: 0 };
}

/// The forms of one limit.
#[derive(Clone, Copy)]
pub(crate) struct History<'a> {
    pub(crate) present: &'a Rule,
    /// The earlier forms, the last one first.
    pub(crate) earlier: &'a [EarlierForm],
}

impl<'a> History<'a> {
    /// Returns the rule of the form that came after the earlier one with this place.
    pub(crate) fn next(self, index: usize) -> &'a Rule {
        index.checked_sub(1).map_or(self.present, |next| &self.earlier[next].rule)
    }

    /// Returns the window in which the present form counts what was taken in one of any form: each
    /// change takes all that it carries over as taken at its moment. `None` if that was not carried
    /// over.
    pub(crate) fn moved(self, mut since: u64) -> Option<u64> {
        for (index, form) in self.earlier.iter().enumerate().rev() {
            let start = window_at(self.next(index), form.until).unwrap_or(0);
            if since < start {
                form.carried(1, since)?;
                since = start;
            }
        }
        Some(since)
    }

    /// Returns the charge for units that were taken at `taken` under the oldest form.
    pub(crate) fn charge(self, units: u64, taken: u64, now: u64) -> Charge {
        let mut total = units;
        let mut left = units;
        let mut is_returnable = true;
        let mut since = taken;
        let mut from = taken;
        for (index, form) in self.earlier.iter().enumerate().rev() {
            let (Some(all), Some(rest)) = (form.carried(total, since), form.carried(left, since))
            else {
                is_returnable = false;
                break;
            };
            left = form.part(form.rule.returnable(rest, form.until.saturating_sub(from)));
            total = form.part(all);
            is_returnable &= form.is_renumbered;
            from = form.until;
            let window = window_at(self.next(index), form.until);
            since = since.max(window.unwrap_or(form.until));
        }
        left = self.present.returnable(left, now.saturating_sub(from));
        Charge { total, flowed: total.saturating_sub(left), is_returnable, since }
    }

    /// Reads what is reserved of a key as the present form does: what is of this form as it is, and
    /// of an earlier one if the numbers alone were changed since.
    pub(crate) fn reserved(
        self,
        value: &Value,
        term: u64,
        context: DecideContext,
    ) -> Option<Value> {
        let reads =
            |form: &EarlierForm| LapseClock::new(term, form.rule.tag()).read(Some(value)).is_some();
        let Some(oldest) = self.earlier.iter().position(reads) else { return Some(*value) };
        let mut carried = *value;
        for index in (0..=oldest).rev() {
            let form = &self.earlier[index];
            if !form.is_renumbered {
                return None;
            }
            // What an earlier change carried over was taken as taken at its moment.
            let earlier = self.earlier[..=oldest].get(index + 1).map_or(0, |form| form.until);
            let old = LapseClock::new(term, form.rule.tag());
            let new = LapseClock::new(term, self.next(index).tag());
            let lapsing = old.carried(old.read(Some(&carried))?, |units, start| {
                form.reserved_units(units, start, old.length(), earlier, context)
            });
            carried.words = new.words(lapsing);
        }
        Some(carried)
    }
}
