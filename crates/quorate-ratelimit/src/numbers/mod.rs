//! Numbers: what came of calls, for operators.

pub(crate) mod alert;
pub(crate) mod counters;
pub(crate) mod denials;
pub(crate) mod metric;
#[cfg(feature = "metrics")]
pub(crate) mod publish;
pub(crate) mod stats;
pub(crate) mod thread_slot;
pub(crate) mod top;
