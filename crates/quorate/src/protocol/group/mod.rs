//! The group: its members, their heartbeats and clocks, and wishes to its primary.

pub(super) mod changes;
pub(super) mod credence;
pub(super) mod disowned;
pub(super) mod fence;
pub(super) mod group_clock;
pub(super) mod heartbeat;
pub(super) mod lag;
pub(super) mod remote;
pub(super) mod request;
pub(super) mod requests;
pub(super) mod sites;
pub(super) mod standing;
pub(super) mod standstill;
pub(super) mod upkeep;
pub(super) mod wall_watch;
