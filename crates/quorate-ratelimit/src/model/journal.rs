//! Log records about limits.

/// The target of all of them; what is logged under it is in docs/logging.md.
pub(crate) const LIMITS: &str = "quorate::limits";
