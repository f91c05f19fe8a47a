//! Approximate sliding windows, by two counters: what the present window of fixed length has, and
//! as much of what the one before it has as still lies within the length.
//!
//! ```text
//!   │◀── length ──▶│◀── length ──▶│
//!   │   previous   │ current │    │
//!             │◀──── length ─▶│ now
//!              used = current + previous * (part of it that is within the length), rounded up
//! ```
//!
//! The previous window's units are taken for spread evenly. If they were, no time of `length` has
//! more than `max`, and at most one unit less is admitted than could be. If they came all at its
//! end, a time of `length` that reaches `e` into the present window has at most
//! `max * (1 + e / length)`: up to twice the max. If they came all at its beginning, they are
//! waited for until nothing of the present window counts, up to twice the length: then half of the
//! max is admitted.
//!
//! Not here: sliding windows that hold what they say (`sliding.rs`).
//!
//! A cell's words: the start of the present window, its count, and the previous one's in the lower
//! 47 bits of the last word, below the tag of the length. The present window is the later one of
//! the cell's and the one that `now` falls into, as for fixed windows. The cell expires when
//! nothing of the present window can matter any more: two lengths after it began.

use quorate::{Cell, Delta, GroupTime, Value};

use crate::limit::bounds::MAX_APPROXIMATE;
use crate::rule::cell::{RESERVED_MARK, TAG_SHIFT};
use crate::rule::divisor::Divisor;
use crate::rule::hash::fnv;
use crate::rule::operation::{Effect, Operation, Request};
use crate::rule::verdict::{NANOS_PER_MS, Ruling, Verdict};
use crate::rule::whole_units::{self, Asked};

// The previous window's units have the bits below the mark.
const _: () = assert!(MAX_APPROXIMATE == RESERVED_MARK - 1);

/// An approximate sliding window, prepared for deciding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApproximateSliding {
    length: Divisor,
    max: u64,
    tag: u64,
}

/// The content of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TwoCounts {
    start: u64,
    current: u64,
    previous: u64,
}

impl ApproximateSliding {
    /// Makes a window of `max` units, at most [`MAX_APPROXIMATE`], in each `length` nanoseconds;
    /// none is zero.
    pub(crate) const fn new(max: u64, length: u64, salt: u64) -> Self {
        // Even, so that it is no fixed window's; not a multiple of 4, so that it is no counter's.
        let tag = fnv(1 ^ salt, &length.to_le_bytes()) >> (TAG_SHIFT + 1);
        Self { length: Divisor::new(length), max, tag: tag & !3 | 2 }
    }

    #[inline]
    pub(crate) fn decide(&self, cell: &mut Cell, request: Request, now: GroupTime) -> Ruling {
        let mut counts = self.counts(cell.value(), now);
        let before = counts;
        let Request { operation, amount, .. } = request;
        let mut verdict = Verdict::Allowed;
        let mut retry_after = 0;
        let mut granted = 0;
        match operation {
            Operation::Acquire | Operation::AcquireUpTo | Operation::Peek => {
                match whole_units::ask(request, self.left(counts, now), self.max) {
                    Asked::Admitted { taken } => {
                        granted = taken;
                        counts.current += taken;
                    }
                    Asked::Denied { wanted } => {
                        verdict = Verdict::Denied;
                        retry_after = self.wait(counts, wanted, now);
                    }
                    Asked::Never => verdict = Verdict::Never,
                }
            }
            Operation::Debit => {
                let before = counts.current;
                counts.current = before.saturating_add(amount);
                granted = counts.current - before;
            }
            Operation::Refund { window_ms } => {
                let asked = window_ms.map_or(counts.start, |ms| ms.saturating_mul(NANOS_PER_MS));
                let from = match asked {
                    // Starts are whole milliseconds.
                    start if start == counts.start => Some(&mut counts.current),
                    start if self.end(start) == counts.start => Some(&mut counts.previous),
                    _ => None,
                };
                if let Some(count) = from {
                    granted = amount.min(*count);
                    *count -= granted;
                }
            }
            Operation::Reset => {
                granted = counts.current.saturating_add(counts.previous);
                counts.current = 0;
                counts.previous = 0;
            }
        }
        if counts != before && request.effect == Effect::Take {
            cell.set(self.value(counts));
        }
        let is_empty = counts.current == 0 && counts.previous == 0;
        // What the present window has counts in part until the next one is over.
        let over = if counts.current > 0 {
            self.end(self.end(counts.start))
        } else {
            self.end(counts.start)
        };
        Ruling {
            limit: self.max,
            remaining: self.left(counts, now),
            beyond: self.counting(counts, now).saturating_sub(self.max),
            granted,
            retry_after,
            reset_after: if is_empty { 0 } else { over - now.0 },
            window: Some(counts.start),
            ..Ruling::new(verdict)
        }
    }

