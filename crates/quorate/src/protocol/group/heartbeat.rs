//! Other peers: links, heartbeats and what they say of themselves (docs/protocol.md, section 2).

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, Incarnation, PeerKind, PeerName, PeerStart, Position, Time};
use crate::protocol::group::lag::{MAX_LAG, own_cuts_behind};
use crate::protocol::group::remote::Remote;
use crate::protocol::io::LinkEnd;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Brief, Message};
use crate::protocol::reign::sender::Sender;
use crate::protocol::role::{Promise, Role};

/// Pings remembered for the round trips that leases are made of.
const MAX_PINGS: usize = 64;
/// Failure timeouts between two elections that a primary calls for the sake of a peer that is no
/// member.
const STAND_ABOVE_TIMEOUTS: u32 = 10;

impl Machine {
    pub(in crate::protocol) fn on_link_up(&mut self, peer: &PeerName, end: LinkEnd) {
        let now = self.now.time;
        let incarnation = end.incarnation;
        if *peer == self.config.name {
            return;
        }
        let remote = self.remotes.entry(peer.clone()).or_default();
        if remote.is_linked_start(incarnation) {
            return;
        }
        let predecessor = remote.link(end, now);
        if self.is_primary() {
            self.follow_me(peer, now);
        }
        self.event(Event::PeerUp { peer: peer.clone() });
        if let Some(leader) =
            self.leader.as_mut().filter(|leader| leader.start.incarnation == incarnation)
        {
            // It has not ended after all.
            leader.ends = None;
        }
        match predecessor {
            Some(died) if died.has_ended || bug::is(Bug::ClosedIsDead) => {
                self.on_end(peer, died.incarnation);
            }
            Some(died) => self.on_other_start(peer, died.incarnation),
            None => {}
        }
        self.ping_one(peer);
        self.wake_soon();
    }

    /// Returns true if a linked peer speaks only versions of the protocol below this one.
    pub(in crate::protocol) fn speaks_less_than(&self, name: &PeerName, version: u32) -> bool {
        let linked = self.remotes.get(name).filter(|remote| remote.is_linked());
        linked.and_then(Remote::last).is_some_and(|end| end.version < version)
    }

