//! Asking a peer, and giving it orders, over its own port: the client's side of the admin lane, and
//! what a crate implements to answer asks of its own.
//!
//! Every peer that listens answers whoever may ask it, by one JSON document for each ask
//! ([docs/wire.md], section 8). Over TLS a certificate says who may: one with the URI
//! `quorate-admin:NAME` changes the group, one with `quorate-viewer:NAME` looks. In plain text
//! anybody may who is on the same machine, and nobody else.
//! [`PeerBuilder::no_admin`](crate::PeerBuilder::no_admin) closes the lane.
//!
//! | ask | answer | |
//! |---|---|---|
//! | `{"ask":"status"}` | [`Status`](crate::Status) | looks |
//! | `{"ask":"events","since":0}` | `{"events","next","missed","incarnation"}` | looks |
//! | `{"ask":"stats"}` | [`PeerStats`](crate::PeerStats) | looks |
//! | `{"ask":"monitor"}` | [`MonitorStatus`](crate::MonitorStatus) | looks |
//! | `{"ask":"monitor","size":3}` | the same, as it is then | acts |
//! | `{"ask":"site"}` | [`SiteStatus`](crate::SiteStatus) | looks |
//! | `{"ask":"site","mode":"active"}` | the same, as it is then | acts |
//! | `{"ask":"switch","to":"b"}` | `{"primary":"b"}` | acts |
//! | `{"ask":"leave"}` | `{"left":"a"}` | acts |
//! | `{"ask":"forget","peer":"c"}` | `{"forgotten":"c"}` | acts |
//! | `{"ask":"priority","priority":10}` | `{"priority":10}` | acts |
//! | `{"ask":"found"}` | `{"founding":true}` | acts |
//! | `{"ask":"force","gone":["b","c"]}` | [`Forced`](crate::Forced) and `primary` | acts |
//!
//! What else can be asked of the monitor: [`MonitorDocument`]; and of the sites: [`SiteDocument`].
//!
//! # Examples
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use quorate::admin::{AdminError, Ask, Client};
//! use quorate::transport::Tcp;
//!
//! async fn primary(address: &str) -> Result<String, AdminError> {
//!     let mut client = Client::connect(Arc::new(Tcp::default()), address, "alice", "").await?;
//!     let status = client.ask(&Ask::Status).await?;
//!     Ok(status["primary"].to_string())
//! }
//! ```
//!
//! [docs/wire.md]: https://github.com/quorate/quorate/blob/main/docs/wire.md

mod answer;
mod ask;
mod client;
mod document;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod monitor;
mod responder;
mod site;

pub use answer::{Effect, Refused};
pub use ask::{Access, Ask, MAX_WAIT};
#[doc(hidden)]
pub use ask::{Nothing, of};
pub use client::Client;
pub use error::AdminError;
pub use monitor::MonitorDocument;
pub use responder::{Reading, Responder};
pub use site::SiteDocument;

pub(crate) use answer::Answer;
pub(crate) use document::Document;
pub(crate) use responder::Responders;
pub(crate) use site::SiteWish;
