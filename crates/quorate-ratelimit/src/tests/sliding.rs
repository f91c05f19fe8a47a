//! Sliding windows beside reservations, changes of limits, shares, and what a version before has
//! left.

use std::time::Duration;

use super::{Alone, SECOND, START, Store, merge};
use crate::limit::Limit;
use crate::limit::without_primary::WithoutPrimary;
use crate::model::answer::code::{ALLOWED, DENIED};
use crate::model::policy::Carry;
use crate::rule::operation::SideOperation;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn what_is_not_used_of_a_reservation_comes_back() {
    for (max, length) in [(7, HOUR), (60, HOUR), (100, DAY), (100_000, DAY)] {
        let mut store = Store::new(&[("l", Limit::sliding(max, length))]);
        let part = max / 7 * 3;
        assert_eq!(store.reservation("l", 1, SideOperation::Reserve, part).remaining, max - part);
        store.now += 250 * SECOND;
        let settled = store.reservation("l", 1, SideOperation::Commit, 1);
        let held_back = if max > 4_095 { max / 63 } else { 0 };
        assert_eq!(settled.code, ALLOWED);
        assert!(settled.remaining >= max - 1 - held_back, "{max}: {}", settled.remaining);
    }
}

/// Of a window that slides no part is "the present one" for as long as a reservation lasts.
#[test]
fn what_has_lapsed_comes_back_to_the_parts_that_it_was_taken_in() {
    for (max, length) in [(7, MINUTE * 30), (60, HOUR), (100, DAY)] {
        let mut store = Store::new(&[("l", Limit::sliding(max, length))]);
        for id in 0..3 {
            assert_eq!(store.reservation("l", id, SideOperation::Reserve, max / 7).code, ALLOWED);
            store.now += 40 * SECOND;
        }
        assert_eq!(store.acquire("l", max - 3 * (max / 7)).code, ALLOWED);
        assert_eq!(store.acquire_or_settle("l", 1).code, DENIED);
        store.now += 460 * SECOND;
        let told = store.acquire_or_settle("l", 3 * (max / 7));
        assert_eq!(told.code, ALLOWED, "{max} in {length:?}: {told:?}");
        assert_eq!(store.acquire_or_settle("l", 1).code, DENIED);
    }
    // Of a short one they have left by then, and what was taken since stays.
    let mut store = Store::new(&[("l", Limit::sliding(10, MINUTE))]);
    assert_eq!(store.reservation("l", 1, SideOperation::Reserve, 9).code, ALLOWED);
    store.now += 460 * SECOND;
    assert_eq!(store.acquire("l", 10).code, ALLOWED);
    assert_eq!(store.acquire_or_settle("l", 1).code, DENIED);
}

#[test]
fn a_change_keeps_what_is_used_and_cells_of_the_version_before_too() {
    let before = Limit::approximate_sliding(100, DAY);
    let is = Limit::sliding(100, DAY);
    let cases = [
        (Limit::sliding(200, DAY), 160, 120),
        (Limit::sliding(200, HOUR), 160, 120),
        (Limit::window(200, DAY), 160, 120),
        (Limit::approximate_sliding(200, DAY), 160, 120),
        (Limit::per(1, DAY * 300).burst(200), 160, 120),
        (Limit::sliding(20_000, DAY), 19_960, 12_000),
    ];
    for wrote in [before, is] {
        for (after, kept, scaled) in cases {
            for (carry, left) in [
                (Carry::Keep, kept),
                (Carry::Proportional, scaled),
                (Carry::Reset, after.capacity()),
            ] {
                let mut earlier = Store::new(&[("l", wrote)]);
                earlier.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 1_800 * SECOND;
                assert_eq!(earlier.acquire("l", 40).code, ALLOWED);
                let (cells, now) = (earlier.cells, earlier.now);
                let mut store = Store { cells, now, ..Store::new(&[("l", is)]) };
                assert_eq!(store.remaining("l"), 60);
                store.change(&[("l", after)], carry).expect("usable");
                assert_eq!(store.remaining("l"), left, "{wrote} to {after}, {carry:?}");
            }
        }
    }
}

#[test]
fn a_raised_max_keeps_the_times_at_which_units_leave() {
    let mut store = Store::new(&[("l", Limit::sliding(5, MINUTE))]);
    assert_eq!(store.acquire("l", 3).code, ALLOWED);
    store.now += 20 * SECOND;
    assert_eq!(store.acquire("l", 2).code, ALLOWED);
    for max in [70, 5_000, 6] {
        store.change(&[("l", Limit::sliding(max, MINUTE))], Carry::Keep).expect("usable");
        assert_eq!(store.remaining("l"), max - 5);
    }
    let denied = store.acquire("l", 2);
    assert_eq!(denied.code, DENIED);
    // With the end of the slice that they are in: that of the resolution that they were taken in.
    assert!(denied.third <= 40 * SECOND + 60 * SECOND / 32);
    store.now += denied.third;
    assert_eq!(store.acquire("l", 4).code, ALLOWED);
}

#[test]
fn a_share_of_a_sliding_window_is_counted_alone_and_merged() {
    let limit = Limit::sliding(10, MINUTE).without_primary(WithoutPrimary::share(500));
    let mut store = Store::new(&[("l", limit)]);
    assert_eq!(store.acquire("l", 4).code, ALLOWED);
    let mut alone = Alone::new(&store);
    for (seconds, amount, code) in [(1, 3, ALLOWED), (10, 2, ALLOWED), (1, 1, DENIED)] {
        alone.now += seconds * SECOND;
        assert_eq!(alone.acquire("l", amount).code, code);
    }
    let deltas = alone.deltas;
    store.now += 12 * SECOND;
    assert_eq!(merge(&mut store, &deltas), 5);
    assert_eq!(store.remaining("l"), 1);
    // A minute and a slice after the group's own were taken they have left; the last ones have not.
    store.now += 48 * SECOND - 1;
    assert_eq!(store.remaining("l"), 1);
    store.now += 60 * SECOND / 16 + 1;
    assert!((5..=8).contains(&store.remaining("l")));
    store.now += 11 * SECOND;
    assert_eq!(store.remaining("l"), 10);
}
