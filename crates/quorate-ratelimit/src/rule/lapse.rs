//! Units by the time at which they lapse: what permits and reservations are counted by.
//!
//! Time is cut into slices of half a term. What is taken in one slice counts through the two that
//! follow it, and then lapses by itself, between one and one and a half terms later: nobody has to
//! be there to take it back. Time is the group's steady one here: a clock that is put right lets
//! nothing lapse.
//!
//! ```text
//!   slice    │    7     │    8     │    9     │    10    │
//!   counts          [2]        [1]        [0] = the present one
//!                    └── lapses when 10 begins
//! ```
//!
//! A cell's words: three counts of 42 bits in the first two words; the number of the present slice
//! in the lower 47 bits of the last word, and the tag above them. How often its units were
//! forgotten stands in the two bits that are left above the counts and, of slices of two seconds or
//! more, in the upper 13 bits of the number, which needs no more than 34 then.

use quorate::{DecideContext, GroupTime, Value};

use crate::limit::bounds::MAX_PERMITS;
use crate::rule::cell::TAG_SHIFT;
use crate::rule::divisor::Divisor;
use crate::rule::whole_units;

/// Most units of a slice.
pub(crate) const MAX_UNITS: u64 = MAX_PERMITS;
const _: () = assert!(MAX_UNITS == (1 << COUNT_BITS) - 1);

const COUNT_BITS: u32 = 42;
/// Slices that count, the present one included.
pub(crate) const COUNTED: usize = 3;
const NUMBER_BITS: u32 = 47;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// Bits of the ages that are left beside the counts.
const LOW_AGE_BITS: u32 = 2;
/// Bits of the ages above the numbers of slices that are not short.
const HIGH_AGE_BITS: u32 = 13;
/// The largest age of what has slices that are not short.
const AGES: u16 = (1 << (LOW_AGE_BITS + HIGH_AGE_BITS)) - 1;
/// The shortest slice that has numbers of 34 bits, in nanoseconds.
const NOT_SHORT: u64 = 2_000_000_000;

/// The length of slices, and the tag that their cells are told by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LapseClock {
    slice: Divisor,
    tag: u64,
}

/// Units that are held, by the slice in which they were taken or renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lapsing {
    /// Number of the present slice.
    number: u64,
    /// The newest first.
    counts: [u64; COUNTED],
    /// Counts how often all units were forgotten, up to 32,767 and then from 0.
    age: u16,
}

/// A cell as it is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rolled {
    pub(crate) held: Lapsing,
    /// The units that have lapsed since the cell was written, by their slices.
    pub(crate) lapsed: [Lapsed; COUNTED],
}

/// Units of one slice that count no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lapsed {
    /// The beginning of their slice, in nanoseconds.
    pub(crate) start: u64,
    pub(crate) units: u64,
}

impl LapseClock {
    /// Makes slices of half a term, in nanoseconds.
    pub(crate) const fn new(term: u64, tag: u64) -> Self {
        Self { slice: Divisor::new(term.div_ceil(2)), tag }
    }

    /// Holds nothing, at this steady time.
    pub(crate) fn none(&self, now: GroupTime) -> Lapsing {
        Lapsing { number: self.number(now), counts: [0; COUNTED], age: 0 }
    }

    /// Reads a cell, as it was written.
    pub(crate) fn read(&self, value: Option<&Value>) -> Option<Lapsing> {
        let [low, high, last] = value?.words;
        if last >> TAG_SHIFT != self.tag {
            return None;
        }
        let packed = u128::from(high) << 64 | u128::from(low);
        let count = |place: u32| (packed >> (place * COUNT_BITS)) as u64 & MAX_UNITS;
        let bits = self.number_bits();
        let below_tag = last & NUMBER_MASK;
        let low_age = (packed >> (COUNTED as u32 * COUNT_BITS)) as u16;
        let age = ((below_tag >> bits) as u16) << LOW_AGE_BITS | low_age;
        let number = below_tag & ((1 << bits) - 1);
        Some(Lapsing { number, counts: [count(0), count(1), count(2)], age })
    }

    /// Returns the bits of the numbers of slices.
    fn number_bits(&self) -> u32 {
        if self.slice.get() >= NOT_SHORT { NUMBER_BITS - HIGH_AGE_BITS } else { NUMBER_BITS }
    }

