//! The fill of this peer's store: told once when it comes near a bound, and once when it is there.

use parking_lot::Mutex;
use serde::Serialize;

use crate::base::event::Event;
use crate::store::{CELL_BYTES, Usage};

/// The share of a bound from which on a store is nearly full, in percent.
const NEAR: u128 = 80;
/// Below this share of both it has room again, and the next time is told.
const ROOMY: u128 = 70;
/// A full store is not full any more below this share of both.
const NOT_FULL: u128 = 90;

/// The fill of a store, by whichever of its bounds is nearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fill {
    /// A bound is reached: operations on new keys are refused, until less than 90 % are taken.
    Full,
    /// At least 80 % of a bound are taken, and since then no less than 70 %.
    Nearly,
    /// There is room.
    #[default]
    Roomy,
}

/// The fill that was seen last.
#[derive(Debug, Default)]
pub(in crate::driver) struct FillWatch {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    fill: Fill,
    refused: u64,
}

impl FillWatch {
    pub(in crate::driver) fn fill(&self) -> Fill {
        self.seen.lock().fill
    }

    /// The fill as it is now; the next look tells of it.
    pub(in crate::driver) fn fill_of(&self, usage: &Usage) -> Fill {
        let seen = self.seen.lock();
        next(seen.fill, usage, usage.refused > seen.refused)
    }

    /// Looks at the fill; returns the event if it has become fuller by a step.
    pub(in crate::driver) fn look(&self, usage: Usage) -> Option<Event> {
        let mut seen = self.seen.lock();
        let before = seen.fill;
        let has_refused = usage.refused > seen.refused;
        *seen = Seen { fill: next(before, &usage, has_refused), refused: usage.refused };
        let Usage { cells, max_cells, bytes, max_bytes, .. } = usage;
        match (before, seen.fill) {
            (Fill::Roomy | Fill::Nearly, Fill::Full) => {
                Some(Event::StoreFull { cells, max_cells, bytes, max_bytes })
            }
            (Fill::Roomy, Fill::Nearly) => {
                Some(Event::StoreNearlyFull { cells, max_cells, bytes, max_bytes })
            }
            _ => None,
        }
    }
}

fn next(before: Fill, usage: &Usage, has_refused: bool) -> Fill {
    let Usage { cells, max_cells, bytes, max_bytes, .. } = *usage;
    // Not even the smallest cell has room.
    let is_full = cells >= max_cells || bytes.saturating_add(CELL_BYTES) > max_bytes;
    if is_full || has_refused || (before == Fill::Full && reaches(usage, NOT_FULL)) {
        Fill::Full
    } else if reaches(usage, NEAR) || (before != Fill::Roomy && reaches(usage, ROOMY)) {
        Fill::Nearly
    } else {
        Fill::Roomy
    }
}

/// Returns true if so many hundredths of either bound are taken.
fn reaches(usage: &Usage, hundredths: u128) -> bool {
    let of_cells = usage.cells as u128 * 100 >= usage.max_cells as u128 * hundredths;
    let of_bytes = usage.bytes as u128 * 100 >= usage.max_bytes as u128 * hundredths;
    of_cells || of_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cells: usize, bytes: usize) -> Usage {
        Usage { cells, max_cells: 100, bytes, max_bytes: 100_000, refused: 0 }
    }

    /// What is told of a number of cells, one after the other: `n` for nearly full, `f` for full.
    fn told(cells: &[usize]) -> String {
        let watch = FillWatch::default();
        let told = cells.iter().map(|&cells| match watch.look(usage(cells, 0)) {
            Some(Event::StoreNearlyFull { .. }) => 'n',
            Some(Event::StoreFull { .. }) => 'f',
            Some(event) => panic!("not of this kind: {event:?}"),
            None => '.',
        });
        told.collect()
    }

    #[test]
    fn whoever_asks_sees_the_fill_as_it_is_and_it_is_told_all_the_same() {
        let watch = FillWatch::default();
        assert_eq!(watch.fill_of(&usage(100, 0)), Fill::Full);
        assert_eq!(watch.fill_of(&usage(80, 0)), Fill::Nearly);
        assert_eq!(watch.fill_of(&usage(0, 0)), Fill::Roomy);
        assert!(watch.look(usage(100, 0)).is_some());
    }

    #[test]
    fn each_crossing_is_told_once() {
        assert_eq!(told(&[79, 80, 81, 79, 80, 70, 85]), ".n.....");
        assert_eq!(told(&[80, 69, 80, 69]), "n.n.");
        assert_eq!(told(&[80, 99, 100, 100, 91, 100, 89, 100]), "n.f....f");
        assert_eq!(told(&[100, 85, 70, 69, 100]), "f...f", "once is enough where both are crossed");
    }

    #[test]
    fn bytes_count_as_cells_do() {
        let watch = FillWatch::default();
        assert_eq!(watch.look(usage(1, 79_999)), None);
        let near =
            Event::StoreNearlyFull { cells: 1, max_cells: 100, bytes: 80_000, max_bytes: 100_000 };
        assert_eq!(watch.look(usage(1, 80_000)), Some(near));
        let full = watch.look(usage(1, 100_000 - CELL_BYTES + 1));
        assert!(matches!(full, Some(Event::StoreFull { .. })));
        assert_eq!(watch.fill(), Fill::Full);
    }

    /// A key that is longer than the room that is left, or an operation on many keys.
    #[test]
    fn whoever_was_refused_for_room_has_found_a_full_store() {
        let watch = FillWatch::default();
        let full = watch.look(Usage { refused: 3, ..usage(50, 0) });
        assert!(matches!(full, Some(Event::StoreFull { .. })));
        assert_eq!(watch.look(Usage { refused: 3, ..usage(50, 0) }), None);
        assert_eq!(watch.fill(), Fill::Roomy);
    }

    #[test]
    fn the_largest_bounds_do_not_overflow() {
        let watch = FillWatch::default();
        let max_cells = usize::MAX;
        let max_bytes = usize::MAX;
        let most = Usage { cells: max_cells / 2, max_cells, bytes: 0, max_bytes, refused: 0 };
        assert_eq!(watch.look(most), None);
        assert!(watch.look(Usage { bytes: max_bytes, ..most }).is_some());
    }
}
