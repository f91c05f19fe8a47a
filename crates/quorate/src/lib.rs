//! Peer groups that share exact quota counters across failovers, as a library.
//!
//! A service links this crate and names its sibling instances. They form a **group**: one peer, the
//! *primary*, decides and writes, the others follow it, and a majority elects the next one when it
//! is lost. What is decided is up to a [`Model`]; for rate limits use the crate
//! `quorate-ratelimit`, which is one. What a peer says of itself is in [`Peer::status`] and
//! [`Peer::events`].
//!
//! # Examples
//!
//! A model that counts, and one peer of three:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Peer, Value};
//!
//! struct Counter;
//!
//! impl Model for Counter {
//!     fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], _now: GroupTime) -> Answer {
//!         let mut answer = Answer { code: 1, ..Answer::default() };
//!         for (item, cell) in items.iter().zip(cells) {
//!             let count = cell.value().map_or(0, |value| value.words[0]) + item.args[0];
//!             cell.set(Value { words: [count, 0, 0], expires: GroupTime::MAX });
//!             answer.units += item.args[0];
//!             answer.words[0] = count;
//!         }
//!         answer
//!     }
//!
//!     fn accumulate(&self, item: &Item<'_>, _: Option<&Value>, _: &Value, delta: &mut Delta) {
//!         delta.words[0] += item.args[0];
//!     }
//!
//!     fn merge(&self, _key: &[u8], delta: &Delta, cell: &mut Cell, _now: GroupTime) -> u64 {
//!         let count = cell.value().map_or(0, |value| value.words[0]) + delta.words[0];
//!         cell.set(Value { words: [count, 0, 0], expires: GroupTime::MAX });
//!         delta.words[0]
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let peer = Peer::builder("a", Counter)
//!     .members([("a", "127.0.0.1:7101"), ("b", "127.0.0.1:7102"), ("c", "127.0.0.1:7103")])
//!     .start()
//!     .await?;
//! peer.wait_ready(Duration::from_secs(30)).await?;
//! let decision = peer.decide(&[Item { key: b"visits", args: [1, 0] }]).await?;
//! println!("{} visits, decided at {}", decision.answer.words[0], decision.position);
//! peer.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! Services need what is at the top, the words of settings ([`words`]), and what carries bytes
//! between peers if that is to be another than TCP ([`transport`]; TLS is in the crate
//! `quorate-tls`). The layers below are in the source for whoever wants to read how it works:
//! elections, leases and replication as a state machine without IO, cells and their change feed,
//! frames, files.
//!
//! # Features
//!
//! `driver` (default): sockets, clocks and [`Peer`]. Without it the rest builds without tokio.

#[cfg(feature = "driver")]
pub mod admin;
mod base;
mod config;
mod disk;
#[cfg(feature = "driver")]
mod driver;
#[doc(hidden)]
pub mod internal;
mod model;
mod protocol;
mod record;
mod session;
mod state;
mod store;
#[cfg(feature = "driver")]
pub mod transport;
mod wire;
pub mod words;

pub use base::error::{
    ArrangeError, Bounded, DecideError, ForceError, NoPrimaryReason, PolicyError, RemoveError,
    SiteError, SwitchError,
};
pub use base::event::{Event, RefusedBy};
pub use base::event_text::Severity;
pub use base::forced::Forced;
pub use base::id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, Lead, MAX_ADDRESS_BYTES, MAX_NAME_BYTES,
    Member, MemberId, Now, PeerKind, PeerName, PeerStart, Position, Sequence, Term, Time,
};
pub use base::loss::Loss;
pub use base::policy::{MAX_POLICY_BYTES, Policy};
#[doc(hidden)]
pub use base::telling::tell;
pub use config::{
    Acknowledge, AddressFault, AddressGiven, AtPassive, Bounds, ClientRights, ConfigError, Consent,
    GroupConfig, MAX_MEMBERS, Mode, Monitor, MonitorChange, NewGenerations, OnReconnect,
    PeerConfig, Site, Storage, StorageKind, SyncPolicy,
};
pub use disk::OpenError;
#[cfg(feature = "driver")]
pub use driver::{
    Absence, Basis, CallTimes, Connections, ContactStatus, Decider, Decision, Difference, Events,
    Fill, LastPromotion, Link, LinkError, LinkErrorReason, Lost, MemberStatus, Missing,
    MonitorStatus, NotCountedError, NotReadyError, NotSafeToStop, NumberedEvent, Peer, PeerBuilder,
    PeerSettings, PeerStats, PeerStatus, Reading, Refusal, Shutdown, SiteCondition, SiteMode,
    SitePeer, SitePhase, SiteStatus, StartError, Status, StatusWatch, StorageState, Turns,
    WeakPeer,
};
pub use model::{
    ANSWER_WORDS, ARGUMENT_WORDS, Answer, Cell, DecideContext, Delta, Item, MAX_ITEMS,
    MAX_KEY_BYTES, Model, VALUE_WORDS, Value,
};
pub use protocol::PeerRole;
pub use store::Digest;
#[cfg(feature = "driver")]
pub use transport::{Certificate, Protection, Tls};
