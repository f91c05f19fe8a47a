//! What the other site does not hold yet of a reign (docs/protocol.md, section 16, rule 16).

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, MemberId, Sequence};

/// How much of a reign most of the peers that are listed of the other site hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backed {
    /// The cut that they hold.
    pub sequence: Sequence,
    /// Units that the reign had decided up to that, or fewer.
    pub units: u128,
    /// Whatever was decided until then they hold.
    pub as_of: GroupTime,
}

/// What each peer that is listed of the other site is known to hold, whether it is linked now or
/// not: what was decided past that would be lost if the other site decided from now on.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Exposure {
    held: BTreeMap<MemberId, Backed>,
    /// Cuts of this reign, now and then: what was decided up to each, oldest first.
    marks: VecDeque<Backed>,
    /// The least time between two of them, in nanoseconds: it grows as the reign does not move on
    /// at the other site.
    pace: u64,
}

/// Cuts remembered.
const MAX_MARKS: usize = 512;
/// The least time between two of them, at first.
const FIRST_PACE: u64 = 1_000_000;

impl Exposure {
    /// Remembers a cut of this reign.
    pub(in crate::protocol) fn mark(&mut self, cut: Backed) {
        self.pace = self.pace.max(FIRST_PACE);
        let last = self.marks.back();
        if last.is_some_and(|last| cut.as_of.0 < last.as_of.0.saturating_add(self.pace)) {
            return;
        }
        if self.marks.len() == MAX_MARKS {
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.pace = self.pace.saturating_mul(2);
        }
        self.marks.push_back(cut);
    }

    /// What is remembered of a cut, or of the last one before it.
    pub(in crate::protocol) fn marked(&self, cut: Sequence) -> Backed {
        let next = self.marks.partition_point(|mark| mark.sequence <= cut);
        let last = next.checked_sub(1).and_then(|last| self.marks.get(last)).copied();
        Backed { sequence: cut, ..last.unwrap_or_default() }
    }

    /// Forgets cuts that most of the other site are past.
    fn forget_before(&mut self, cut: Sequence) {
        while self.marks.get(1).is_some_and(|second| second.sequence <= cut) {
            self.marks.pop_front();
        }
        if self.marks.len() < MAX_MARKS / 4 {
            self.pace = FIRST_PACE;
        }
    }

    /// Notes what a peer holds.
    pub(in crate::protocol) fn note(&mut self, id: MemberId, held: Backed) {
        let known = self.held.entry(id).or_default();
        known.sequence = held.sequence;
        // Of a cut that is no longer remembered less is known than of one before it.
        known.units = known.units.max(held.units);
        known.as_of = known.as_of.max(held.as_of);
    }

    /// The cut that a peer is known to hold.
    pub(in crate::protocol) fn sequence_of(&self, id: MemberId) -> Sequence {
        self.held.get(&id).map(|held| held.sequence).unwrap_or_default()
    }

    /// What most of the listed hold, of whom those without an id hold nothing; `None` if they hold
    /// nothing of this reign.
    pub(in crate::protocol) fn backed(&self, listed: &[Option<MemberId>]) -> Option<Backed> {
        let of = |id: &Option<MemberId>| id.and_then(|id| self.held.get(&id)).copied();
        let mut held: Vec<Backed> = listed.iter().map(|id| of(id).unwrap_or_default()).collect();
        held.sort_by_key(|held| Reverse(held.sequence));
        let most = if bug::is(Bug::OneIsBacking) { 0 } else { listed.len() / 2 };
        held.get(most).filter(|held| held.sequence > Sequence(0)).copied()
    }

    /// Forgets whoever is not listed any more, and what nobody of the others has to be told of.
    pub(in crate::protocol) fn retain(&mut self, is_listed: impl Fn(MemberId) -> bool) {
        self.held.retain(|id, _| is_listed(*id));
        let least = self.held.values().map(|held| held.sequence).min();
        self.forget_before(least.unwrap_or_default());
    }

    /// Notes that nothing was decided past a cut until then.
    pub(in crate::protocol) fn note_nothing_past(&mut self, cut: Sequence, until: GroupTime) {
        let holders = self.held.values_mut().filter(|held| held.sequence >= cut);
        holders.for_each(|held| held.as_of = held.as_of.max(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backed(sequence: u64, units: u128, as_of: u64) -> Backed {
        Backed { sequence: Sequence(sequence), units, as_of: GroupTime(as_of) }
    }

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    #[test]
    fn most_of_those_that_are_listed_have_to_hold_it() {
        let mut exposure = Exposure::default();
        assert_eq!(exposure.backed(&[]), None);
        assert_eq!(exposure.backed(&[Some(A)]), None);
        exposure.note(A, backed(20, 7, 200));
        assert_eq!(exposure.backed(&[Some(A)]), Some(backed(20, 7, 200)));
        assert_eq!(exposure.backed(&[Some(A), None]), None);
        assert_eq!(exposure.backed(&[Some(A), Some(B), None]), None);
        exposure.note(B, backed(10, 3, 100));
        assert_eq!(exposure.backed(&[Some(A), Some(B)]), Some(backed(10, 3, 100)));
        assert_eq!(exposure.backed(&[Some(A), Some(B), None]), Some(backed(10, 3, 100)));
    }

    #[test]
    fn of_a_cut_that_is_forgotten_the_one_before_it_is_known() {
        let mut exposure = Exposure::default();
        exposure.note(A, backed(10, 5, 100));
        exposure.note(A, backed(20, 0, 0));
        assert_eq!(exposure.backed(&[Some(A)]), Some(backed(20, 5, 100)));
    }

    #[test]
    fn while_nothing_is_decided_whoever_holds_everything_holds_what_is_newest() {
        let mut exposure = Exposure::default();
        exposure.note(A, backed(10, 5, 100));
        exposure.note(B, backed(9, 4, 90));
        exposure.note_nothing_past(Sequence(10), GroupTime(900));
        assert_eq!(exposure.backed(&[Some(A)]), Some(backed(10, 5, 900)));
        assert_eq!(exposure.backed(&[Some(B)]), Some(backed(9, 4, 90)));
    }

    #[test]
    fn cuts_are_remembered_for_as_long_as_nobody_holds_them() {
        let mut exposure = Exposure::default();
        let ms = |at: u64| at * 1_000_000;
        for at in 1..=100_000 {
            exposure.mark(backed(at, at.into(), ms(at)));
        }
        assert!(exposure.marks.len() <= MAX_MARKS, "{}", exposure.marks.len());
        assert_eq!(exposure.marked(Sequence(0)), backed(0, 0, 0));
        for held in [1, 700, 50_000, 99_999] {
            let marked = exposure.marked(Sequence(held));
            assert_eq!(marked.sequence, Sequence(held));
            assert!(marked.units <= held.into(), "no more than was decided: {marked:?}");
            let apart = held - u64::try_from(marked.units).expect("it is no more");
            assert!(apart <= 100_000 / (MAX_MARKS as u64 / 4), "{apart} of {held}");
        }
        exposure.note(A, backed(99_999, 99_999, ms(99_999)));
        exposure.retain(|id| id == A);
        assert!(exposure.marks.len() < 3 && exposure.pace == FIRST_PACE, "{exposure:?}");
    }
}
