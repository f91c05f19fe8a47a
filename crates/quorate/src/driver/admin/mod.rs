//! The admin lane: whoever may ask a peer is answered, and what is ordered is carried out.

pub(super) mod desk;
pub(super) mod role;
pub(super) mod session;
mod shown;
