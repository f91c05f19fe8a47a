//! What of a peer's state lasts, and what is on its way there (docs/protocol.md, section 13).

use std::collections::VecDeque;

use crate::base::id::{GroupId, PeerStart, Position};
use crate::protocol::io::{HardState, Kept, Output};
use crate::protocol::lasting::acknowledged::Acknowledged;
use crate::protocol::message::Message;
use crate::store::Staged;

/// What of this peer's state lasts, and what is on its way there.
#[derive(Debug)]
pub(in crate::protocol) struct Disk {
    pub(in crate::protocol) saved: HardState,
    pub(in crate::protocol) saving: Option<HardState>,
    /// Messages that bind this peer to what is being saved.
    pub(in crate::protocol) waiting: Vec<(PeerStart, Message)>,
    /// Batches handed out, in order, that do not last yet.
    pub(in crate::protocol) in_flight: VecDeque<InFlight>,
    appends: u64,
    /// The primary that is told where this peer stands when all of it lasts, and its group.
    pub(in crate::protocol) asked: Option<(PeerStart, Option<GroupId>)>,
    /// The end of the last batch handed out, and that of the last one that lasts.
    pub(in crate::protocol) appended: Position,
    pub(in crate::protocol) stored: Position,
    /// Version of the last replicated state other than cells that was handed out.
    pub(in crate::protocol) meta_version: u64,
    /// An earlier start may have promised what is not remembered.
    pub(in crate::protocol) is_restart: bool,
    /// There is a state to save, and no log.
    pub(in crate::protocol) is_state_only: bool,
    pub(in crate::protocol) has_failed: bool,
    /// What was acknowledged, where there is no log to tell.
    pub(in crate::protocol) acknowledged: Option<Acknowledged>,
}

#[derive(Debug)]
pub(in crate::protocol) struct InFlight {
    pub(in crate::protocol) number: u64,
    pub(in crate::protocol) end: Position,
    /// Who is told that it is held.
    pub(in crate::protocol) acknowledge: Option<PeerStart>,
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

    /// What was to be said under an older ballot is not said any more.
    pub(in crate::protocol) fn forget_answers(&mut self) {
        self.waiting.clear();
        self.asked = None;
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.forget_answers();
        }
        self.in_flight.iter_mut().for_each(|batch| batch.acknowledge = None);
    }

    /// How far may be acknowledged by what is saved, and by what is being saved in its place.
    pub(in crate::protocol) fn covered(&self) -> Option<Position> {
        self.acknowledged.as_ref()?;
        let saving = self.saving.as_ref().map(|saving| saving.acknowledged);
        Some(saving.map_or(self.saved.acknowledged, |saving| saving.min(self.saved.acknowledged)))
    }

    pub(in crate::protocol) fn append(
        &mut self,
        batch: Staged,
        acknowledge: Option<PeerStart>,
    ) -> Output {
        self.appends += 1;
        let (number, end) = (self.appends, batch.end.position);
        self.appended = end;
        self.in_flight.push_back(InFlight { number, end, acknowledge });
        Output::Append { number, batch }
    }
}
