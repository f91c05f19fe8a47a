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

mod addresses;
mod admission;
mod allowance;
mod attendance;
mod attendant;
mod buffered;
mod builder;
mod calls;
mod certificates;
mod clock;
mod connection;
mod decide;
mod decider;
mod dialing;
mod ending;
mod event_loop;
mod events;
mod expiry;
mod face;
mod fill;
mod for_tests;
mod guest;
mod handshake;
mod inbox;
mod journal;
mod latency;
mod links;
mod merging;
mod origin;
mod outbox;
mod pace;
mod peer_settings;
mod reach;
mod reason;
mod refusals;
mod registry;
mod replying;
mod roster;
mod routing;
mod serve;
mod settings;
mod shared;
mod slots;
mod stall;
mod status;
mod storage;
mod tally;
mod tasks;
mod turns;
mod upkeep;
mod waiters;
mod waiting;

pub use builder::{PeerBuilder, StartError};
pub use clock::TestClock;
pub use decide::{Basis, Decision, Reading};
pub use decider::Decider;
pub use events::{Events, NumberedEvent};
pub use fill::Fill;
pub use latency::CallTimes;
pub use peer_settings::PeerSettings;
pub use reach::{LinkError, LinkErrorReason};
pub use refusals::{Refusal, RefusedBy};
pub use settings::Difference;
pub use status::{
    Connections, ContactStatus, Link, MemberStatus, PeerStatus, Status, StatusWatch, StorageState,
};
pub use tally::PeerStats;
pub use turns::Turns;

pub(crate) use journal::STORAGE;
pub(crate) use shared::Shared;
pub(crate) use storage::Keeper;
pub(crate) use tasks::Tasks;
