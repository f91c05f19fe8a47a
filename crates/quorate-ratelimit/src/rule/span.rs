//! Slices of time, into which a sliding window cuts it by the size of what is counted in each.
//!
//! | form | slices of a length | units of one |
//! |---|---|---|
//! | fine | 32 | 7 |
//! | medium | 16 | 63 |
//! | coarse | 8 | 4,095 |
//! | large | 8 | in multiples of a power of two, less than a 63rd of the max |
//!
//! All slices begin at multiples of their length since the Unix epoch, and those of a coarser form
//! are made of whole ones of a finer.

use crate::rule::divisor::Divisor;

/// Slices of the finest form.
const FINEST: u32 = 32;
/// Bits of the newest count in the large form.
pub(crate) const LARGE_BITS: u32 = 47;
/// The most that the newest slice can hold.
pub(crate) const MOST_UNITS: u64 = (1 << LARGE_BITS) - 1;
/// The largest count of an earlier slice in the large form: it says "so many, or more".
pub(crate) const LARGE_FULL: u64 = (1 << Form::Large.bits()) - 1;
/// The largest multiple that any max needs, as a power of two.
pub(crate) const MOST_SCALE: u32 = LARGE_BITS - Form::Large.bits() + 1;

/// The fineness of slices, and with it the size of their counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Fine,
    Medium,
    Coarse,
    Large,
}

impl Form {
    /// Returns the slices of a length, the newest apart.
    pub(crate) const fn slices(self) -> u32 {
        FINEST >> self.shift()
    }

    /// Returns the bits of the count of an earlier slice.
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::Fine => 3,
            Self::Medium => 6,
            Self::Coarse => 12,
            Self::Large => 7,
        }
    }

    /// Returns by how much longer its slices are than the finest, as a power of two.
    const fn shift(self) -> u32 {
        match self {
            Self::Fine => 0,
            Self::Medium => 1,
            Self::Coarse | Self::Large => 2,
        }
    }

    /// Returns the most units of the newest slice.
    pub(crate) const fn most(self) -> u64 {
        match self {
            Self::Large => MOST_UNITS,
            _ => (1 << self.bits()) - 1,
        }
    }

    pub(crate) const fn coarser(self) -> Self {
        match self {
            Self::Fine => Self::Medium,
            Self::Medium => Self::Coarse,
            Self::Coarse | Self::Large => Self::Large,
        }
    }

    pub(crate) const fn finer(self) -> Self {
        match self {
            Self::Fine | Self::Medium => Self::Fine,
            Self::Coarse => Self::Medium,
            Self::Large => Self::Coarse,
        }
    }

    pub(crate) fn of(number: u64) -> Self {
        [Self::Fine, Self::Medium, Self::Coarse, Self::Large][(number & 3) as usize]
    }
}

/// The length of a window and of its finest slices, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    length: u64,
    slice: Divisor,
}

impl Span {
    /// Cuts a length of whole milliseconds, which leaves no rest.
    pub(crate) const fn new(length: u64) -> Self {
        let slice = length / FINEST as u64;
        // A checked length has a million nanoseconds; in tests it may have fewer than slices.
        Self { length, slice: Divisor::new(if slice == 0 { 1 } else { slice }) }
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the length of a slice of a form.
    pub(crate) const fn slice(&self, form: Form) -> u64 {
        self.slice.get() << form.shift()
    }

    /// Returns the slice that a moment is in.
    #[inline]
    pub(crate) const fn number(&self, form: Form, at: u64) -> u64 {
        self.slice.divide_short(at) >> form.shift()
    }

    /// Looks from a moment at a log of a form whose newest units were taken at `last`, which is no
    /// later.
    #[inline]
    pub(crate) const fn look(&self, form: Form, last: u64, at: u64) -> Look {
        let finest = self.slice.divide_short(at);
        let passed = (finest >> form.shift()) - self.number(form, last);
        Look { at, finest, passed, is_newest: at - last < self.length }
    }

    /// Returns the last slice of a form within the coarsest one that a moment is in.
    pub(crate) const fn last_beside(&self, form: Form, at: u64) -> u64 {
        // The last of the slices that one coarse slice is made of has all lower bits set.
        let parts = Form::Coarse.shift() - form.shift();
        self.number(form, at) | ((1 << parts) - 1)
    }

    /// Returns the moment at which a slice begins.
    pub(crate) const fn start(&self, form: Form, number: u64) -> u64 {
        number.saturating_mul(self.slice(form))
    }
}

/// A moment as a log sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) at: u64,
    /// The slice of the finest form that the moment is in.
    finest: u64,
    /// The number of slices of the log from the newest one to the moment.
    pub(crate) passed: u64,
    /// True if the newest slice counts.
    pub(crate) is_newest: bool,
}

impl Look {
    /// Returns the slice of a form that the moment is in.
    #[inline]
    pub(crate) const fn number(&self, form: Form) -> u64 {
        self.finest >> form.shift()
    }

    /// Returns the look after units were taken at the moment.
    #[inline]
    pub(crate) const fn taken(self) -> Self {
        Self { passed: 0, is_newest: true, ..self }
    }
}

/// The form in which a limit begins, and the multiple in which earlier slices are counted if it is
/// large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) form: Form,
    pub(crate) scale: u32,
}

impl Home {
    /// Chooses the form for slices of up to `max` units.
    pub(crate) const fn new(max: u64) -> Self {
        let form = if max <= Form::Fine.most() {
            Form::Fine
        } else if max <= Form::Medium.most() {
            Form::Medium
        } else if max <= Form::Coarse.most() {
            Form::Coarse
        } else {
            Form::Large
        };
        // A full slice is told from one that has more.
        let mut scale = 0;
        while scale < MOST_SCALE && LARGE_FULL << scale <= max {
            scale += 1;
        }
        Self { form, scale }
    }
}
