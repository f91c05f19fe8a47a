//! The protocol: a pure state machine without clocks, sockets, tasks or randomness of its own.
//!
//! # The drain rule
//!
//! 1. Hand one [`io::Input`] to [`Machine::handle`], with the time.
//! 2. Call [`Machine::poll_output`] until it returns `None`, and do what it says.
//! 3. Wait for the next input, or for [`Machine::deadline`], then hand over [`io::Input::Tick`].
//!
//! `handle` returns nothing: bad input is ignored, a refusal becomes a reply. The rules are in
//! docs/protocol.md, whose sections the code names.
//!
//! Deliberately not here: sockets, clocks, tasks, files, and the data path, which goes through the
//! [store](crate::store) without passing by.

pub mod io;
pub mod message;

mod acknowledged;
mod bound;
mod canvass;
mod changes;
mod credence;
mod decider;
mod disk;
mod election;
mod founding;
mod group_clock;
mod hand_over;
mod heartbeat;
mod lag;
mod machine;
mod missing;
mod policy;
mod primary;
mod primary_state;
mod random;
mod receiver;
mod remote;
mod removal;
mod replica;
mod replication;
mod request;
mod requests;
mod role;
mod sender;
mod standing;
mod standstill;
mod status;
mod storage;
mod suspicion;
mod switching;
mod wall_watch;

#[cfg(test)]
mod tests;

pub use machine::Machine;
pub use receiver::CatchUp;
pub(crate) use standing::MAX_GENERATIONS;
pub use standing::{Applicant, Objection, Standing};
pub use status::{MachineMember, MachinePeer, MachineStatus, PeerRole};