    /// Returns the units that are left at `now`.
    #[inline]
    fn left(&self, counts: TwoCounts, now: GroupTime) -> u64 {
        self.max.saturating_sub(self.counting(counts, now))
    }

    /// Returns the units that count at `now`.
    #[inline]
    fn counting(&self, counts: TwoCounts, now: GroupTime) -> u64 {
        counts.current.saturating_add(self.weighed(counts, now))
    }

    /// Returns the part of the previous window's units that lies within the length before `now`,
    /// rounded up.
    #[inline]
    fn weighed(&self, counts: TwoCounts, now: GroupTime) -> u64 {
        let still_within = self.length.get() - self.elapsed(counts, now);
        self.length.divide_up(u128::from(counts.previous) * u128::from(still_within))
    }

    /// Returns how far into the present window `now` is; 0 if group time went back.
    #[inline]
    fn elapsed(&self, counts: TwoCounts, now: GroupTime) -> u64 {
        now.0.saturating_sub(counts.start).min(self.length.get())
    }

    /// Returns how long it takes until `wanted` units are left, if nobody takes any; they are not
    /// left now.
    #[cold]
    fn wait(&self, counts: TwoCounts, wanted: u64, now: GroupTime) -> u64 {
        let length = self.length.get();
        let elapsed = self.elapsed(counts, now);
        // Group time may be behind the present window.
        let ahead = counts.start.saturating_sub(now.0);
        let most = self.max - wanted;
        if let Some(room) = most.checked_sub(counts.current) {
            let at = length - self.within(room, counts.previous);
            return ahead.saturating_add(at.saturating_sub(elapsed));
        }
        // In the next window the present one is the previous.
        let at = length - self.within(most, counts.current);
        ahead.saturating_add(length - elapsed).saturating_add(at)
    }

    /// Returns the longest part of a window with `count` units that has at most `room` of them,
    /// rounded up.
    fn within(&self, room: u64, count: u64) -> u64 {
        if count <= room {
            return self.length.get();
        }
        let part = u128::from(room) * u128::from(self.length.get()) / u128::from(count);
        // Smaller than the length, for room is smaller than the count.
        part as u64
    }

    pub(crate) const fn tag(&self) -> u64 {
        self.tag
    }

    /// Reads the start of the present window of a cell's words, its count and the previous one's;
    /// `None` if they are not of this length.
    pub(crate) fn read(&self, words: &[u64; 3]) -> Option<[u64; 3]> {
        self.unpack(words).map(|TwoCounts { start, current, previous }| [start, current, previous])
    }

    /// Returns the units that count at `at`: as many of the previous window's as still do.
    pub(crate) fn used(&self, value: &Value, at: u64) -> u64 {
        self.counting(self.counts(Some(value), GroupTime(at)), GroupTime(at))
    }

    /// Returns how many of units that were taken at `since` are sure to count at `at`; `None` if
    /// their window is neither the present one then nor the one before.
    pub(crate) fn part(&self, units: u64, since: u64, at: u64) -> Option<u64> {
        let length = self.length.get();
        let start = self.length.divide_short(at) * length;
        let taken_in = self.length.divide_short(since) * length;
        if taken_in >= start {
            return Some(units);
        }
        let within = length - (at - start);
        // Smaller than the units, for what is within is not longer than the length.
        let part = (u128::from(units) * u128::from(within) / u128::from(length)) as u64;
        (self.end(taken_in) == start).then_some(part)
    }

    /// Makes a cell in which so many units have been taken at `at`.
    pub(crate) fn with(&self, units: u64, at: u64) -> Value {
        let counts = self.counts(None, GroupTime(at));
        self.value(TwoCounts { current: units, ..counts })
    }

