//! Settings of a layer, which all of its services share.

use quorate_ratelimit::{HeaderStyle, RateLimiter};

use crate::rule::Rule;

/// The treatment of requests while the group cannot decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenUnavailable {
    /// They are passed on and not counted, or perhaps counted: the limit does not hold meanwhile.
    Admit,
    /// They are refused with 503 and `Retry-After`.
    #[default]
    Refuse,
}

/// The settings that all services of a layer share.
pub(crate) struct Settings<R> {
    pub(crate) limiter: RateLimiter,
    pub(crate) rules: Vec<Rule>,
    pub(crate) styles: Vec<HeaderStyle>,
    pub(crate) tells_admitted: bool,
    pub(crate) unavailable: WhenUnavailable,
    pub(crate) refuse: R,
}
