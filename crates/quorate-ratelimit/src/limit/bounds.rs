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
