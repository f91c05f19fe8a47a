//! Callers that wait until their change may be answered, in the order of changes.

use std::collections::VecDeque;

use crate::base::id::{Ballot, Position};

/// A queue of waiting `T`, nearly in order of position when they come: callers come from several
/// threads.
#[derive(Debug)]
pub struct CommitQueue<T> {
    waiting: VecDeque<(Position, T)>,
}

impl<T> Default for CommitQueue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> CommitQueue<T> {
    /// Adds one that waits for `position`.
    pub fn push(&mut self, position: Position, waiting: T) {
        let later = self.waiting.iter().rev().take_while(|(other, _)| *other > position).count();
        let index = self.waiting.len() - later;
        self.waiting.insert(index, (position, waiting));
    }

    /// Takes the first one if `answerable` covers its position.
    pub fn pop_covered(&mut self, answerable: Position) -> Option<T> {
        self.pop_if(|position| answerable.covers(position))
    }

    /// Takes the first one if its change was decided in an older reign than `newest`: it will not
    /// be known any more whether a majority holds it.
    pub fn pop_past(&mut self, newest: Ballot) -> Option<T> {
        self.pop_if(|position| newest > position.ballot)
    }

    fn pop_if(&mut self, is_due: impl FnOnce(Position) -> bool) -> Option<T> {
        let &(position, _) = self.waiting.front()?;
        if is_due(position) { self.waiting.pop_front().map(|(_, waiting)| waiting) } else { None }
    }

    /// Takes out the one that waits for `position` and is `wanted`, if it is there.
    pub fn remove(&mut self, position: Position, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let from = self.waiting.partition_point(|(other, _)| *other < position);
        let found = self.waiting.range(from..).position(|(_, waiting)| wanted(waiting))?;
        self.waiting.remove(from + found).map(|(_, waiting)| waiting)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Generation, Sequence, Term};

    fn at(term: u64, sequence: u64) -> Position {
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(term) };
        Position { ballot, sequence: Sequence(sequence) }
    }

    #[test]
    fn callers_are_answered_in_the_order_of_changes() {
        let mut queue = CommitQueue::default();
        for sequence in [1, 3, 2, 5] {
            queue.push(at(1, sequence), sequence);
        }
        assert_eq!(queue.remove(at(1, 5), |waiting| *waiting == 5), Some(5));
        assert_eq!(queue.remove(at(1, 5), |waiting| *waiting == 5), None);
        assert_eq!(queue.pop_covered(at(1, 2)), Some(1));
        assert_eq!(queue.pop_covered(at(1, 2)), Some(2));
        assert_eq!(queue.pop_covered(at(1, 2)), None);
        assert_eq!(queue.pop_covered(at(2, 9)), None, "another reign says nothing of this one");
        assert_eq!(queue.pop_past(at(1, 0).ballot), None);
        assert_eq!(queue.pop_past(at(2, 0).ballot), Some(3));
    }
}
