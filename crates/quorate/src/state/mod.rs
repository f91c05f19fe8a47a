//! Replicated state other than cells: the group, its members, and the reigns that led to it.

mod history;
mod membership;
mod site;
mod upkeep;

pub use history::{History, MAX_HISTORY, Reign};
pub use membership::{MAX_REMOVED, Membership};
pub use site::{MAX_LINEAGE, Promoted, SitePhase, SiteState, epoch_above, is_epoch_of};
pub use upkeep::Upkeep;

use crate::base::id::{GroupId, GroupTime, Lead, Position};
use crate::base::policy::Policy;

/// Replicated state other than cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The group; `None` before founding.
    pub group_id: Option<GroupId>,
    /// The members.
    pub membership: Membership,
    /// All reigns that led to this state, oldest first; bounded by `MAX_HISTORY`.
    pub history: Vec<Reign>,
    /// What the model decides by (section 14).
    pub policy: Policy,
}

/// The end of a batch: what the receiver's state becomes, all at once, when it has every piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEnd {
    /// The cut.
    pub position: Position,
    /// Group time of the cut, by the steady clock.
    pub group_time: GroupTime,
    /// How far the calendar is ahead of that.
    pub lead: Lead,
    /// A group time that a majority has seen pass: cells that had expired by then may be dropped,
    /// and some may be missing already. 0 if the sender does not say (section 3.11).
    pub expired_before: GroupTime,
    /// Replicated state other than cells as of the cut; `None` if unchanged since `from`.
    pub meta: Option<Box<Meta>>,
}
