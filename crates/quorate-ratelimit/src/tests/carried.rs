//! Holds under a limit that is changed: reservations and permits survive it, under every rule by
//! which what was taken is carried over, and are settled afterwards to the unit.

use std::time::Duration;

use proptest::prelude::*;

use super::{SECOND, START, Store, key};
use crate::limit::Limit;
use crate::model::answer::code::{ALLOWED, DENIED, ENDED};
use crate::model::policy::Carry;
use crate::model::reservation::TERM_NANOS;
use crate::model::side_cell::SideCell;
use crate::rule::operation::{Operation, SideOperation};

const DAY: Duration = Duration::from_secs(86_400);
const CARRIES: [Carry; 3] = [Carry::Keep, Carry::Proportional, Carry::Reset];

/// A kind of limit, by its number.
fn limit(kind: usize, max: u64) -> Limit {
    match kind {
        0 => Limit::window(max, DAY),
        // Of short slices: a change is in another than what was reserved before it.
        1 => Limit::sliding(max, DAY / 24),
        2 => Limit::per(1, DAY * 300).burst(max),
        #[cfg(feature = "calendar")]
        3 => Limit::calendar(max, crate::limit::calendar::Calendar::day()),
        // Shadows and thresholds are numbers too.
        _ => Limit::window(max, DAY).alert_at(80),
    }
}
const KINDS: usize = 5;

/// At the beginning of a window of every kind.
fn store(limits: &[(&str, Limit)]) -> Store {
    let mut store = Store::new(limits);
    store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 60 * SECOND;
    store
}

/// Returns the units used, once what has lapsed is given back.
fn used(store: &mut Store, max: u64) -> u64 {
    let (key, reserved) = (key("l"), SideCell::Reserved.key(&[&key("l")]));
    let peek = Operation::Peek.item(&key, 1);
    max - store.decide(&[peek, reserved.item()]).remaining
}

/// A window of 100, 10 of it reserved, becomes one of 200, and 3 were used: with `proportional` 20
/// were left as used, with `reset` none.
#[test]
fn a_commit_after_a_change_of_the_max_counts_what_was_used_and_nothing_else() {
    for kind in 0..KINDS {
        for carry in CARRIES {
            for (actual, expected) in [(3, 3), (10, 10), (15, 15), (20, 20), (33, 33), (0, 0)] {
                let mut store = store(&[("l", limit(kind, 100))]);
                assert_eq!(store.reservation("l", 1, SideOperation::Reserve, 10).code, ALLOWED);
                store.change(&[("l", limit(kind, 200))], carry).expect("usable");
                let reserved = match carry {
                    Carry::Keep => 10,
                    Carry::Proportional => 20,
                    Carry::Reset => 0,
                };
                assert_eq!(used(&mut store, 200), reserved, "{kind} {carry:?}");
                let told = store.reservation("l", 1, SideOperation::Commit, actual);
                assert_eq!((told.code, told.third), (ALLOWED, actual), "{kind} {carry:?}");
                assert_eq!(told.remaining, 200 - expected, "{kind} {carry:?}: commit {actual}");
                // The first answer was lost.
                let again = store.reservation("l", 1, SideOperation::Commit, actual);
                assert_eq!((again.code, again.remaining), (ALLOWED, 200 - expected));
            }
        }
    }
}

#[test]
fn what_lapses_after_a_change_of_the_max_is_given_back_as_it_was_carried_over() {
    for kind in 0..KINDS {
        for carry in CARRIES {
            let mut store = store(&[("l", limit(kind, 100))]);
            store.acquire("l", 5);
            store.reservation("l", 1, SideOperation::Reserve, 10);
            store.change(&[("l", limit(kind, 200))], carry).expect("usable");
            store.now += TERM_NANOS * 3 / 2;
            let kept = match carry {
                Carry::Keep => 5,
                Carry::Proportional => 10,
                Carry::Reset => 0,
            };
            assert_eq!(store.acquire_or_settle("l", 200 - kept).code, ALLOWED, "{kind} {carry:?}");
            assert_eq!(store.acquire_or_settle("l", 1).code, DENIED, "{kind} {carry:?}");
            assert_eq!(store.reservation("l", 1, SideOperation::Commit, 1).code, ENDED);
        }
    }
}

