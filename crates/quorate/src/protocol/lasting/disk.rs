//! What of a peer's state lasts, and what is on its way there (docs/protocol.md, section 13).

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::id::{Ballot, GroupId, GroupTime, Lead, PeerName, PeerStart, Position, Time};
use crate::protocol::io::{HardState, Kept, Output};
use crate::protocol::lasting::acknowledged::{Acknowledged, Acknowledgement};
use crate::protocol::message::Message;
use crate::state::{BatchEnd, Meta};
use crate::store::{Cut, Staged};

/// What of this peer's state lasts, and what is on its way there.
#[derive(Debug)]
pub(in crate::protocol) struct Disk {
    saved: HardState,
    saving: Option<HardState>,
    /// Messages that bind this peer to what is being saved.
    waiting: Vec<Binding>,
    /// Batches handed out, in order, that do not last yet.
    in_flight: VecDeque<InFlight>,
    appends: u64,
    /// The primary that is told where this peer stands when all of it lasts.
    asked: Option<Question>,
    /// The end of the last batch handed out, and that of the last one that lasts.
    appended: Position,
    stored: Position,
    /// Version of the last replicated state other than cells that was handed out.
    meta_version: u64,
    /// An earlier start may have promised what is not remembered.
    is_restart: bool,
    /// There is a state to save, and no log.
    is_state_only: bool,
    has_failed: bool,
    /// What was acknowledged, where there is no log to tell.
    acknowledged: Option<Acknowledged>,
}

/// A message that is sent when what it binds this peer to lasts.
#[derive(Debug)]
pub(in crate::protocol) struct Binding {
    pub(in crate::protocol) to: PeerStart,
    pub(in crate::protocol) message: Message,
}

/// A primary's question where this peer stands.
#[derive(Debug)]
pub(in crate::protocol) struct Question {
    pub(in crate::protocol) by: PeerStart,
    /// The group that it asks for.
    pub(in crate::protocol) group_id: Option<GroupId>,
}

#[derive(Debug)]
struct InFlight {
    number: u64,
    end: Position,
    /// Who is told that it is held.
    acknowledge: Option<PeerStart>,
}

impl Disk {
    pub(in crate::protocol) fn new(kept: Kept, position: Position) -> Self {
        let bound = kept.hard.acknowledged;
        Self {
            acknowledged: kept.is_state_only.then(|| Acknowledged::new(bound)),
            saved: kept.hard,
            saving: None,
            waiting: Vec::new(),
            in_flight: VecDeque::new(),
            appends: 0,
            asked: None,
            appended: position,
            stored: position,
            meta_version: 0,
            is_restart: kept.is_restart,
            is_state_only: kept.is_state_only,
            has_failed: false,
        }
    }

    /// Returns true if an earlier start may have promised what is not remembered.
    pub(in crate::protocol) fn is_restart(&self) -> bool {
        self.is_restart
    }

    /// Returns true if cells are stored, and not the hard state alone.
    pub(in crate::protocol) fn has_log(&self) -> bool {
        !self.is_state_only
    }

    /// Returns true if cells are stored, and storage works.
    pub(in crate::protocol) fn takes_batches(&self) -> bool {
        self.has_log() && !self.has_failed
    }

    pub(in crate::protocol) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Notes that storage takes nothing any more; returns true if that is news.
    pub(in crate::protocol) fn fail(&mut self) -> bool {
        if self.has_failed {
            return false;
        }
        self.has_failed = true;
        self.saving = None;
        self.in_flight.clear();
        self.forget_answers();
        true
    }

