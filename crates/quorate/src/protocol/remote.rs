//! What a peer knows of another one.

use std::collections::VecDeque;

use crate::bug::{self, Bug};
use crate::id::{GroupTime, Incarnation, MemberId, PeerKind, Time};
use crate::protocol::io::LinkEnd;
use crate::protocol::message::{Brief, SwitchOutcome};
use crate::protocol::sender::Sender;
use crate::protocol::wall_watch::WallWatch;
use crate::state::Membership;

/// What this peer knows of another.
#[derive(Debug, Default)]
pub(super) struct Remote {
    /// The incarnation that is linked now.
    pub(super) linked: Option<Incarnation>,
    /// Who is linked, or was last.
    pub(super) last: Option<LinkEnd>,
    /// Members that are gone: the name was seen counted by another id after their links had closed.
    pub(super) dead: VecDeque<MemberId>,
    pub(super) brief: Option<Brief>,
    pub(super) brief_at: Time,
    /// What is to be learned from its wall clock about this peer's own.
    pub(super) wall_watch: Option<WallWatch>,
    /// When anything last came from it.
    pub(super) heard: Time,
    /// The send time of the newest ping that it answered with a promise to this reign.
    pub(super) answered: Time,
    /// As primary: how far it follows.
    pub(super) sender: Option<Sender>,
    /// The members as it knew them when it last said so, in answer to a request for votes.
    pub(super) told: Option<Membership>,
    /// The last wish to switch of this peer that was answered, and how: it asks until it has heard.
    pub(super) switch_answer: Option<(u64, SwitchOutcome)>,
    /// It said that it ends before its links closed.
    pub(super) has_ended: bool,
    /// As primary: it holds the change that has counted it out.
    pub(super) knows_removal: bool,
}

impl Remote {
    /// Its wall clock now, as it was last told.
    pub(super) fn wall(&self, now: Time) -> Option<GroupTime> {
        let brief = self.brief.as_ref()?;
        Some(brief.wall.after(now.since(self.brief_at)))
    }

    /// Whether it has said that it is never promoted, or stops.
    pub(super) fn is_never_promoted(&self) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.priority == 0)
    }

    /// What it is counted by, while it is linked.
    pub(super) fn id(&self) -> Option<MemberId> {
        self.last.as_ref().filter(|_| self.linked.is_some()).map(|end| end.id)
    }

    /// What it says it is to the group.
    pub(super) fn kind(&self) -> Option<PeerKind> {
        self.last.as_ref().map(|end| end.kind)
    }

    /// Whether it is linked as this member: what any other holds or promises is not its.
    pub(super) fn is_linked_as(&self, id: MemberId) -> bool {
        self.id() == Some(id) || (self.linked.is_some() && bug::is(Bug::OldIncarnationCounts))
    }
}

/// Dead incarnations remembered per name.
pub(super) const MAX_DEAD: usize = 8;