/// Of another rate, length or kind the page says that what was reserved stays taken; what was used
/// beyond it counts, and after `reset` all that was used.
#[test]
fn a_commit_after_a_change_of_form_gives_nothing_back_and_loses_nothing() {
    for (before, after) in [(0, 1), (0, 2), (2, 0), (1, 2)] {
        for (carry, actual, expected) in [
            (Carry::Keep, 3, 10),
            (Carry::Keep, 14, 14),
            (Carry::Proportional, 3, 20),
            (Carry::Proportional, 24, 24),
            (Carry::Reset, 3, 3),
            (Carry::Reset, 14, 14),
        ] {
            let mut store = store(&[("l", limit(before, 100))]);
            store.reservation("l", 1, SideOperation::Reserve, 10);
            store.change(&[("l", limit(after, 200))], carry).expect("usable");
            // Somebody else reserves in the same slice of time: that is not touched.
            store.reservation("l", 2, SideOperation::Reserve, 30);
            let told = store.reservation("l", 1, SideOperation::Commit, actual);
            assert_eq!((told.code, told.third), (ALLOWED, actual));
            assert_eq!(told.remaining, 200 - 30 - expected, "{before} {after} {carry:?} {actual}");
            assert_eq!(
                store.reservation("l", 2, SideOperation::Commit, 0).remaining,
                200 - expected
            );
        }
    }
}

/// Who reserved before a key was reset gave back what somebody else had reserved after it.
#[test]
fn a_commit_after_a_reset_of_the_key_touches_nobodys_reservation() {
    for kind in 0..KINDS {
        for (actual, expected) in [(0, 0), (3, 3), (10, 10), (12, 12)] {
            let mut store = store(&[("l", limit(kind, 100))]);
            store.reservation("l", 1, SideOperation::Reserve, 10);
            let (key, reserved) = (key("l"), SideCell::Reserved.key(&[&key("l")]));
            let reset = Operation::Reset.item(&key, 0);
            store.decide(&[reset, reserved.item()]);
            store.reservation("l", 2, SideOperation::Reserve, 40);
            let told = store.reservation("l", 1, SideOperation::Commit, actual);
            assert_eq!((told.code, told.third), (ALLOWED, actual));
            assert_eq!(told.remaining, 100 - 40 - expected, "{kind}: commit {actual}");
            assert_eq!(
                store.reservation("l", 2, SideOperation::Commit, 40).remaining,
                60 - expected
            );
        }
    }
}

/// Four resets were none.
#[test]
fn a_commit_after_many_resets_of_the_key_touches_nobodys_reservation() {
    for resets in [1, 3, 4, 5, 8, 64, 4_096] {
        let mut store = store(&[("l", limit(0, 100))]);
        store.reservation("l", 1, SideOperation::Reserve, 10);
        let (key, reserved) = (key("l"), SideCell::Reserved.key(&[&key("l")]));
        for _ in 0..resets {
            store.reservation("l", 2, SideOperation::Reserve, 1);
            let reset = Operation::Reset.item(&key, 0);
            store.decide(&[reset, reserved.item()]);
            store.cells.remove(SideCell::Reservation.key(&[&key, &[2]]).as_ref());
        }
        store.reservation("l", 3, SideOperation::Reserve, 30);
        let told = store.reservation("l", 1, SideOperation::Commit, 0);
        assert_eq!(100 - told.remaining, 30, "{resets}");
    }
}

/// The version before this one wrote no form into a reservation: of a limit that had been changed
/// by then it was taken for another limit's, and what was used of it counted once more.
#[test]
fn a_reservation_of_the_version_before_is_settled_under_a_changed_limit() {
    for carry in CARRIES {
        let mut store = store(&[("l", limit(0, 100))]);
        store.change(&[("l", Limit::window(200, DAY / 2))], carry).expect("usable");
        store.reservation("l", 1, SideOperation::Reserve, 60);
        let own = SideCell::Reservation.key(&[&key("l"), &[1]]);
        let words = &mut store.cells.get_mut(own.as_ref()).expect("it is reserved").words;
        words[1] &= (1 << 48) - 1;
        words[2] &= !(1 << 45);
        let told = store.reservation("l", 1, SideOperation::Commit, 50);
        assert_eq!(200 - told.remaining, 50, "{carry:?}");
    }
}

/// Another length in the code of the next primary starts its keys afresh; what was reserved before
/// is used all the same.
#[test]
fn a_commit_after_another_codes_limit_counts_what_was_used() {
    for (actual, expected) in [(0, 0), (3, 3), (12, 12)] {
        let mut store = store(&[("l", limit(0, 100))]);
        store.reservation("l", 1, SideOperation::Reserve, 10);
        store.model = super::set(&[("l", limit(2, 100))]).model();
        let told = store.reservation("l", 1, SideOperation::Commit, actual);
        assert_eq!((told.code, told.third, told.remaining), (ALLOWED, actual, 100 - expected));
    }
}

