//! What a peer knows of another one.

use std::collections::VecDeque;
use std::mem::take;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, Incarnation, MemberId, PeerKind, Time};
use crate::protocol::group::request::MAX_REQUESTS;
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
    linked: Option<Incarnation>,
    /// Who is linked, or was last.
    last: Option<LinkEnd>,
    /// Members that are gone: the name was seen counted by another id after their links had closed.
    dead: VecDeque<MemberId>,
    brief: Option<Brief>,
    brief_at: Time,
    /// What is to be learned from its wall clock about this peer's own.
    wall_watch: Option<WallWatch>,
    /// When anything last came from it.
    heard: Time,
    /// When it was last known to be there, by whomever.
    alive: Time,
    /// When it last gave its name and no link came of it, since it was last linked.
    met: Option<Time>,
    /// The send time of the newest ping that it answered with a promise to this reign.
    answered: Time,
    /// As primary: how far it follows.
    sender: Option<Sender>,
    /// The members as it knew them when it last said so, in answer to a request for votes.
    told: Option<Membership>,
    /// The last wishes to switch of this peer that were answered, and how: it asks until it has
    /// heard, and what it asked before may come once more after that.
    switch_answers: VecDeque<(u64, SwitchOutcome)>,
    /// It said that it ends before its links closed.
    has_ended: bool,
    /// As primary: it holds the change that has counted it out.
    knows_removal: bool,
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
            alive: now,
            ..Self::default()
        };
        predecessor
    }

    /// Notes that all links have closed. What was said over them is not true for ever.
    pub(in crate::protocol) fn unlink(&mut self, has_ended: bool, now: Time) {
        self.linked = None;
        self.note_alive(now);
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

    // --- the link

    /// The start of it that is linked.
    pub(in crate::protocol) fn linked(&self) -> Option<Incarnation> {
        self.linked
    }

    pub(in crate::protocol) fn is_linked(&self) -> bool {
        self.linked.is_some()
    }

    /// Returns true if this start of it is linked.
    pub(in crate::protocol) fn is_linked_start(&self, incarnation: Incarnation) -> bool {
        self.linked == Some(incarnation)
    }

    /// The start of it that is linked, or was last.
    pub(in crate::protocol) fn last(&self) -> Option<&LinkEnd> {
        self.last.as_ref()
    }

    /// Returns true if it said that it ends before its links closed.
    pub(in crate::protocol) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns true if what it was counted by has gone for good.
    pub(in crate::protocol) fn is_dead(&self, id: MemberId) -> bool {
        self.dead.contains(&id)
    }

    /// The time since anything last came from it.
    pub(in crate::protocol) fn silence(&self, now: Time) -> Duration {
        now.since(self.heard)
    }

    /// Notes that something came from it.
    pub(in crate::protocol) fn note_heard(&mut self, now: Time) {
        self.heard = self.heard.max(now);
    }

    /// When it was last known to be there, by whomever.
    pub(in crate::protocol) fn alive(&self) -> Time {
        self.alive
    }

    /// When it was last there without a link.
    pub(in crate::protocol) fn met(&self) -> Option<Time> {
        self.met
    }

    pub(in crate::protocol) fn note_met(&mut self, now: Time) {
        self.met = Some(now);
        self.note_alive(now);
    }

    /// Notes that it is there, as this peer or another one knows.
    pub(in crate::protocol) fn note_alive(&mut self, now: Time) {
        self.alive = self.alive.max(now);
    }

    /// Takes a silence that was this peer's own fault off its account.
    pub(in crate::protocol) fn excuse(&mut self, gap: Duration) {
        self.heard = self.heard.after(gap);
        self.alive = self.alive.after(gap);
        self.met = self.met.map(|met| met.after(gap));
    }

    /// The site that it stands at, if it has one.
    pub(in crate::protocol) fn site(&self) -> Option<&str> {
        self.last.as_ref().map(|end| end.site.as_str()).filter(|site| !site.is_empty())
    }

    /// Returns true if what led to its state has led to this peer's as well, as it said when it was
    /// linked.
    pub(in crate::protocol) fn is_kin(&self) -> bool {
        self.last.as_ref().is_some_and(|end| end.is_kin)
    }

    /// Notes that its state is of this peer's group: what has led to the one has led to the other,
    /// whatever becomes of either.
    pub(in crate::protocol) fn note_kin(&mut self) {
        if let Some(end) = &mut self.last {
            end.is_kin = true;
        }
    }

    // --- what it has said

    /// Its last heartbeat, as far as one has come over the present link.
    pub(in crate::protocol) fn brief(&self) -> Option<&Brief> {
        self.brief.as_ref()
    }

    /// When its last heartbeat came.
    pub(in crate::protocol) fn brief_at(&self) -> Time {
        self.brief_at
    }

    pub(in crate::protocol) fn note_brief(&mut self, brief: Brief, now: Time) {
        self.brief = Some(brief);
        self.brief_at = now;
    }

    /// The members as it knew them when it last said so, in answer to a request for votes.
    pub(in crate::protocol) fn told(&self) -> Option<&Membership> {
        self.told.as_ref()
    }

    pub(in crate::protocol) fn note_told(&mut self, membership: Membership) {
        self.told = Some(membership);
    }

    /// The watch on its wall clock, which tells of this peer's own; it begins now if there was
    /// none.
    pub(in crate::protocol) fn wall_watch(&mut self, now: Time, wall: GroupTime) -> &mut WallWatch {
        self.wall_watch.get_or_insert_with(|| WallWatch::new(now, wall))
    }

    // --- as primary: what it has promised, and how far it follows

    /// The send time of the newest ping that it answered with a promise to this reign.
    pub(in crate::protocol) fn answered(&self) -> Time {
        self.answered
    }

    /// Notes that it has answered a ping that was sent then with a promise.
    pub(in crate::protocol) fn note_answered(&mut self, sent: Time) {
        self.answered = self.answered.max(sent);
    }

    /// Drops what it has promised: no lease is made of it.
    pub(in crate::protocol) fn forget_promises(&mut self) {
        self.answered = Time(0);
    }

    pub(in crate::protocol) fn has_promised(&self) -> bool {
        self.answered > Time(0)
    }

    /// Returns true if it has answered a ping that is no older than `lease`.
    pub(in crate::protocol) fn has_promised_within(&self, lease: Duration, now: Time) -> bool {
        self.has_promised() && now.since(self.answered) < lease
    }

    /// The sender that serves it, if this peer sends it its state.
    pub(in crate::protocol) fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    pub(in crate::protocol) fn sender_mut(&mut self) -> Option<&mut Sender> {
        self.sender.as_mut()
    }

    /// Returns true if this peer sends its state to it.
    pub(in crate::protocol) fn is_fed(&self) -> bool {
        self.sender.is_some()
    }

    /// Begins to send it this peer's state.
    pub(in crate::protocol) fn feed(&mut self, sender: Sender) {
        self.sender = Some(sender);
    }

    pub(in crate::protocol) fn stop_feeding(&mut self) {
        self.sender = None;
    }

    /// Returns true if it holds the change that has counted it out.
    pub(in crate::protocol) fn knows_removal(&self) -> bool {
        self.knows_removal
    }

    /// Notes that it holds the change that has counted it out: it needs no more.
    pub(in crate::protocol) fn note_removal_known(&mut self) {
        self.knows_removal = true;
        self.stop_feeding();
    }

    /// The answer that was given to this wish of its to switch.
    pub(in crate::protocol) fn switch_answer(&self, request: u64) -> Option<SwitchOutcome> {
        let mut answers = self.switch_answers.iter();
        answers.find(|(answered, _)| *answered == request).map(|(_, outcome)| *outcome)
    }

    /// Remembers an answer, of as many as it can have wishes under way.
    pub(in crate::protocol) fn note_switch_answer(&mut self, request: u64, outcome: SwitchOutcome) {
        if self.switch_answers.len() >= MAX_REQUESTS {
            self.switch_answers.pop_front();
        }
        self.switch_answers.push_back((request, outcome));
    }

    // --- what it is

    /// Its wall clock now, as it was last told.
    pub(in crate::protocol) fn wall(&self, now: Time) -> Option<GroupTime> {
        let brief = self.brief.as_ref()?;
        Some(brief.wall.after(now.since(self.brief_at)))
    }

    /// Returns true if it has said that it is never promoted, or stops.
    pub(in crate::protocol) fn is_never_promoted(&self) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.priority == 0)
    }

    /// Returns true if it has said that it is about to end.
    pub(in crate::protocol) fn is_stopping(&self) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.is_stopping)
    }

    /// The id that it is counted by, while it is linked.
    pub(in crate::protocol) fn id(&self) -> Option<MemberId> {
        self.last.as_ref().filter(|_| self.linked.is_some()).map(|end| end.id)
    }

    /// Returns true if this is the start of it that is linked, or was last.
    pub(in crate::protocol) fn is_last(&self, incarnation: Incarnation) -> bool {
        self.last.as_ref().is_some_and(|end| end.incarnation == incarnation)
    }

    /// The kind of peer that it says it is.
    pub(in crate::protocol) fn kind(&self) -> Option<PeerKind> {
        self.last.as_ref().map(|end| end.kind)
    }

    /// Returns true if it is linked as this member: what any other holds or promises is not its.
    pub(in crate::protocol) fn is_linked_as(&self, id: MemberId) -> bool {
        self.id() == Some(id) || (self.linked.is_some() && bug::is(Bug::OldIncarnationCounts))
    }
}
