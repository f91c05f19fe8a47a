//! The protocol: a pure state machine without clocks, sockets, tasks or randomness of its own.
//!
//! # The drain rule
//!
//! 1. Hand one [`io::Input`] to [`Machine::handle`], with the time.
//! 2. Call [`Machine::poll_output`] until it returns `None`, and do what it says.
//! 3. Wait for the next input, or for [`Machine::deadline`], then hand over [`io::Input::Tick`].
//!
//! `handle` returns nothing: bad input is ignored, a refusal becomes a reply. The rules are in
//! [docs/protocol.md], whose sections the code names.
//!
//! [docs/protocol.md]: https://github.com/quorate/quorate/blob/main/docs/protocol.md
//!
//! Deliberately not here: sockets, clocks, tasks, files, and the data path, which goes through the
//! [store](crate::store) without passing by.

pub mod io;
pub mod message;

mod deadlines;
mod elect;
mod follow;
mod former;
mod group;
mod lasting;
mod machine;
mod model_handle;
mod random;
mod reign;
mod role;
mod status;
mod told;

#[cfg(test)]
mod tests;

pub use follow::receiver::CatchUp;
#[cfg(feature = "driver")]
pub(crate) use group::lag::MAX_LAG;
pub(crate) use group::standing::MAX_GENERATIONS;
pub use group::standing::{Applicant, Objection, Standing};
pub use machine::Machine;
pub use reign::exposure::Backed;
pub use status::{
    Lost, MachineMember, MachinePeer, MachineStatus, MonitorStatus, PeerRole, Restraint, SiteView,
};
pub use told::{LostUnits, PromotionReport};
