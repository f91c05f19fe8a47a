//! Draws for election delays: seeded by the caller, so that one seed is one run.

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::id::nanos;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration below `bound`.
    pub(super) fn below(&mut self, bound: Duration) -> Duration {
        if bug::is(Bug::FixedElectionTimer) {
            return bound / 2;
        }
        Duration::from_nanos(self.next() % nanos(bound).max(1))
    }
}
