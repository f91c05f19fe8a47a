//! Numbers: what came of calls, for operators.

pub(crate) mod alert;
pub(crate) mod counters;
pub(crate) mod denials;
pub(crate) mod held;
mod limit_metrics;
pub(crate) mod metric;
mod peer_metrics;
#[cfg(feature = "metrics")]
pub(crate) mod publish;
pub(crate) mod sources;
pub(crate) mod stats;
pub(crate) mod text;
pub(crate) mod thread_slot;
pub(crate) mod top;
