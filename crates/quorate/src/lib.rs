//! Peer groups that share exact quota counters across failovers, as a library.

#[doc(hidden)]
pub mod bug;
mod config;
pub mod disk;
#[cfg(feature = "driver")]
mod driver;
mod error;
mod event;
mod id;
mod model;
#[cfg(feature = "driver")]
mod peer;
pub mod protocol;
pub mod record;
pub mod store;
#[cfg(feature = "driver")]
pub mod transport;
pub mod wire;

pub use config::{
    Acknowledge, Bounds, ConfigError, GroupConfig, MAX_MEMBERS, Mode, OnReconnect, PeerConfig,
    Storage,
};
#[cfg(feature = "driver")]
pub use driver::{
    Basis, Decision, Difference, Events, Link, NumberedEvent, PeerBuilder, PeerStatus, Refusal,
    RefusedBy, StartError, Status, StatusWatch,
};
pub use error::{DecideError, NoPrimaryReason, SwitchError};
pub use event::Event;
pub use id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, MAX_NAME_BYTES, Member, Now, PeerName,
    Position, Sequence, Term, Time,
};
pub use model::{
    ANSWER_WORDS, ARGUMENT_WORDS, Answer, Cell, Delta, Item, MAX_ITEMS, MAX_KEY_BYTES, Model,
    VALUE_WORDS, Value,
};
#[cfg(feature = "driver")]
pub use peer::{NotReadyError, Peer, Shutdown};
pub use protocol::PeerRole;
pub use store::Digest;
