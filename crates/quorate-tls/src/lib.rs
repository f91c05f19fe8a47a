//! Mutual TLS between the peers of a Quorate group: nobody gets in who is not a member, and turning
//! encryption on, or renewing a certificate, never stops the group.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use quorate::{Model, Peer};
//! use quorate_tls::TlsConfig;
//!
//! # async fn run(model: impl Model) -> Result<(), Box<dyn std::error::Error>> {
//! let tls = TlsConfig::from_pem_files("ca.pem", "a.pem", "a.key").transport()?;
//! let peer = Peer::builder("a", model)
//!     .members([("a", "10.0.0.1:7101"), ("b", "10.0.0.2:7101"), ("c", "10.0.0.3:7101")])
//!     .transport(Arc::new(tls.clone()))
//!     .start()
//!     .await?;
//! // New files, some months later: open connections go on, new ones use them.
//! tls.reload()?;
//! # drop(peer);
//! # Ok(())
//! # }
//! ```
//!
//! # What is verified
//!
//! TLS 1.3 only, both ends with a certificate, a protocol name (ALPN) with the version of Quorate's
//! protocol, no resumption and no early data. Of the other end's certificate, on both sides:
//!
//! 1. a CA of [`TlsConfig`] has signed it, by itself or by others that are shown with it, all of
//!    them are valid at present, the CA included, and on that path no given CRL revokes any of
//!    them;
//! 2. **it names the peer that the other end claims to be**. A certificate of another service under
//!    the same CA gets nobody in.
//!
//! | the other end says that it is | its certificate has |
//! |---|---|
//! | a peer that this one knows as a member, `b` | the URI `quorate:b` or the DNS name `b` |
//! | another member or a joiner, `b` | the URI `quorate:b` |
//! | a client, `b` | the URI `quorate-client:b` or `quorate:b` |
//! | an admin, `b` | the URI `quorate-admin:b` |
//! | a viewer, `b` | the URI `quorate-viewer:b` |
//!
//! The second row is stricter because nobody knows such a name yet: under a CA that signs for other
//! services too, every one of them has some DNS name. Whoever joins at an address and does not know
//! who is there wants the URI of some member, before it says anything of itself. With
//! `quorate-client:b` nobody becomes a member: give that to instances that only call the group.
//! With `quorate-admin:b` somebody called `b` gives orders to peers over their admin lane
//! ([`quorate::admin`]), and with `quorate-viewer:b` looks at them; they prove no member and no
//! client, as nothing of those proves an admin. Of a certificate with one of these three URIs, in
//! capitals or not, the DNS names count for nothing.
//!
//! Give every member's certificate both names, or have [`TlsConfig::names`] put other patterns in
//! the place of the first two rows, and [`TlsConfig::client_names`], [`TlsConfig::admins`] and
//! [`TlsConfig::viewers`] of the others, such as `{peer}.quota.example`. Whoever has a name that
//! looks like one of these others' patterns is no member by a DNS name. A peer's name counts to the
//! byte: `B`, `b.` and `quorate:%62` do not name `b`. Names with a wildcard name nobody, nor do the
//! subject, addresses, or names of other kinds.
//!
//! Of what an end shows, 8 certificates of 16 KiB together are looked at, and 128 names of its own.
//! Which of them a trusted CA has signed is found out from that CA down, so that certificates which
//! somebody has made up cost a check of a signature each and no search.
//!
//! # Changing from plain text to TLS
//!
//! Peer by peer, by restarts, under load: all from [`Tls::Off`] to [`Tls::Permissive`], then all to
//! [`Tls::Required`]; back the other way. `Status::tls` says where a peer is, and `protection` in
//! its `peers` which links are plain. The [manual][operations], section 9, has the whole of it,
//! with what to do when a certificate or a CA is to be replaced.
//!
//! [operations]: https://github.com/quorate/quorate/blob/main/docs/operations.md
//!
//! # Whose fault
//!
//! [`CredentialsError`] is about this peer's own files, [`PeerFault`] about the other end, and any
//! other error is the network's. A fault is logged once with the other end's address and
//! its certificate's subject, is told by `Event::ConfigMismatch`, and stands in the status under
//! `refusals`, with field `certificate` or `tls`, until that peer is let in.
//!
//! # Features
//!
//! Providers of cryptography are chosen by [`Provider`], or by an escape that names rustls
//! ([`TlsConfig::rustls_0_23_provider`]); nothing is ever installed for the process.
//!
//! - `ring` (default): builds in a third of the time.
//! - `aws-lc-rs`: the one that rustls recommends; has a key exchange against quantum computers. It
//!   is used where both features are on.

mod anchor;
mod certificate;
mod chain;
mod config;
mod credentials;
mod error;
mod failed;
mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod inquiry;
mod names;
mod renewal;
mod revocations;
mod session;
mod settings;
mod signed;
mod source;
mod transport;
mod trust;
mod turns;
mod verify_error;
mod watch;
mod wording;

pub use config::{Provider, TlsConfig};
pub use error::CredentialsError;
pub use fault::PeerFault;
pub use quorate::Tls;
pub use settings::TlsSettings;
pub use transport::TlsTransport;
