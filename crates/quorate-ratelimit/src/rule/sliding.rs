//! Sliding windows: never more than the max in any time of the length, its end left out.
//!
//! A unit counts for the length from when it was taken on, and then for no longer than what its
//! slice of time has left (`log/`):
//!
//! ```text
//!   slice             │   40   │   41   │   42
//!   taken                3 ▲
//!                          ├───────── length ────────▶ leaves then, if nothing was taken since
//!                              ├──── length ──────────────▶ .. and then, if something was
//! ```
//!
//! **Never more.** Whenever units are taken, all of the length before count with them: each that
//! counts is counted until the length has passed since it was taken, at least. **Never much
//! less.** It leaves one slice later at most: a thirty-second of the length if the max is below 8,
//! a sixteenth if it is below 64, and an eighth else. **Never longer than the length.** A denial
//! comes after all that was taken, and after the ends of all slices but the newest.
//!
//! A cell expires when nothing of it counts any more. Those of the two counters that the version
//! before this one had are read as well, their units as late as they can have been taken.

use quorate::{Cell, Delta, GroupTime, Value};

use crate::limit::bounds::MAX_SLIDING;
use crate::rule::approximate::ApproximateSliding;
use crate::rule::cell::TAG_SHIFT;
use crate::rule::log::Log;
use crate::rule::operation::{Effect, Operation, Request};
use crate::rule::span::{Form, Home, MOST_UNITS, Span};
use crate::rule::verdict::{NANOS_PER_MS, Ruling, Verdict};
use crate::rule::whole_units::{self, Asked};

const _: () = assert!(MAX_SLIDING == MOST_UNITS);

/// A sliding window, prepared for deciding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sliding {
    span: Span,
    max: u64,
    home: Home,
    /// True if its slices begin with whole milliseconds.
    has_whole_slices: bool,
    tag: u64,
    /// This limit as the version before this one decided by it.
    two_counters: ApproximateSliding,
}

impl Sliding {
    /// Makes a window of `max` units, at most [`MAX_SLIDING`], in any `length` nanoseconds; none is
    /// zero.
    pub(crate) const fn new(max: u64, length: u64, salt: u64) -> Self {
        let two_counters = ApproximateSliding::new(max, length, salt);
        let span = Span::new(length);
        let home = Home::new(max);
        Self {
            span,
            max,
            home,
            has_whole_slices: span.slice(home.form).is_multiple_of(NANOS_PER_MS),
            // Another one than that of the two counters, and as they are no other kind's.
            tag: two_counters.tag() ^ 4,
            two_counters,
        }
    }

    #[inline]
    pub(crate) fn decide(&self, cell: &mut Cell, request: Request, now: GroupTime) -> Ruling {
        let mut log = self.log(cell.value(), now.0);
        log.raise(self.home);
        let span = &self.span;
        // Group time went back since the last decision: what leaves does so later by as much.
        let mut look = log.look(span, log.last().max(now.0));
        let used = log.used(&look);
        let left = self.max.saturating_sub(used);
        let Request { operation, amount, .. } = request;
        let mut verdict = Verdict::Allowed;
        let mut retry_after = 0;
        let mut granted = 0;
        // The units that count once this is decided.
        let counting;
        match operation {
            Operation::Acquire | Operation::AcquireUpTo | Operation::Peek => {
                match whole_units::ask(request, left, self.max) {
                    Asked::Admitted { taken } => granted = taken,
                    Asked::Denied { wanted } => {
                        verdict = Verdict::Denied;
                        let until = log.falls_to(span, &look, used, self.max - wanted);
                        retry_after = until - now.0;
                    }
                    Asked::Never => verdict = Verdict::Never,
                }
                counting = used.saturating_add(granted);
            }
            Operation::Debit => {
                granted = amount.min(log.room(span, self.home, &look));
                counting = used.saturating_add(granted);
            }
            Operation::Refund { window_ms } => {
                let window = window_ms.map(|ms| ms.saturating_mul(NANOS_PER_MS));
                granted = match window {
                    Some(window) => log.give_back_of(span, &look, window, amount),
                    None => log.give_back(&look, amount),
                };
                counting = used.saturating_sub(granted);
            }
            Operation::Reset => {
                granted = used;
                counting = 0;
                log = Log::empty(self.home, look.at);
            }
        }
        let gives_back = matches!(operation, Operation::Refund { .. } | Operation::Reset);
        if granted > 0 && !gives_back {
            log.take(span, self.home, &look, granted);
            look = look.taken();
        }
        if granted > 0 && request.effect == Effect::Take {
            cell.set(self.value(&log));
        }
        Ruling {
            limit: self.max,
            remaining: self.max.saturating_sub(counting),
            beyond: counting.saturating_sub(self.max),
            granted,
            retry_after,
            reset_after: log.ends(span, &look).map_or(0, |ends| ends - now.0),
            window: Some(self.part(look.number(self.home.form))),
            ..Ruling::new(verdict)
        }
    }

