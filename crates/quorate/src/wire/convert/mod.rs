//! Messages of the protocol to and from their generated twins.
//!
//! Writing cannot fail. Reading checks every bound, and that no field is absent without which the
//! message would mean something else.

mod read;
mod upkeep;
mod write;

pub(super) use read::message;
