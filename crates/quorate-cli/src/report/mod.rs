//! What peers say, read leniently, and what is wrong in it: nothing here waits or asks.

pub(crate) mod document;
pub(crate) mod event;
pub(crate) mod finding;
pub(crate) mod health;
pub(crate) mod members;
pub(crate) mod peer;
pub(crate) mod site;
pub(crate) mod status;