    /// Returns the start of a slice, or the first whole millisecond in it if there is one.
    #[inline]
    fn part(&self, number: u64) -> u64 {
        let slice = self.span.slice(self.home.form);
        let start = self.span.start(self.home.form, number);
        if self.has_whole_slices {
            return start;
        }
        let whole = start.div_ceil(NANOS_PER_MS).saturating_mul(NANOS_PER_MS);
        if whole - start < slice { whole } else { start }
    }

    /// Returns moments of all slices that units which still count may have been taken in, of those
    /// between two others, in milliseconds: what was taken then and is given back is given back to
    /// those.
    pub(crate) fn parts_within(&self, from: u64, to: u64, now: u64) -> impl Iterator<Item = u64> {
        let form = self.home.form;
        let number = |at| self.span.number(form, at);
        let oldest = number(now).saturating_sub(u64::from(form.slices()) + 1);
        let parts = number(from).max(oldest)..=number(to);
        parts.map(move |number| self.part(number) / NANOS_PER_MS)
    }

    /// Returns true if units taken at a moment are sure to count at a later one.
    pub(crate) fn counts(&self, taken: u64, at: u64) -> bool {
        at.saturating_sub(taken) < self.span.length()
    }

    pub(crate) fn tag(&self) -> u64 {
        self.tag
    }

    /// Returns the tag of cells of the version before this one.
    pub(crate) fn former_tag(&self) -> u64 {
        self.two_counters.tag()
    }

    /// Returns the units that count at `at`.
    pub(crate) fn used(&self, value: &Value, at: u64) -> u64 {
        let log = self.log(Some(value), at);
        log.used(&log.look(&self.span, log.last().max(at)))
    }

    /// Makes a cell in which so many units have been taken at `at`.
    pub(crate) fn with(&self, units: u64, at: u64) -> Value {
        self.value(&Log::with(&self.span, self.home, at, units))
    }

