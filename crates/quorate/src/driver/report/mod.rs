//! Reports: what the embedder sees of a peer.

pub(super) mod allowance;
pub(super) mod certificates;
pub(super) mod events;
pub(super) mod fill;
pub(super) mod journal;
pub(super) mod latency;
pub(super) mod pacer;
pub(super) mod peer_status;
pub(super) mod site;
pub(super) mod status;
pub(super) mod tally;
pub(super) mod turns;
pub(super) mod upkeep;
pub(super) mod waiting;