/// Slices of holds are cut without regard to windows: one in which a window begins has units of
/// two.
#[test]
fn what_is_reserved_as_a_window_begins_is_settled_after_a_change() {
    let length = 1_000 * SECOND;
    let limit = |max| Limit::window(max, Duration::from_nanos(length));
    for carry in [Carry::Keep, Carry::Proportional] {
        let mut store = Store::new(&[("l", limit(100))]);
        // Ten seconds before a window that begins in the middle of a slice.
        store.now = START / (3 * length) * (3 * length) + length - 10 * SECOND;
        assert_ne!((store.now + 10 * SECOND) % (TERM_NANOS / 2), 0);
        store.reservation("l", 1, SideOperation::Reserve, 30);
        store.now += 20 * SECOND;
        store.reservation("l", 2, SideOperation::Reserve, 10);
        store.change(&[("l", limit(200))], carry).expect("usable");
        let old = store.reservation("l", 1, SideOperation::Commit, 4);
        let reserved = if carry == Carry::Keep { 10 } else { 20 };
        assert_eq!(old.remaining, 200 - reserved, "it was of the window before");
        assert_eq!(store.reservation("l", 2, SideOperation::Commit, 4).remaining, 196, "{carry:?}");
    }
}

/// A sliding window is cut by its max, into finer slices the smaller it is: what was taken in one
/// of those is found in what they have become.
#[test]
fn what_is_reserved_of_a_sliding_window_is_settled_through_finer_and_coarser_slices() {
    let length = Duration::from_secs(3_600);
    let limit = |max| Limit::sliding(max, length);
    for (before, after) in [(7, 60), (7, 600), (60, 7), (600, 7), (60, 600), (600, 60), (7, 6)] {
        for (first, second) in [(0, 0), (40, 0), (0, 40), (40, 40), (110, 110), (150, 1)] {
            for actual in [0, 2, 5, 6] {
                for other in [0, 1] {
                    let mut store = Store::new(&[("l", limit(before))]);
                    store.acquire("l", other);
                    store.now += 70 * SECOND;
                    store.reservation("l", 1, SideOperation::Reserve, 5);
                    store.now += first * SECOND;
                    store.change(&[("l", limit(after))], Carry::Keep).expect("usable");
                    store.now += second * SECOND;
                    let told = store.reservation("l", 1, SideOperation::Commit, actual);
                    let case = format!("{before} {after} {first} {second} {actual} {other}");
                    assert_eq!(told.code, ALLOWED, "{case}");
                    let expected = after.saturating_sub(actual + other);
                    assert_eq!(store.remaining("l"), expected, "{case}");
                }
            }
        }
    }
}

/// A change that scales takes all that is used as taken at its moment: in another slice than what
/// was reserved before it.
#[test]
fn what_is_reserved_of_a_sliding_window_is_settled_where_a_change_has_put_it() {
    for max in [4, 40, 100, 1_000, 100_000] {
        for carry in [Carry::Keep, Carry::Proportional] {
            for (seconds, actual) in [(2, 1), (20, 0), (20, 1), (33, 1)] {
                let mut store = Store::new(&[("l", Limit::sliding(max, DAY / 1_440))]);
                store.reservation("l", 1, SideOperation::Reserve, max / 2);
                store.now += seconds * SECOND;
                for scaled in [2 * max, 4 * max] {
                    let limit = Limit::sliding(scaled, DAY / 1_440);
                    store.change(&[("l", limit)], carry).expect("usable");
                    store.now += seconds * SECOND / 3;
                }
                let told = store.reservation("l", 1, SideOperation::Commit, actual);
                assert_eq!(4 * max - told.remaining, actual, "{max} {carry:?} {seconds}");
            }
        }
    }
}

#[test]
fn what_lapses_of_a_sliding_window_is_found_where_a_change_has_put_it() {
    for carry in [Carry::Keep, Carry::Proportional] {
        for seconds in [10, 100, 200, 290] {
            let limit = |max| Limit::sliding(max, DAY / 72);
            let mut store = Store::new(&[("l", limit(100))]);
            store.reservation("l", 1, SideOperation::Reserve, 50);
            store.now += seconds * SECOND;
            store.change(&[("l", limit(200))], carry).expect("usable");
            store.now += TERM_NANOS * 3 / 2;
            assert_eq!(used(&mut store, 200), 0, "{carry:?} {seconds}");
            assert_eq!(store.acquire_or_settle("l", 200).code, ALLOWED);
        }
    }
}

