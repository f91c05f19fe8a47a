//! What is on its way to this peer: pieces are staged and applied whole
//! (docs/protocol.md, section 3).
//!
//! Pieces of a state that replaces everything are loaded as they come, a bounded number of cells at
//! a time; of a batch that builds on what is held they are kept until the last is there.

use std::collections::VecDeque;

use serde::Serialize;

use crate::base::bug::{self, Bug};
use crate::base::id::{PeerStart, Position};
use crate::protocol::message::Piece;
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::{Digest, Loading, Store};

/// Staged pieces of one transfer of one sender.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Receiver {
    from: Option<PeerStart>,
    transfer: u64,
    next: u32,
    batch_from: Option<Position>,
    /// Pieces as they have come; of a state that replaces everything if they are to be stored.
    records: Vec<Records>,
    /// What has been loaded of such a state.
    loading: Loading,
    /// Pieces of it that have come and are not loaded, or not whole.
    waiting: VecDeque<Waiting>,
    /// Cells that may still be loaded with this input, and those that were.
    budget: usize,
    moved: usize,
    is_under_way: bool,
    received: u64,
    total: u64,
    /// The fork that this peer has named its tail for, and where it stood then.
    fork: Option<(Position, Position)>,
    /// What was loaded in vain: its memory is to be given back.
    given_up: Vec<Loading>,
}

/// A piece that is to be loaded.
#[derive(Debug)]
struct Waiting {
    index: u32,
    records: Records,
    end: Option<BatchEnd>,
    digest: Option<Digest>,
}

/// What a piece led to.
#[derive(Debug)]
pub(in crate::protocol) enum Received {
    /// A duplicate, or part of a transfer that was given up: nothing to do.
    Ignored,
    /// A piece is missing: the transfer cannot be used.
    Gap,
    /// The piece is to be loaded.
    Queued,
    /// The piece is staged, and more are to come.
    Staged,
    /// All pieces are here.
    Complete(Box<Batch>),
}

/// How far loading is.
#[derive(Debug)]
pub(in crate::protocol) enum Loaded {
    /// All pieces are loaded.
    Complete(Box<Batch>),
    /// A piece cannot be used.
    Failed,
    /// Nothing is left to load.
    Idle,
    /// There is more, and no more may be loaded now.
    Paused,
    /// A piece is loaded, and more are to come.
    Staged { transfer: u64, index: u32 },
}

/// All pieces of a transfer.
#[derive(Debug)]
pub(in crate::protocol) struct Batch {
    /// Where it starts from; `None` if it replaces everything.
    pub(in crate::protocol) from: Option<Position>,
    pub(in crate::protocol) records: Vec<Records>,
    /// What replaces everything.
    pub(in crate::protocol) loaded: Loading,
    /// What the state becomes.
    pub(in crate::protocol) end: BatchEnd,
    /// What it is to be then, where it is compared.
    pub(in crate::protocol) digest: Option<Digest>,
    /// Cells and pieces that have come.
    pub(in crate::protocol) received: u64,
    pub(in crate::protocol) pieces: u32,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CatchUp {
    /// Cells that have arrived. They count when all have: until then this peer keeps what it has.
    pub received: u64,
    /// Cells that are to come in all, as far as the sender could tell at the beginning.
    pub total: u64,
    /// Whether they replace everything that this peer has.
    pub is_full: bool,
}

impl Receiver {
    /// Forgets everything staged; what is still on its way of this transfer comes too late.
    pub(in crate::protocol) fn clear(&mut self) {
        let (from, transfer) = (self.from.take(), self.transfer);
        self.drop_pieces();
        let given_up = std::mem::take(&mut self.given_up);
        let (budget, moved) = (self.budget, self.moved);
        *self = Self { from, transfer, next: u32::MAX, given_up, budget, moved, ..Self::default() };
    }

    /// Forgets everything staged, but for the fork that was found: the same sender begins anew.
    pub(in crate::protocol) fn start_over(&mut self) {
        let fork = self.fork;
        self.clear();
        self.fork = fork;
    }

