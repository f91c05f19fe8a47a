//! Following a primary: accepting it, staging what it sends, repairing a fork
//! (docs/protocol.md, section 3).

use bytes::Bytes;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, GroupId, GroupTime, PeerKind, PeerStart, Position, Time};
use crate::protocol::follow::receiver::{Batch, CatchUp, Loaded, Received};
use crate::protocol::former::Former;
use crate::protocol::io::Route;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Message, Piece};
use crate::protocol::reign::sender::Sender;
use crate::protocol::role::{Leader, Pull, Role};
use crate::record::{MIN_CELL_BYTES, Record};
use crate::state::{BatchEnd, History, Reign};
use crate::store::{ApplyError, Digest, Staged};

/// Bytes that a named key takes beside its own.
const KEY_OVERHEAD_BYTES: usize = 8;

impl Machine {
    /// Returns true if `from` is the primary of `ballot` for this peer; follows it if so.
    pub(in crate::protocol) fn accept(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        group_id: Option<GroupId>,
        is_established: bool,
    ) -> bool {
        if self.is_disowned_in(ballot.generation) || !self.may_lead(from, ballot) {
            return false;
        }
        // Whoever stands for its site follows the other one no more, unless that comes to nothing.
        if self.promotion.is_some() && !self.is_own_epoch(ballot.generation.site_epoch()) {
            return false;
        }
        if self.config.kind == PeerKind::Client && self.primary_is_absent() {
            // A client has taken part in nothing: a ballot that came to nothing does not bind it.
            if ballot < self.ballot {
                self.ballot = ballot;
                self.leader = None;
            }
        }
        if ballot < self.ballot {
            return false;
        }
        if let Some(leader) = &mut self.leader
            && ballot == self.ballot
        {
            if leader.start != *from || leader.has_ended(self.now.time) {
                return false;
            }
            leader.heard = leader.heard.max(self.now.time);
            if self.watch.is_suspecting || matches!(self.role, Role::PreCandidate(_)) {
                // The first word withdraws the suspicion.
                self.become_follower_of(from.clone(), ballot);
            }
            return true;
        }
        if ballot == self.ballot && self.is_primary() {
            return false;
        }
        if !self.may_yield(from, ballot, group_id, is_established) {
            return false;
        }
        self.adopt_ballot(ballot);
        self.become_follower_of(from.clone(), ballot);
        true
    }

    /// A state is given up only for a primary that a majority stands behind.
    fn may_yield(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        group_id: Option<GroupId>,
        is_established: bool,
    ) -> bool {
        if !self.has_data() && self.comes_from_across(from) {
            // Of a founding that comes to nothing it would keep what nobody holds any more.
            return is_established || bug::is(Bug::StandbyTakesUnborn);
        }
        let has_voted = ballot == self.ballot && self.voted_for.as_ref() == Some(&from.name);
        let is_same_group = self.meta.group_id == group_id;
        if !self.has_data() || has_voted || is_same_group || self.is_unborn() {
            return true;
        }
        if self.is_passive() {
            return self.may_follow_anew(from, group_id, is_established);
        }
        // A majority of the names stands behind that one, so nobody is left to elect one here.
        let is_alone =
            self.is_disowned() || (self.primary_is_absent() && !self.reaches_own_majority());
        if is_alone {
            return is_established;
        }
        // Two groups that meet: one that lives does not give way.
        self.refuse_group(from, group_id);
        false
    }

    pub(in crate::protocol) fn refuse_group(
        &mut self,
        from: &PeerStart,
        group_id: Option<GroupId>,
    ) {
        let Some(ours) = self.meta.group_id else {
            return;
        };
        let Some(theirs) = group_id else { return };
        self.event(Event::ConfigMismatch {
            peer: from.name.to_string(),
            field: "group_id".into(),
            ours: ours.to_string(),
            theirs: theirs.to_string(),
        });
    }