    /// Reads a cell as it is at this steady time. Time that goes back leaves the slice where it is.
    pub(crate) fn roll(&self, value: Option<&Value>, now: GroupTime) -> Rolled {
        let mut lapsed = [Lapsed { start: 0, units: 0 }; COUNTED];
        let Some(mut held) = self.read(value) else {
            return Rolled { held: self.none(now), lapsed };
        };
        let present = self.number(now).max(held.number);
        for (age, lapsed) in lapsed.iter_mut().enumerate() {
            let number = held.number.saturating_sub(age as u64);
            if present - number >= COUNTED as u64 {
                let start = number.saturating_mul(self.slice.get());
                *lapsed = Lapsed { start, units: std::mem::take(&mut held.counts[age]) };
            }
        }
        // What lapsed is 0 by now: the counts that come round to the front are empty.
        let passed = usize::try_from(present - held.number).unwrap_or(COUNTED).min(COUNTED);
        held.counts.rotate_right(passed % COUNTED);
        held.number = present;
        Rolled { held, lapsed }
    }

    /// Makes a cell with these units, until the last of them lapses.
    pub(crate) fn value(&self, held: Lapsing, context: DecideContext) -> Value {
        let expires = context.by_calendar(GroupTime(self.lapses(held.number())));
        Value { words: self.words(held), expires }
    }

    pub(crate) fn words(&self, held: Lapsing) -> [u64; 3] {
        let add = |packed, count: &u64| packed << COUNT_BITS | u128::from(*count & MAX_UNITS);
        let low_age = u128::from(held.age) & ((1 << LOW_AGE_BITS) - 1);
        let packed = held.counts.iter().rev().fold(low_age, add);
        let high_age = u64::from(held.age >> LOW_AGE_BITS) << self.number_bits();
        let last = (held.number | high_age) & NUMBER_MASK | self.tag << TAG_SHIFT;
        [packed as u64, (packed >> 64) as u64, last]
    }

    /// Carries what a cell of another form holds over to this one: so many of the units of each
    /// slice as `units` says, by when it began.
    pub(crate) fn carried(&self, held: Lapsing, units: impl Fn(u64, u64) -> u64) -> Lapsing {
        let mut carried = held;
        for (age, count) in carried.counts.iter_mut().enumerate() {
            let start = held.number.saturating_sub(age as u64).saturating_mul(self.slice.get());
            *count = units(*count, start).min(MAX_UNITS);
        }
        carried
    }

    /// Returns the length of a slice, in nanoseconds.
    pub(crate) fn length(&self) -> u64 {
        self.slice.get()
    }

    /// Returns when units of a slice count no more, by the steady clock.
    pub(crate) fn lapses(&self, number: u64) -> u64 {
        number.saturating_add(COUNTED as u64).saturating_mul(self.slice.get())
    }

    /// Returns the slice whose units lapse at a moment.
    pub(crate) fn that_lapses(&self, at: u64) -> u64 {
        self.slice.divide_short(at).saturating_sub(COUNTED as u64)
    }

    fn number(&self, now: GroupTime) -> u64 {
        self.slice.divide_short(now.0) & NUMBER_MASK
    }
}

impl Lapsing {
    /// Returns the number of the present slice.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns how often its units were forgotten, modulo 32,768: by that, units are told from
    /// those that were held before.
    pub(crate) fn age(&self) -> u16 {
        self.age
    }