    fn drop_pieces(&mut self) {
        self.records = Vec::new();
        self.waiting.clear();
        self.is_under_way = false;
        let loading = std::mem::take(&mut self.loading);
        if loading.allocated_bytes() > 0 {
            self.given_up.push(loading);
        }
    }

    /// Takes what was loaded in vain.
    pub(in crate::protocol) fn take_given_up(&mut self) -> Vec<Loading> {
        std::mem::take(&mut self.given_up)
    }

    /// The tail past `at` has been named from `position`: a batch from `at` repairs it.
    pub(in crate::protocol) fn forked(&mut self, at: Position, position: Position) {
        self.fork = Some((at, position));
    }

    /// The fork that was found while `held` was held.
    pub(in crate::protocol) fn fork_from(&self, held: Position) -> Option<Position> {
        self.fork.filter(|(_, position)| *position == held).map(|(at, _)| at)
    }

    /// The position to which a batch from `from` applies, given that `held` is held.
    pub(in crate::protocol) fn base(
        &self,
        from: Option<Position>,
        held: Position,
    ) -> Option<Position> {
        match (from, self.fork) {
            (Some(from), Some((at, position))) if from == at && position == held => Some(held),
            (from, _) => from,
        }
    }

    /// The progress of the transfer under way, if it takes more than one piece.
    pub(in crate::protocol) fn progress(&self) -> Option<CatchUp> {
        let (received, total) = (self.received, self.total);
        let is_full = self.batch_from.is_none();
        self.is_under_way.then_some(CatchUp { received, total, is_full })
    }

    /// Memory of what is staged, in bytes.
    #[cfg(test)]
    pub(in crate::protocol) fn bytes(&self) -> usize {
        let waiting = self.waiting.iter().map(|piece| &piece.records);
        let packed: usize =
            waiting.chain(&self.records).map(|records| records.packed().len()).sum();
        packed + self.loading.allocated_bytes()
    }

    /// Cells moved with this input.
    #[cfg(test)]
    pub(in crate::protocol) fn moved(&self) -> usize {
        self.moved
    }

    /// Returns true if so many pieces wait to be loaded that the sender has not kept to its window.
    pub(in crate::protocol) fn is_flooded(&self, window: usize) -> bool {
        self.waiting.len() > window
    }

    /// Whose pieces are staged.
    pub(in crate::protocol) fn sender(&self) -> Option<&PeerStart> {
        self.from.as_ref()
    }

    /// Stages a piece of `sender`. Its bytes are kept in any case if it is to be stored.
    pub(in crate::protocol) fn stage(
        &mut self,
        sender: &PeerStart,
        piece: Piece,
        is_stored: bool,
    ) -> Received {
        if piece.index == 0 {
            let is_older = self.from.as_ref() == Some(sender) && piece.transfer < self.transfer;
            let is_again = self.from.as_ref() == Some(sender) && piece.transfer == self.transfer;
            if is_older || is_again {
                return Received::Ignored;
            }
            self.drop_pieces();
            self.from = Some(sender.clone());
            self.transfer = piece.transfer;
            self.next = 0;
            self.batch_from = piece.from;
            (self.received, self.total) = (0, piece.total);
        } else if self.from.as_ref() != Some(sender) || piece.transfer != self.transfer {
            return Received::Ignored;
        }
        if piece.index > self.next && bug::is(Bug::PositionBeforeData) {
            self.next = piece.index;
        }
        if piece.index != self.next {
            return if piece.index < self.next { Received::Ignored } else { Received::Gap };
        }
        self.next += 1;
        self.received += piece.records.len() as u64;
        self.is_under_way = piece.end.is_none() || self.is_under_way;
        let Piece { index, records, end, digest, .. } = piece;
        if self.batch_from.is_none() {
            if is_stored {
                self.records.push(records.clone());
            }
            self.waiting.push_back(Waiting { index, records, end, digest });
            return Received::Queued;
        }
        self.records.push(records);
        match end {
            None => Received::Staged,
            Some(end) => Received::Complete(self.complete(end, digest)),
        }
    }

