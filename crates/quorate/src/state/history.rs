//! Histories: where two peers' states last were the same (docs/protocol.md, section 3.2).

use crate::base::id::{Ballot, Position, Sequence};

/// One reign in a peer's history: what comes after `after` was decided under `ballot`, up to where
/// the next entry takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The reign.
    pub ballot: Ballot,
    /// Where the reign took over: the sequence of the state that its primary had adopted.
    pub after: Sequence,
}

/// Reigns remembered: a follower whose last reign is older copies everything anew.
pub const MAX_HISTORY: usize = 64;

/// The way that a state has come: the reigns that led to it, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    reigns: &'a [Reign],
    end: Position,
}

impl<'a> History<'a> {
    /// The history of a state at `end` that `reigns` led to, oldest first.
    pub fn new(reigns: &'a [Reign], end: Position) -> Self {
        Self { reigns, end }
    }

    /// The last position that both histories contain; `None` if they share no reign.
    ///
    /// A reign has one primary, so two histories that contain it agree on it up to the point where
    /// the first of them leaves it. Sequences of different reigns are never compared.
    pub fn common_position(&self, other: &Self) -> Option<Position> {
        other.reigns.iter().enumerate().rev().find_map(|(other_index, reign)| {
            let own_index = self.reigns.iter().position(|own| own == reign)?;
            let sequence = self.end_of(own_index).min(other.end_of(other_index));
            Some(Position { ballot: reign.ballot, sequence })
        })
    }

    /// The last sequence of a reign that it contains: where the next reign took over from it.
    fn end_of(&self, index: usize) -> Sequence {
        self.reigns.get(index + 1).map_or(self.end.sequence, |next| next.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Generation, Term};

    fn ballot(term: u64) -> Ballot {
        Ballot { generation: Generation::from_bits(1), term: Term(term) }
    }

    fn history(reigns: &[(u64, u64)]) -> Vec<Reign> {
        reigns.iter().map(|&(t, s)| Reign { ballot: ballot(t), after: Sequence(s) }).collect()
    }

    fn at(term: u64, sequence: u64) -> Position {
        Position { ballot: ballot(term), sequence: Sequence(sequence) }
    }

    #[test]
    fn a_lagging_replica_is_common_where_it_stands() {
        let h = history(&[(1, 0)]);
        assert_eq!(
            History::new(&h, at(1, 90)).common_position(&History::new(&h, at(1, 50))),
            Some(at(1, 50))
        );
    }

    #[test]
    fn a_deposed_tail_forks_where_the_next_reign_took_over() {
        let ours = history(&[(1, 0), (2, 60)]);
        let theirs = history(&[(1, 0)]);
        // The old primary went on to 80 alone: larger than 60, and not common.
        assert_eq!(
            History::new(&ours, at(2, 90)).common_position(&History::new(&theirs, at(1, 80))),
            Some(at(1, 60))
        );
    }

    #[test]
    fn sequences_of_different_reigns_are_never_compared() {
        let ours = history(&[(1, 0), (3, 60)]);
        let theirs = history(&[(1, 0), (2, 40)]);
        assert_eq!(
            History::new(&ours, at(3, 70)).common_position(&History::new(&theirs, at(2, 99))),
            Some(at(1, 40))
        );
    }

    #[test]
    fn strangers_share_nothing() {
        let ours = history(&[(4, 0)]);
        let theirs = history(&[(2, 0)]);
        assert_eq!(
            History::new(&ours, at(4, 70)).common_position(&History::new(&theirs, at(2, 70))),
            None
        );
    }
}
