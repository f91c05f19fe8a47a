//! Calls: decided here, sent on, served for others, and waited for.

pub(super) mod decide;
pub(super) mod decider;
pub(super) mod expiry;
pub(super) mod forward;
pub(super) mod merging;
pub(super) mod reason;
pub(super) mod routing;
pub(super) mod serve;
pub(super) mod slots;
pub(super) mod waiters;
