//! What lasts: promises before they are made, changes before they are acknowledged
//! (docs/protocol.md, section 13).
//!
//! ```text
//!  ballot, vote ──▶ Save   ──▶ requests for votes, and votes, wait ──▶ Saved
//!  batch, cut   ──▶ Append ──▶ its acknowledgement waits            ──▶ Appended
//! ```
//!
//! Heartbeats wait for nothing: a disk that hangs does not make a peer look dead.
//!
//! The log is one more follower of the change feed. A peer in memory has none of this: it holds
//! what its store holds, and a restart makes it another member.

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, GroupId, GroupTime, Lead, PeerStart, Position, Sequence, Time};
use crate::protocol::io::{HardState, Output};
use crate::protocol::lasting::disk::Disk;
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;
use crate::protocol::role::Role;
use crate::record::Records;
use crate::state::{BatchEnd, Meta};
use crate::store::{Cut, Staged};

impl Machine {
    fn hard_state(&self) -> HardState {
        let acknowledged = self.disk.as_ref().and_then(|disk| disk.acknowledged.as_ref());
        HardState {
            ballot: self.ballot,
            voted_for: self.voted_for.clone(),
            acknowledged: acknowledged.map_or(Position::BLANK, |acknowledged| acknowledged.bound),
        }
    }

    /// Whether this peer's ballot and vote last.
    pub(in crate::protocol) fn is_saved(&self) -> bool {
        let is_it = |disk: &Disk| {
            disk.saved.ballot == self.ballot && disk.saved.voted_for == self.voted_for
        };
        self.disk.as_ref().is_none_or(is_it) || bug::is(Bug::VoteBeforeSave)
    }

    /// Asks for ballot and vote to be saved, if they are not.
    pub(in crate::protocol) fn save(&mut self) -> Option<Output> {
        let hard = self.hard_state();
        let disk = self.disk.as_mut().filter(|disk| !disk.has_failed)?;
        if disk.saving.is_some() || disk.saved == hard {
            return None;
        }
        disk.saving = Some(hard.clone());
        Some(Output::Save(hard))
    }

    /// Sends what binds this peer, when it lasts.
    pub(in crate::protocol) fn send_bound(&mut self, to: &PeerStart, message: Message) {
        if self.is_saved() {
            return self.send(to, message);
        }
        if let Some(disk) = self.disk.as_mut().filter(|disk| !disk.has_failed) {
            disk.waiting.push((to.clone(), message));
        }
    }

    pub(in crate::protocol) fn on_saved(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        if let Some(saved) = disk.saving.take() {
            disk.saved = saved;
        }
        self.on_bound_saved();
        if !self.is_saved() {
            return;
        }
        let waiting = self.disk.as_mut().map(|disk| std::mem::take(&mut disk.waiting));
        for (to, message) in waiting.into_iter().flatten() {
            self.send(&to, message);
        }
        self.count();
    }

    /// Says that a batch is held: at once, or when it lasts.
    pub(in crate::protocol) fn acknowledge(
        &mut self,
        from: &PeerStart,
        batch: Option<Staged>,
        position: Position,
    ) {
        let (ballot, meta_version) = (self.ballot, self.meta_version);
        // Whoever adopts a state acknowledges nothing by it: its source is no primary.
        let is_follower = !matches!(self.role, Role::Winner(_));
        if is_follower && !self.may_acknowledge(position) {
            return self.acknowledge_when_saved(from, position);
        }
        let (Some(disk), Some(batch)) = (&mut self.disk, batch) else {
            return self.send(from, Message::Held { ballot, position });
        };
        disk.meta_version = meta_version;
        let append = disk.append(batch, Some(from.clone()));
        self.outputs.push_back(append);
        if bug::is(Bug::AcknowledgeBeforeSync) {
            self.send(from, Message::Held { ballot, position });
        }
    }

    /// Stores a batch that is not held for anybody: the log ends where the store does.
    pub(in crate::protocol) fn keep_unacknowledged(&mut self, batch: Option<Staged>) {
        let meta_version = self.meta_version;
        if let (Some(disk), Some(batch)) = (&mut self.disk, batch) {
            disk.meta_version = meta_version;
            let append = disk.append(batch, None);
            self.outputs.push_back(append);
        }
    }

    /// Whether the answer to a primary has to wait: a position that is told counts as held.
    pub(in crate::protocol) fn is_asked_too_early(
        &mut self,
        from: &PeerStart,
        group_id: Option<GroupId>,
    ) -> bool {
        let is_early = !self.may_acknowledge(self.store.position());
        let is_waiting = |disk: &&mut Disk| is_early || !disk.in_flight.is_empty();
        let Some(disk) = self.disk.as_mut().filter(is_waiting) else {
            return false;
        };
        disk.asked = Some((from.clone(), group_id));
        !bug::is(Bug::AcknowledgeBeforeSync)
    }

    pub(in crate::protocol) fn on_appended(&mut self, number: u64) {
        let ballot = self.ballot;
        let mut held = Vec::new();
        let Some(disk) = &mut self.disk else { return };
        while disk.in_flight.front().is_some_and(|batch| batch.number <= number) {
            let Some(batch) = disk.in_flight.pop_front() else { break };
            disk.stored = batch.end;
            held.extend(batch.acknowledge.map(|to| (to, batch.end)));
        }
        let asked = disk.asked.take_if(|_| disk.in_flight.is_empty());
        for (to, position) in held {
            self.send(&to, Message::Held { ballot, position });
        }
        if let Some((from, group_id)) = asked {
            self.tell_position(&from, group_id);
        }
        self.on_progress();
    }

