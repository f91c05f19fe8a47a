//! What is remembered of past cuts: how much was decided up to each, and at what group time.

use std::collections::VecDeque;

use crate::base::id::{GroupTime, Sequence};

/// Cuts remembered.
const MAX_CUTS: usize = 1024;

/// A cut held at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PastCut {
    pub(super) sequence: u64,
    /// Units decided in this store's own reigns up to here.
    pub(super) units: u128,
    pub(super) group_time: GroupTime,
}

/// The last cuts, in order.
#[derive(Debug, Default)]
pub(super) struct PastCuts {
    cuts: VecDeque<PastCut>,
    /// Units of earlier reigns of this store.
    units_before: u128,
    /// Units of this store's own reigns, up to the last cut that a majority is known to hold.
    units_held: u128,
}

impl PastCuts {
    /// Counts what follows towards a new reign; returns the units of those before.
    pub(super) fn begin_reign(&mut self) -> u128 {
        self.units_before = self.units();
        self.units_before
    }

    pub(super) fn units_before(&self) -> u128 {
        self.units_before
    }

    /// Notes that a majority holds so many units of this store's own reigns.
    pub(super) fn note_held(&mut self, units: u128) {
        self.units_held = self.units_held.max(units);
    }

    pub(super) fn units_held(&self) -> u128 {
        self.units_held
    }

    pub(super) fn push(&mut self, cut: PastCut) {
        while self.cuts.back().is_some_and(|last| last.sequence >= cut.sequence) {
            self.cuts.pop_back();
        }
        // Of an abandoned history nothing is held here any more.
        self.units_held = self.units_held.min(cut.units);
        if self.cuts.len() == MAX_CUTS {
            self.cuts.pop_front();
        }
        self.cuts.push_back(cut);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Units up to and including `sequence`; `None` if that is not known exactly.
    pub(super) fn units_at(&self, sequence: Sequence) -> Option<u128> {
        let next = self.cuts.partition_point(|cut| cut.sequence <= sequence.0);
        let before = self.cuts.get(next.checked_sub(1)?)?;
        // Between two cuts only a stretch without units is known.
        let is_exact = before.sequence == sequence.0
            || self.cuts.get(next).is_none_or(|after| after.units == before.units);
        is_exact.then_some(before.units)
    }

    /// Units up to the newest cut.
    pub(super) fn units(&self) -> u128 {
        self.cuts.back().map_or(0, |last| last.units)
    }

    /// A group time that was not after that of the cut at `sequence`.
    pub(super) fn group_time_at(&self, sequence: Sequence) -> Option<GroupTime> {
        let next = self.cuts.partition_point(|cut| cut.sequence <= sequence.0);
        self.cuts.get(next.checked_sub(1)?).map(|cut| cut.group_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(sequence: u64, units: u128) -> PastCut {
        PastCut { sequence, units, group_time: GroupTime(sequence * 10) }
    }

    #[test]
    fn units_are_known_at_cuts_and_where_nothing_was_decided() {
        let mut past_cuts = PastCuts::default();
        for (sequence, units) in [(10, 0), (20, 5), (30, 5), (40, 9)] {
            past_cuts.push(cut(sequence, units));
        }
        let known = |at| past_cuts.units_at(Sequence(at));
        assert_eq!(known(9), None);
        assert_eq!(known(10), Some(0));
        assert_eq!(known(15), None);
        assert_eq!(known(20), Some(5));
        assert_eq!(known(25), Some(5));
        assert_eq!(known(35), None);
        assert_eq!(known(99), Some(9));
        assert_eq!(past_cuts.group_time_at(Sequence(25)), Some(GroupTime(200)));
    }

    #[test]
    fn an_older_cut_replaces_those_of_an_abandoned_history() {
        let mut past_cuts = PastCuts::default();
        for (sequence, units) in [(10, 0), (20, 5), (30, 6), (20, 1)] {
            past_cuts.push(cut(sequence, units));
        }
        assert_eq!(past_cuts.units(), 1);
        assert_eq!(past_cuts.units_at(Sequence(10)), Some(0));
    }

    #[test]
    fn what_a_majority_held_of_an_abandoned_history_counts_for_nothing() {
        let mut past_cuts = PastCuts::default();
        past_cuts.push(cut(10, 0));
        past_cuts.push(cut(20, 10));
        past_cuts.note_held(10);
        past_cuts.push(cut(15, 2));
        past_cuts.push(cut(30, 9));
        assert_eq!(past_cuts.units() - past_cuts.units_held(), 7);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut past_cuts = PastCuts::default();
        (1..=MAX_CUTS as u64 + 1).for_each(|at| past_cuts.push(cut(at, at.into())));
        assert_eq!(past_cuts.units_at(Sequence(1)), None);
        assert_eq!(past_cuts.units_at(Sequence(2)), Some(2));
    }
}
