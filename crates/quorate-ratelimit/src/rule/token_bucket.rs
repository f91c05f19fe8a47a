//! Rates: a token bucket in whole numbers (GCRA), exact and without a division by a variable.
//!
//! Instead of the tokens that are left, a cell keeps the *debt*: what was taken and has not yet
//! flowed back. One unit costs `cost`, and each nanosecond `flow` of debt flows back, where
//! `cost : flow` is the period in nanoseconds to the amount, in lowest terms. So nothing is ever
//! rounded: 3 per second is a cost of 10^9 and a flow of 3, and 10 million per second a cost of
//! 100 and a flow of 1. The theoretical arrival time of GCRA is `at + debt / flow`.
//!
//! ```text
//!  debt │ capacity ─────────────────────────      a request is admitted if debt + cost
//!       │      ╱╲ take                             does not exceed the capacity
//!       │  ╱╲ ╱  ╲
//!       │ ╱  ╲    ╲ flow per nanosecond
//!       └──────────╲─────────▶ group time          at zero the cell expires: absent = no debt
//! ```
//!
//! A cell's words: `at` (the group time up to which the debt has been worked out), the lower 64
//! bits of the debt, and the upper 47 bits of it below the 16-bit tag of the rate. Group time that
//! goes back leaves `at` where it is, so that nothing flows back twice.
//!
//! Not here: changing a rate while cells live (cells of another tag count as absent).

use quorate::{Cell, Delta, GroupTime, Value};

use crate::limit::bounds::{MAX_DEBT, greatest_common_divisor};
use crate::rule::cell::{RESERVED_MARK, TAG_SHIFT};
use crate::rule::divisor::Divisor;
use crate::rule::hash::fnv;
use crate::rule::operation::{Effect, Operation, Request};
use crate::rule::verdict::{Ruling, Verdict};

// A cell has 64 bits of it in one word, and in another those below the tag and the mark.
const _: () = assert!(MAX_DEBT == (1 << (64 + TAG_SHIFT - 1)) - 1);

/// A rate, prepared for deciding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    cost: Divisor,
    flow: Divisor,
    /// `burst * cost`: the largest debt that a decision makes.
    capacity: u128,
    burst: u64,
    tag: u64,
}

/// The content of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    at: u64,
    debt: u128,
}

impl TokenBucket {
    /// Makes a bucket of `amount` units in each `period` nanoseconds, and at most `burst` at once;
    /// none is zero.
    pub(crate) const fn new(amount: u64, period: u64, burst: u64, salt: u64) -> Self {
        let common = greatest_common_divisor(amount, period);
        let cost = period / common;
        let flow = amount / common;
        let tag = fnv(fnv(salt, &cost.to_le_bytes()), &flow.to_le_bytes());
        let capacity = burst as u128 * cost as u128;
        Self {
            cost: Divisor::new(cost),
            flow: Divisor::new(flow),
            capacity: if capacity > MAX_DEBT { MAX_DEBT } else { capacity },
            burst,
            // The top bit tells rates from windows.
            tag: (tag | 1 << 63) >> TAG_SHIFT,
        }
    }

    #[inline]
    pub(crate) fn decide(&self, cell: &mut Cell, request: Request, now: GroupTime) -> Ruling {
        let mut level = self.level(cell.value(), now);
        // Group time went back since the last decision: what remains comes later by as much.
        let ahead = level.at - now.0;
        let before = level.debt;
        let Request { operation, amount, .. } = request;
        let mut verdict = Verdict::Allowed;
        let mut retry_after = 0;
        let mut granted = 0;
        match operation {
            Operation::Acquire | Operation::AcquireUpTo | Operation::Peek => {
                let wanted = self.wanted(request, level);
                // Amount 0 asks whether one unit would be admitted.
                let due = level.debt + self.cost_of(wanted.max(1));
                if due <= self.capacity {
                    if operation != Operation::Peek {
                        granted = wanted;
                        level.debt += self.cost_of(wanted);
                    }
                } else if self.cost_of(wanted) <= self.capacity {
                    verdict = Verdict::Denied;
                    retry_after = ahead.saturating_add(self.flow.divide_up(due - self.capacity));
                } else {
                    verdict = Verdict::Never;
                }
            }
            Operation::Debit => {
                // No more than a cell can hold: what is beyond that is not counted, and told so.
                granted = amount.min(self.cost.divide(MAX_DEBT - before.min(MAX_DEBT)));
                level.debt = before.saturating_add(self.cost_of(granted));
            }
            // What has flowed back was given back by time.
            Operation::Refund { .. } => {
                level.debt = level.debt.saturating_sub(self.cost_of(amount));
                granted = self.cost.divide(before - level.debt);
            }
            Operation::Reset => {
                granted = self.cost.divide(before);
                level.debt = 0;
            }
        }
        let full_after = self.flow.divide_up(level.debt);
        if level.debt != before && request.effect == Effect::Take {
            cell.set(self.value(level, full_after));
        }
        Ruling {
            limit: self.burst,
            remaining: self.cost.divide(self.capacity.saturating_sub(level.debt)),
            beyond: if level.debt > self.capacity {
                self.cost.divide_up(level.debt - self.capacity)
            } else {
                0
            },
            granted,
            retry_after,
            reset_after: if level.debt == 0 { 0 } else { ahead.saturating_add(full_after) },
            ..Ruling::new(verdict)
        }
    }

    /// Returns the amount that is asked for; of a request that takes what there is, that.
    #[inline]
    fn wanted(&self, Request { operation, amount, .. }: Request, level: Level) -> u64 {
        if operation != Operation::AcquireUpTo {
            return amount;
        }
        amount.min(self.cost.divide(self.capacity.saturating_sub(level.debt)))
    }

