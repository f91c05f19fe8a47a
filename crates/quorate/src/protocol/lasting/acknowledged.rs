//! What a peer in memory remembers of what it has acknowledged (docs/protocol.md, section 13.9).

use crate::base::id::{PeerStart, Position, Sequence, Time};
use crate::store::EPOCH;

/// What a peer remembers of what it has acknowledged.
#[derive(Debug)]
pub(in crate::protocol) struct Acknowledged {
    /// What an earlier start may have acknowledged, as long as this one holds nothing that must
    /// contain it.
    pub(in crate::protocol) remembered: Option<Position>,
    /// The bound that is to be saved.
    pub(in crate::protocol) bound: Position,
    /// The last position acknowledged, or about to be, and when that was.
    pub(in crate::protocol) last: Position,
    pub(in crate::protocol) last_at: Time,
    /// A primary that is told of a position when the bound has been saved.
    pub(in crate::protocol) held: Option<(PeerStart, Position)>,
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

    /// What was to be said under an older ballot is not said any more.
    pub(in crate::protocol) fn forget_answers(&mut self) {
        self.held = None;
    }

    /// This position is to be acknowledged: the bound is to be ahead of it.
    pub(in crate::protocol) fn reserve(&mut self, position: Position, now: Time) {
        if position <= self.last && position <= self.bound {
            return;
        }
        if position > self.last {
            (self.last, self.last_at) = (position, now);
        }
        let half = Sequence(position.sequence.0.saturating_add(BLOCK / 2));
        if (Position { sequence: half, ..position }) > self.bound {
            let ahead = Sequence(position.sequence.0.saturating_add(BLOCK));
            self.bound = Position { sequence: ahead, ..position };
        }
    }
}

/// How far ahead the bound is saved, in sequences: some thousand cuts.
pub(in crate::protocol) const BLOCK: u64 = 4_096 * EPOCH;
