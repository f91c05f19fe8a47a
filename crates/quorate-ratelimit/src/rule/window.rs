//! Fixed windows: a count that begins anew at each multiple of the length, or with each window of a
//! calendar (`calendar_windows.rs`).
//!
//! A cell's words: the start of its window in nanoseconds of group time, the count, and the tag of
//! the length in the upper 16 bits. The window of a decision is the later one of the cell's and
//! the one that `now` falls into: after a failover to a peer whose clock is behind, or a clock
//! step, an older window is never opened again. The cell expires with its window.
//!
//! Not here: sliding windows (`sliding.rs`).

use std::sync::Arc;

use quorate::{Cell, Delta, GroupTime, Value};

use crate::limit::calendar::Calendar;
use crate::rule::calendar_windows::CalendarWindows;
use crate::rule::cell::TAG_SHIFT;
use crate::rule::divisor::Divisor;
use crate::rule::hash::fnv;
use crate::rule::operation::{Effect, Operation, Request};
use crate::rule::verdict::{NANOS_PER_MS, Ruling, Verdict};
use crate::rule::whole_units::{self, Asked};

/// A window limit, prepared for deciding.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    frame: Frame,
    max: u64,
    tag: u64,
}

/// The frame in which windows begin and end.
#[derive(Clone, Debug)]
enum Frame {
    /// Windows between the multiples of a length.
    Fixed(Divisor),
    /// Windows of a calendar.
    Calendar(Arc<CalendarWindows>),
}

impl Frame {
    /// Returns the start of the window that a moment falls into.
    #[inline]
    fn start(&self, now: u64) -> u64 {
        match self {
            Self::Fixed(length) => length.divide_short(now) * length.get(),
            Self::Calendar(windows) => windows.around(now).0,
        }
    }

    /// Returns the end of the window that begins there.
    #[inline]
    fn end(&self, start: u64) -> u64 {
        match self {
            Self::Fixed(length) => start.saturating_add(length.get()),
            Self::Calendar(windows) => windows.around(start).1,
        }
    }
}

/// The content of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    start: u64,
    count: u64,
}

impl Window {
    /// Makes windows of `max` units in each `length` nanoseconds; none is zero.
    pub(crate) const fn new(max: u64, length: u64, salt: u64) -> Self {
        let tag = tag(fnv(salt, &length.to_le_bytes()));
        Self { frame: Frame::Fixed(Divisor::new(length)), max, tag }
    }

    /// Makes windows of `max` units in each window of a calendar.
    pub(crate) fn calendar(max: u64, calendar: &Calendar, salt: u64) -> Self {
        let tag = tag(fnv(2 ^ salt, calendar.to_string().as_bytes()));
        Self { frame: Frame::Calendar(Arc::new(CalendarWindows::new(calendar))), max, tag }
    }

    #[inline]
    pub(crate) fn decide(&self, cell: &mut Cell, request: Request, now: GroupTime) -> Ruling {
        let mut count = self.count(cell.value(), now);
        let reset_after = self.end(count.start) - now.0;
        let Request { operation, amount, .. } = request;
        let mut verdict = Verdict::Allowed;
        let mut retry_after = 0;
        let mut granted = 0;
        let before = count.count;
        match operation {
            Operation::Acquire | Operation::AcquireUpTo | Operation::Peek => {
                match whole_units::ask(request, self.max.saturating_sub(before), self.max) {
                    Asked::Admitted { taken } => {
                        granted = taken;
                        count.count += taken;
                    }
                    Asked::Denied { .. } => {
                        verdict = Verdict::Denied;
                        retry_after = reset_after;
                    }
                    Asked::Never => verdict = Verdict::Never,
                }
            }
            Operation::Debit => {
                count.count = before.saturating_add(amount);
                granted = count.count - before;
            }
            Operation::Refund { window_ms } => {
                // Of a window that is over nothing is given back to the one after it.
                let is_open =
                    window_ms.is_none_or(|start_ms| count.start / NANOS_PER_MS == start_ms);
                granted = if is_open { amount.min(before) } else { 0 };
                count.count -= granted;
            }
            Operation::Reset => {
                granted = before;
                count.count = 0;
            }
        }
        if count.count != before && request.effect == Effect::Take {
            cell.set(self.value(count));
        }
        Ruling {
            limit: self.max,
            remaining: self.max.saturating_sub(count.count),
            beyond: count.count.saturating_sub(self.max),
            granted,
            retry_after,
            reset_after,
            window: Some(count.start),
            ..Ruling::new(verdict)
        }
    }

    pub(crate) fn tag(&self) -> u64 {
        self.tag
    }

    /// Returns the units of the window that is open at `at`.
    pub(crate) fn used(&self, value: &Value, at: u64) -> u64 {
        self.count(Some(value), GroupTime(at)).count
    }

    /// Makes a cell in which so many units have been taken at `at`.
    pub(crate) fn with(&self, units: u64, at: u64) -> Value {
        let count = self.count(None, GroupTime(at));
        self.value(Count { count: units, ..count })
    }