    fn become_follower_of(&mut self, start: PeerStart, ballot: Ballot) {
        self.role = Role::Follower;
        self.receiver.clear();
        self.pull = None;
        let heard = self.now.time;
        self.leader = Some(Leader {
            start: start.clone(),
            heard,
            ends: None,
            behind: None,
            in_step: None,
            before: Former::new(heard, Position::BLANK),
            is_kept_up_with: false,
        });
        self.calm();
        self.event(Event::PrimaryChanged { primary: Some(start.name), ballot });
        self.route_to_leader();
        self.wake_soon();
    }

    /// Decisions are made at the primary that this peer follows, if it follows one that it hears.
    pub(in crate::protocol) fn route_to_leader(&mut self) {
        let leader = self.leader.as_ref().filter(|_| !self.watch.is_suspecting);
        let Some(PeerStart { name: peer, incarnation }) = leader.map(|leader| leader.start.clone())
        else {
            return;
        };
        let ballot = self.ballot;
        self.set_route(Route::There { peer, incarnation, ballot });
    }

    /// There is a primary: nothing is suspected and nobody stands.
    pub(in crate::protocol) fn calm(&mut self) {
        self.watch.is_suspecting = false;
        self.watch.has_agreed = false;
        self.watch.campaign_at = None;
        self.watch.way_until = Time(0);
        self.watch.found_now = false;
        self.watch.missing.clear();
        self.watch.rounds = 0;
        self.watch.has_lost = false;
        self.watch.lost_at = None;
        self.watch.has_announced = false;
        self.watch.hopeful = self.now.time;
    }

    /// Takes part in a newer ballot; whatever this peer was in the older one, it is no more.
    pub(in crate::protocol) fn adopt_ballot(&mut self, ballot: Ballot) {
        if ballot <= self.ballot {
            return;
        }
        self.step_down();
        self.ballot = ballot;
        self.voted_for = None;
        self.leader = None;
        // Of a later history something may be missing, or not.
        self.lacks_cells = false;
        if let Some(disk) = &mut self.disk {
            disk.forget_answers();
        }
        self.watch.is_suspecting = false;
        self.watch.has_agreed = false;
        self.watch.campaign_at = None;
        self.receiver.clear();
        self.pull = None;
        if !matches!(self.route, Route::HandingOver) {
            self.set_route(Route::Nowhere);
        }
        self.wake_soon();
    }

    pub(in crate::protocol) fn primary_is_absent(&self) -> bool {
        match (&self.role, &self.leader) {
            (Role::Primary(reign), _) => !reign.has_lease(),
            // Without a primary, an older promise may still bind.
            (_, None) => {
                self.promise.as_ref().is_none_or(|p| self.now.time >= p.until)
                    && self.bound_until().is_none()
            }
            (_, Some(leader)) => self.now.time >= self.leader_deadline(leader),
        }
    }

    /// When the primary that this peer follows counts as lost if nothing is heard of it.
    pub(in crate::protocol) fn leader_deadline(&self, leader: &Leader) -> Time {
        let silent = leader.heard.after(self.group.failure_timeout);
        leader.ends.map_or(silent, |ends| ends.min(silent))
    }

    pub(in crate::protocol) fn on_follow(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        group_id: Option<GroupId>,
        is_established: bool,
    ) {
        if !self.accept(from, ballot, group_id, is_established) || self.has_failed() {
            return;
        }
        if is_established {
            self.site_epoch = self.site_epoch.max(ballot.generation.site_epoch());
        }
        if !self.is_asked_too_early(from, group_id) {
            self.tell_position(from, group_id);
        }
    }

    /// Says where this peer stands. What is staged stays: the question may be a late copy of one
    /// that was answered, and a new transfer takes the place of an older one by its number.
    pub(in crate::protocol) fn tell_position(
        &mut self,
        from: &PeerStart,
        group_id: Option<GroupId>,
    ) {
        let ballot = self.ballot;
        let position = self.store.position();
        // Nothing of another group is kept: without a history everything is copied anew.
        let is_usable = self.meta.group_id == group_id && !self.copies_all();
        let history = if is_usable { self.meta.history.clone() } else { Vec::new() };
        self.send(from, Message::Position { ballot, position, history, pull: false });
    }