    /// Forgets all units.
    pub(crate) fn forget(&mut self) {
        *self = Self { counts: [0; COUNTED], age: (self.age + 1) & AGES, ..*self };
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the slice with which, when it lapses, no more than so many units are left.
    pub(crate) fn leaving(&self, most: u64) -> u64 {
        // The oldest first, which lapses first.
        let mut total = self.total();
        let mut age = COUNTED as u64;
        while age > 0 && total > most {
            age -= 1;
            total -= self.counts[age as usize];
        }
        self.number.saturating_sub(age)
    }

    /// Returns true if a slice counts.
    pub(crate) fn counts(&self, number: u64) -> bool {
        number <= self.number && self.number - number < COUNTED as u64
    }

    /// Returns the units of a slice; none, if it counts no more.
    pub(crate) fn units_of(&self, number: u64) -> u64 {
        if self.counts(number) { self.counts[(self.number - number) as usize] } else { 0 }
    }

    /// Adds units to the present slice; as many as it can hold.
    pub(crate) fn add(&mut self, units: u64) {
        self.counts[0] = self.counts[0].saturating_add(units).min(MAX_UNITS);
    }

    /// Takes units off the slice that they were added to, as far as they are there; returns how
    /// many.
    pub(crate) fn remove(&mut self, number: u64, units: u64) -> u64 {
        if !self.counts(number) {
            return 0;
        }
        let count = &mut self.counts[(self.number - number) as usize];
        let removed = units.min(*count);
        *count -= removed;
        removed
    }

    /// Adds what `other` has in each slice that counts here; units of a later one count in the
    /// present.
    pub(crate) fn merge(&mut self, other: &Self, most: u64) -> u64 {
        let mut merged = 0;
        for (age, units) in other.counts.iter().enumerate() {
            let number = other.number.saturating_sub(age as u64).min(self.number);
            if self.counts(number) {
                let count = &mut self.counts[(self.number - number) as usize];
                let units = (*units).min(most);
                *count = count.saturating_add(units).min(MAX_UNITS);
                merged += units;
            }
        }
        merged
    }

    /// Adds what `after` has more than `before`, slice by slice, and takes off what it has less as
    /// far as that is there. All are at the same slice.
    pub(crate) fn move_on(&mut self, before: &Self, after: &Self) {
        for (age, count) in self.counts.iter_mut().enumerate() {
            let moved = whole_units::moved(*count, before.counts[age], after.counts[age]);
            *count = moved.min(MAX_UNITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: u64 = 1_000;
    const SLICES: LapseClock = LapseClock::new(TERM, 8);

    fn held(number: u64, counts: [u64; 3]) -> Lapsing {
        Lapsing { number, counts, age: 0 }
    }

    fn value(held: Lapsing) -> Value {
        SLICES.value(held, DecideContext::at(GroupTime(0)))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut most = held(1 << 46, [MAX_UNITS, MAX_UNITS - 1, MAX_UNITS - 2]);
        for age in [0, 1, 2, 3] {
            most.age = age;
            assert_eq!(SLICES.read(Some(&value(most))), Some(most));
        }
        let long = LapseClock::new(2 * NOT_SHORT, 8);
        for age in [0, 3, 4, AGES] {
            let most = Lapsing { number: u64::MAX / NOT_SHORT, age, ..most };
            let value = long.value(most, DecideContext::at(GroupTime(0)));
            assert_eq!(long.read(Some(&value)), Some(most));
        }
        let other = LapseClock::new(TERM, 16);
        assert_eq!(other.read(Some(&value(most))), None);
    }

    #[test]
    fn units_lapse_between_one_and_one_and_a_half_terms() {
        for at in [0, 1, TERM / 2 - 1] {
            let now = 10 * TERM + at;
            let mut taken = SLICES.none(GroupTime(now));
            taken.add(5);
            let value = value(taken);
            let counts =
                |later: u64| SLICES.roll(Some(&value), GroupTime(now + later)).held.total();
            assert_eq!(counts(TERM), 5, "after a term they count");
            assert_eq!(counts(TERM + TERM / 2), 0);
            assert!(value.expires.0 > now + TERM && value.expires.0 <= now + TERM * 3 / 2);
        }
    }

    #[test]
    fn what_has_lapsed_is_told_once_and_with_its_slice() {
        let value = value(held(20, [1, 2, 3]));
        let at = |number: u64| SLICES.roll(Some(&value), GroupTime(number * TERM / 2));
        let Rolled { held: rolled, lapsed } = at(21);
        assert_eq!(rolled, held(21, [0, 1, 2]));
        let units = lapsed.map(|lapsed| lapsed.units);
        assert_eq!((units, lapsed[2].start), ([0, 0, 3], 18 * TERM / 2));
        assert_eq!(at(22).held, held(22, [0, 0, 1]));
        let Rolled { held: rolled, lapsed } = at(99);
        assert_eq!((rolled.total(), lapsed.map(|lapsed| lapsed.units)), (0, [1, 2, 3]));
        assert_eq!(at(5).held, held(20, [1, 2, 3]), "time that goes back changes nothing");
    }

    #[test]
    fn what_is_forgotten_is_told_from_what_comes_after_it() {
        let mut some = held(20, [1, 2, 3]);
        for age in (1..=AGES).chain([0, 1]) {
            some.forget();
            assert_eq!((some.total(), some.number(), some.age()), (0, 20, age));
        }
    }

    #[test]
    fn units_are_taken_off_the_slice_they_are_in() {
        let mut some = held(20, [1, 2, 3]);
        some.remove(18, 2);
        some.remove(17, 9);
        some.remove(21, 9);
        some.remove(20, 9);
        assert_eq!(some, held(20, [0, 2, 1]));
        assert_eq!([2, 1, 0].map(|most| some.leaving(most)), [18, 19, 19]);
    }
}