    pub(crate) fn tag(&self) -> u64 {
        self.tag
    }

    /// Returns the units that have not flowed back at `at`, rounded up.
    pub(crate) fn used(&self, value: &Value, at: u64) -> u64 {
        self.cost.divide_up(self.level(Some(value), GroupTime(at)).debt)
    }

    /// Returns the whole units that flow back in this time, if so many are owed.
    pub(crate) fn flowed_in(&self, elapsed: u64) -> u64 {
        self.cost.divide(u128::from(elapsed) * u128::from(self.flow.get()))
    }

    /// Makes a cell in which so many units have been taken at `at`.
    pub(crate) fn with(&self, units: u64, at: u64) -> Value {
        let level = Level { at, debt: self.cost_of(units).min(MAX_DEBT) };
        self.value(level, self.flow.divide_up(level.debt))
    }

    /// Keeps in `delta` the bucket as if only local decisions had taken from it.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let Some(after) = self.unpack(&after.words) else { return };
        // The decision has left its own time in the cell.
        let now = after.at;
        let flowed = |words| self.unpack(words).map_or(0, |level| self.flowed(level, now).debt);
        let before = before.map_or(0, |value| flowed(&value.words));
        let taken = after.debt.saturating_sub(before);
        let given_back = before.saturating_sub(after.debt);
        let debt = flowed(&delta.words).saturating_add(taken).saturating_sub(given_back);
        delta.words = self.pack(Level { at: now, debt: debt.min(MAX_DEBT) });
    }

    /// Adds what of the local debt has not yet flowed back; the rest would have by now in the
    /// group's own bucket too. Bounded by the capacity, whatever a peer claims.
    pub(crate) fn merge(
        &self,
        value: Option<&Value>,
        delta: &Delta,
        now: GroupTime,
    ) -> Option<(Value, u64)> {
        let debt = self.flowed(self.unpack(&delta.words)?, now.0).debt.min(self.capacity);
        if debt == 0 {
            return None;
        }
        let mut level = self.level(value, now);
        level.debt = level.debt.saturating_add(debt).min(MAX_DEBT);
        let full_after = self.flow.divide_up(level.debt);
        Some((self.value(level, full_after), self.cost.divide_up(debt)))
    }

    #[inline]
    fn cost_of(&self, amount: u64) -> u128 {
        u128::from(amount) * u128::from(self.cost.get())
    }

    /// Returns the level of a cell at `now`: `at` is `now`, or later if group time went back.
    #[inline]
    fn level(&self, value: Option<&Value>, now: GroupTime) -> Level {
        match value.and_then(|value| self.unpack(&value.words)) {
            Some(level) => self.flowed(level, now.0),
            None => Level { at: now.0, debt: 0 },
        }
    }

    #[inline]
    fn flowed(&self, level: Level, now: u64) -> Level {
        let elapsed = now.saturating_sub(level.at);
        let flowed = u128::from(elapsed) * u128::from(self.flow.get());
        Level { at: level.at.max(now), debt: level.debt.saturating_sub(flowed) }
    }

    #[inline]
    fn value(&self, level: Level, full_after: u64) -> Value {
        Value { words: self.pack(level), expires: GroupTime(level.at.saturating_add(full_after)) }
    }

    #[inline]
    fn pack(&self, level: Level) -> [u64; 3] {
        [level.at, level.debt as u64, (level.debt >> 64) as u64 | self.tag << TAG_SHIFT]
    }

    /// Reads a cell's words; `None` if they are not of this rate: the cell counts as absent.
    #[inline]
    fn unpack(&self, words: &[u64; 3]) -> Option<Level> {
        let [at, low, high] = *words;
        let debt = u128::from(high & (RESERVED_MARK - 1)) << 64 | u128::from(low);
        (high >> TAG_SHIFT == self.tag).then_some(Level { at, debt })
    }
}

/// Reduces a ratio to lower terms that fit: exact, unless one side is too large even in lowest
/// terms.
pub(crate) fn reduced(amount: u128, period: u128) -> (u64, u64) {
    let mut common = amount;
    let mut rest = period;
    while rest > 0 {
        (common, rest) = (rest, common % rest);
    }
    let mut amount = amount / common.max(1);
    let mut period = period / common.max(1);
    while u64::try_from(amount.max(period)).is_err() {
        (amount, period) = (amount.div_ceil(2), period.div_ceil(2));
    }
    (amount as u64, period as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn rates_are_in_lowest_terms() {
        for (amount, cost, flow) in [(3, SECOND, 3), (10_000_000, 100, 1), (100, 10_000_000, 1)] {
            let bucket = TokenBucket::new(amount, SECOND, 1, 0);
            assert_eq!((bucket.cost.get(), bucket.flow.get()), (cost, flow));
        }
    }

    #[test]
    fn the_largest_debt_of_one_limit_fits_beside_the_tag() {
        let bucket = TokenBucket::new(1_000_003, 86_400 * SECOND, u64::MAX, 0);
        let level = Level { at: 7, debt: bucket.capacity };
        assert!(bucket.capacity < MAX_DEBT);
        assert_eq!(bucket.unpack(&bucket.pack(level)), Some(level));
        assert_eq!(
            bucket.unpack(&bucket.pack(Level { debt: MAX_DEBT, ..level })).map(|l| l.debt),
            Some(MAX_DEBT)
        );
    }

    #[test]
    fn cells_of_another_rate_count_as_absent() {
        let slow = TokenBucket::new(1, SECOND, 1, 0);
        let fast = TokenBucket::new(2, SECOND, 1, 0);
        let words = slow.pack(Level { at: 1, debt: 1 });
        assert_eq!(fast.unpack(&words), None);
        assert_eq!(fast.unpack(&[1, 1, 0]), None);
    }
}
