//! Words: calls, merges, and all that checkers are shown.

pub(crate) mod call;
pub(crate) mod merge;
pub(crate) mod operation;
pub(crate) mod seen;
