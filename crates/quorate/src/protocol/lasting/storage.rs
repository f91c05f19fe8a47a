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
use crate::base::id::{Ballot, GroupId, PeerKind, PeerStart, Position, Sequence, Time};
use crate::protocol::io::{HardState, Output};
use crate::protocol::lasting::acknowledged::Acknowledgement;
use crate::protocol::lasting::disk::{Binding, Disk, Question};
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;
use crate::protocol::role::Role;
use crate::record::Records;
use crate::store::{Cut, Staged};

impl Machine {
    fn hard_state(&self) -> HardState {
        HardState {
            ballot: self.ballot,
            voted_for: self.voted_for.clone(),
            acknowledged: self.disk.as_ref().map_or(Position::BLANK, Disk::bound),
        }
    }

    /// Returns true if this peer's ballot and vote last.
    pub(in crate::protocol) fn is_saved(&self) -> bool {
        let vote = self.voted_for.as_ref();
        match &self.disk {
            None => true,
            Some(disk) => disk.has_saved(self.ballot, vote) || bug::is(Bug::VoteBeforeSave),
        }
    }

    /// Asks for ballot and vote to be saved, if they are not.
    pub(in crate::protocol) fn save(&mut self) -> Option<Output> {
        let hard = self.hard_state();
        let disk = self.disk.as_mut()?;
        debug_assert!(
            // A client votes for nobody: no ballot binds it.
            hard.ballot >= disk.saved_ballot() || self.config.kind == PeerKind::Client,
            "nothing older than what lasts is taken part in"
        );
        disk.save(hard)
    }

    /// Sends what binds this peer, when it lasts.
    pub(in crate::protocol) fn send_bound(&mut self, to: &PeerStart, message: Message) {
        if self.is_saved() {
            return self.send(to, message);
        }
        if let Some(disk) = &mut self.disk {
            disk.hold_back(to, message);
        }
    }

    pub(in crate::protocol) fn on_saved(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        disk.end_saving();
        self.on_bound_saved();
        if !self.is_saved() {
            return;
        }
        let held_back = self.disk.as_mut().map(Disk::take_held_back);
        for Binding { to, message } in held_back.into_iter().flatten() {
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
        let ballot = self.ballot;
        // Whoever adopts a state acknowledges nothing by it: its source is no primary.
        let is_follower = !matches!(self.role, Role::Winner(_));
        if is_follower && !self.may_acknowledge(position) {
            return self.acknowledge_when_saved(from, position);
        }
        let (Some(disk), Some(batch)) = (&mut self.disk, batch) else {
            return self.send(from, Message::Held { ballot, position });
        };
        let append = disk.append(batch, self.meta_version, Some(from.clone()));
        self.outputs.push_back(append);
        if bug::is(Bug::AcknowledgeBeforeSync) {
            self.send(from, Message::Held { ballot, position });
        }
    }

    /// Stores a batch that is not held for anybody: the log ends where the store does.
    pub(in crate::protocol) fn keep_unacknowledged(&mut self, batch: Option<Staged>) {
        if let (Some(disk), Some(batch)) = (&mut self.disk, batch) {
            let append = disk.append(batch, self.meta_version, None);
            self.outputs.push_back(append);
        }
    }

    /// Returns true if the answer to a primary has to wait: a position that is told counts as held.
    pub(in crate::protocol) fn is_asked_too_early(
        &mut self,
        from: &PeerStart,
        group_id: Option<GroupId>,
    ) -> bool {
        let is_early = !self.may_acknowledge(self.store.position());
        let Some(disk) = &mut self.disk else { return false };
        if !is_early && disk.is_idle() {
            return false;
        }
        disk.keep_question(Question { by: from.clone(), group_id });
        !bug::is(Bug::AcknowledgeBeforeSync)
    }

    pub(in crate::protocol) fn on_appended(&mut self, number: u64) {
        let ballot = self.ballot;
        let Some(disk) = &mut self.disk else { return };
        let held = disk.end_appending(number);
        let question = disk.take_question_when_idle();
        for Acknowledgement { to, position } in held {
            self.send(&to, Message::Held { ballot, position });
        }
        if let Some(Question { by, group_id }) = question {
            self.tell_position(&by, group_id);
        }
        self.on_progress();
    }

    /// The disk, where cells are stored and storage works.
    fn log(&self) -> Option<&Disk> {
        self.disk.as_ref().filter(|disk| disk.takes_batches())
    }

    /// Returns true if cells are stored.
    pub(in crate::protocol) fn has_log(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::has_log)
    }

