//! A reign: replication, commitment, the lease, and changes of the membership
//! (docs/protocol.md, sections 3, 5 and 7).

use std::time::Duration;

use bytes::Bytes;

use crate::bug::{self, Bug};
use crate::config::Acknowledge;
use crate::event::Event;
use crate::id::{Ballot, GroupTime, Incarnation, PeerName, Position, Sequence, Time};
use crate::protocol::group_clock::GroupClock;
use crate::protocol::hand_over::HandOver;
use crate::protocol::io::{Output, Route};
use crate::protocol::machine::{Machine, Role};
use crate::protocol::message::{Campaign, Membership, Message};
use crate::protocol::sender::{Sender, Source};

/// State that exists while this peer is primary.
#[derive(Debug)]
pub(super) struct PrimaryState {
    /// The first cut of the reign: the primary serves once a majority holds it.
    first: Sequence,
    is_established: bool,
    clock: GroupClock,
    started: Time,
    /// What a majority holds.
    committed: Sequence,
    /// When a majority last held more than before, or nothing was waiting for it.
    progressed: Time,
    lease_until: Time,
    has_lease: bool,
    /// Whether the lease has ever run: its end is worth an event then.
    had_lease: bool,
    /// The peer whose replacement is under way.
    replacing: Option<PeerName>,
    pub(super) hand_over: Option<HandOver>,
}

impl PrimaryState {
    /// Whether this primary may decide.
    pub(super) fn has_lease(&self) -> bool {
        self.has_lease
    }

    pub(super) fn committed(&self) -> Sequence {
        self.committed
    }
}

impl Machine {
    /// Becomes primary of the ballot it was elected for.
    pub(super) fn start_reign(&mut self, campaign: Campaign, was_released: bool) {
        let now = self.now.time;
        // A primary that comes back with its own state has lost nothing.
        let is_loss_possible = self.group.acknowledge == Acknowledge::Primary
            && self.has_data()
            && self.last_reign != Some(self.store.position().ballot)
            && !was_released;
        let start = if bug::is(Bug::GroupTimeBack) {
            self.now.wall
        } else {
            self.store.group_time().max(self.majority_wall())
        };
        let clock = GroupClock::start(now, start);
        self.store.begin_reign(self.ballot, start);
        self.reload_meta();
        self.role = Role::Primary(Box::new(PrimaryState {
            first: Sequence(0),
            is_established: bug::is(Bug::ServeBeforeFirstCommit),
            clock,
            started: now,
            committed: Sequence(0),
            progressed: now,
            lease_until: Time(0),
            has_lease: false,
            had_lease: false,
            replacing: None,
            hand_over: None,
        }));
        self.leader = None;
        self.last_reign = Some(self.ballot);
        self.pull = None;
        if campaign == Campaign::NewGeneration {
            let first = Sequence(self.store.position().sequence.0 + 1);
            self.found_generation(first);
        }
        // The first change of the reign: a cut of its own, even if nothing was decided.
        let cut = self.store.cut(start, Sequence(u64::MAX), &[], 0);
        if let Role::Primary(reign) = &mut self.role {
            reign.first = cut.end.sequence;
        }
        let (primary, ballot) = (Some(self.config.name.clone()), self.ballot);
        self.event(Event::PrimaryChanged { primary, ballot });
        if is_loss_possible {
            let units = self.group.max_unreplicated;
            self.event(Event::ChangesLost { units, exact: false });
        }
        self.calm();
        self.set_route(Route::Held);
        let names: Vec<PeerName> = self.remotes.keys().cloned().collect();
        for name in &names {
            self.follow_me(name, now);
        }
        self.ping_all();
        self.advance_commitment();
        self.wake_soon();
    }

    /// Asks a peer where it stands, to replicate to it from there.
    pub(super) fn follow_me(&mut self, peer: &PeerName, now: Time) {
        let is_established = matches!(&self.role, Role::Primary(r) if r.is_established);
        let (ballot, group_id) = (self.ballot, self.meta.group_id);
        let Some(remote) = self.remotes.get_mut(peer) else {
            return;
        };
        let Some(incarnation) = remote.linked else {
            return;
        };
        match &mut remote.sender {
            Some(sender) => sender.ask(now),
            None => remote.sender = Some(Sender::new(now)),
        }
        let to = (peer.clone(), incarnation);
        self.send(&to, Message::Follow { ballot, group_id, is_established });
    }