/// Of an approximate window a change carries over as much as still counts of the one before.
#[test]
fn what_is_reserved_in_the_window_before_a_change_is_settled_after_it() {
    let length = 200 * SECOND;
    let limit = |max| Limit::approximate_sliding(max, Duration::from_nanos(length));
    for (carry, carried) in [(Carry::Keep, 50), (Carry::Proportional, 90)] {
        for actual in [0, 1, 45] {
            let mut store = Store::new(&[("l", limit(100))]);
            store.now = START / length * length + 150 * SECOND;
            store.reservation("l", 1, SideOperation::Reserve, 50);
            store.now += 70 * SECOND;
            store.change(&[("l", limit(200))], carry).expect("usable");
            let before = used(&mut store, 200);
            assert_eq!(before, if carry == Carry::Keep { 45 } else { carried });
            let told = store.reservation("l", 1, SideOperation::Commit, actual);
            let weighed = if carry == Carry::Keep { (actual * 9).div_ceil(10) } else { actual };
            assert_eq!(200 - told.remaining, weighed, "{carry:?} {actual}");
        }
    }
}

#[test]
fn units_of_a_decision_before_a_change_are_given_back_where_it_has_put_them() {
    for (length, seconds) in [(60, 20), (3_600, 1_000)] {
        for carry in [Carry::Keep, Carry::Proportional] {
            let limit = |max| Limit::sliding(max, Duration::from_secs(length));
            let mut store = Store::new(&[("l", limit(100))]);
            store.acquire("l", 40);
            let slice = length * 1_000 / 8;
            let window_ms = Some(store.now / 1_000_000 / slice * slice);
            store.now += seconds * SECOND;
            store.change(&[("l", limit(200))], carry).expect("usable");
            let before = used(&mut store, 200);
            let told = store.one("l", Operation::Refund { window_ms }, 30);
            assert_eq!((told.third, 200 - told.remaining), (30, before - 30), "{carry:?}");
            // What had left by then was not carried over.
            let window_ms = window_ms.map(|ms| ms - 2_000 * length);
            assert_eq!(store.one("l", Operation::Refund { window_ms }, 5).third, 0);
        }
    }
}

/// Slices of what is reserved are cut without regard to those of the window: of one that has left
/// in part others' units were given back.
#[test]
fn what_has_left_a_sliding_window_does_not_lapse_in_place_of_others() {
    let mut store = Store::new(&[("l", Limit::sliding(100, Duration::from_secs(400)))]);
    store.now = START / (1_200 * SECOND) * (1_200 * SECOND);
    store.reservation("l", 1, SideOperation::Reserve, 10);
    store.now += 140 * SECOND;
    store.acquire("l", 10);
    store.now += 60 * SECOND;
    store.reservation("l", 2, SideOperation::Reserve, 1);
    store.now += 250 * SECOND;
    assert_eq!(used(&mut store, 100), 11);
}

#[test]
fn of_a_rate_what_has_flowed_back_before_a_change_is_not_given_back_after_it() {
    for (carry, left) in [(Carry::Keep, 20), (Carry::Proportional, 50)] {
        for (actual, settled) in [(0, 0), (5, 5), (30, 30)] {
            let mut store = Store::new(&[("l", Limit::per_second(1).burst(100))]);
            store.reservation("l", 1, SideOperation::Reserve, 50);
            store.now += 20 * SECOND;
            store.change(&[("l", Limit::per_second(1).burst(200))], carry).expect("usable");
            store.now += 10 * SECOND;
            assert_eq!(used(&mut store, 200), left, "{carry:?}: 20 s, then 10 s have flowed");
            let told = store.reservation("l", 1, SideOperation::Commit, actual);
            assert_eq!(200 - told.remaining, settled.min(left), "{carry:?}: commit {actual}");
        }
    }
}

#[test]
fn permits_survive_every_change_that_keeps_their_lease() {
    let jobs = |max| Limit::concurrent(max).lease(Duration::from_secs(30));
    for carry in CARRIES {
        for max in [2, 3, 9] {
            let mut store = Store::new(&[("l", jobs(4))]);
            assert_eq!(store.permit("l", 1, SideOperation::TakePermit, 2).code, ALLOWED);
            assert_eq!(store.permit("l", 2, SideOperation::TakePermit, 1).code, ALLOWED);
            store.change(&[("l", jobs(max))], carry).expect("usable");
            assert_eq!(store.remaining("l"), max.saturating_sub(3), "{carry:?} {max}");
            store.now += 20 * SECOND;
            assert_eq!(
                store.permit("l", 1, SideOperation::RenewPermit, 0).code,
                ALLOWED,
                "{carry:?}"
            );
            assert_eq!(
                store.permit("l", 3, SideOperation::TakePermit, max).code,
                DENIED,
                "{carry:?}"
            );
            let released = store.permit("l", 2, SideOperation::ReleasePermit, 0);
            assert_eq!((released.third, released.remaining), (1, max - 2), "{carry:?}");
            store.now += 30 * SECOND;
            assert_eq!(store.remaining("l"), max - 2, "within its lease, {carry:?}");
            store.now += 15 * SECOND;
            assert_eq!(store.remaining("l"), max, "it has lapsed, {carry:?}");
        }
    }
}

