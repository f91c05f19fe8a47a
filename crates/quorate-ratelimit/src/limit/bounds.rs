//! Ranges of what a limit may say.

use std::time::Duration;

/// Longest name of a limit, in bytes.
pub const MAX_LIMIT_NAME_BYTES: usize = 64;
/// Most limits of one set.
pub const MAX_LIMITS: usize = 4096;
/// Shortest window.
pub(crate) const MIN_WINDOW: Duration = Duration::from_millis(1);
/// Shortest lease of a permit.
pub(crate) const MIN_LEASE: Duration = Duration::from_millis(100);
/// Longest lease of a permit.
pub(crate) const MAX_LEASE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest window.
pub(crate) const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Most permits of a concurrency limit, and most units of a reservation: a count of them has 42
/// bits in a cell.
pub(crate) const MAX_PERMITS: u64 = (1 << 42) - 1;
/// Largest max of a sliding window: the count of its newest slice has 47 bits in a cell.
pub(crate) const MAX_SLIDING: u64 = (1 << 47) - 1;
/// Largest max of an approximate sliding window: the count of its previous window has 47 bits.
pub(crate) const MAX_APPROXIMATE: u64 = (1 << 47) - 1;
/// Largest debt of a rate that a cell can hold, in 111 bits; merges and capacities saturate there.
pub(crate) const MAX_DEBT: u128 = (1 << 111) - 1;

/// Returns the largest burst of a rate that a cell can count.
pub(crate) fn most_burst(amount: u64, period: Duration) -> u64 {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
    let cost = period / greatest_common_divisor(amount, period).max(1);
    u64::try_from(MAX_DEBT / u128::from(cost.max(1))).unwrap_or(u64::MAX)
}

pub(crate) const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
