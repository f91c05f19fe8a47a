//! Histories: where two peers' states last were the same (docs/protocol.md, section 3.2).

use crate::id::{Position, Sequence};
use crate::protocol::message::Reign;

/// The last position that both histories contain; `None` if they share no reign.
///
/// A reign has one primary, so two histories that contain it agree on it up to the point where
/// the first of them leaves it. Sequences of different reigns are never compared.
pub(super) fn common_position(
    ours: (&[Reign], Position),
    theirs: (&[Reign], Position),
) -> Option<Position> {
    theirs.0.iter().enumerate().rev().find_map(|(their_index, reign)| {
        let our_index = ours.0.iter().position(|r| r == reign)?;
        let sequence = end_of(ours, our_index).min(end_of(theirs, their_index));
        Some(Position { ballot: reign.ballot, sequence })
    })
}

/// The last sequence of a reign that a history contains: where the next reign took over from it.
fn end_of((history, position): (&[Reign], Position), index: usize) -> Sequence {
    history.get(index + 1).map_or(position.sequence, |next| next.after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Ballot, Generation, Term};

    fn ballot(term: u64) -> Ballot {
        Ballot { generation: Generation(1), term: Term(term) }
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
        assert_eq!(common_position((&h, at(1, 90)), (&h, at(1, 50))), Some(at(1, 50)));
    }

    #[test]
    fn a_deposed_tail_forks_where_the_next_reign_took_over() {
        let ours = history(&[(1, 0), (2, 60)]);
        let theirs = history(&[(1, 0)]);
        // The old primary went on to 80 alone: larger than 60, and not common.
        assert_eq!(common_position((&ours, at(2, 90)), (&theirs, at(1, 80))), Some(at(1, 60)));
    }

    #[test]
    fn sequences_of_different_reigns_are_never_compared() {
        let ours = history(&[(1, 0), (3, 60)]);
        let theirs = history(&[(1, 0), (2, 40)]);
        assert_eq!(common_position((&ours, at(3, 70)), (&theirs, at(2, 99))), Some(at(1, 40)));
    }

    #[test]
    fn strangers_share_nothing() {
        let ours = history(&[(4, 0)]);
        let theirs = history(&[(2, 0)]);
        assert_eq!(common_position((&ours, at(4, 70)), (&theirs, at(2, 70))), None);
    }
}