    /// Where cells are stored, and storage works.
    fn log(&self) -> Option<&Disk> {
        self.disk.as_ref().filter(|disk| !disk.is_state_only && !disk.has_failed)
    }

    /// Whether cells are stored.
    pub(in crate::protocol) fn has_log(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| !disk.is_state_only)
    }

    /// As primary: hands what changed since the last batch to the log, when that one lasts.
    pub(in crate::protocol) fn append_own(&mut self) {
        let is_idle = |disk: &&Disk| disk.in_flight.is_empty();
        let Some(disk) = self.log().filter(is_idle) else { return };
        let appended = disk.appended;
        if appended == self.store.position() && !self.store.take_dirty() {
            return;
        }
        let cut = self.store.cut(self.group_time(), appended.sequence, &[], usize::MAX);
        self.append_cut(cut);
    }

    /// At the end of a reign: what was decided last belongs to this peer's state, whatever becomes
    /// of it, and the log goes on from there.
    pub(in crate::protocol) fn append_rest(&mut self) {
        let Some(disk) = self.log() else { return };
        if disk.appended != self.store.position() {
            let since = disk.appended.sequence;
            let cut = self.store.cut(self.store.group_time(), since, &[], usize::MAX);
            self.append_cut(cut);
        }
    }

    fn append_cut(&mut self, cut: Cut) {
        let (meta, meta_version) = (&self.meta, self.meta_version);
        let Some(disk) = &mut self.disk else { return };
        let from = Some(disk.appended).filter(|appended| !appended.is_blank());
        let is_news = from.is_none() || disk.meta_version != meta_version;
        disk.meta_version = meta_version;
        let meta = is_news.then(|| meta.clone());
        let end = cut.batch_end(meta);
        let records = cut.records.into_iter().filter(|records| !records.is_empty()).collect();
        let append = disk.append(Staged { from, records, end }, None);
        self.outputs.push_back(append);
    }

    /// The log forgets as the store does.
    pub(in crate::protocol) fn append_blank(&mut self) {
        if self.log().is_none() {
            return;
        }
        let Some(disk) = &mut self.disk else { return };
        let (position, group_time) = (Position::BLANK, self.store.group_time());
        let (lead, expired_before) = (Lead::default(), GroupTime(0));
        let meta = Some(Meta::default());
        let end = BatchEnd { position, group_time, lead, expired_before, meta };
        let append = disk.append(Staged { from: None, records: Vec::new(), end }, None);
        self.outputs.push_back(append);
    }

    /// Ends a snapshot at a cut that is the end of the log as well.
    pub(in crate::protocol) fn on_end_snapshot(&mut self, since: Sequence) {
        let Some(disk) = self.log() else { return };
        let since = since.min(disk.appended.sequence);
        let cut = self.store.cut(self.group_time(), since, &[], usize::MAX);
        let records: Records = cut.records.clone().unwrap_or_default();
        let end = cut.batch_end(Some(self.meta.clone()));
        if disk.appended != end.position {
            // More than the log lacks: what it has already is as of the same cut.
            self.append_cut(cut);
        }
        self.outputs.push_back(Output::EndSnapshot { records, end });
    }

    /// Nothing can be promised any more: this peer makes room, and serves its embedder as one that
    /// forwards.
    pub(in crate::protocol) fn on_storage_failed(&mut self) {
        let Some(disk) = self.disk.as_mut().filter(|disk| !disk.has_failed) else { return };
        disk.has_failed = true;
        disk.saving = None;
        disk.in_flight.clear();
        disk.forget_answers();
        // Why is for the driver to say.
        self.event(Event::StorageFailed { error: String::new() });
        match self.role {
            Role::Primary(_) => self.hand_over_at_once(),
            Role::Follower => {}
            _ => self.role = Role::Follower,
        }
        self.wake_soon();
    }

    /// Whether this peer's storage takes nothing any more.
    pub(in crate::protocol) fn has_failed(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.has_failed)
    }

    /// What of this reign this peer itself holds.
    pub(in crate::protocol) fn own_held(&self) -> Position {
        let own = self.store.position();
        let is_remembered = !bug::is(Bug::BoundSavedLate);
        if let Some(covered) = self.disk.as_ref().and_then(Disk::covered).filter(|_| is_remembered)
        {
            // What it does not remember after a restart does not count.
            let covered = Some(covered).filter(|covered| covered.ballot == own.ballot);
            return own.min(covered.unwrap_or_default());
        }
        let has_log = |disk: &&Disk| !disk.is_state_only && !bug::is(Bug::OwnLogIgnored);
        let disk = self.disk.as_ref().filter(has_log);
        disk.map_or(own, |disk| disk.stored)
    }

    /// Until when an earlier start of this peer, which remembers its votes and not its promises,
    /// may be bound; `None` if it is not.
    ///
    /// Where all members are in reach and none is primary, nobody leans on a promise.
    pub(in crate::protocol) fn bound_until(&self) -> Option<Time> {
        self.disk.as_ref().filter(|disk| disk.is_restart)?;
        let until = self.started.after(self.group.failure_timeout);
        let is_over = self.now.time >= until || bug::is(Bug::RestartForgetsPromise);
        let is_free = self.reaches_all_known(|brief| !brief.is_primary);
        (!is_over && !is_free).then_some(until)
    }

    /// Whether an older start of this peer may have promised something to another than the primary
    /// of `released`, which has given its reign up.
    pub(in crate::protocol) fn may_be_bound(&self, released: Option<Ballot>) -> bool {
        let is_released = |disk: &Disk| released.is_some_and(|ballot| ballot >= disk.saved.ballot);
        self.bound_until().is_some() && !self.disk.as_ref().is_some_and(is_released)
    }
}
