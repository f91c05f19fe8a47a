//! The ground, which knows nothing of groups: time, order, chance.

pub(crate) mod clock;
pub(crate) mod queue;
pub(crate) mod random;