/// Units as fractions, and by how much they may have been rounded: at each change up to one.
#[derive(Clone, Copy, Debug, Default)]
struct Exact {
    units: f64,
    slack: f64,
}

impl Exact {
    fn of(units: u64) -> Self {
        Self { units: units as f64, slack: 0.0 }
    }

    fn scale(&mut self, by: f64) {
        *self = Self { units: self.units * by, slack: self.slack * by + 1.0 };
    }
}

proptest! {
    /// Against sums of fractions: whatever is taken, reserved, settled and changed in between, what
    /// counts is what was taken and what is reserved, each scaled by the changes since. It is never
    /// less, and more only by what was rounded up.
    #[test]
    fn what_is_reserved_is_settled_exactly_through_any_changes(
        kind in 0..KINDS,
        steps in prop::collection::vec((0..10u8, 0..6u8, 0..9u64, 0..3usize), 1..40),
    ) {
        let mut max = 1_000;
        let mut store = store(&[("l", limit(kind, max))]);
        let mut taken = Exact::default();
        let mut open: Vec<(u8, Exact)> = Vec::new();
        let mut changes = 0;
        let mut next = 0;
        // When the first that is reserved may lapse.
        let mut lapses = u64::MAX;
        let begin = store.now;
        for (what, pick, amount, carry) in steps {
            if open.is_empty() {
                lapses = store.now + TERM_NANOS;
            }
            let at = (!open.is_empty()).then(|| usize::from(pick) % open.len().max(1));
            match (what, at) {
                (0, _) => {
                    prop_assert_eq!(store.acquire_or_settle("l", amount.max(1)).code, ALLOWED);
                    taken.units += amount.max(1) as f64;
                }
                (1 | 2, _) => {
                    next += 1;
                    let told = store.reservation("l", next, SideOperation::Reserve, amount);
                    prop_assert_eq!(told.code, ALLOWED);
                    open.push((next, Exact::of(amount)));
                }
                (3..=5, Some(at)) => {
                    let (id, exact) = open.remove(at);
                    let amount = if what == 5 { 0 } else { amount };
                    let told = store.reservation("l", id, SideOperation::Commit, amount);
                    prop_assert_eq!((told.code, told.third), (ALLOWED, amount));
                    taken.units += amount as f64;
                    taken.slack += exact.slack;
                }
                (6, _) if changes < 7 => {
                    let new = [700, 1_000, 1_900][usize::from(pick) % 3];
                    let rule = CARRIES[carry];
                    store.change(&[("l", limit(kind, new))], rule).expect("usable");
                    let scale = match rule {
                        _ if new == max => continue,
                        Carry::Keep => 1.0,
                        Carry::Proportional => new as f64 / max as f64,
                        Carry::Reset => 0.0,
                    };
                    changes += 1;
                    taken.scale(scale);
                    open.iter_mut().for_each(|(_, exact)| exact.scale(scale));
                    max = new;
                }
                // Nothing leaves by itself.
                (7.., _) if store.now - begin > 2_800 * SECOND => {}
                (8, _) if store.now + amount * 20 * SECOND < lapses => {
                    store.now += amount * 20 * SECOND;
                }
                (7 | 8, _) if pick == 0 => {
                    store.now += TERM_NANOS * 3 / 2;
                    taken.slack += open.drain(..).map(|(_, exact)| exact.slack).sum::<f64>();
                }
                _ => {}
            }
            let reserved: f64 = open.iter().map(|(_, exact)| exact.units).sum();
            let exact = (taken.units + reserved).min(max as f64);
            let found = used(&mut store, max) as f64;
            prop_assert!(found > exact - 1e-6, "{} of {} are forgotten", found, exact);
            let most = exact + taken.slack;
            prop_assert!(found < most + 1e-6, "{} of {}, at most {}", found, exact, most);
        }
    }
}