    /// Ends whatever this peer was; a primary gives up its authority for good.
    pub(super) fn step_down(&mut self) {
        let role = std::mem::replace(&mut self.role, Role::Follower);
        let Role::Primary(reign) = role else { return };
        if !bug::is(Bug::OldPrimaryKeepsDeciding) {
            self.store.end_reign();
        }
        self.leave_reign(reign.hand_over);
        let (ballot, to) = (self.ballot, self.config.name.clone());
        // Whoever promised this reign anything need not wait for it to run out.
        self.send_to_all(&Message::Release { ballot, to });
        self.event(Event::SteppedDown { ballot });
        self.set_route(Route::Nowhere);
    }

    /// Forgets what belongs to a reign that has ended.
    pub(super) fn leave_reign(&mut self, hand_over: Option<HandOver>) {
        for remote in self.remotes.values_mut() {
            remote.sender = None;
            remote.answered = Time(0);
        }
        self.watch.hopeful = self.now.time;
        if let Some(hand_over) = hand_over {
            self.abort_switch(hand_over);
        }
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source {
            store: &self.store,
            bounds: &self.config.bounds,
            ballot: self.ballot,
            group_time: self.group_time(),
            meta: &self.meta,
            meta_version: self.meta_version,
        }
    }

    fn group_time(&self) -> GroupTime {
        match &self.role {
            Role::Primary(reign) => reign.clock.read(self.now.time),
            _ => self.store.group_time(),
        }
    }

    /// The wall clock that a majority of the members has reached: one clock in the year 2099
    /// cannot move it.
    fn majority_wall(&self) -> GroupTime {
        let (me, now) = (&self.config.name, self.now.time);
        let wall = |name: &PeerName| {
            if name == me {
                return self.now.wall;
            }
            self.remotes.get(name).and_then(|r| r.wall(now)).unwrap_or_default()
        };
        if self.meta.membership.voters.is_empty() {
            let mut walls: Vec<GroupTime> = self.group.members.iter().map(wall).collect();
            walls.sort_unstable_by(|a, b| b.cmp(a));
            return walls.get(walls.len() / 2).copied().unwrap_or_default();
        }
        self.meta.membership.majority_value(|name, _| wall(name))
    }

