//! What a peer in memory remembers of what it has acknowledged (docs/protocol.md, section 13.9).

use std::time::Duration;

use crate::base::id::{PeerStart, Position, Sequence, Time};
use crate::store::EPOCH;

/// How far ahead the bound is saved, in sequences: some thousand cuts.
const BLOCK: u64 = 4_096 * EPOCH;

/// What a peer remembers of what it has acknowledged.
#[derive(Debug)]
pub(in crate::protocol) struct Acknowledged {
    /// What an earlier start may have acknowledged, as long as this one holds nothing that must
    /// contain it.
    remembered: Option<Position>,
    /// The bound that is to be saved.
    bound: Position,
    /// The last position acknowledged, or about to be, and when that was.
    last: Position,
    last_at: Time,
    /// A primary that is told of a position when the bound has been saved.
    held: Option<Acknowledgement>,
}

/// A position that is held, and the primary that is told so.
#[derive(Debug)]
pub(in crate::protocol) struct Acknowledgement {
    pub(in crate::protocol) to: PeerStart,
    pub(in crate::protocol) position: Position,
}

impl Acknowledged {
    /// `bound` is what was saved last.
    pub(in crate::protocol) fn new(bound: Position) -> Self {
        Self {
            remembered: Some(bound).filter(|bound| !bound.is_blank()),
            bound,
            last: bound,
            last_at: Time(0),
            held: None,
        }
    }

    /// The bound that is to be saved.
    pub(in crate::protocol) fn bound(&self) -> Position {
        self.bound
    }

    /// The position up to which an earlier start may have acknowledged, if no state held since
    /// contains it.
    pub(in crate::protocol) fn remembered(&self) -> Option<Position> {
        self.remembered
    }

    /// Drops what is remembered of this position's ballot and of older ones.
    pub(in crate::protocol) fn forget_remembered(&mut self, position: Position) {
        self.remembered.take_if(|old| position.ballot >= old.ballot);
    }

    /// Keeps a position that is told when the bound has been saved.
    pub(in crate::protocol) fn hold(&mut self, held: Acknowledgement) {
        self.held = Some(held);
    }

    /// The position that was kept, if what is saved covers it.
    pub(in crate::protocol) fn take_covered(
        &mut self,
        covered: Position,
    ) -> Option<Acknowledgement> {
        self.held.take_if(|held| held.position <= covered)
    }

    /// Drops what was to be said under an older ballot.
    pub(in crate::protocol) fn forget_answers(&mut self) {
        self.held = None;
    }

    /// Moves the bound ahead of a position that is to be acknowledged.
    pub(in crate::protocol) fn reserve(&mut self, position: Position, now: Time) {
        if position <= self.last && position <= self.bound {
            return;
        }
        if position > self.last {
            self.last = position;
            self.last_at = now;
        }
        let half = Sequence(position.sequence.0.saturating_add(BLOCK / 2));
        if (Position { sequence: half, ..position }) > self.bound {
            let ahead = Sequence(position.sequence.0.saturating_add(BLOCK));
            self.bound = Position { sequence: ahead, ..position };
        }
        debug_assert!(position <= self.bound, "what is acknowledged is within the bound");
    }

    /// Brings the bound back to what was acknowledged, where that has been all for `patience`.
    pub(in crate::protocol) fn settle(&mut self, now: Time, patience: Duration) {
        let is_quiet = now.since(self.last_at) >= patience && self.held.is_none();
        let is_known = self.remembered.is_none() && !self.last.is_blank();
        if is_quiet && is_known && self.last < self.bound {
            self.bound = self.last;
        }
    }
}