    /// Keeps in `delta` what was taken locally, less what was given back of it.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let Some(after) = self.read(&after.words, 0) else { return };
        let read = |words| self.read(words, after.last());
        let none = Log::empty(self.home, after.last());
        let before = before.and_then(|value| read(&value.words)).unwrap_or(none);
        let known = read(&delta.words).unwrap_or(none);
        let at = after.last().max(before.last()).max(known.last());
        let moved = Log::moved(&self.span, self.home, at, [known, before, after]);
        delta.words = self.value(&moved).words;
    }

    /// Counts what was taken locally as far as it still counts. Bounded by the max, whatever a peer
    /// claims.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        now: GroupTime,
    ) -> Option<(Value, u64)> {
        let Self { span, home, .. } = *self;
        let group = self.log(value, now.0);
        let mut local = self.read(&delta.words, now.0)?;
        local.raise(home);
        let at = group.last().max(now.0);
        // What a peer took that decided alone with a clock ahead counts as of now: one clock must
        // not move the group's window.
        if local.last() > at {
            local.move_back(&span, home, at);
        }
        let units = local.trim(&local.look(&span, at), self.max);
        if units == 0 {
            return None;
        }
        // No more than the max fits into the form of the max: a peer leaves no other behind.
        local.go_home(&span, home, &local.look(&span, local.last()));
        if group.is_empty() {
            return Some((self.value(&local), units));
        }
        let last = match home.form {
            // Each is closed by itself: what is left over does not depend on the order of merges.
            Form::Large => at,
            _ => group.last().max(local.last()),
        };
        let sum = |[group, local]: [u64; 2]| group.saturating_add(local);
        let merged = Log::combine(&span, home, last, [group, local], sum);
        Some((self.value(&merged), units))
    }

    /// Reads a cell; nothing at `now` if it is absent, or of another form.
    #[inline]
    fn log(&self, value: Option<&Value>, now: u64) -> Log {
        let log = value.and_then(|value| self.read(&value.words, now));
        log.unwrap_or_else(|| Log::empty(self.home, now))
    }

    /// Reads a cell's words; `None` if they are not of this length.
    #[inline]
    fn read(&self, words: &[u64; 3], now: u64) -> Option<Log> {
        if words[2] >> TAG_SHIFT == self.tag {
            return Some(Log::unpack(words));
        }
        self.read_two_counters(words, now)
    }

    /// Reads a cell of the version before this one: units of the present window are taken for taken
    /// by now, or at its end, and those of the window before it at the end of that.
    #[cold]
    fn read_two_counters(&self, words: &[u64; 3], now: u64) -> Option<Log> {
        let [start, current, previous] = self.two_counters.read(words)?;
        let Self { span, home, .. } = *self;
        let mut log = Log::with(&span, home, start.saturating_sub(1), previous);
        if current > 0 {
            let end = start.saturating_add(span.length());
            let look = log.look(&span, now.clamp(start, end));
            log.take(&span, home, &look, current);
        }
        Some(log)
    }

    #[inline]
    fn value(&self, log: &Log) -> Value {
        let [first, second, third] = log.pack();
        let words = [first, second, third | self.tag << TAG_SHIFT];
        Value { words, expires: GroupTime(log.last().saturating_add(self.span.length())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::window::Window;

    #[test]
    fn tags_tell_sliding_windows_from_all_other_cells() {
        for length in 1..10_000 {
            let length = length * NANOS_PER_MS;
            let sliding = Sliding::new(1, length, 0);
            let tag = sliding.tag;
            assert!(tag > 0 && tag >> 15 == 0 && tag % 4 == 2, "{length}: {tag}");
            assert_ne!(tag, sliding.former_tag());
            let mut cell = Cell::new(None);
            let request = Request::new(Operation::Acquire, 1);
            Window::new(1, length, 0).decide(&mut cell, request, GroupTime(0));
            let words = cell.value().expect("one is admitted").words;
            assert_eq!(sliding.read(&words, 0), None);
        }
    }

    #[test]
    fn the_parts_of_a_time_are_those_that_may_still_count() {
        let day = 86_400_000 * NANOS_PER_MS;
        let sliding = Sliding::new(100, day, 0);
        let part = day / 8 / NANOS_PER_MS;
        let within = |from: u64, to: u64, now: u64| -> Vec<u64> {
            sliding.parts_within(from, to, now).map(|ms| ms / part).collect()
        };
        assert_eq!(within(10 * day, 10 * day, 10 * day), [80]);
        assert_eq!(within(10 * day - 1, 10 * day, 10 * day), [79, 80]);
        assert_eq!(within(10 * day - 1, 10 * day, 12 * day), [] as [u64; 0]);
        assert_eq!(within(0, 10 * day, 10 * day).len(), 10, "of all time before, a length");
    }
}