    /// Runs `f` on the sender that serves `from`, and sends what it produces.
    pub(super) fn with_sender<R: Default>(
        &mut self,
        from: &(PeerName, Incarnation),
        f: impl FnOnce(&mut Sender, Time, &Source<'_>, &mut Vec<Message>) -> R,
    ) -> R {
        let now = self.now.time;
        let mut out = Vec::new();
        let source = Source {
            store: &self.store,
            bounds: &self.config.bounds,
            ballot: self.ballot,
            group_time: self.group_time(),
            meta: &self.meta,
            meta_version: self.meta_version,
        };
        let sender = match (&self.role, &mut self.pull) {
            (Role::Primary(_), _) => self.remotes.get_mut(&from.0).and_then(|r| r.sender.as_mut()),
            (_, Some((name, incarnation, sender))) if *name == from.0 && *incarnation == from.1 => {
                Some(sender)
            }
            _ => None,
        };
        let Some(sender) = sender else {
            return R::default();
        };
        let result = f(sender, now, &source, &mut out);
        for message in out {
            self.send(from, message);
        }
        result
    }

    pub(super) fn on_tail(
        &mut self,
        from: &(PeerName, Incarnation),
        ballot: Ballot,
        at: Position,
        keys: Option<Vec<Bytes>>,
    ) {
        if ballot == self.ballot {
            self.with_sender(from, |sender, now, source, out| {
                sender.on_tail(now, source, at, keys, out);
            });
        }
    }

    pub(super) fn on_piece_staged(
        &mut self,
        from: &(PeerName, Incarnation),
        ballot: Ballot,
        transfer: u64,
        index: u32,
    ) {
        if ballot == self.ballot {
            self.with_sender(from, |sender, now, source, out| {
                sender.on_staged(now, source, transfer, index, out);
            });
        }
    }

    pub(super) fn on_held(
        &mut self,
        from: &(PeerName, Incarnation),
        ballot: Ballot,
        position: Position,
    ) {
        if ballot != self.ballot {
            return;
        }
        let is_news = self.with_sender(from, |sender, now, _, _| sender.on_held(now, position));
        if is_news {
            self.on_progress();
        }
    }

    pub(super) fn on_lost(&mut self, from: &(PeerName, Incarnation), ballot: Ballot) {
        if ballot != self.ballot {
            return;
        }
        if self.is_primary() {
            self.follow_me(&from.0, self.now.time);
        } else {
            self.pull = None;
        }
    }

    pub(super) fn on_changed(&mut self) {
        if self.is_primary() {
            self.replicate();
        }
    }

    /// A follower stands further than before.
    pub(super) fn on_progress(&mut self) {
        if self.is_primary() {
            self.advance_commitment();
            self.replicate();
            self.advance_membership();
            self.advance_hand_over();
        }
    }

    /// Sends to every follower with nothing on its way what it lacks.
    pub(super) fn replicate(&mut self) {
        let now = self.now.time;
        let group_time = self.group_time();
        if self.remotes.values().all(|r| r.sender.is_none()) {
            // Nobody follows: the cut is still what this peer holds.
            self.store.cut(group_time, Sequence(u64::MAX), &[], 0);
            self.advance_commitment();
            return;
        }
        let source = Source {
            store: &self.store,
            bounds: &self.config.bounds,
            ballot: self.ballot,
            group_time,
            meta: &self.meta,
            meta_version: self.meta_version,
        };
        let mut out = Vec::new();
        for (name, remote) in &mut self.remotes {
            let (Some(incarnation), Some(sender)) = (remote.linked, &mut remote.sender) else {
                continue;
            };
            sender.replicate(now, &source, &mut out);
            for message in out.drain(..) {
                let to = name.clone();
                self.outputs.push_back(Output::Send { to, incarnation, message });
            }
        }
    }

    /// The sequence of this reign that an incarnation holds.
    fn held_by(&self, name: &PeerName, incarnation: Incarnation) -> Sequence {
        let position = if *name == self.config.name {
            (incarnation == self.incarnation).then(|| self.store.position())
        } else {
            let remote = self.remotes.get(name).filter(|r| r.linked == Some(incarnation));
            remote.and_then(|r| r.sender.as_ref()).and_then(Sender::held)
        };
        // A position of an older reign is no acknowledgement of this one.
        position.filter(|p| p.ballot == self.ballot).map(|p| p.sequence).unwrap_or_default()
    }

    fn advance_commitment(&mut self) {
        let held = self.meta.membership.majority_value(|name, i| self.held_by(name, i));
        let (now, ballot, is_dirty) = (self.now.time, self.ballot, self.store.take_dirty());
        let own = self.store.position().sequence;
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        if held >= own && !is_dirty {
            reign.progressed = now;
        }
        if held <= reign.committed {
            return;
        }
        reign.committed = held;
        reign.progressed = now;
        let is_first = !reign.is_established && held >= reign.first;
        reign.is_established |= is_first;
        if is_first || reign.is_established {
            self.store.set_committed(Position { ballot, sequence: held });
            self.outputs.push_back(Output::Committed);
        }
        if is_first {
            self.renew_lease();
            self.wake_soon();
        }
    }

    /// Extends the lease to what a majority has promised.
    ///
    /// It counts from the sending of the pings that were answered, is shorter than the promise,
    /// and is not extended while a majority takes heartbeats but no data.
    pub(super) fn renew_lease(&mut self) {
        let now = self.now.time;
        let answered = self.meta.membership.majority_value(|name, incarnation| {
            if *name == self.config.name {
                return if incarnation == self.incarnation { now } else { Time(0) };
            }
            let remote = self.remotes.get(name).filter(|r| r.linked == Some(incarnation));
            remote.map_or(Time(0), |r| r.answered)
        });
        let (mut lease, ballot) = (self.group.lease(), self.ballot);
        if bug::is(Bug::LeaseTooLong) {
            lease = self.group.failure_timeout * 2;
        }
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        if answered == Time(0) || now.since(reign.progressed) > lease {
            return;
        }
        reign.lease_until = reign.lease_until.max(answered.after(lease));
        if !reign.is_established || reign.hand_over.is_some() || reign.lease_until <= now {
            return;
        }
        self.store.grant(reign.lease_until, reign.clock.offset());
        if reign.has_lease {
            return;
        }
        reign.has_lease = true;
        if std::mem::replace(&mut reign.had_lease, true) {
            self.event(Event::QuorumRegained { ballot });
        }
        self.set_route(Route::Here { ballot });
        self.wake_soon();
    }

    fn check_lease(&mut self) {
        let (now, ballot) = (self.now.time, self.ballot);
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        if !reign.has_lease {
            return;
        }
        if now < reign.lease_until {
            let until = reign.lease_until;
            self.wake_by(until);
            return;
        }
        reign.has_lease = false;
        let hand_over = reign.hand_over.take();
        self.event(Event::QuorumLost { ballot });
        self.set_route(Route::Nowhere);
        if let Some(hand_over) = hand_over {
            self.abort_switch(hand_over);
        }
    }

    pub(super) fn primary_tick(&mut self) {
        self.steer_clock();
        self.renew_lease();
        self.check_lease();
        if self.should_resign() {
            self.step_down();
            self.wake_soon();
            return;
        }
        self.follow_up();
        self.replicate();
        self.advance_commitment();
        self.advance_membership();
        self.advance_hand_over();
    }

    fn steer_clock(&mut self) {
        let (now, target) = (self.now.time, self.majority_wall());
        if let Role::Primary(reign) = &mut self.role {
            reign.clock.steer(now, target);
        }
    }

    /// A primary that no majority can stand behind any more makes room for what comes next.
    fn should_resign(&self) -> bool {
        let Role::Primary(reign) = &self.role else {
            return false;
        };
        if reign.has_lease {
            return false;
        }
        let since = reign.lease_until.max(reign.started);
        let is_late = self.now.time >= since.after(self.group.failure_timeout);
        let is_hopeless = !self.meta.membership.has_majority(|name, incarnation| {
            self.remotes.get(name).is_none_or(|r| !r.dead.contains(&incarnation))
        });
        is_late || is_hopeless
    }

    /// How long an answer is waited for before it is asked for again.
    pub(super) fn retry_after(&self) -> Duration {
        (self.group.heartbeat * 2).max(self.group.failure_timeout / 4)
    }

    /// Asks again where nothing has come back.
    fn follow_up(&mut self) {
        let now = self.now.time;
        let (heartbeat, retry) = (self.group.heartbeat, self.retry_after());
        let mut late = Vec::new();
        for (name, remote) in &self.remotes {
            let Some(sender) = &remote.sender else {
                continue;
            };
            let patience = if sender.is_asked() { heartbeat } else { retry };
            if !sender.is_idle() && now.since(sender.progressed()) >= patience {
                late.push(name.clone());
            }
        }
        for name in late {
            self.follow_me(&name, now);
        }
    }

    /// Brings a change of the membership forward: begin, and end, one at a time.
    fn advance_membership(&mut self) {
        let Role::Primary(reign) = &self.role else {
            return;
        };
        let membership = &self.meta.membership;
        if !reign.is_established || reign.committed < self.stamp_of(membership) {
            return;
        }
        let committed = reign.committed;
        let stamp = self.next_stamp();
        let changed = if let Some(next) = &membership.next {
            Some((Membership::settled(stamp, next.clone()), reign.replacing.clone()))
        } else if self.all_linked_hold(self.stamp_of(membership)) {
            self.next_learner(committed).and_then(|(name, incarnation)| {
                let joint = membership.replacing(&name, incarnation, stamp)?;
                Some((joint, Some(name)))
            })
        } else {
            None
        };
        let Some((membership, replacing)) = changed else {
            return;
        };
        let is_settled = membership.next.is_none();
        self.meta.membership = membership;
        self.store.set_meta(self.meta.clone());
        self.meta_version += 1;
        if let Role::Primary(reign) = &mut self.role {
            reign.replacing = replacing.clone().filter(|_| !is_settled);
        }
        if let Some(peer) = replacing.filter(|_| is_settled) {
            self.event(Event::MemberReplaced { peer });
        }
        self.replicate();
    }

    /// A membership of an older reign is covered by the first change of this one.
    fn stamp_of(&self, membership: &Membership) -> Sequence {
        let Role::Primary(reign) = &self.role else {
            return Sequence(u64::MAX);
        };
        if membership.stamp.ballot == self.ballot { membership.stamp.sequence } else { reign.first }
    }

    /// The stamp of a change made now: past the last cut, and part of the next one.
    fn next_stamp(&self) -> Position {
        let sequence = Sequence(self.store.position().sequence.0 + 1);
        Position { ballot: self.ballot, sequence }
    }

    /// Whether every linked member holds `sequence`: the end of a change is known to whom it
    /// counts in before the next one begins.
    fn all_linked_hold(&self, sequence: Sequence) -> bool {
        self.meta.membership.voters.iter().all(|member| {
            let Some(incarnation) = member.incarnation else {
                return true;
            };
            let is_linked =
                self.remotes.get(&member.name).is_some_and(|r| r.linked == Some(incarnation));
            !is_linked || self.held_by(&member.name, incarnation) >= sequence
        })
    }

    /// A linked peer that has caught up and does not count yet.
    ///
    /// It has promised this primary its vote by then: the lease may still rest on the promise of the
    /// incarnation that it replaces, which has died with it.
    fn next_learner(&self, committed: Sequence) -> Option<(PeerName, Incarnation)> {
        let (me, incarnation) = (&self.config.name, self.incarnation);
        if !self.meta.membership.counts(me, incarnation) {
            // Elected by members that knew better than this peer's own state.
            return Some((me.clone(), incarnation));
        }
        self.remotes.iter().find_map(|(name, remote)| {
            let incarnation = remote.linked?;
            let is_counted = self.meta.membership.counts(name, incarnation);
            let is_ready = self.held_by(name, incarnation) >= committed;
            let has_promised = remote.answered > Time(0) || bug::is(Bug::UnpromisedLearner);
            (!is_counted && is_ready && has_promised).then(|| (name.clone(), incarnation))
        })
    }
}
