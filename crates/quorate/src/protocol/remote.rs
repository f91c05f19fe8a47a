//! Other peers: links, heartbeats and what they say of themselves (docs/protocol.md, section 2).

use std::collections::VecDeque;

use crate::bug::{self, Bug};
use crate::event::Event;
use crate::id::{Ballot, GroupTime, Incarnation, MemberId, PeerKind, PeerName, Position, Time};
use crate::protocol::io::LinkEnd;
use crate::protocol::machine::{Machine, Promise, Role};
use crate::protocol::message::{Brief, Membership, Message, SwitchOutcome};
use crate::protocol::sender::Sender;
use crate::protocol::standstill::WallWatch;
use crate::protocol::status::{MAX_LAG, own_cuts_behind};

/// Pings remembered for the round trips that leases are made of.
const MAX_PINGS: usize = 64;
/// Failure timeouts between two elections that a primary calls for the sake of a peer that is no
/// member.
const STAND_ABOVE_TIMEOUTS: u32 = 10;
/// Dead incarnations remembered per name.
const MAX_DEAD: usize = 8;

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
    /// The last wishes to switch of this peer that were answered, and how: it asks until it has
    /// heard, and what it asked before may come once more after that.
    pub(super) switch_answers: VecDeque<(u64, SwitchOutcome)>,
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

    /// Whether it has said that it is about to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.is_stopping)
    }

    /// What it is counted by, while it is linked.
    pub(super) fn id(&self) -> Option<MemberId> {
        self.last.as_ref().filter(|_| self.linked.is_some()).map(|end| end.id)
    }

    /// Whether this is the start of it that is linked, or was last.
    pub(super) fn is_last(&self, incarnation: Incarnation) -> bool {
        self.last.as_ref().is_some_and(|end| end.incarnation == incarnation)
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

impl Machine {
    pub(super) fn on_link_up(&mut self, peer: &PeerName, end: LinkEnd) {
        let (now, incarnation) = (self.now.time, end.incarnation);
        if *peer == self.config.name {
            return;
        }
        let remote = self.remotes.entry(peer.clone()).or_default();
        if remote.linked == Some(incarnation) {
            return;
        }
        let is_same = remote.is_last(incarnation);
        let died = remote.last.take().filter(|last| last.incarnation != incarnation);
        if let Some(died) = died.as_ref().filter(|died| died.id != end.id) {
            remote.dead.push_back(died.id);
            if remote.dead.len() > MAX_DEAD {
                remote.dead.pop_front();
            }
        }
        let is_proven = died.as_ref().is_some_and(|died| {
            died.id == end.id && end.succession.proves_end_of(&died.succession)
        });
        let dead = std::mem::take(&mut remote.dead);
        // It may have closed before the answer was heard.
        let mut switch_answers = std::mem::take(&mut remote.switch_answers);
        if !is_same {
            switch_answers.clear();
        }
        *remote = Remote {
            linked: Some(incarnation),
            last: Some(end),
            dead,
            switch_answers,
            heard: now,
            ..Remote::default()
        };
        if self.is_primary() {
            self.follow_me(peer, now);
        }
        self.event(Event::PeerUp { peer: peer.clone() });
        if let Some(leader) =
            self.leader.as_mut().filter(|leader| leader.incarnation == incarnation)
        {
            // It has not ended after all.
            leader.ends = None;
        }
        match died {
            Some(died) if is_proven || bug::is(Bug::ClosedIsDead) => {
                self.on_end(peer, died.incarnation);
            }
            Some(died) => self.on_other_start(peer, died.incarnation),
            None => {}
        }
        self.ping_one(peer);
        self.wake_soon();
    }

    /// Whether a linked peer speaks only versions of the protocol below this one.
    pub(super) fn speaks_less_than(&self, name: &PeerName, version: u32) -> bool {
        let linked = self.remotes.get(name).filter(|remote| remote.linked.is_some());
        linked.and_then(|remote| remote.last.as_ref()).is_some_and(|end| end.version < version)
    }

    pub(super) fn on_link_down(
        &mut self,
        peer: &PeerName,
        incarnation: Incarnation,
        has_ended: bool,
    ) {
        let Some(remote) = self.remotes.get_mut(peer) else {
            return;
        };
        if remote.linked != Some(incarnation) {
            return;
        }
        remote.linked = None;
        remote.has_ended = has_ended;
        remote.sender = None;
        remote.brief = None;
        if self.pull.as_ref().is_some_and(|(name, _, _)| name == peer) {
            self.pull = None;
        }
        self.event(Event::PeerDown { peer: peer.clone() });
        self.follow_names();
        if has_ended {
            self.on_end(peer, incarnation);
        }
        self.wake_soon();
    }

    /// A process has ended, and its reign with it: nobody needs to wait for it.
    fn on_end(&mut self, peer: &PeerName, incarnation: Incarnation) {
        let ended = (peer.clone(), incarnation);
        if self.promise.as_ref().is_some_and(|promise| promise.to == ended) {
            self.promise = None;
        }
        self.expect_end(&ended, self.now.time);
    }

    /// Another start of a peer is there, and all links to the one before it have closed. That one
    /// may live all the same, cut off: connections are reset by what lies between, and a second
    /// process is started beside a first. If it is primary it decides for as long as its lease may
    /// rest on what this peer has promised it last.
    fn on_other_start(&mut self, peer: &PeerName, incarnation: Incarnation) {
        let (last, lease) = ((peer.clone(), incarnation), self.group.longest_lease());
        let promise = self.promise.as_mut().filter(|promise| promise.to == last);
        let ends = promise.map_or(self.now.time, |promise| {
            promise.until = promise.until.min(promise.made.after(lease));
            promise.until
        });
        self.expect_end(&last, ends);
    }

    fn expect_end(&mut self, (name, incarnation): &(PeerName, Incarnation), ends: Time) {
        let leader = self.leader.as_mut();
        let leader = leader.filter(|leader| leader.name == *name);
        if let Some(leader) = leader.filter(|leader| leader.incarnation == *incarnation) {
            leader.ends = Some(ends);
        }
    }

    pub(super) fn ping_all(&mut self) {
        let names: Vec<PeerName> = self.remotes.keys().cloned().collect();
        let number = self.next_ping_number();
        let brief = self.brief();
        for name in names {
            if let Some(incarnation) = self.remotes[&name].linked {
                let brief = brief.clone();
                self.send(&(name, incarnation), Message::Ping { number, brief });
            }
        }
    }

    fn ping_one(&mut self, peer: &PeerName) {
        let number = self.next_ping_number();
        let brief = self.brief();
        if let Some(incarnation) = self.remotes.get(peer).and_then(|r| r.linked) {
            self.send(&(peer.clone(), incarnation), Message::Ping { number, brief });
        }
    }

    fn next_ping_number(&mut self) -> u64 {
        self.ping_number += 1;
        self.pings.insert(self.ping_number, self.now.time);
        while self.pings.len() > MAX_PINGS {
            self.pings.pop_first();
        }
        self.ping_number
    }

    pub(super) fn on_ping(&mut self, from: &(PeerName, Incarnation), number: u64, brief: Brief) {
        let claim = brief.is_primary.then_some(brief.ballot);
        let was_absent = self.primary_is_absent();
        let (group_id, position) = (brief.group_id, brief.position);
        self.on_brief(from, brief);
        let is_followed = claim.is_some_and(|ballot| self.accept(from, ballot, group_id, false))
            && !self.has_failed()
            && self.config.kind != PeerKind::Client;
        if is_followed {
            // The promise that the primary's lease is made of: no vote for anyone else for a
            // whole failure timeout. The lease counts from the ping's sending, so it ends first.
            let (to, ballot, made) = (from.clone(), self.ballot, self.now.time);
            let until = made.after(self.group.failure_timeout);
            self.promise = Some(Promise { to, ballot, made, until });
        }
        self.note_lag(from, position, was_absent);
        let promise = claim.filter(|_| is_followed);
        let brief = self.brief();
        self.send(from, Message::Pong { number, promise, brief });
    }

    /// Notes how far this peer is behind the primary that it follows. Both positions are of this
    /// moment: compared with what others said a heartbeat ago, whoever is up to date seems ahead.
    ///
    /// Having come up with it once, this peer is taken to keep up until it hears nothing of it for
    /// the failure timeout, or copies everything: how far one is behind under load says little.
    fn note_lag(&mut self, from: &(PeerName, Incarnation), primary: Position, was_absent: bool) {
        let behind = own_cuts_behind(self.store.position(), primary, self.ballot);
        // What storage has kept of an earlier start may lack anything, however little it is.
        let most = if self.adopted.is_some() { MAX_LAG } else { 0 };
        let is_copying = self.copies_all() || self.is_copying_all();
        if let Some(leader) = self.leader.as_mut().filter(|leader| leader.is(from)) {
            leader.behind = behind;
            let is_near = behind.is_some_and(|behind| behind <= most);
            let has_kept_up = leader.is_kept_up_with && !was_absent && behind.is_some();
            leader.is_kept_up_with = !is_copying && (is_near || has_kept_up);
        }
    }

    /// Whether a state is under way that replaces all that this peer holds.
    pub(super) fn is_copying_all(&self) -> bool {
        self.receiver.progress().is_some_and(|progress| progress.is_full)
    }

    pub(super) fn on_pong(
        &mut self,
        from: &(PeerName, Incarnation),
        number: u64,
        promise: Option<Ballot>,
        brief: Brief,
    ) {
        self.on_brief(from, brief);
        if promise != Some(self.ballot) || !self.is_primary() {
            return;
        }
        let Some(&sent) = self.pings.get(&number) else {
            return;
        };
        let is_asked = |remote: &Remote| remote.sender.as_ref().is_some_and(Sender::is_asked);
        if self.remotes.get(&from.0).is_some_and(is_asked) {
            // It may have been asked before it had heard whom it is to follow.
            self.follow_me(&from.0, self.now.time);
        }
        if let Some(remote) = self.remotes.get_mut(&from.0) {
            let sent = if bug::is(Bug::LeaseFromReceipt) { self.now.time } else { sent };
            remote.answered = remote.answered.max(sent);
        }
        self.renew_lease();
    }

    fn on_brief(&mut self, from: &(PeerName, Incarnation), mut brief: Brief) {
        let now = self.now.time;
        self.watch_remote_wall(&from.0, brief.wall);
        let is_believed = self.believes(&from.0, brief.ballot);
        brief.is_primary &= is_believed;
        let Some(remote) = self.remotes.get_mut(&from.0) else {
            return;
        };
        let is_news = remote.brief.as_ref().is_none_or(|old| {
            old.suspects != brief.suspects
                || old.position.is_blank() != brief.position.is_blank()
                || old.is_primary != brief.is_primary
        });
        let suspected = remote.brief.as_ref().and_then(|old| old.suspects);
        let is_suspicion = brief.suspects.is_some()
            && brief.suspects != suspected
            && !bug::is(Bug::RefusalIsFinal);
        let ballot = brief.ballot;
        let follows = match is_believed {
            true => self.must_follow(&from.0, &brief),
            false => self.must_stand_above(&from.0, ballot),
        };
        let Some(remote) = self.remotes.get_mut(&from.0) else { return };
        remote.brief = Some(brief);
        remote.brief_at = now;
        if ballot > self.ballot && follows {
            self.adopt_ballot(ballot);
            self.make_way();
        }
        if is_suspicion && self.knows(&from.0) {
            self.on_suspicion(from);
        }
        if is_news && !matches!(self.role, Role::Primary(_)) {
            self.wake_soon();
        }
    }

    /// Whether this primary stands again above the ballot of a peer that is to become a member. It
    /// may have voted for somebody who was not elected, and follows nobody below that. Its word is no
    /// member's: it is gone by once in a while, and no further than elections lead.
    fn must_stand_above(&mut self, from: &PeerName, ballot: Ballot) -> bool {
        let now = self.now.time;
        let is_fed = self.remotes.get(from).is_some_and(|remote| remote.sender.is_some());
        let is_due = now >= self.stands_above_from;
        let is_ahead = ballot > self.ballot && ballot.generation == self.ballot.generation;
        if !self.is_primary() || !is_fed || !is_due || !is_ahead || !self.is_plausible(ballot) {
            return false;
        }
        self.stands_above_from = now.after(self.group.failure_timeout * STAND_ABOVE_TIMEOUTS);
        true
    }

    /// Whether this peer goes along with the ballot of another: it takes part in it, as a member or
    /// because it has pledged itself to a new generation that came to nothing, and will not follow
    /// an older one.
    fn must_follow(&self, from: &PeerName, brief: &Brief) -> bool {
        let kind = self.remotes.get(from).and_then(Remote::kind);
        if kind == Some(PeerKind::Client) || self.config.kind == PeerKind::Client {
            // It takes part in nothing, and follows whoever is primary.
            return false;
        }
        match (self.meta.group_id, brief.group_id) {
            // A blank peer's ballot is its pledge, and nothing else.
            (None, _) => false,
            (Some(ours), Some(theirs)) if ours != theirs => {
                // Of two groups the one without a primary gives way, and cannot while its ballot
                // is newer.
                self.is_primary() && !brief.is_led()
            }
            _ => true,
        }
    }
}