    /// Returns true if nothing can be built on the cells held here: everything is to be copied
    /// anew.
    pub(in crate::protocol) fn copies_all(&self) -> bool {
        self.must_copy || self.lacks_cells
    }

    /// This peer's cells are not those of the primary at the same position: something has changed
    /// them behind everybody's back. They are copied anew, and count for nothing until then.
    fn on_divergence(&mut self, from: &PeerStart, expected: Digest) {
        let position = expected.position;
        let cells = self.store.digest().cells;
        self.event(Event::Diverged { position, cells, expected: expected.cells });
        self.must_copy = true;
        self.receiver.clear();
        self.send(from, Message::Lost { ballot: self.ballot });
    }

    /// Returns true if data of `from` under `ballot` are for this peer.
    fn is_source(&self, from: &PeerStart, ballot: Ballot) -> bool {
        if ballot != self.ballot {
            return false;
        }
        match (&self.role, &self.leader) {
            (Role::Winner(winner), _) => winner.source() == from,
            (Role::Follower, Some(leader)) => leader.start == *from,
            _ => false,
        }
    }

    pub(in crate::protocol) fn on_fork(&mut self, from: &PeerStart, ballot: Ballot, at: Position) {
        if !self.is_source(from, ballot) {
            return;
        }
        let bounds = &self.config.bounds;
        let keys = self.store.keys_since(at.sequence, bounds.max_repair_keys);
        // The names must fit a frame; a longer tail is replaced as a whole.
        let keys = keys.filter(|keys| {
            keys.iter().map(|key| key.len() + KEY_OVERHEAD_BYTES).sum::<usize>()
                <= bounds.max_piece_bytes
        });
        if bug::is(Bug::TailDroppedEarly) {
            self.drop_tail(at, keys.as_deref().unwrap_or_default());
        }
        self.receiver.forked(at, self.store.position());
        self.send(from, Message::Tail { ballot, at, keys });
    }

    /// Drops the tail before there is anything in its place, which must not be done.
    fn drop_tail(&mut self, at: Position, keys: &[Bytes]) {
        let records = keys.iter().map(|key| Record { key, value: None }).collect();
        let group_time = self.store.group_time();
        let lead = self.store.lead();
        let expired_before = GroupTime(0);
        let end = BatchEnd { position: at, group_time, lead, expired_before, meta: None };
        let from = Some(self.store.position());
        // Best effort: this is a bug on purpose.
        let _ = self.store.apply(Staged { from, records: vec![records], end });
    }

    /// Returns true if a state can end where a piece says that it does: nothing was decided under a
    /// later ballot than its sender's, nothing yet under one whose winner has still to begin its
    /// reign, and somebody is counted in it.
    fn may_end_there(&self, piece: &Piece) -> bool {
        let Some(end) = &piece.end else { return true };
        let is_beyond = match self.role {
            Role::Winner(_) => end.position.ballot >= piece.ballot,
            _ => end.position.ballot > piece.ballot,
        };
        let counts_nobody = end.meta.as_ref().is_some_and(|meta| meta.membership.voters.is_empty());
        !is_beyond && !counts_nobody
    }

    pub(in crate::protocol) fn on_piece(&mut self, from: &PeerStart, piece: Piece) {
        let ballot = piece.ballot;
        let transfer = piece.transfer;
        let index = piece.index;
        if !self.is_source(from, ballot) || !self.may_end_there(&piece) {
            return;
        }
        // Put back on purpose: cells of two states are mixed, for which they are kept.
        let is_kept = self.has_log() || bug::is(Bug::GenerationsMixed);
        match self.receiver.stage(from, piece, is_kept) {
            Received::Ignored => {}
            Received::Gap => {
                // Said once: what is still on its way of this transfer is ignored.
                self.receiver.clear();
                self.send(from, Message::Lost { ballot });
            }
            Received::Queued => self.load_pieces(),
            Received::Staged => self.on_staged(from, transfer, index),
            Received::Complete(batch) => self.apply(from, *batch),
        }
    }