    /// Hands what changed since the last batch to the log, as primary, when that one lasts.
    pub(in crate::protocol) fn append_own(&mut self) {
        let Some(disk) = self.log().filter(|disk| disk.is_idle()) else { return };
        let appended = disk.appended();
        if appended == self.store.position() && !self.store.has_changed_since_cut() {
            return;
        }
        let cut = self.store.cut(self.group_time(), appended.sequence, &[], usize::MAX);
        self.append_cut(cut);
    }

    /// At the end of a reign: what was decided last belongs to this peer's state, whatever becomes
    /// of it, and the log goes on from there.
    pub(in crate::protocol) fn append_rest(&mut self) {
        let Some(disk) = self.log() else { return };
        if disk.appended() != self.store.position() {
            let since = disk.appended().sequence;
            let cut = self.store.cut(self.store.group_time(), since, &[], usize::MAX);
            self.append_cut(cut);
        }
    }

    fn append_cut(&mut self, cut: Cut) {
        let Some(disk) = &mut self.disk else { return };
        let append = disk.append_cut(cut, &self.meta, self.meta_version);
        self.outputs.push_back(append);
    }

    /// The log forgets as the store does.
    pub(in crate::protocol) fn append_blank(&mut self) {
        let group_time = self.store.group_time();
        if let Some(disk) = self.disk.as_mut().filter(|disk| disk.takes_batches()) {
            let append = disk.append_blank(group_time);
            self.outputs.push_back(append);
        }
    }

    /// Ends a snapshot at a cut that is the end of the log as well.
    pub(in crate::protocol) fn on_end_snapshot(&mut self, since: Sequence) {
        let Some(disk) = self.log() else { return };
        let since = since.min(disk.appended().sequence);
        let cut = self.store.cut(self.group_time(), since, &[], usize::MAX);
        let records: Records = cut.records.clone().unwrap_or_default();
        let end = cut.batch_end(Some(self.meta.clone()));
        if disk.appended() != end.position {
            // More than the log lacks: what it has already is as of the same cut.
            self.append_cut(cut);
        }
        self.outputs.push_back(Output::EndSnapshot { records, end });
    }

    /// Nothing can be promised any more: this peer makes room, and serves its embedder as one that
    /// forwards.
    pub(in crate::protocol) fn on_storage_failed(&mut self) {
        if !self.disk.as_mut().is_some_and(Disk::fail) {
            return;
        }
        // Why is for the driver to say.
        self.event(Event::StorageFailed { error: String::new() });
        match self.role {
            Role::Primary(_) => self.hand_over_at_once(),
            Role::Follower => {}
            _ => self.role = Role::Follower,
        }
        self.wake_soon();
    }

    /// Returns true if this peer's storage takes nothing any more.
    pub(in crate::protocol) fn has_failed(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::has_failed)
    }

    /// The position of this reign that this peer itself holds.
    pub(in crate::protocol) fn own_held(&self) -> Position {
        let own = self.store.position();
        self.disk.as_ref().map_or(own, |disk| disk.held(own))
    }

    /// Until when an earlier start of this peer, which remembers its votes and not its promises,
    /// may be bound; `None` if it is not.
    ///
    /// Where all members are in reach and none is primary, nobody leans on a promise.
    pub(in crate::protocol) fn bound_until(&self) -> Option<Time> {
        self.disk.as_ref().filter(|disk| disk.is_restart())?;
        let until = self.started.after(self.group.failure_timeout);
        let is_over = self.now.time >= until || bug::is(Bug::RestartForgetsPromise);
        let is_free = self.reaches_all_known(|brief| !brief.is_primary);
        (!is_over && !is_free).then_some(until)
    }

    /// Returns true if an older start of this peer may have promised something to another than the
    /// primary of `released`, which has given its reign up.
    pub(in crate::protocol) fn may_be_bound(&self, released: Option<Ballot>) -> bool {
        let Some(disk) = &self.disk else { return false };
        let is_released = released.is_some_and(|ballot| ballot >= disk.saved_ballot());
        !is_released && self.bound_until().is_some()
    }
}
