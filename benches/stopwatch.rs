//! The one place of this package that reads a clock.

use std::time::Instant;

/// Now. The rest of the workspace takes time as an argument; measuring is what this package is for.
#[inline]
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn now() -> Instant {
    Instant::now()
}