    /// Asks for more when another piece is where it belongs.
    fn on_staged(&mut self, from: &PeerStart, transfer: u64, index: u32) {
        let ballot = self.ballot;
        if index == 0
            && let Some(CatchUp { total, is_full, .. }) = self.receiver.progress()
        {
            let from = from.name.clone();
            self.event(Event::CatchUpStarted { from, cells: total, is_full });
        }
        if let Role::Winner(winner) = &mut self.role {
            // As long as it comes it is waited for, however much there is of it.
            winner.note_asked(self.now.time);
            if !bug::is(Bug::ProgressIgnored) {
                winner.extend(self.now.time.after(self.group.failure_timeout / 2));
            }
        }
        self.send(from, Message::PieceStaged { ballot, transfer, index });
    }

    /// Loads pieces that have come of a state that replaces everything: as many cells in one input
    /// as a piece may have, so that heartbeats are answered in between. The rest is due at once.
    pub(in crate::protocol) fn load_pieces(&mut self) {
        let window = self.config.bounds.transfer_window;
        let Some(from) = self.receiver.sender().cloned() else { return };
        let ballot = self.ballot;
        while self.is_source(&from, ballot) {
            let is_bounded = !self.receiver.is_flooded(window);
            match self.receiver.load(&self.store, is_bounded) {
                Loaded::Idle => return,
                Loaded::Paused => return self.wake_again(),
                Loaded::Staged { transfer, index } => self.on_staged(&from, transfer, index),
                Loaded::Complete(batch) => return self.apply(&from, *batch),
                // A cell has no such key: the sender is to begin anew, as with any batch.
                Loaded::Failed => {
                    self.receiver.clear();
                    return self.send(&from, Message::Lost { ballot });
                }
            }
        }
    }

    /// The next input may lead to so much of that.
    pub(in crate::protocol) fn begin_loading(&mut self) {
        let most = self.config.bounds.max_piece_bytes / MIN_CELL_BYTES;
        self.receiver.begin_turn(most.max(1));
    }

    /// Gives memory back that is out of use, a bounded part of it in one input.
    pub(in crate::protocol) fn give_memory_back(&mut self) {
        for loading in self.receiver.take_given_up() {
            self.store.discard(loading);
        }
        if self.store.drop_discarded() {
            self.wake_again();
        }
    }