    /// Keeps in `delta` what was taken locally, less what was given back of it.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let Some(after) = self.unpack(&after.words) else { return };
        let at = |words| self.unpack(words).map(|counts| self.rolled(counts, after.start));
        let none = TwoCounts { start: after.start, current: 0, previous: 0 };
        let before = before.and_then(|value| at(&value.words)).unwrap_or(none);
        let known = at(&delta.words).unwrap_or(none);
        delta.words = self.pack(TwoCounts {
            start: after.start,
            current: whole_units::moved(known.current, before.current, after.current),
            previous: whole_units::moved(known.previous, before.previous, after.previous),
        });
    }

    /// Counts what was taken locally as far as its windows still matter. Bounded by the max each,
    /// whatever a peer claims.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        now: GroupTime,
    ) -> Option<(Value, u64)> {
        let mut counts = self.counts(value, now);
        let read = self.unpack(&delta.words)?;
        // A peer that decided alone with a clock ahead may have reached the next window. What it
        // took counts now: one clock must not move the group's window.
        let start = read.start.min(counts.start);
        let local = self.rolled(TwoCounts { start, ..read }, counts.start);
        let current = local.current.min(self.max);
        let previous = local.previous.min(self.max);
        if current == 0 && previous == 0 {
            return None;
        }
        counts.current = counts.current.saturating_add(current);
        counts.previous = counts.previous.saturating_add(previous).min(MAX_APPROXIMATE);
        Some((self.value(counts), current.saturating_add(previous)))
    }

    /// Returns the windows of a decision and what was taken in them.
    #[inline]
    fn counts(&self, value: Option<&Value>, now: GroupTime) -> TwoCounts {
        let start = self.length.divide_short(now.0) * self.length.get();
        match value.and_then(|value| self.unpack(&value.words)) {
            Some(recorded) => self.rolled(recorded, start.max(recorded.start)),
            None => TwoCounts { start, current: 0, previous: 0 },
        }
    }

    /// Returns what is left of `counts` when the present window begins at `start`, which is no
    /// earlier.
    #[inline]
    fn rolled(&self, counts: TwoCounts, start: u64) -> TwoCounts {
        if start <= counts.start {
            return counts;
        }
        let is_next = self.end(counts.start) == start;
        let previous = if is_next { counts.current.min(MAX_APPROXIMATE) } else { 0 };
        TwoCounts { start, current: 0, previous }
    }

    #[inline]
    fn end(&self, start: u64) -> u64 {
        start.saturating_add(self.length.get())
    }

    #[inline]
    fn value(&self, counts: TwoCounts) -> Value {
        let expires = GroupTime(self.end(self.end(counts.start)));
        Value { words: self.pack(counts), expires }
    }

    #[inline]
    fn pack(&self, counts: TwoCounts) -> [u64; 3] {
        let previous = counts.previous.min(MAX_APPROXIMATE);
        [counts.start, counts.current, previous | self.tag << TAG_SHIFT]
    }

    /// Reads a cell's words; `None` if they are not of this length: the cell counts as absent.
    #[inline]
    fn unpack(&self, words: &[u64; 3]) -> Option<TwoCounts> {
        let [start, current, last] = *words;
        let previous = last & MAX_APPROXIMATE;
        (last >> TAG_SHIFT == self.tag).then_some(TwoCounts { start, current, previous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::window::Window;

    #[test]
    fn tags_tell_approximate_sliding_windows_from_all_other_cells() {
        for length in 1..10_000 {
            let sliding = ApproximateSliding::new(1, length, 0);
            let tag = sliding.tag;
            assert!(tag > 0 && tag >> 15 == 0 && tag % 4 == 2, "{length}: {tag}");
            let mut cell = Cell::new(None);
            let request = Request::new(Operation::Acquire, 1);
            Window::new(1, length, 0).decide(&mut cell, request, GroupTime(0));
            let words = cell.value().expect("one is admitted").words;
            assert_eq!(sliding.unpack(&words), None);
        }
    }

    #[test]
    fn a_clock_ahead_does_not_move_the_window_of_the_group() {
        let length = 1000;
        let sliding = ApproximateSliding::new(10, length, 0);
        let local = TwoCounts { start: 9 * length, current: 3, previous: 4 };
        let delta = Delta { words: sliding.pack(local), units: 7 };
        let merged = sliding.merge(None, &delta, GroupTime(5 * length));
        let (value, units) = merged.expect("its windows are not over");
        let counts = TwoCounts { start: 5 * length, current: 3, previous: 4 };
        assert_eq!((sliding.unpack(&value.words), units), (Some(counts), 7));
    }
}
