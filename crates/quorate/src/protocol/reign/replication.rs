//! What the primary sends its followers, and what of it a majority holds
//! (docs/protocol.md, section 3).
//!
//! ```text
//!  a change ──▶ replicate: one exact cut for all followers with nothing on their way
//!  held     ──▶ commitment: what a majority holds ──▶ replicate what has come meanwhile
//! ```
//!
//! Where callers do not wait for it ([`Acknowledge::Primary`]), changes are collected for the
//! replication interval: a cell that changes a thousand times in it travels once.

use std::time::Duration;

use bytes::Bytes;

use crate::base::bug::{self, Bug};
use crate::base::id::{Ballot, MemberId, PeerName, PeerStart, Position, Sequence, Time};
use crate::config::Acknowledge;
use crate::protocol::deadlines::Timer;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::Output;
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;
use crate::protocol::reign::exposure::Backed;
use crate::protocol::reign::primary_state::Advance;
use crate::protocol::reign::sender::{Sender, Source};
use crate::protocol::role::Role;

/// Expired cells that a new primary removes before it serves, at most: about a millisecond.
const FIRST_SWEEP_CELLS: usize = 8_192;
/// What the digest of a cell takes, roughly.
const DIGEST_TIME: Duration = Duration::from_nanos(50);

impl Machine {
    pub(in crate::protocol) fn source(&self) -> Source<'_> {
        let group_time = self.group_time();
        let bounds = &self.config.bounds;
        Source::new(&self.store, bounds, self.ballot, group_time, &self.meta, self.meta_version)
    }

    /// Runs `f` on the sender that serves `from`, and sends what it produces.
    pub(in crate::protocol) fn with_sender<R: Default>(
        &mut self,
        from: &PeerStart,
        f: impl FnOnce(&mut Sender, Time, &Source<'_>, &mut Vec<Message>) -> R,
    ) -> R {
        let now = self.now.time;
        let mut out = Vec::new();
        // Not by `self.source()`: the sender is borrowed beside it.
        let group_time = self.group_time();
        let bounds = &self.config.bounds;
        let version = self.meta_version;
        let source = Source::new(&self.store, bounds, self.ballot, group_time, &self.meta, version);
        let sender = match (&self.role, &mut self.pull) {
            (Role::Primary(_), _) => self.remotes.get_mut(&from.name).and_then(|r| r.sender_mut()),
            (_, Some(pull)) if pull.to == *from => Some(&mut pull.sender),
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

    pub(in crate::protocol) fn on_tail(
        &mut self,
        from: &PeerStart,
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

    pub(in crate::protocol) fn on_piece_staged(
        &mut self,
        from: &PeerStart,
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

    pub(in crate::protocol) fn on_held(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        position: Position,
    ) {
        if ballot != self.ballot {
            return;
        }
        let is_news = self.with_sender(from, |sender, now, _, _| sender.on_held(now, position));
        if is_news {
            self.note_removal_held(&from.name);
            self.on_progress();
        }
    }

    pub(in crate::protocol) fn on_lost(&mut self, from: &PeerStart, ballot: Ballot) {
        if ballot != self.ballot {
            return;
        }
        if !self.is_primary() {
            self.pull = None;
            return;
        }
        let pause = self.group.heartbeat;
        let asked = self.with_sender(from, |sender, now, _, _| Some(sender.on_lost(now, pause)));
        if asked != Some(false) {
            self.follow_me(&from.name, self.now.time);
        }
    }

    pub(in crate::protocol) fn on_changed(&mut self) {
        if self.is_primary() {
            self.replicate_paced();
        }
    }

    /// A follower stands further than before.
    pub(in crate::protocol) fn on_progress(&mut self) {
        if self.is_primary() {
            self.advance_commitment();
            self.replicate_paced();
            self.advance_membership();
            self.advance_policy();
            self.advance_requests();
            self.advance_hand_over();
            self.advance_demotion();
        }
    }

    /// Sends what followers lack now, or when the replication interval is over if nobody waits.
    fn replicate_paced(&mut self) {
        match self.replication_due() {
            due if due > self.now.time => self.wake_by(Timer::Batch, due),
            _ => self.replicate(),
        }
    }

    /// When the next batch is due.
    fn replication_due(&self) -> Time {
        let at_once = self.now.time;
        let Role::Primary(reign) = &self.role else {
            return at_once;
        };
        let is_waited_for = self.group.acknowledge != Acknowledge::Primary
            || !reign.is_calm()
            || self.meta.membership.next.is_some()
            || self.store.is_bound_near();
        if is_waited_for {
            return at_once;
        }
        reign.replicated().after(self.group.replication_interval)
    }

    /// Sends to every follower with nothing on its way what it lacks.
    pub(in crate::protocol) fn replicate(&mut self) {
        let now = self.now.time;
        if let Role::Primary(reign) = &mut self.role {
            reign.note_replicated(now);
        }
        self.append_own();
        let group_time = self.group_time();
        if self.remotes.values().all(|r| !r.is_fed()) {
            // Nobody follows: the cut is still what this peer holds.
            self.store.cut(group_time, Sequence(u64::MAX), &[], 0);
            self.advance_commitment();
            return;
        }
        let is_verifying = self.begin_verification();
        let bounds = &self.config.bounds;
        let version = self.meta_version;
        let mut source =
            Source::new(&self.store, bounds, self.ballot, group_time, &self.meta, version);
        source.is_verifying = is_verifying;
        let mut out = Vec::new();
        for (name, remote) in &mut self.remotes {
            let (Some(incarnation), Some(sender)) = (remote.linked(), remote.sender_mut()) else {
                continue;
            };
            sender.replicate(now, &source, &mut out);
            for message in out.drain(..) {
                let to = name.clone();
                self.outputs.push_back(Output::Send { to, incarnation, message });
            }
        }
    }

    /// Lets group time go on where nothing is decided and cells are to expire (section 3.13): with
    /// every heartbeat at most.
    pub(in crate::protocol) fn pass_time(&mut self) {
        let Role::Primary(reign) = &self.role else { return };
        let is_calm = reign.is_calm() && reign.has_lease();
        let is_calm = is_calm && self.may_serve();
        let is_due = is_calm && self.store.is_time_due(self.group_time());
        if is_due && !bug::is(Bug::TimeStandsStill) {
            // Whoever ticks as primary replicates.
            self.store.pass_time();
        }
    }

    /// Returns true if followers are to compare their state now: the next time comes an interval
    /// later.
    fn begin_verification(&mut self) -> bool {
        let now = self.now.time;
        let interval = self.config.verify_interval;
        let cells = u32::try_from(self.store.cells()).unwrap_or(u32::MAX);
        let is_cheap = DIGEST_TIME * cells <= self.group.failure_timeout / 20;
        let Role::Primary(reign) = &mut self.role else { return false };
        let begins = is_cheap && reign.is_verification_due(now, interval);
        if begins {
            reign.note_verified(now);
        }
        begins
    }

    /// The sequence of this reign that a member holds.
    pub(in crate::protocol) fn held_by(&self, name: &PeerName, id: MemberId) -> Sequence {
        let position = if *name == self.config.name {
            (id == self.id).then(|| self.own_held())
        } else {
            let remote = self.remotes.get(name).filter(|r| r.is_linked_as(id));
            remote.and_then(Remote::sender).and_then(Sender::held)
        };
        // A position of an older reign is no acknowledgement of this one.
        let counts = |p: &Position| p.ballot == self.ballot || bug::is(Bug::OldReignCounts);
        position.filter(counts).map(|p| p.sequence).unwrap_or_default()
    }

    pub(in crate::protocol) fn advance_commitment(&mut self) {
        self.may_acknowledge(self.store.position());
        let held = self.meta.membership.majority_value(|name, i| self.held_by(name, i));
        let now = self.now.time;
        let ballot = self.ballot;
        let is_dirty = self.store.has_changed_since_cut();
        let own = self.store.position().sequence;
        let age = self.group.failure_timeout / 4;
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        debug_assert!(
            !self.meta.membership.voters.is_empty(),
            "a primary was elected by members, who are counted"
        );
        debug_assert!(held <= own || bug::is_any(), "a majority holds no more than was decided");
        let Advance { is_news, is_first } = reign.advance(now, held, held >= own && !is_dirty, age);
        if is_news && reign.is_established() {
            self.store.set_committed(Position { ballot, sequence: held });
        }
        if is_first {
            // What had expired by then is not to be in the way of the first calls.
            self.store.sweep(FIRST_SWEEP_CELLS);
        }
        // It may have been held back for want of progress, with the promises all there.
        let is_due = is_news && reign.lease().is_short(now, self.group.heartbeat);
        self.advance_answers(is_news);
        if is_first {
            self.note_established();
        }
        if is_first || is_due {
            self.renew_lease();
        }
        if is_first {
            self.forget_remembered(Position { ballot, sequence: held });
            if self.meta.membership.site.is_some() {
                self.choose_followers();
            }
            self.wake_soon();
        }
        self.note_exposure();
    }

    /// Lets those be answered who wait for a majority, or for this peer's own storage where the
    /// group's settings ask for no more; merges always wait for a majority.
    fn advance_answers(&mut self, has_committed: bool) {
        let Role::Primary(reign) = &self.role else { return };
        if !reign.is_established() {
            return;
        }
        let committed = Position { ballot: self.ballot, sequence: reign.committed() };
        // With the second look at the lease: this process may have been paused meanwhile.
        let is_own_enough = self.has_log()
            && self.group.acknowledge == Acknowledge::Primary
            && reign.lease().is_running_at(self.now.time)
            && !self.store.is_bound_reached();
        let own = self.own_held();
        let answerable =
            if is_own_enough && own.ballot == self.ballot { committed.max(own) } else { committed };
        if self.store.set_answerable(answerable) || has_committed {
            self.outputs.push_back(Output::Committed);
        }
    }

    /// Peers that are listed of the other site, by the ids that hold what they are known to:
    /// another start of a peer in memory has lost that.
    fn backing_ids(&self) -> Vec<Option<MemberId>> {
        let standby = self.meta.membership.standby().iter();
        let is_itself = |name, id| {
            let is_same = self.linked_id(name).is_none_or(|linked| linked == id);
            is_same || bug::is(Bug::EarlierStartBacks)
        };
        standby.map(|member| member.id.filter(|id| is_itself(&member.name, *id))).collect()
    }

    /// Notes what the other site holds, as primary.
    fn note_exposure(&mut self) {
        if self.meta.membership.site.is_none() || !self.is_primary() {
            return;
        }
        let standby = self.meta.membership.standby();
        let held = standby.iter().filter_map(|member| {
            let id = member.id?;
            Some((id, self.held_by(&member.name, id)))
        });
        let held: Vec<(MemberId, Sequence)> = held.collect();
        // In this order: what is decided meanwhile is not before that time.
        let group_time = self.store.reach(self.group_time());
        let is_dirty = self.store.has_changed_since_cut();
        let newest = self.store.position().sequence;
        let Role::Primary(reign) = &mut self.role else { return };
        let exposure = reign.exposure_mut();
        let (units, as_of) = self.store.backed_at(newest);
        exposure.mark(Backed { sequence: newest, units, as_of });
        for (id, sequence) in &held {
            if *sequence > exposure.sequence_of(*id) {
                let marked = exposure.marked(*sequence);
                let (units, as_of) = self.store.backed_at(*sequence);
                let (units, as_of) = (units.max(marked.units), as_of.max(marked.as_of));
                exposure.note(*id, Backed { sequence: *sequence, units, as_of });
            }
        }
        exposure.retain(|id| held.iter().any(|(listed, _)| *listed == id));
        if !is_dirty {
            exposure.note_nothing_past(newest, group_time);
        }
    }

    /// What most of the other site's listed peers hold of this reign, at the primary of the site
    /// that decides; `None` elsewhere, or if that is nothing.
    pub fn backed(&self) -> Option<Backed> {
        let Role::Primary(reign) = &self.role else { return None };
        reign.exposure().backed(&self.backing_ids())
    }
}
