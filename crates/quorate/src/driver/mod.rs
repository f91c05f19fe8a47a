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
//! | module | what it is |
//! |---|---|
//! | `decide` | the way of one call at the peer where it is made |
//! | `calls`, `slots`, `expiry` | the caller's side of a forwarded call; tables of waiting callers; their deadlines |
//! | `serve`, `replying` | the primary's side; calls that are not answered at once |
//! | `waiters` | callers at the primary that wait for a majority |
//! | `connection`, `outbox` | an open connection, and how bytes get onto it |
//! | `attendant`, `inbox` | the task that reads it, and how messages get to the event loop |
//! | `attendance` | whether that task is run |
//! | `links`, `dialing`, `handshake`, `registry` | making, accepting and knowing connections |
//! | `reach` | why links are down |
//! | `admission`, `origin` | how many may come in, by where they come from |
//! | `pace`, `buffered`, `stall` | what they may say, what they may hold, and whether they get anywhere |
//! | `roster` | who the members are and where they are reached |
//! | `settings` | what must be equal at two peers, and what may differ |
//! | `event_loop`, `upkeep` | the task that owns the state machine |
//! | `merging` | what becomes of local decisions |
//! | `storage` | the thread that owns the files, and reading them at the start |
//! | `routing`, `reason` | where calls go at present; why there is no primary |
//! | `allowance` | how often something is told of |
//! | `status`, `events`, `refusals`, `certificates`, `fill`, `tally`, `latency` | what the embedder sees |
//! | `clock` | the only place that reads a clock |
//! | `builder`, `face`, `tasks`, `shared` | setting up, asking, ending, and what the tasks share |

mod builder;
mod calls;
mod clock;
mod ending;
mod event_loop;
mod face;
mod for_tests;
mod links;
mod peer_settings;
mod reminder;
mod report;
mod shared;
mod storage;
mod tasks;
mod upkeep;

pub use builder::{PeerBuilder, StartError};
pub use calls::decide::{Basis, Decision, Reading};
pub use calls::decider::Decider;
pub use clock::TestClock;
pub use links::reach::{LinkError, LinkErrorReason};
pub use links::refusals::{Refusal, RefusedBy};
pub use links::settings::Difference;
pub use peer_settings::PeerSettings;
pub use report::events::{Events, NumberedEvent};
pub use report::fill::Fill;
pub use report::latency::CallTimes;
pub use report::status::{
    Connections, ContactStatus, Link, MemberStatus, PeerStatus, Status, StatusWatch, StorageState,
};
pub use report::tally::PeerStats;
pub use report::turns::Turns;

pub(crate) use report::journal::{EVENT, STORAGE};
pub(crate) use shared::Shared;
pub(crate) use storage::Keeper;
pub(crate) use tasks::Tasks;
