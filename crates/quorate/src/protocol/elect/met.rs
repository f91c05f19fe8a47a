//! Peers that were met lately, hold data or may hold some, and cannot be linked with
//! (docs/protocol.md, section 6, rule 4).

use std::time::Duration;

use crate::base::id::{Position, Time};

/// Positions remembered. Only as many peers can be met as have a name, and of each the last counts;
/// beyond that the lowest is forgotten first.
const MAX_POSITIONS: usize = 16;

/// What was met, and until when it counts as there.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Met {
    /// Lower and lower ones, each of which counts for longer than the one before: whoever is passed
    /// over by the one is passed over by all before it.
    holders: Vec<(Position, Time)>,
}

impl Met {
    /// Notes one that holds this position; what it holds may be unknown, which is blank here.
    pub(in crate::protocol) fn note(&mut self, position: Position, now: Time, until: Time) {
        self.holders.retain(|(held, last)| *last > now && *held > position);
        self.holders.push((position, until));
        if self.holders.len() > MAX_POSITIONS {
            self.holders.pop();
        }
    }

    /// The time until which one counts as there that a founding from `position` would pass over:
    /// one that holds more, or of whose data nothing is known where there are none here.
    pub(in crate::protocol) fn bars_until(&self, position: Position, now: Time) -> Option<Time> {
        let is_passed_over = |held: &Position| position.is_blank() || *held > position;
        let barring = self.holders.iter().filter(|(held, _)| is_passed_over(held));
        barring.map(|(_, until)| *until).filter(|until| now < *until).max()
    }

    /// Takes a silence that was this peer's own fault off their account.
    pub(in crate::protocol) fn excuse(&mut self, gap: Duration) {
        self.holders.iter_mut().for_each(|(_, until)| *until = until.after(gap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Ballot, Generation, Sequence, Term};

    fn at(sequence: u64) -> Position {
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
        Position { ballot, sequence: Sequence(sequence) }
    }

    #[test]
    fn each_counts_for_its_own_time() {
        let mut met = Met::default();
        let until = |met: &Met, position, now| met.bars_until(position, Time(now)).map(|t| t.0);
        assert_eq!(until(&met, Position::BLANK, 0), None);
        met.note(at(9), Time(0), Time(10));
        met.note(at(5), Time(4), Time(14));
        met.note(Position::BLANK, Time(6), Time(16));
        assert_eq!(until(&met, at(9), 0), None, "nothing is passed over");
        assert_eq!(until(&met, at(8), 9), Some(10), "by the one that holds more, and no longer");
        assert_eq!(until(&met, at(8), 10), None);
        assert_eq!(until(&met, at(4), 10), Some(14));
        assert_eq!(until(&met, Position::BLANK, 15), Some(16), "it may hold some");
        assert_eq!(until(&met, Position::BLANK, 16), None);
        met.excuse(Duration::from_nanos(3));
        assert_eq!(until(&met, at(8), 12), Some(13));
        met.note(at(9), Time(12), Time(22));
        assert_eq!(until(&met, at(4), 21), Some(22));
        assert_eq!(met.holders.len(), 1, "the later covers what is lower");
    }

    #[test]
    fn it_has_a_bound() {
        let mut met = Met::default();
        (0..100).for_each(|n| met.note(at(100 - n), Time(n), Time(n + 1000)));
        assert_eq!(met.holders.len(), MAX_POSITIONS);
        assert_eq!(met.bars_until(at(99), Time(100)), Some(Time(1000)), "the highest is kept");
    }
}
