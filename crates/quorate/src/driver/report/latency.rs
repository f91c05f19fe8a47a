//! The times of calls that are not decided at once where they are made.
//!
//! What the primary decides by itself for a caller of its own takes little more than two looks at a
//! clock would, and is not measured. All others wait for somebody, some microseconds at least.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Times of calls that were made here and sent to the primary, held, or answered when a majority
/// had them: until they were answered, or failed. A call that was dropped is none of them.
///
/// # Examples
///
/// ```
/// use quorate::{CallTimes, Peer};
///
/// /// How many of them took longer than 10 ms.
/// fn slow(peer: &Peer) -> u64 {
///     let times = peer.stats().call_times;
///     let bounds = CallTimes::BOUNDS_US.iter();
///     let slow = bounds.zip(times.counts).filter(|(bound, _)| **bound > 10_000);
///     slow.map(|(_, count)| count).sum::<u64>() + times.longer
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallTimes {
    /// Calls by the first of [`CallTimes::BOUNDS_US`] that they did not pass.
    pub counts: [u64; BUCKETS],
    /// Calls that took longer than the last.
    pub longer: u64,
    /// The time of all of them, in microseconds.
    pub sum_us: u64,
}

impl CallTimes {
    /// The bounds by which they are counted, in microseconds: 100 µs to 30 s.
    pub const BOUNDS_US: [u64; BUCKETS] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 10_000_000, 30_000_000,
    ];
}

const BUCKETS: usize = 16;

/// [`CallTimes`] as they are counted.
#[derive(Debug, Default)]
pub(in crate::driver) struct Latency {
    counts: [AtomicU64; BUCKETS],
    longer: AtomicU64,
    sum_us: AtomicU64,
}

impl Latency {
    pub(in crate::driver) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = CallTimes::BOUNDS_US.partition_point(|bound| *bound < took);
        self.counts.get(bucket).unwrap_or(&self.longer).fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took, Ordering::Relaxed);
    }

    pub(in crate::driver) fn get(&self) -> CallTimes {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CallTimes {
            counts: std::array::from_fn(|bucket| value(&self.counts[bucket])),
            longer: value(&self.longer),
            sum_us: value(&self.sum_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_for_the_first_bound_that_it_does_not_pass() {
        let latency = Latency::default();
        let micros = [0, 100, 101, 10_000, 30_000_000, 30_000_001];
        micros.into_iter().for_each(|took| latency.note(Duration::from_micros(took)));
        let times = latency.get();
        let counted = CallTimes::BOUNDS_US.into_iter().zip(times.counts);
        let counted: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(100, 2), (250, 1), (10_000, 1), (30_000_000, 1)]);
        assert_eq!((times.longer, times.sum_us), (1, micros.into_iter().sum()));
        assert!(CallTimes::BOUNDS_US.is_sorted());
    }
}
