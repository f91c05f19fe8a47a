//! Reigns: the lease, what followers are sent, and what only a primary decides.

pub(super) mod arranging;
pub(super) mod demoting;
pub(super) mod demotion;
pub(super) mod exposure;
pub(super) mod hand_over;
pub(super) mod lease;
pub(super) mod made_changes;
pub(super) mod policy;
pub(super) mod primary;
pub(super) mod primary_state;
pub(super) mod removal;
pub(super) mod replication;
pub(super) mod sender;
pub(super) mod switching;
