//! Followers: whom a peer follows, and the state that it takes up.

pub(super) mod receiver;
pub(super) mod replica;