    /// Applies a batch in one step, and only then says that it is held.
    fn apply(&mut self, from: &PeerStart, batch: Batch) {
        let Batch { from: base, records, loaded, end, digest, received, pieces } = batch;
        let held = self.store.position();
        let ballot = self.ballot;
        if bug::is(Bug::AcknowledgeBeforeApply) && self.random.next().is_multiple_of(4) {
            self.send(from, Message::Held { ballot, position: end.position });
            return;
        }
        if position_goes_back(held, end.position) {
            // A batch of an earlier transfer, overtaken on its way.
            return self.store.discard(loaded);
        }
        let common = end.meta.as_ref().and_then(|meta| {
            let ours = History::new(&self.meta.history, held);
            History::new(&meta.history, end.position).common_position(&ours)
        });
        let given_up = self.units_given_up(base.or(common), held);
        if self.has_failed() {
            return self.store.discard(loaded);
        }
        let position = end.position;
        let has_meta = end.meta.is_some();
        let is_other_group = end.meta.as_ref().is_some_and(|m| m.group_id != self.meta.group_id);
        let is_kept = common == Some(held);
        let is_dropped = base.is_none() && is_other_group && !is_kept && !held.is_blank();
        let dropped = is_dropped.then(|| self.store.cells() as u64);
        let mut from_held = self.receiver.base(base, held);
        if bug::is(Bug::GenerationsMixed) && !held.is_blank() {
            from_held = Some(held);
        }
        let batch = Staged { from: from_held, records, end };
        let kept = self.has_log().then(|| batch.clone());
        let applied = match from_held {
            None => self.store.apply_loaded(loaded, &batch.end),
            Some(_) => self.store.apply(batch),
        };
        if let Err(error) = applied {
            if matches!(error, ApplyError::Missing { .. }) {
                self.lacks_cells = true;
                self.receiver.start_over();
            } else {
                self.receiver.clear();
            }
            self.send(from, Message::Lost { ballot });
            return;
        }
        self.lacks_cells = false;
        // Whoever adopts has it from a voter, which may lack what was acknowledged to the primary.
        if !matches!(self.role, Role::Winner(_)) {
            self.forget_remembered(position);
        }
        // A batch without changes, such as one with a digest, is as old as the state that is held.
        if position != held || self.adopted.is_none() {
            self.adopted = Some(self.passed());
        }
        if has_meta {
            self.reload_meta();
        }
        if position.ballot.generation > held.ballot.generation {
            self.part_from_strangers();
        }
        if base.is_none() {
            self.must_copy = false;
        }
        if let Some(expected) = digest.filter(|digest| *digest != self.store.digest()) {
            // It is in the store: the log goes on from there, and nobody is told.
            self.keep_unacknowledged(kept);
            return self.on_divergence(from, expected);
        }
        self.acknowledge(from, kept, position);
        if pieces > 1 || base.is_none() {
            self.event(Event::CaughtUp { cells: received, position });
        }
        if let Some((units, exact)) = given_up.filter(|_| !bug::is(Bug::LossUnreported)) {
            self.event(Event::ChangesLost { units, exact });
            self.send(from, Message::GaveUp { ballot, units, is_at_most: !exact });
        }
        if let Some(cells) = dropped.filter(|cells| *cells > 0) {
            let generation = held.ballot.generation;
            self.event(Event::OlderGenerationDropped { cells, generation });
        }
        if matches!(self.role, Role::Winner(_)) {
            self.on_adopted();
        }
    }

    /// The units lost by this batch of those that this peer decided as primary, its own tail or one
    /// that another primary had adopted from it. `base` is the last position that is kept, if it is
    /// known.
    fn units_given_up(&self, base: Option<Position>, held: Position) -> Option<(u64, bool)> {
        if self.last_reign.is_none() || base == Some(held) {
            return None;
        }
        let at = base.or_else(|| self.receiver.fork_from(held));
        let exact = at.and_then(|at| self.store.give_up_units(at.sequence));
        let (units, is_exact) = match exact {
            Some(units) => (units, true),
            None => (self.store.units_in_doubt(), false),
        };
        (units > 0).then_some((units, is_exact))
    }

    // --- the sending side of these messages

    pub(in crate::protocol) fn on_position(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        position: Position,
        history: &[Reign],
        pull: bool,
    ) {
        if ballot != self.ballot {
            return;
        }
        if pull {
            self.on_pull(from, position, history);
        } else {
            self.with_sender(from, |sender, now, source, out| {
                sender.on_position(now, source, position, history, out);
            });
            self.on_progress();
        }
    }

    /// A winner that this peer voted for adopts its state.
    fn on_pull(&mut self, from: &PeerStart, position: Position, history: &[Reign]) {
        if self.voted_for.as_ref() != Some(&from.name) || self.is_primary() {
            return;
        }
        let mut sender = Sender::new(self.now.time, &mut self.first_transfer);
        let mut out = Vec::new();
        let source = self.source();
        sender.on_position(self.now.time, &source, position, history, &mut out);
        sender.replicate(self.now.time, &source, &mut out);
        self.pull = Some(Pull { to: from.clone(), sender });
        for message in out {
            self.send(from, message);
        }
    }
}

/// Within a reign positions only grow.
fn position_goes_back(held: Position, to: Position) -> bool {
    to.ballot == held.ballot && to.sequence < held.sequence
}
