//! Units that are given back of a slice counted in multiples (`log/`), less than one multiple:
//! they are owed until that slice leaves, or until a whole multiple is.
//!
//! Beside it, in 47 bits, the newest slice's units; so it is kept only where those are no more than
//! twice the max, under a max that is neither small nor beyond some thousand million. From 33
//! million on it is rounded down.
//!
//! ```text
//!   owed   │ slices before the newest, less one 3 │ units, in quanta 36 - scale │ newest scale + 8
//! ```

use crate::rule::span::{LARGE_BITS, MOST_SCALE};

/// The smallest and the largest multiple, as powers of two, beside which something may be owed.
const SCALES: std::ops::RangeInclusive<u32> = 6..=27;
/// The number by which a cell says more than the scale if something is owed.
const SHIFTED: u32 = MOST_SCALE + 1 - *SCALES.start();
const PLACE_BITS: u32 = 3;

/// Units that were given back, less than a multiple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) units: u64,
    /// The place of the oldest slice that it was given back of: so many before the newest.
    pub(crate) before: u32,
}

/// Returns the bits of the newest slice's units beside something owed.
const fn newest_bits(scale: u32) -> u32 {
    scale + 8
}

/// Returns the power of two of which the units owed are multiples.
const fn quantum(scale: u32) -> u32 {
    let bits = LARGE_BITS - PLACE_BITS - newest_bits(scale);
    scale.saturating_sub(bits)
}

impl Owed {
    pub(crate) const NONE: Self = Self { units: 0, before: 0 };

    /// Returns so much of it as can be kept beside the newest slice's units.
    pub(crate) fn kept(self, scale: u32, newest: u64) -> Self {
        if !SCALES.contains(&scale) || newest >> newest_bits(scale) > 0 {
            return Self::NONE;
        }
        let units = self.units.min((1 << scale) - 1) >> quantum(scale) << quantum(scale);
        if units == 0 { Self::NONE } else { Self { units, ..self } }
    }

    /// Returns it after so many slices; nothing is owed of one that has left.
    pub(crate) fn after(self, passed: u32, slices: u32) -> Self {
        let before = self.before.saturating_add(passed);
        if self.units == 0 || before > slices { Self::NONE } else { Self { before, ..self } }
    }

    /// Packs it with the newest slice's units and the scale, as a cell says them; it can be kept.
    pub(crate) fn pack(self, scale: u32, newest: u64) -> u64 {
        if self.units == 0 {
            return newest | u64::from(scale) << LARGE_BITS;
        }
        let place = u64::from(self.before.saturating_sub(1)) << (LARGE_BITS - PLACE_BITS);
        let units = self.units >> quantum(scale) << newest_bits(scale);
        newest | units | place | u64::from(scale + SHIFTED) << LARGE_BITS
    }

    /// Reads the newest slice's units, the scale, and what is owed.
    #[inline]
    pub(crate) fn unpack(packed: u64, scale: u32) -> (u64, u32, Self) {
        let packed = packed & ((1 << LARGE_BITS) - 1);
        if scale <= MOST_SCALE {
            return (packed, scale, Self::NONE);
        }
        let scale = scale - SHIFTED;
        let newest = packed & ((1 << newest_bits(scale)) - 1);
        let before = (packed >> (LARGE_BITS - PLACE_BITS)) as u32 + 1;
        let below_place = packed & ((1 << (LARGE_BITS - PLACE_BITS)) - 1);
        let units = below_place >> newest_bits(scale) << quantum(scale);
        (newest, scale, Self { units, before }.kept(scale, newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::span::LARGE_FULL;

    #[test]
    fn what_is_owed_is_read_as_it_was_written() {
        assert_eq!(*SCALES.end() + SHIFTED, 63, "the scale has six bits");
        for scale in SCALES {
            let most = (LARGE_FULL << scale) + (1 << scale);
            for newest in [0, 1, most] {
                for (units, before) in [(0, 1), (1, 1), (1 << (scale - 1), 8), (u64::MAX, 3)] {
                    let owed = Owed { units, before }.kept(scale, newest);
                    let packed = owed.pack(scale, newest);
                    assert!(packed >> 53 == 0);
                    let read = Owed::unpack(packed, (packed >> LARGE_BITS) as u32);
                    assert_eq!(read, (newest, scale, owed));
                }
            }
        }
    }
}
