//! Peer groups that share exact quota counters across failovers, as a library.

#[doc(hidden)]
pub mod bug;
mod config;
mod error;
mod event;
mod id;
mod model;
pub mod protocol;
pub mod store;
pub mod wire;

pub use config::{
    Acknowledge, ConfigError, GroupConfig, Limits, MAX_MEMBERS, Mode, OnReconnect, PeerConfig,
    Storage,
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
