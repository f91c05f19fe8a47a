//! Elections: suspicion, votes, and the founding of a generation.

pub(super) mod canvass;
pub(super) mod election;
pub(super) mod force;
pub(super) mod founding;
pub(super) mod met;
pub(super) mod missing;
pub(super) mod promotion;
pub(super) mod suspicion;
