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
use crate::rule::verdict::Effect;

/// The number of a form of a limit; 0 for one that was never changed.
pub(crate) type FormNumber = u16;

/// A form of a limit before it was changed.
#[derive(Clone, Debug)]
pub(crate) struct EarlierForm {
    pub(crate) number: FormNumber,
    pub(crate) rule: Rule,
    /// The numbers by which its units were multiplied and divided on their way to the next form.
    pub(crate) scale: (u64, u64),
    /// The group time at which the next form began.
    pub(crate) until: u64,
    /// True if only its numbers were others: the next form has the same windows, or the same rate.
    pub(crate) is_renumbered: bool,
}

impl EarlierForm {
    /// Returns the units of a cell that were carried over to the next form: not less than were
    /// taken.
    pub(crate) fn used(&self, value: &Value) -> u64 {
        let (to, from) = self.scale;
        let scaled = u128::from(self.rule.used(value, self.until)) * u128::from(to);
        u64::try_from(scaled.div_ceil(u128::from(from).max(1))).unwrap_or(u64::MAX)
    }

    /// Returns how many units of the next form these units, carried over with others, are sure to
    /// have become.
    fn part(&self, units: u64) -> u64 {
        let (to, from) = self.scale;
        let scaled = u128::from(units) * u128::from(to) / u128::from(from).max(1);
        u64::try_from(scaled).unwrap_or(u64::MAX)
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
}

/// Returns the start of the window that a moment is in; `None` of a rule without windows.
fn window_at(rule: &Rule, at: u64) -> Option<u64> {
    let peek = Request::PEEK;
    rule.decide(&mut Cell::new(None), peek, DecideContext::at(GroupTime(at)), Effect::Ask).window
}

/// What came after a form, of a limit that was these, the last one first, and is `present`.
fn next<'a>((present, forms): (&'a Rule, &'a [EarlierForm]), index: usize) -> &'a Rule {
    index.checked_sub(1).map_or(present, |next| &forms[next].rule)
}

/// The window in which the present form counts what was taken in one of any form: each change
/// takes all that it carries over as taken at its moment. `None` if that was not carried over.
pub(crate) fn moved((present, forms): (&Rule, &[EarlierForm]), mut since: u64) -> Option<u64> {
    for (index, form) in forms.iter().enumerate().rev() {
        let start = window_at(next((present, forms), index), form.until).unwrap_or(0);
        if since < start {
            form.carried(1, since)?;
            since = start;
        }
    }
    Some(since)
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
    /// Of units that were taken under a form, when they were taken, of a limit that was these
    /// forms, the last one first, and is `present`.
    pub(crate) fn of(
        (present, forms): (&Rule, &[EarlierForm]),
        units: u64,
        (mut since, now): (u64, u64),
    ) -> Self {
        let (mut total, mut left, mut is_returnable) = (units, units, true);
        let mut from = since;
        for (index, form) in forms.iter().enumerate().rev() {
            let (Some(all), Some(rest)) = (form.carried(total, since), form.carried(left, since))
            else {
                is_returnable = false;
                break;
            };
            left = form.part(form.rule.returnable(rest, form.until.saturating_sub(from)));
            total = form.part(all);
            is_returnable &= form.is_renumbered;
            from = form.until;
            let window = window_at(next((present, forms), index), form.until);
            since = since.max(window.unwrap_or(form.until));
        }
        left = present.returnable(left, now.saturating_sub(from));
        Self { total, flowed: total.saturating_sub(left), is_returnable, since }
    }

    /// The charge for units that were forgotten.
    pub(crate) const FORGOTTEN: Self = Self { total: 0, flowed: 0, is_returnable: false, since: 0 };
}

/// What is reserved of a key, as the present form reads it: the same, or of an older form whose
/// numbers alone were changed since.
pub(crate) fn present_holds(
    value: &Value,
    (present, forms): (&Rule, &[EarlierForm]),
    term: u64,
    context: DecideContext,
) -> Option<Value> {
    let found = forms
        .iter()
        .position(|form| LapseClock::new(term, form.rule.tag()).read(Some(value)).is_some());
    let Some(oldest) = found else { return Some(*value) };
    let mut value = *value;
    for index in (0..=oldest).rev() {
        let form = &forms[index];
        if !form.is_renumbered {
            return None;
        }
        let next = next((present, forms), index);
        // What an earlier change carried over was taken as taken at its moment.
        let earlier = forms[..=oldest].get(index + 1).map_or(0, |form| form.until);
        let (old, new) =
            (LapseClock::new(term, form.rule.tag()), LapseClock::new(term, next.tag()));
        let units = |units: u64, start: u64| {
            // Of a slice in which a window began a part is of the one before, and nobody gives that
            // back; of one of which a part had left a sliding one, nobody knows which.
            let taken = match form.rule {
                Rule::Sliding(_) => match context.calendar_at(GroupTime(start)) {
                    Some((began, _)) => began,
                    None => return 0,
                },
                _ => context.by_calendar(GroupTime(start.saturating_add(old.length() - 1))),
            };
            let Some(units) = form.carried(units, taken.0.max(earlier)) else { return 0 };
            // Whoever settles the slice takes off what has flowed back since it began. What had
            // before the change was scaled with it; all of it, if that cannot be told.
            let began = context.calendar_at(GroupTime(start)).map_or(0, |(began, _)| began.0);
            let left = form.rule.returnable(units, form.until.saturating_sub(began));
            let flowed = units - left.min(units);
            form.part(units).saturating_sub(form.part(flowed).saturating_sub(flowed))
        };
        value.words = new.words(old.carried(old.read(Some(&value))?, units));
    }
    Some(value)
}
