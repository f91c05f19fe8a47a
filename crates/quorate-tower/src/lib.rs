//! A [tower](https://docs.rs/tower) layer that admits requests by the rate limits that a group of
//! peers shares: in front of axum, tonic, hyper, or whatever else takes `http` requests.
//!
//! A [`RateLimitLayer`] has [`Rule`]s, each a limit and what a request is counted by under it. All
//! rules that apply to a request are asked together: either all of them count it, or none does.
//!
//! ```text
//!   request ──▶ rules ──▶ RateLimiter::acquire_all ──┬─ admitted ──▶ inner service
//!                 │        once for the whole group  ├─ denied ────▶ 429, when to come again
//!                 └─ no key ──▶ 400                  └─ undecided ─▶ 503
//! ```
//!
//! # Examples
//!
//! 100 requests each second of each client, and 1,000 of all of them, with axum:
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use axum::extract::ConnectInfo;
//! use axum::{Extension, Router, routing::get};
//! use quorate::Peer;
//! use quorate_ratelimit::{Limit, Limits, RateLimiter};
//! use quorate_tower::{Admission, AllCallers, ClientAddress, RateLimitLayer, Rule};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let limits = Limits::builder()
//!         .limit("client", Limit::per_second(100).burst(50))
//!         .limit("total", Limit::per_second(1_000))
//!         .build()?;
//!     let peer = Peer::builder("a", limits.model())
//!         .members([("a", "127.0.0.1:7101"), ("b", "127.0.0.1:7102"), ("c", "127.0.0.1:7103")])
//!         .start()
//!         .await?;
//!
//!     let client = ClientAddress::new().socket(|extensions| {
//!         extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
//!     });
//!     let layer = RateLimitLayer::builder(RateLimiter::new(peer, &limits))
//!         .rule(Rule::new("client", client))
//!         .rule(Rule::new("total", AllCallers))
//!         .build()?;
//!
//!     let routes = Router::new().route("/", get(hello)).layer(layer);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     // With the addresses of callers: without them every request would be refused with 500.
//!     axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).await?;
//!     Ok(())
//! }
//!
//! async fn hello(Extension(admission): Extension<Admission>) -> String {
//!     format!("{:?} left\n", admission.decision().map(|decision| decision.remaining))
//! }
//! ```
//!
//! # What callers are told
//!
//! | a request that | is answered | gRPC | and nothing is counted |
//! |---|---|---|---|
//! | limits deny | 429, `Retry-After`, a problem document that names them | 8 | yes |
//! | lacks its key, or has one that cannot be read or is of more than 508 bytes | 400 | 3 | yes |
//! | costs more than a limit ever admits | 400 | 3 | yes |
//! | was not decided: no primary, at a bound, no answer | 503, `Retry-After: 1` | 14 | if known |
//! | may not go without a limit that the group has not | 503 | 9 | yes |
//! | has no key because the service supplies none, or more than 16 rules | 500 | 13 | yes |
//!
//! Responses of requests that were admitted carry the fields of the limit that has the least left,
//! unless [told otherwise](RateLimitLayerBuilder::headers_on_denials_only). Bodies of refusals are
//! made from text by `From`, for gRPC by `Default`, or by [a
//! closure](RateLimitLayerBuilder::refuse_with). Layers outside find the [`Reason`] of a refusal in
//! the extensions of its response, for logs and counts.
//!
//! # Without a primary
//!
//! Each limit may say for itself what it does then
//! ([`Limit::without_primary`](quorate_ratelimit::Limit::without_primary)). But the rules of a
//! request are decided together: one limit that refuses (in a strict group, one that says nothing)
//! has the request refused with 503, or admitted and not counted
//! ([`when_unavailable`](RateLimitLayerBuilder::when_unavailable)), whatever the others say. Give
//! all of them a `without_primary` that goes on, or none. Such a mixture is told as a warning when
//! the layer is built. What is reserved for an [`actual_cost`](Rule::actual_cost) is refused in any
//! case.
//!
//! # Who the client is
//!
//! By default the address of the socket, and no field of the request is believed, for anyone can
//! write one. [`ClientAddress`] takes the networks of your proxies and reads what they have added,
//! from the end; a hop that cannot be read is refused, and never counted as somebody else. IPv6
//! clients count by their first 64 bits, or by the IPv4 address that theirs carries.
//!
//! # Cost that is known afterwards
//!
//! Two rules look at the head of the response:
//!
//! - [`Rule::actual_cost`] reserves what a request may cost, and commits what it did cost: the rest
//!   is given back, and what is beyond it is counted as a debt.
//! - [`Rule::count_if`] gives back all of it if such a request does not count.
//!
//! What is given back goes to the window that it was taken from, and nowhere if that has ended.
//! This happens before the response is handed on, so that the caller's next request finds it done;
//! the response waits for the group as long as the request did. If the group does not take it the
//! response has [`Unsettled`] in its extensions.
//!
//! Where several rules apply, this costs round trips: reservations are made one by one before the
//! others are asked together, and cancelled if those deny; others may be denied for them in that
//! moment, and nothing is ever admitted that should not be. Rules with `count_if` are asked once
//! more, before, for the window that they are in.
//!
//! # Limits that come and go
//!
//! A new version of a service brings a rule and its limit, and the group does not have the limit
//! until the primary runs the new code; or not at all, if its limits were once changed while it
//! ran: then those hold, whatever the code says, until they are changed again. Until then a rule is
//! skipped and that is told, or it refuses, as [`Rule::missing_limit`] says, and the other rules go
//! on. So it is if a change takes the limit away. As soon as the group has it the rule applies.
//!
//! [`Rule::limit_by`] takes the name from each request, such as the plan of a customer. Any number
//! of rules may be there, 4,096 at most; of one request 16 at most are decided together.
//!
//! # Where to put it
//!
//! - Inside of layers that add CORS fields, or browsers hide the denial from their scripts; let
//!   them expose `RateLimit`, `RateLimit-Policy` and `Retry-After`. They answer preflights by
//!   themselves.
//! - Inside of whatever authenticates, if callers are counted by what that finds out; outside of it
//!   if failed attempts shall count.
//! - Inside of a time limit if that shall cover the group too. A call to the group ends by itself
//!   after its [`io_timeout`](quorate::PeerBuilder::io_timeout), 30 s unless you set it, which is
//!   long for a request: it is waited for only while a primary has just been lost.
//! - With axum, [`Router::layer`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.layer)
//!   counts requests that find no route as well; `route_layer` does not.
//! - Two of these layers are decided one after the other: what the outer one has counted stays so
//!   if the inner one denies. Give one layer both rules.
//!
//! # Cancel safety
//!
//! A response future that is dropped before it was polled has done nothing. One that is dropped
//! before its response, as servers do when the client goes away, may have taken what the request
//! costs, and that stays counted: otherwise whoever hangs up early would not be limited. What it
//! has reserved for an `actual_cost` lapses after
//! [`RESERVATION_TIME`](quorate_ratelimit::RESERVATION_TIME), and half of that later is given back.
//! What fails in the service inside without a response counts as it was taken or reserved.
//!
//! # What callers can do at most
//!
//! A request is written by its caller, and nothing of it is believed that its caller could gain by.
//!
//! - A stranger can use up the count of its own address, and that of what it names as its key where
//!   nothing checks that: an API key, a host, a path. For keys that it invents it has a count each,
//!   until [`Bounds`](quorate::Bounds) are reached.
//! - A client behind a trusted proxy can do the same: what it writes in front of what the proxy
//!   appends is not read.
//! - A trusted proxy can be whoever it likes, in each request.
//!
//! What holds it to that:
//!
//! - What cannot be read (a hop, a key that comes twice, two hosts) is refused with 400 and counted
//!   as nobody. A key has at most 508 bytes.
//! - No idempotency key is taken from a request, by whatever field: whoever chooses one can have an
//!   answer repeated that counts nothing. A handler that knows whose request it is may call
//!   [`idempotency_key`](quorate_ratelimit::RateLimiter::idempotency_key) with an id that holds for
//!   that caller alone, and looks at [`repeated`](quorate_ratelimit::Decision::repeated) before it
//!   does the work again.
//! - The sizes of heads and bodies, and how slowly they come, are for the server to bound.
//!
//! # What is not here
//!
//! Bodies are neither read nor buffered; a cost that only the end of a body shows is for the
//! handler to [`debit`](quorate_ratelimit::RateLimiter::debit). Requests are not queued: they are
//! admitted now or refused. Permits of concurrency limits are not taken: a handler does that with
//! [`permit`](quorate_ratelimit::RateLimiter::permit), and holds it for as long as it works.

mod address;
mod admission;
mod admit;
mod carried;
mod demand;
mod fields;
mod forwarded;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod hop;
mod host;
mod key;
mod layer;
mod network;
mod path;
mod refusal;
mod rule;
mod service;
mod settings;
mod settlement;

pub use address::{ClientAddress, PeerAddress};
pub use admission::{Admission, Unenforced};
pub use forwarded::ProxyField;
pub use header::Header;
pub use host::Host;
pub use key::{AllCallers, KeyExtractor, NoKey, from_fn};
pub use layer::{BuildError, RateLimitLayer, RateLimitLayerBuilder};
pub use network::{Network, NetworkError};
pub use path::{MethodAndPath, Path};
pub use refusal::{Grpc, Problems, Reason, Refusal, Refuse};
pub use rule::{MissingKey, MissingLimit, Rule};
pub use service::{RateLimit, ResponseFuture};
pub use settings::WhenUnavailable;
pub use settlement::Unsettled;
