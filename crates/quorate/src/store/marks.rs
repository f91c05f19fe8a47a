//! What is remembered of past cuts: how much was decided up to each, and at what group time.

use std::collections::VecDeque;

use crate::base::id::{GroupTime, Sequence};

/// Cuts remembered.
const MAX_MARKS: usize = 1024;

/// A cut held at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    /// Units decided in this store's own reigns up to here.
    pub(super) units: u128,
    pub(super) group_time: GroupTime,
}

/// The last cuts, in order.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    /// Units of earlier reigns of this store.
    units_before: u128,
}

impl Marks {
    /// Counts what follows towards a new reign; returns the units of those before.
    pub(super) fn begin_reign(&mut self) -> u128 {
        self.units_before = self.units();
        self.units_before
    }

    pub(super) fn units_before(&self) -> u128 {
        self.units_before
    }

    pub(super) fn push(&mut self, mark: Mark) {
        while self.marks.back().is_some_and(|last| last.sequence >= mark.sequence) {
            self.marks.pop_back();
        }
        if self.marks.len() == MAX_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Units up to and including `sequence`; `None` if that is not known exactly.
    pub(super) fn units_at(&self, sequence: Sequence) -> Option<u128> {
        let next = self.marks.partition_point(|mark| mark.sequence <= sequence.0);
        let before = self.marks.get(next.checked_sub(1)?)?;
        // Between two cuts only a stretch without units is known.
        let is_exact = before.sequence == sequence.0
            || self.marks.get(next).is_none_or(|after| after.units == before.units);
        is_exact.then_some(before.units)
    }

    /// Units up to the newest cut.
    pub(super) fn units(&self) -> u128 {
        self.marks.back().map_or(0, |last| last.units)
    }

    /// A group time that was not after that of the cut at `sequence`.
    pub(super) fn group_time_at(&self, sequence: Sequence) -> Option<GroupTime> {
        let next = self.marks.partition_point(|mark| mark.sequence <= sequence.0);
        self.marks.get(next.checked_sub(1)?).map(|mark| mark.group_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sequence: u64, units: u128) -> Mark {
        Mark { sequence, units, group_time: GroupTime(sequence * 10) }
    }

    #[test]
    fn units_are_known_at_cuts_and_where_nothing_was_decided() {
        let mut marks = Marks::default();
        for (sequence, units) in [(10, 0), (20, 5), (30, 5), (40, 9)] {
            marks.push(mark(sequence, units));
        }
        let known = |at| marks.units_at(Sequence(at));
        assert_eq!(known(9), None);
        assert_eq!(known(10), Some(0));
        assert_eq!(known(15), None);
        assert_eq!(known(20), Some(5));
        assert_eq!(known(25), Some(5));
        assert_eq!(known(35), None);
        assert_eq!(known(99), Some(9));
        assert_eq!(marks.group_time_at(Sequence(25)), Some(GroupTime(200)));
    }

    #[test]
    fn an_older_cut_replaces_those_of_an_abandoned_history() {
        let mut marks = Marks::default();
        for (sequence, units) in [(10, 0), (20, 5), (30, 6), (20, 1)] {
            marks.push(mark(sequence, units));
        }
        assert_eq!(marks.units(), 1);
        assert_eq!(marks.units_at(Sequence(10)), Some(0));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut marks = Marks::default();
        (1..=MAX_MARKS as u64 + 1).for_each(|at| marks.push(mark(at, at.into())));
        assert_eq!(marks.units_at(Sequence(1)), None);
        assert_eq!(marks.units_at(Sequence(2)), Some(2));
    }
}