    /// About so many cells may be loaded with the next input.
    pub(in crate::protocol) fn begin_turn(&mut self, most: usize) {
        self.budget = most;
        self.moved = 0;
    }

    /// Loads pieces that have come, beside what `store` holds, as long as this turn's cells last.
    /// Ends with every piece.
    pub(in crate::protocol) fn load(&mut self, store: &Store, is_bounded: bool) -> Loaded {
        let Some(first) = self.waiting.front_mut() else { return Loaded::Idle };
        let budget = if is_bounded { self.budget } else { usize::MAX };
        if budget == 0 {
            return Loaded::Paused;
        }
        match store.load(&mut self.loading, &mut first.records, budget) {
            Ok(moved) => {
                self.budget = self.budget.saturating_sub(moved);
                self.moved += moved;
            }
            Err(_) => return Loaded::Failed,
        }
        if !first.records.is_empty() {
            return Loaded::Paused;
        }
        let (transfer, index) = (self.transfer, first.index);
        let (end, digest) = (first.end.take(), first.digest);
        self.waiting.pop_front();
        match end {
            None => Loaded::Staged { transfer, index },
            Some(end) => Loaded::Complete(self.complete(end, digest)),
        }
    }

    fn complete(&mut self, end: BatchEnd, digest: Option<Digest>) -> Box<Batch> {
        self.is_under_way = false;
        let (from, records) = (self.batch_from, std::mem::take(&mut self.records));
        let loaded = std::mem::take(&mut self.loading);
        let (received, pieces) = (self.received, self.next);
        Box::new(Batch { from, records, loaded, end, digest, received, pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Ballot, GroupTime, Incarnation, Lead, Sequence};
    use crate::record::Record;

    fn piece(transfer: u64, index: u32, is_last: bool) -> Piece {
        let position = Position { ballot: Ballot::NONE, sequence: Sequence(9) };
        let end = BatchEnd {
            position,
            group_time: GroupTime(0),
            lead: Lead::default(),
            expired_before: GroupTime(0),
            meta: None,
        };
        Piece {
            ballot: Ballot::NONE,
            transfer,
            index,
            from: Some(Position::BLANK),
            records: [Record { key: &[index as u8], value: None }].into_iter().collect(),
            end: is_last.then_some(end),
            total: 0,
            digest: None,
        }
    }

    #[test]
    fn a_batch_is_complete_with_its_last_piece_only() {
        let mut receiver = Receiver::default();
        let sender = PeerStart::new("a", Incarnation(1));
        assert!(matches!(receiver.stage(&sender, piece(1, 0, false), false), Received::Staged));
        assert!(matches!(receiver.stage(&sender, piece(1, 0, false), false), Received::Ignored));
        let Received::Complete(batch) = receiver.stage(&sender, piece(1, 1, true), false) else {
            panic!("the last piece completes the batch");
        };
        assert_eq!(batch.records.len(), 2);
    }

    #[test]
    fn a_missing_piece_makes_the_transfer_useless() {
        let mut receiver = Receiver::default();
        let sender = PeerStart::new("a", Incarnation(1));
        receiver.stage(&sender, piece(1, 0, false), false);
        assert!(matches!(receiver.stage(&sender, piece(1, 2, true), false), Received::Gap));
    }

    #[test]
    fn pieces_of_another_sender_or_transfer_do_not_mix() {
        let mut receiver = Receiver::default();
        let a = PeerStart::new("a", Incarnation(1));
        let b = PeerStart::new("b", Incarnation(1));
        receiver.stage(&a, piece(2, 0, false), false);
        assert!(matches!(receiver.stage(&b, piece(2, 1, true), false), Received::Ignored));
        assert!(matches!(receiver.stage(&a, piece(1, 1, true), false), Received::Ignored));
    }
}