    pub(in crate::protocol) fn on_link_down(
        &mut self,
        peer: &PeerName,
        incarnation: Incarnation,
        has_ended: bool,
    ) {
        let now = self.now.time;
        let Some(remote) = self.remotes.get_mut(peer) else {
            return;
        };
        if !remote.is_linked_start(incarnation) {
            return;
        }
        remote.unlink(has_ended, now);
        if self.pull.as_ref().is_some_and(|pull| pull.to.name == *peer) {
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
        let ended = PeerStart::new(peer.clone(), incarnation);
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
        let last = PeerStart::new(peer.clone(), incarnation);
        let lease = self.group.longest_lease();
        let promise = self.promise.as_mut().filter(|promise| promise.to == last);
        let ends = promise.map_or(self.now.time, |promise| {
            promise.until = promise.until.min(promise.made.after(lease));
            promise.until
        });
        self.expect_end(&last, ends);
    }

    fn expect_end(&mut self, start: &PeerStart, ends: Time) {
        if let Some(leader) = self.leader.as_mut().filter(|leader| leader.start == *start) {
            leader.ends = Some(ends);
        }
    }

    pub(in crate::protocol) fn ping_all(&mut self) {
        let names: Vec<PeerName> = self.remotes.keys().cloned().collect();
        let number = self.next_ping_number();
        let brief = self.brief();
        for name in names {
            if let Some(incarnation) = self.remotes[&name].linked() {
                let brief = brief.clone();
                self.send(&PeerStart { name, incarnation }, Message::Ping { number, brief });
            }
        }
    }

    fn ping_one(&mut self, peer: &PeerName) {
        let number = self.next_ping_number();
        let brief = self.brief();
        if let Some(incarnation) = self.remotes.get(peer).and_then(Remote::linked) {
            self.send(&PeerStart::new(peer.clone(), incarnation), Message::Ping { number, brief });
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

    pub(in crate::protocol) fn on_ping(&mut self, from: &PeerStart, number: u64, brief: Brief) {
        let claim = brief.is_primary.then_some(brief.ballot);
        let was_absent = self.primary_is_absent();
        let group_id = brief.group_id;
        let position = brief.position;
        self.on_brief(from, brief);
        let is_followed = claim.is_some_and(|ballot| self.accept(from, ballot, group_id, false))
            && !self.has_failed()
            && self.config.kind != PeerKind::Client
            && (!self.is_passive() || self.is_raised());
        if is_followed {
            // The promise that the primary's lease is made of: no vote for anyone else for a
            // whole failure timeout. The lease counts from the ping's sending, so it ends first.
            let to = from.clone();
            let ballot = self.ballot;
            let made = self.now.time;
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
    fn note_lag(&mut self, from: &PeerStart, primary: Position, was_absent: bool) {
        let now = self.now.time;
        let age = self.group.failure_timeout / 4;
        let own = self.store.position();
        let behind = own_cuts_behind(own, primary, self.ballot);
        // What storage has kept of an earlier start may lack anything, however little it is.
        let most = if self.adopted.is_some() { MAX_LAG } else { 0 };
        let is_copying = self.copies_all() || self.is_copying_all();
        if let Some(leader) = self.leader.as_mut().filter(|leader| leader.start == *from) {
            leader.behind = behind;
            if behind == Some(0) {
                leader.in_step = Some(leader.heard);
            }
            if was_absent {
                leader.before.begin_anew(now, Position::BLANK, primary);
            }
            leader.before.note(now, primary, age);
            let is_near = behind.is_some_and(|behind| behind <= most)
                || (most > 0 && leader.is_come_up_with(own));
            let has_kept_up = leader.is_kept_up_with && !was_absent && behind.is_some();
            leader.is_kept_up_with = !is_copying && (is_near || has_kept_up);
        }
    }

    /// Returns true if a state is under way that replaces all that this peer holds.
    pub(in crate::protocol) fn is_copying_all(&self) -> bool {
        self.receiver.progress().is_some_and(|progress| progress.is_full)
    }

    pub(in crate::protocol) fn on_pong(
        &mut self,
        from: &PeerStart,
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
        let sender = self.remotes.get(&from.name).and_then(Remote::sender);
        if sender.is_some_and(Sender::is_asked) {
            // It may have been asked before it had heard whom it is to follow.
            self.follow_me(&from.name, self.now.time);
        }
        if let Some(remote) = self.remotes.get_mut(&from.name) {
            let sent = if bug::is(Bug::LeaseFromReceipt) { self.now.time } else { sent };
            remote.note_answered(sent);
        }
        self.renew_lease();
    }

    fn on_brief(&mut self, from: &PeerStart, mut brief: Brief) {
        let now = self.now.time;
        self.watch_remote_wall(&from.name, brief.wall);
        if brief.group_id.is_some()
            && brief.group_id == self.meta.group_id
            && let Some(remote) = self.remotes.get_mut(&from.name)
        {
            remote.note_kin();
        }
        self.on_site_epoch(from, &brief);
        let is_believed = self.believes(&from.name, brief.ballot);
        brief.is_primary &= is_believed;
        let Some(remote) = self.remotes.get_mut(&from.name) else {
            return;
        };
        let is_news = remote.brief().is_none_or(|old| {
            old.suspects != brief.suspects
                || old.position.is_blank() != brief.position.is_blank()
                || old.is_primary != brief.is_primary
        });
        let suspected = remote.brief().and_then(|old| old.suspects);
        let is_suspicion = brief.suspects.is_some()
            && brief.suspects != suspected
            && !bug::is(Bug::RefusalIsFinal);
        let ballot = brief.ballot;
        let follows = match is_believed {
            true => self.must_follow(&from.name, &brief),
            false => self.must_stand_above(&from.name, ballot),
        };
        let Some(remote) = self.remotes.get_mut(&from.name) else { return };
        remote.note_brief(brief, now);
        if ballot > self.ballot && follows {
            self.adopt_ballot(ballot);
            self.make_way();
        }
        if is_suspicion && self.knows(&from.name) {
            self.on_suspicion(from);
        }
        self.confirm();
        if matches!(&self.role, Role::Primary(reign) if reign.demotion().is_some()) {
            // It may be the word that is waited for, with callers held.
            self.wake_soon();
        }
        if is_news && !matches!(self.role, Role::Primary(_)) {
            self.wake_soon();
        }
    }

    /// Returns true if this primary stands again above the ballot of a peer that is to become a
    /// member. It may have voted for somebody who was not elected, and follows nobody below that.
    /// Its word is no member's: it is gone by once in a while, and no further than elections lead.
    fn must_stand_above(&mut self, from: &PeerName, ballot: Ballot) -> bool {
        let now = self.now.time;
        let is_fed = self.remotes.get(from).is_some_and(Remote::is_fed);
        let is_due = now >= self.stands_above_from;
        let is_ahead = ballot > self.ballot && ballot.generation == self.ballot.generation;
        if !self.is_primary() || !is_fed || !is_due || !is_ahead || !self.is_plausible(ballot) {
            return false;
        }
        self.stands_above_from = now.after(self.group.failure_timeout * STAND_ABOVE_TIMEOUTS);
        true
    }

    /// Returns true if this peer goes along with the ballot of another: it takes part in it, as a
    /// member or because it has pledged itself to a new generation that came to nothing, and will
    /// not follow an older one.
    fn must_follow(&self, from: &PeerName, brief: &Brief) -> bool {
        let kind = self.remotes.get(from).and_then(Remote::kind);
        if kind == Some(PeerKind::Client) || self.config.kind == PeerKind::Client {
            // It takes part in nothing, and follows whoever is primary.
            return false;
        }
        if self.is_passive() {
            // So does the site that follows: what others have voted for, and did not begin, is
            // nothing to it.
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
