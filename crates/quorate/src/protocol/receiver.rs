//! What is on its way to this peer: pieces are staged and applied whole
//! (docs/protocol.md, section 3).

use serde::Serialize;

use crate::bug::{self, Bug};
use crate::id::{Incarnation, PeerName, Position};
use crate::protocol::message::{BatchEnd, Piece};
use crate::record::Records;
use crate::store::Digest;

/// Staged pieces of one transfer of one sender.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    from: Option<(PeerName, Incarnation)>,
    transfer: u64,
    next: u32,
    batch_from: Option<Position>,
    records: Vec<Records>,
    received: u64,
    total: u64,
    /// The fork that this peer has named its tail for, and where it stood then.
    fork: Option<(Position, Position)>,
}

/// What a piece led to.
#[derive(Debug)]
pub(super) enum Received {
    /// A duplicate, or part of a transfer that was given up: nothing to do.
    Ignored,
    /// A piece is missing: the transfer cannot be used.
    Gap,
    /// The piece is staged, and more are to come.
    Staged,
    /// All pieces are here.
    Complete(Box<Batch>),
}

/// All pieces of a transfer.
#[derive(Debug)]
pub(super) struct Batch {
    /// Where it starts from; `None` if it replaces everything.
    pub(super) from: Option<Position>,
    pub(super) records: Vec<Records>,
    /// What the state becomes.
    pub(super) end: BatchEnd,
    /// What it is to be then, where it is compared.
    pub(super) digest: Option<Digest>,
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
    pub(super) fn clear(&mut self) {
        let (from, transfer) = (self.from.take(), self.transfer);
        *self = Self { from, transfer, next: u32::MAX, ..Self::default() };
    }

    /// Forgets everything staged, but for the fork that was found: the same sender begins anew.
    pub(super) fn start_over(&mut self) {
        let fork = self.fork;
        self.clear();
        self.fork = fork;
    }

    /// The tail past `at` has been named from `position`: a batch from `at` repairs it.
    pub(super) fn forked(&mut self, at: Position, position: Position) {
        self.fork = Some((at, position));
    }

    /// The fork that was found while `held` was held.
    pub(super) fn fork_from(&self, held: Position) -> Option<Position> {
        self.fork.filter(|(_, position)| *position == held).map(|(at, _)| at)
    }

    /// The position to which a batch from `from` applies, given that `held` is held.
    pub(super) fn base(&self, from: Option<Position>, held: Position) -> Option<Position> {
        match (from, self.fork) {
            (Some(from), Some((at, position))) if from == at && position == held => Some(held),
            (from, _) => from,
        }
    }

    /// How far the transfer under way is, if it takes more than one piece.
    pub(super) fn progress(&self) -> Option<CatchUp> {
        let (received, total) = (self.received, self.total);
        let is_full = self.batch_from.is_none();
        (!self.records.is_empty()).then_some(CatchUp { received, total, is_full })
    }

    /// Stages a piece of `sender`.
    pub(super) fn stage(&mut self, sender: &(PeerName, Incarnation), piece: Piece) -> Received {
        if piece.index == 0 {
            let is_older = self.from.as_ref() == Some(sender) && piece.transfer < self.transfer;
            let is_again = self.from.as_ref() == Some(sender) && piece.transfer == self.transfer;
            if is_older || is_again {
                return Received::Ignored;
            }
            self.from = Some(sender.clone());
            self.transfer = piece.transfer;
            self.next = 0;
            self.batch_from = piece.from;
            self.records = Vec::new();
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
        self.records.push(piece.records);
        match piece.end {
            None => Received::Staged,
            Some(end) => {
                let (from, records) = (self.batch_from, std::mem::take(&mut self.records));
                Received::Complete(Box::new(Batch { from, records, end, digest: piece.digest }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Ballot, GroupTime, Lead, Sequence};
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
            from: None,
            records: [Record { key: &[index as u8], value: None }].into_iter().collect(),
            end: is_last.then_some(end),
            total: 0,
            digest: None,
        }
    }

    #[test]
    fn a_batch_is_complete_with_its_last_piece_only() {
        let mut receiver = Receiver::default();
        let sender = ("a".into(), Incarnation(1));
        assert!(matches!(receiver.stage(&sender, piece(1, 0, false)), Received::Staged));
        assert!(matches!(receiver.stage(&sender, piece(1, 0, false)), Received::Ignored));
        let Received::Complete(batch) = receiver.stage(&sender, piece(1, 1, true)) else {
            panic!("the last piece completes the batch");
        };
        assert_eq!(batch.records.len(), 2);
    }

    #[test]
    fn a_missing_piece_makes_the_transfer_useless() {
        let mut receiver = Receiver::default();
        let sender = ("a".into(), Incarnation(1));
        receiver.stage(&sender, piece(1, 0, false));
        assert!(matches!(receiver.stage(&sender, piece(1, 2, true)), Received::Gap));
    }

    #[test]
    fn pieces_of_another_sender_or_transfer_do_not_mix() {
        let mut receiver = Receiver::default();
        let (a, b) = (("a".into(), Incarnation(1)), ("b".into(), Incarnation(1)));
        receiver.stage(&a, piece(2, 0, false));
        assert!(matches!(receiver.stage(&b, piece(2, 1, true)), Received::Ignored));
        assert!(matches!(receiver.stage(&a, piece(1, 1, true)), Received::Ignored));
    }
}