    /// Drops what was to be said under an older ballot.
    pub(in crate::protocol) fn forget_answers(&mut self) {
        self.waiting.clear();
        self.asked = None;
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.forget_answers();
        }
        self.in_flight.iter_mut().for_each(|batch| batch.acknowledge = None);
    }

    // --- the hard state

    /// Returns true if this ballot and the vote in it last.
    pub(in crate::protocol) fn has_saved(&self, ballot: Ballot, vote: Option<&PeerName>) -> bool {
        self.saved.ballot == ballot && self.saved.voted_for.as_ref() == vote
    }

    /// The ballot that lasts.
    pub(in crate::protocol) fn saved_ballot(&self) -> Ballot {
        self.saved.ballot
    }

    /// Has a hard state saved, unless it lasts or another is being saved.
    pub(in crate::protocol) fn save(&mut self, hard: HardState) -> Option<Output> {
        if self.has_failed || self.saving.is_some() || self.saved == hard {
            return None;
        }
        self.saving = Some(hard.clone());
        Some(Output::Save(hard))
    }

    /// Notes that what was being saved lasts.
    pub(in crate::protocol) fn end_saving(&mut self) {
        if let Some(saved) = self.saving.take() {
            self.saved = saved;
        }
    }

    /// Holds a message back until what it binds this peer to lasts; for ever if nothing does.
    pub(in crate::protocol) fn hold_back(&mut self, to: &PeerStart, message: Message) {
        if !self.has_failed {
            self.waiting.push(Binding { to: to.clone(), message });
        }
    }

    /// The messages held back.
    pub(in crate::protocol) fn take_held_back(&mut self) -> Vec<Binding> {
        std::mem::take(&mut self.waiting)
    }

    // --- the log

    /// Returns true if every batch handed out lasts.
    pub(in crate::protocol) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The end of the last batch handed out.
    pub(in crate::protocol) fn appended(&self) -> Position {
        self.appended
    }

    /// Hands a batch out whose replicated state other than cells is of this version; `acknowledge`
    /// is told that it is held when it lasts.
    pub(in crate::protocol) fn append(
        &mut self,
        batch: Staged,
        meta_version: u64,
        acknowledge: Option<PeerStart>,
    ) -> Output {
        self.meta_version = meta_version;
        self.hand_out(batch, acknowledge)
    }

    /// Hands a cut out, with the replicated state other than cells if the log lacks this version.
    pub(in crate::protocol) fn append_cut(
        &mut self,
        cut: Cut,
        meta: &Meta,
        meta_version: u64,
    ) -> Output {
        let from = Some(self.appended).filter(|appended| !appended.is_blank());
        let is_news = from.is_none() || self.meta_version != meta_version;
        let end = cut.batch_end(is_news.then(|| meta.clone()));
        let records = cut.records.into_iter().filter(|records| !records.is_empty()).collect();
        self.append(Staged { from, records, end }, meta_version, None)
    }

    /// Hands out a blank state in place of all that is stored.
    pub(in crate::protocol) fn append_blank(&mut self, group_time: GroupTime) -> Output {
        let end = BatchEnd {
            position: Position::BLANK,
            group_time,
            lead: Lead::default(),
            expired_before: GroupTime(0),
            meta: Some(Box::default()),
        };
        self.hand_out(Staged { from: None, records: Vec::new(), end }, None)
    }

    fn hand_out(&mut self, batch: Staged, acknowledge: Option<PeerStart>) -> Output {
        debug_assert!(
            batch.from.is_none_or(|from| from == self.appended) || bug::is_any(),
            "the log goes on where it ended"
        );
        self.appends += 1;
        let number = self.appends;
        let end = batch.end.position;
        self.appended = end;
        self.in_flight.push_back(InFlight { number, end, acknowledge });
        Output::Append { number, batch }
    }

    /// Notes that batches up to this number last; returns who is told of which position.
    pub(in crate::protocol) fn end_appending(&mut self, number: u64) -> Vec<Acknowledgement> {
        let mut held = Vec::new();
        while self.in_flight.front().is_some_and(|batch| batch.number <= number) {
            let Some(batch) = self.in_flight.pop_front() else { break };
            self.stored = batch.end;
            held.extend(batch.acknowledge.map(|to| Acknowledgement { to, position: batch.end }));
        }
        held
    }

    /// Keeps a primary's question until all that was handed out lasts, and is acknowledged.
    pub(in crate::protocol) fn keep_question(&mut self, question: Question) {
        self.asked = Some(question);
    }

    /// The question that was kept, if every batch lasts.
    pub(in crate::protocol) fn take_question_when_idle(&mut self) -> Option<Question> {
        if self.is_idle() { self.asked.take() } else { None }
    }

    // --- what is remembered where there is no log

    /// The bound that is to be saved with the ballot; blank where a log tells.
    pub(in crate::protocol) fn bound(&self) -> Position {
        self.acknowledged.as_ref().map_or(Position::BLANK, Acknowledged::bound)
    }

    /// The position up to which may be acknowledged by what is saved, and by what is being saved in
    /// its place.
    fn covered(&self) -> Option<Position> {
        self.acknowledged.as_ref()?;
        let saving = self.saving.as_ref().map(|saving| saving.acknowledged);
        Some(saving.map_or(self.saved.acknowledged, |saving| saving.min(self.saved.acknowledged)))
    }

    /// Returns true if what is remembered covers this position; it will be saved otherwise.
    pub(in crate::protocol) fn may_acknowledge(&mut self, position: Position, now: Time) -> bool {
        let Some(acknowledged) = &mut self.acknowledged else { return true };
        if position.is_blank() {
            return true;
        }
        acknowledged.reserve(position, now);
        self.covered().is_none_or(|covered| position <= covered) || bug::is(Bug::BoundSavedLate)
    }

    /// Has a primary told of this position when that is remembered.
    pub(in crate::protocol) fn acknowledge_when_saved(&mut self, held: Acknowledgement) {
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.hold(held);
        }
    }

    /// The position to be told that is covered now.
    pub(in crate::protocol) fn take_covered(&mut self) -> Option<Acknowledgement> {
        let covered = self.covered()?;
        self.acknowledged.as_mut()?.take_covered(covered)
    }

    /// The question that was kept, if this peer's own position is covered now.
    pub(in crate::protocol) fn take_question_at(&mut self, own: Position) -> Option<Question> {
        let covered = self.covered()?;
        if own <= covered { self.asked.take() } else { None }
    }

    /// Brings the bound back to what was acknowledged, where that has been all for a while.
    pub(in crate::protocol) fn settle_bound(&mut self, now: Time, patience: Duration) {
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.settle(now, patience);
        }
    }

    /// The position up to which an earlier start may have acknowledged, if no state held since
    /// contains it.
    pub(in crate::protocol) fn remembered(&self) -> Option<Position> {
        self.acknowledged.as_ref()?.remembered()
    }

    /// Drops what is remembered of this position's ballot and of older ones: a state that is held
    /// contains it, or a majority has given it up.
    pub(in crate::protocol) fn forget_remembered(&mut self, position: Position) {
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.forget_remembered(position);
        }
    }

    /// Returns true if what is acknowledged is remembered, and not stored in a log.
    pub(in crate::protocol) fn is_bounded(&self) -> bool {
        self.acknowledged.is_some()
    }

    /// The position of the state `own` of the store up to which a restart changes nothing.
    pub(in crate::protocol) fn held(&self, own: Position) -> Position {
        if let Some(covered) = self.covered()
            && !bug::is(Bug::BoundSavedLate)
        {
            // What it does not remember after a restart does not count.
            let covered = Some(covered).filter(|covered| covered.ballot == own.ballot);
            return own.min(covered.unwrap_or_default());
        }
        if self.has_log() && !bug::is(Bug::OwnLogIgnored) { self.stored } else { own }
    }
}
