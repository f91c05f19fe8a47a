//! Settings: those that must be equal at all peers, and those of one peer.

mod address;
mod bounds;
mod error;
mod generations;
mod group;
mod monitor;
mod peer;
mod site;
mod storage;
mod storage_words;

pub use address::{AddressFault, AddressGiven};
pub use bounds::Bounds;
pub use error::ConfigError;
pub use generations::NewGenerations;
#[cfg(feature = "driver")]
pub(crate) use group::STORAGE;
pub use group::{Acknowledge, ClientRights, GroupConfig, Mode, OnReconnect};
pub use monitor::{Monitor, MonitorChange};
pub use peer::PeerConfig;
pub use site::{AtPassive, Consent, Site};
pub use storage::{Storage, StorageKind, SyncPolicy};

/// Most members of a group.
pub const MAX_MEMBERS: usize = 7;
