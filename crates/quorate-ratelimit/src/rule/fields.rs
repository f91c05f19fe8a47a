//! Counts of a few bits each, one behind the other in a word.

use crate::rule::span::Form;

/// Returns a mask of so many of the lowest bits.
#[inline]
pub(crate) const fn low(bits: u32) -> u128 {
    (1 << bits) - 1
}

/// Returns a mask of every second field of so many bits, from the lowest on.
const fn every_second(bits: u32) -> u128 {
    let mut fields = 0;
    let mut at = 0;
    while at < 128 {
        fields |= low(bits) << at;
        at += 2 * bits;
    }
    fields
}

/// Adds up all counts: neighbours are added up until one is left, or two.
#[inline]
pub(crate) fn sum(mut counts: u128, form: Form) -> u64 {
    const BY_3: u128 = every_second(3);
    const BY_6: u128 = every_second(6);
    const BY_12: u128 = every_second(12);
    const BY_24: u128 = every_second(24);
    const BY_7: u64 = every_second(7) as u64;
    const BY_14: u64 = every_second(14) as u64;
    if form == Form::Large {
        let by_7 = (counts as u64 & BY_7) + (counts as u64 >> 7 & BY_7);
        let by_14 = (by_7 & BY_14) + (by_7 >> 14 & BY_14);
        return (by_14 & low(28) as u64) + (by_14 >> 28);
    }
    if form == Form::Fine {
        counts = (counts & BY_3) + (counts >> 3 & BY_3);
    }
    if form <= Form::Medium {
        counts = (counts & BY_6) + (counts >> 6 & BY_6);
    }
    counts = (counts & BY_12) + (counts >> 12 & BY_12);
    counts = (counts & BY_24) + (counts >> 24 & BY_24);
    (counts & low(48)) as u64 + (counts >> 48) as u64
}