    /// Keeps in `delta` what was taken locally in the newest window, less what was given back of
    /// it.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let Some(after) = self.unpack(&after.words) else { return };
        let known = self.count_in(after.start, &delta.words);
        let before = before.map_or(0, |value| self.count_in(after.start, &value.words));
        let count = whole_units::moved(known, before, after.count);
        delta.words = self.pack(Count { start: after.start, count });
    }

    /// Returns the count of a cell's words if they are of the window that begins there, else 0.
    fn count_in(&self, start: u64, words: &[u64; 3]) -> u64 {
        self.unpack(words).filter(|count| count.start == start).map_or(0, |count| count.count)
    }

    /// Counts what was taken locally, if its window has not closed meanwhile. Bounded by the max,
    /// whatever a peer claims.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        now: GroupTime,
    ) -> Option<(Value, u64)> {
        let local = self.unpack(&delta.words)?;
        let mut count = self.count(value, now);
        // A peer that decided alone with a clock ahead may have reached the next window. What it
        // took counts now: one clock must not move the group's window.
        if local.start < count.start || local.count == 0 {
            return None;
        }
        let units = local.count.min(self.max);
        count.count = count.count.saturating_add(units);
        Some((self.value(count), units))
    }

    /// Returns the window of a decision and what was taken in it.
    #[inline]
    fn count(&self, value: Option<&Value>, now: GroupTime) -> Count {
        let start = self.frame.start(now.0);
        match value.and_then(|value| self.unpack(&value.words)) {
            Some(recorded) if recorded.start >= start => recorded,
            _ => Count { start, count: 0 },
        }
    }

    #[inline]
    fn end(&self, start: u64) -> u64 {
        self.frame.end(start)
    }

    #[inline]
    fn value(&self, count: Count) -> Value {
        Value { words: self.pack(count), expires: GroupTime(self.end(count.start)) }
    }

    #[inline]
    fn pack(&self, count: Count) -> [u64; 3] {
        [count.start, count.count, self.tag << TAG_SHIFT]
    }

    /// Reads a cell's words; `None` if they are not of this length: the cell counts as absent.
    #[inline]
    fn unpack(&self, words: &[u64; 3]) -> Option<Count> {
        let [start, count, tag] = *words;
        (tag >> TAG_SHIFT == self.tag).then_some(Count { start, count })
    }
}

/// Makes a tag of a hash: its top bit tells windows from rates, its lowest makes sure that it is
/// not zero.
const fn tag(hash: u64) -> u64 {
    (hash & !(1 << 63) | 1 << TAG_SHIFT) >> TAG_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn take(amount: u64) -> Request {
        Request::new(Operation::Acquire, amount)
    }

    #[test]
    fn a_window_begins_at_a_multiple_of_its_length_since_the_epoch() {
        let window = Window::new(10, MINUTE, 0);
        let mut cell = Cell::new(None);
        let ruling = window.decide(&mut cell, take(1), GroupTime(5 * MINUTE + 7));
        assert_eq!(ruling.window, Some(5 * MINUTE));
        assert_eq!(ruling.reset_after, MINUTE - 7);
        let expires = cell.value().map(|value| value.expires);
        assert_eq!(expires, Some(GroupTime(6 * MINUTE)));
    }

    #[test]
    fn an_older_window_is_never_opened_again() {
        let window = Window::new(10, MINUTE, 0);
        let mut cell = Cell::new(None);
        window.decide(&mut cell, take(10), GroupTime(5 * MINUTE));
        // A failover to a peer whose clock is three windows behind.
        let ruling = window.decide(&mut cell, take(1), GroupTime(2 * MINUTE));
        assert_eq!(ruling.verdict, Verdict::Denied);
        assert_eq!(ruling.window, Some(5 * MINUTE));
        assert_eq!(ruling.retry_after, 4 * MINUTE);
    }

    #[test]
    fn the_last_window_of_time_ends_at_its_end() {
        let window = Window::new(10, MINUTE, 0);
        let mut cell = Cell::new(None);
        let ruling = window.decide(&mut cell, take(1), GroupTime(u64::MAX));
        assert_eq!(ruling.verdict, Verdict::Allowed);
        assert_eq!(ruling.reset_after, 0);
    }

    #[test]
    fn a_clock_ahead_does_not_move_the_window_of_the_group() {
        let window = Window::new(10, MINUTE, 0);
        let mut cell = Cell::new(None);
        window.decide(&mut cell, take(3), GroupTime(9 * MINUTE));
        let mut delta = Delta::default();
        window.accumulate(None, cell.value().expect("3 are admitted"), &mut delta);
        let merged = window.merge(None, &delta, GroupTime(5 * MINUTE));
        let (value, units) = merged.expect("its window is not closed");
        assert_eq!((value.words[0], value.words[1], units), (5 * MINUTE, 3, 3));
    }

    #[test]
    fn tags_are_not_zero_and_tell_windows_from_rates() {
        for length in 1..10_000 {
            let tag = Window::new(1, length, 0).tag;
            assert!(tag > 0 && tag >> 15 == 0, "{length}: {tag}");
        }
    }
}
