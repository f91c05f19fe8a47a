//! The driver: the only code that waits. It owns sockets, clocks and tasks, and keeps the data
//! path off them.
//!
//! ```text
//!              caller                                   caller at another peer
//!                │ decide                                 │ decide
//!     primary    ▼                            replica     ▼
//!        ┌─────────────┐   outbox        ┌───────────────────────────┐
//!        │    store    │◀── serve ◀──────│ calls (table of waiting)  │
//!        └─────────────┘ connection task └───────────────────────────┘
//!          │ changed    ▲                     outbox, connection task
//!          ▼            │ authority
//!        event loop ─ machine ──── messages ──── event loop ─ machine
//! ```
//!
//! | room | what it is |
//! |---|---|
//! | `calls` | the way of a call: decided here, sent on, served for others, waited for, merged |
//! | `links` | connections: made, accepted, agreed on, read, written; who the members are |
//! | `admin` | asks of people and tools, and orders, over the admin lane |
//! | `report` | what the embedder sees: status, events, log records, numbers |
//! | `storage` | the thread that owns the files, and reading them at the start |
//! | `clock` | the only place that reads a clock |
//! | `event_loop`, `requests` | the task that owns the machine; what callers ask of that |
//! | `maintenance`, `reminder` | its other work |
//! | `builder`, `peer_settings`, `start` | setting up, starting |
//! | `peer`, `handle`, `face` | asking: documented, waited for, passed on |
//! | `readiness`, `ending` | whether a peer counts; stepping aside |
//! | `tasks`, `shared`, `for_tests` | the peer's thread; what tasks share; what only tests set |

mod admin;
mod builder;
mod calls;
mod clock;
mod ending;
mod event_loop;
mod face;
mod for_tests;
mod handle;
mod links;
mod maintenance;
mod peer;
mod peer_settings;
mod readiness;
mod reminder;
mod report;
mod requests;
mod shared;
mod start;
mod start_error;
mod storage;
mod tasks;

pub use builder::PeerBuilder;
pub use calls::decide::{Basis, Decision, Reading};
pub use calls::decider::Decider;
pub use clock::TestClock;
pub use ending::Shutdown;
pub use links::reach::{LinkError, LinkErrorReason};
pub use links::refusals::Refusal;
pub use links::settings::Difference;
pub use peer::{Peer, WeakPeer};
pub use peer_settings::PeerSettings;
pub use readiness::{Absence, Missing, NotCountedError, NotReadyError, NotSafeToStop};
pub use report::events::{Events, NumberedEvent};
pub use report::fill::Fill;
pub use report::latency::CallTimes;
pub use report::peer_status::{ContactStatus, Link, PeerStatus};
pub use report::site::{LastPromotion, SiteCondition, SiteMode, SitePeer, SitePhase, SiteStatus};
pub use report::status::{Connections, MemberStatus, Status, StatusWatch, StorageState};
pub use report::tally::PeerStats;
pub use report::turns::Turns;
pub use report::upkeep::{Lost, MonitorStatus};
pub use start_error::StartError;

pub(crate) use report::journal::{PEER, STORAGE};
pub(crate) use shared::Shared;
pub(crate) use storage::Keeper;
pub(crate) use tasks::Tasks;
