//! The protocol: a pure state machine without clocks, sockets, tasks or randomness of its own.

pub mod io;
pub mod message;
