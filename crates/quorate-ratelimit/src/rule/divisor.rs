//! Division by a number that is known when a limit is made.
//!
//! A decision divides two or three times (how many units remain, how long until they come back).
//! A division by a variable costs as much as the rest of the decision, so it is replaced by a
//! multiplication with the reciprocal and at most one step of correction; the result is exact.

/// A divisor with its reciprocal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divisor {
    divisor: u64,
    /// `(2^64 - 1) / divisor`, rounded down: at most 1 below `2^64 / divisor`.
    reciprocal: u64,
}

impl Divisor {
    /// Prepares a divisor.
    ///
    /// # Panics
    ///
    /// If it is zero; limits are checked before their divisors are made.
    pub(crate) const fn new(divisor: u64) -> Self {
        assert!(divisor > 0, "limits are checked before their divisors are made");
        Self { divisor, reciprocal: u64::MAX / divisor }
    }

    /// Returns the divisor itself.
    #[inline]
    pub(crate) const fn get(self) -> u64 {
        self.divisor
    }

    /// Returns `number / divisor`, rounded down.
    #[inline]
    pub(crate) const fn divide_short(self, number: u64) -> u64 {
        // The reciprocal is too small by at most 1, so the product is too small by less than
        // number / 2^64 < 1, and the quotient by at most 1.
        let quotient = ((number as u128 * self.reciprocal as u128) >> 64) as u64;
        let rest = number - quotient * self.divisor;
        if rest >= self.divisor { quotient + 1 } else { quotient }
    }

    /// Returns `number / divisor`, rounded down and saturating at `u64::MAX`.
    #[inline]
    pub(crate) fn divide(self, number: u128) -> u64 {
        match u64::try_from(number) {
            Ok(short) => self.divide_short(short),
            Err(_) => divide_long(number, self.divisor),
        }
    }

    /// Returns `number / divisor`, rounded up and saturating at `u64::MAX`.
    #[inline]
    pub(crate) fn divide_up(self, number: u128) -> u64 {
        self.divide(number.saturating_add(u128::from(self.divisor - 1)))
    }
}

/// Divides plainly. Only limits whose capacity is above 2^64 come here (a million a day, say),
/// which is rare enough.
#[cold]
fn divide_long(number: u128, divisor: u64) -> u64 {
    u64::try_from(number / u128::from(divisor)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (0..64u32).prop_map(|bits| 1 << bits),
            (0..64u32).prop_map(|bits| (1u64 << bits) - 1),
            (0..100u64).prop_map(|below| u64::MAX - below),
            1..1000u64,
        ]
    }

    proptest! {
        #[test]
        fn quotients_are_those_of_a_division(number in edges(), divisor in edges()) {
            let divisor = divisor.max(1);
            prop_assert_eq!(Divisor::new(divisor).divide_short(number), number / divisor);
        }

        #[test]
        fn long_quotients_are_those_of_a_division(high in edges(), low in edges(), d in edges()) {
            let number = u128::from(high) << 64 | u128::from(low);
            let d = d.max(1);
            let saturated = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
            let divisor = Divisor::new(d);
            prop_assert_eq!(divisor.divide(number), saturated(number / u128::from(d)));
            prop_assert_eq!(divisor.divide(u128::from(low)), low / d);
            let up = number.saturating_add(u128::from(d) - 1) / u128::from(d);
            prop_assert_eq!(divisor.divide_up(number), saturated(up));
        }
    }
}
