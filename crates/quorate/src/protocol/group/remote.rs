//! What a peer knows of another one.

use std::collections::VecDeque;
use std::mem::take;

use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, Incarnation, MemberId, PeerKind, Time};
use crate::protocol::group::wall_watch::WallWatch;
use crate::protocol::io::LinkEnd;
use crate::protocol::message::{Brief, SwitchOutcome};
use crate::protocol::reign::sender::Sender;
use crate::state::Membership;

/// Members of one name that have gone and are remembered.
const MAX_DEAD: usize = 8;

/// The start of a peer that was linked before the present one.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Predecessor {
    pub(in crate::protocol) incarnation: Incarnation,
    /// Whether it is sure that its process has ended.
    pub(in crate::protocol) has_ended: bool,
}

/// What this peer knows of another.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Remote {
    /// The incarnation that is linked now.
    pub(in crate::protocol) linked: Option<Incarnation>,
    /// Who is linked, or was last.
    pub(in crate::protocol) last: Option<LinkEnd>,
    /// Members that are gone: the name was seen counted by another id after their links had closed.
    pub(in crate::protocol) dead: VecDeque<MemberId>,
    pub(in crate::protocol) brief: Option<Brief>,
    pub(in crate::protocol) brief_at: Time,
    /// What is to be learned from its wall clock about this peer's own.
    pub(in crate::protocol) wall_watch: Option<WallWatch>,
    /// When anything last came from it.
    pub(in crate::protocol) heard: Time,
    /// The send time of the newest ping that it answered with a promise to this reign.
    pub(in crate::protocol) answered: Time,
    /// As primary: how far it follows.
    pub(in crate::protocol) sender: Option<Sender>,
    /// The members as it knew them when it last said so, in answer to a request for votes.
    pub(in crate::protocol) told: Option<Membership>,
    /// The last wishes to switch of this peer that were answered, and how: it asks until it has
    /// heard, and what it asked before may come once more after that.
    pub(in crate::protocol) switch_answers: VecDeque<(u64, SwitchOutcome)>,
    /// It said that it ends before its links closed.
    pub(in crate::protocol) has_ended: bool,
    /// As primary: it holds the change that has counted it out.
    pub(in crate::protocol) knows_removal: bool,
}

impl Remote {
    /// Begins anew with the start that is linked now. Returns the one before it, if that was
    /// another.
    pub(in crate::protocol) fn link(&mut self, end: LinkEnd, now: Time) -> Option<Predecessor> {
        let is_same = self.is_last(end.incarnation);
        let died = self.last.take().filter(|_| !is_same);
        let predecessor = died.map(|died| {
            let is_same_member = died.id == end.id;
            if !is_same_member {
                self.note_dead(died.id);
            }
            let has_ended = is_same_member && end.succession.proves_end_of(&died.succession);
            Predecessor { incarnation: died.incarnation, has_ended }
        });
        *self = Self {
            linked: Some(end.incarnation),
            last: Some(end),
            dead: take(&mut self.dead),
            // The link may have closed before the answer was heard.
            switch_answers: if is_same { take(&mut self.switch_answers) } else { VecDeque::new() },
            heard: now,
            ..Self::default()
        };
        predecessor
    }

    /// Notes that all links have closed. What was said over them is not true for ever.
    pub(in crate::protocol) fn unlink(&mut self, has_ended: bool) {
        self.linked = None;
        self.has_ended = has_ended;
        self.sender = None;
        self.brief = None;
    }

    fn note_dead(&mut self, id: MemberId) {
        self.dead.push_back(id);
        if self.dead.len() > MAX_DEAD {
            self.dead.pop_front();
        }
    }

    /// Its wall clock now, as it was last told.
    pub(in crate::protocol) fn wall(&self, now: Time) -> Option<GroupTime> {
        let brief = self.brief.as_ref()?;
        Some(brief.wall.after(now.since(self.brief_at)))
    }

    /// Whether it has said that it is never promoted, or stops.
    pub(in crate::protocol) fn is_never_promoted(&self) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.priority == 0)
    }

    /// Whether it has said that it is about to end.
    pub(in crate::protocol) fn is_stopping(&self) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.is_stopping)
    }

    /// What it is counted by, while it is linked.
    pub(in crate::protocol) fn id(&self) -> Option<MemberId> {
        self.last.as_ref().filter(|_| self.linked.is_some()).map(|end| end.id)
    }

    /// Whether this is the start of it that is linked, or was last.
    pub(in crate::protocol) fn is_last(&self, incarnation: Incarnation) -> bool {
        self.last.as_ref().is_some_and(|end| end.incarnation == incarnation)
    }

    /// What it says it is to the group.
    pub(in crate::protocol) fn kind(&self) -> Option<PeerKind> {
        self.last.as_ref().map(|end| end.kind)
    }

    /// Whether it is linked as this member: what any other holds or promises is not its.
    pub(in crate::protocol) fn is_linked_as(&self, id: MemberId) -> bool {
        self.id() == Some(id) || (self.linked.is_some() && bug::is(Bug::OldIncarnationCounts))
    }
}
