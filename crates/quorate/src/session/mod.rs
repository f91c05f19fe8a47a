//! What a peer does with calls once the route is known, and with what it decided alone.
//!
//! No socket, no task and no clock: the driver feeds this from connections and callers, the
//! simulator from its events, so that what is simulated is what runs.
//!
//! ```text
//!   a call made here ─▶ Attempt ─┬─▶ the store ──▶ answer, or CommitQueue ──▶ answer
//!                                ├─▶ the primary: Batch ──▶ reply, or Replying ──▶ reply
//!                                └─▶ alone: the overlay ──▶ Merging ──▶ the primary, once
//! ```

pub mod alone;
pub mod attempt;
pub mod budget;
pub mod commit_queue;
pub mod merging;
pub mod replying;
pub mod routes;
pub mod serving;
pub mod unanswered;
