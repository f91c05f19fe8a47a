//! The clocks of a majority are put right, and the calendar jumps: nothing that is held lapses by
//! that.

use std::time::Duration;

use proptest::prelude::*;

use super::{SECOND, START, Store, key};
use crate::limit::Limit;
use crate::model::answer::code::{ALLOWED, DENIED, ENDED};
use crate::model::idempotency;
use crate::model::reservation::TERM_NANOS;
use crate::rule::operation::{Operation, SideOperation};

const LEASE: u64 = 30 * SECOND;
const DAY: Duration = Duration::from_secs(86_400);

/// An acquire with an idempotency key: whether it is the answer of an earlier one.
fn once(store: &mut Store, id: u8) -> (u8, bool) {
    let key = key("l");
    let item = Operation::Acquire.item(&key, 1);
    let record = idempotency::key(&[id], &[item]);
    let told = store.decide(&[item, record.item()]);
    (told.code, told.marks >> 55 & 1 != 0)
}

/// Group time jumped by 45 s, and all permits lapsed: a second holder was let in beside the first.
#[test]
fn permits_do_not_lapse_by_a_jump() {
    let mut store = Store::new(&[("j", Limit::concurrent(1))]);
    store.permit("j", 1, SideOperation::TakePermit, 1);
    for jump in [45, 3_600, 86_400 * 365] {
        store.jump(jump * SECOND);
        assert_eq!(store.permit("j", 2, SideOperation::TakePermit, 1).code, DENIED, "{jump} s");
        assert_eq!(store.remaining("j"), 0);
        store.now += LEASE - 1;
        assert_eq!(store.permit("j", 2, SideOperation::TakePermit, 1).code, DENIED, "{jump} s");
        assert_eq!(store.permit("j", 1, SideOperation::RenewPermit, 0).code, ALLOWED, "{jump} s");
    }
    store.jump(45 * SECOND);
    let denied = store.permit("j", 2, SideOperation::TakePermit, 1);
    assert!(denied.third <= LEASE * 3 / 2, "as long as a lease still lasts: {denied:?}");
    store.now += LEASE * 3 / 2;
    assert_eq!(
        store.permit("j", 2, SideOperation::TakePermit, 1).code,
        ALLOWED,
        "it lapses by time"
    );
    assert_eq!(store.permit("j", 1, SideOperation::RenewPermit, 0).code, ENDED);
}

#[test]
fn a_permit_taken_right_after_a_jump_lasts_as_long_as_any() {
    let mut store = Store::new(&[("j", Limit::concurrent(1))]);
    store.jump(1_000 * SECOND + 7);
    store.permit("j", 1, SideOperation::TakePermit, 1);
    store.now += LEASE;
    assert_eq!(store.permit("j", 2, SideOperation::TakePermit, 1).code, DENIED);
    store.now += LEASE / 2;
    assert_eq!(store.permit("j", 2, SideOperation::TakePermit, 1).code, ALLOWED);
}

#[test]
fn reservations_do_not_lapse_by_a_jump_and_are_settled_after_it() {
    for limit in
        [Limit::window(10, DAY), Limit::per(1, DAY * 300).burst(10), Limit::sliding(10, DAY)]
    {
        let mut store = Store::new(&[("l", limit)]);
        store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + SECOND;
        store.reservation("l", 1, SideOperation::Reserve, 6);
        store.jump(900 * SECOND);
        assert_eq!(store.acquire_or_settle("l", 5).code, DENIED, "{limit}: it is held");
        store.now += TERM_NANOS;
        assert_eq!(store.reservation("l", 1, SideOperation::Commit, 2).remaining, 8, "{limit}");
        // The first answer was lost, and the clock put forward once more.
        store.jump(900 * SECOND);
        let again = store.reservation("l", 1, SideOperation::Commit, 2);
        assert_eq!((again.code, again.third, again.remaining), (ALLOWED, 2, 8), "{limit}");
    }
}

/// Of one that lapses after a jump nobody can tell in which window it was.
#[test]
fn what_lapses_after_a_jump_is_never_given_back_to_a_window_that_it_is_not_of() {
    let length = 1_000 * SECOND;
    let limit = Limit::window(10, Duration::from_nanos(length));
    for jump in [0, 30, 1_500] {
        let mut store = Store::new(&[("l", limit)]);
        store.now = START / (3 * length) * (3 * length) + length / 2;
        store.reservation("l", 1, SideOperation::Reserve, 6);
        if jump > 0 {
            store.jump(jump * SECOND);
        }
        if jump == 1_500 {
            assert_eq!(store.acquire("l", 10).code, ALLOWED, "another window");
        }
        store.now += TERM_NANOS * 3 / 2;
        let told = store.acquire_or_settle("l", 5);
        assert_eq!(told.code, if jump == 0 { ALLOWED } else { DENIED }, "{jump} s");
    }
    // Of a counter it does not matter.
    let mut store = Store::new(&[("l", Limit::counter())]);
    store.reservation("l", 1, SideOperation::Reserve, 6);
    store.jump(45 * SECOND);
    store.now += TERM_NANOS * 3 / 2;
    store.reservation("l", 2, SideOperation::Reserve, 0);
    assert_eq!(u64::MAX - store.remaining("l"), 0);
}

#[test]
fn an_idempotency_key_is_known_for_its_time_whatever_the_clock_does() {
    let mut store = Store::new(&[("l", Limit::per_day(9))]);
    assert_eq!(once(&mut store, 1), (ALLOWED, false));
    let kept = idempotency::IDEMPOTENCY_TIME.as_nanos() as u64;
    store.now += kept / 2;
    store.jump(86_400 * SECOND);
    store.now += kept / 2 - 1;
    assert_eq!(once(&mut store, 1), (ALLOWED, true));
    store.now += 1;
    assert_eq!(once(&mut store, 1), (ALLOWED, false), "after its time it is charged");
}

/// Windows and rates follow the calendar, as they say.
#[test]
fn windows_begin_and_rates_flow_by_the_calendar() {
    let mut store =
        Store::new(&[("w", Limit::window(5, DAY)), ("r", Limit::per_second(1).burst(5))]);
    assert_eq!((store.acquire("w", 5).code, store.acquire("r", 5).code), (ALLOWED, ALLOWED));
    assert_eq!((store.acquire("w", 1).code, store.acquire("r", 1).code), (DENIED, DENIED));
    store.jump(3 * SECOND);
    assert_eq!((store.acquire("w", 1).code, store.acquire("r", 3).code), (DENIED, ALLOWED));
    store.jump(86_400 * SECOND);
    assert_eq!((store.acquire("w", 5).code, store.acquire("r", 5).code), (ALLOWED, ALLOWED));
    // What was taken in a window counts until it ends, however far the steady clock is behind.
    store.now += 3_600 * SECOND;
    assert_eq!(store.acquire("w", 1).code, DENIED);
}

proptest! {
    /// Whatever jumps: whoever was heard of within its lease of true time holds its place.
    #[test]
    fn places_are_held_for_a_lease_of_true_time(
        steps in prop::collection::vec((0..4u8, 0..4u8, 0..1_200u64, 0..4u8), 1..80),
    ) {
        let mut store = Store::new(&[("j", Limit::concurrent(2))]);
        let mut passed = 0;
        // Ids and when they were last heard of.
        let mut holders: Vec<(u8, u64)> = Vec::new();
        for (id, what, permille, jump) in steps {
            let time = permille * LEASE / 1_000;
            store.now += time;
            passed += time;
            if jump == 0 {
                store.jump((1 + permille) * SECOND / 3);
            }
            holders.retain(|(_, heard)| passed - heard < LEASE * 3 / 2);
            let sure = holders.iter().filter(|(_, heard)| passed - heard <= LEASE).count() as u64;
            let known = holders.iter().position(|(other, _)| *other == id);
            let told = match what {
                0 | 1 => store.permit("j", id, SideOperation::TakePermit, 1),
                2 => store.permit("j", id, SideOperation::RenewPermit, 0),
                _ => store.permit("j", id, SideOperation::ReleasePermit, 0),
            };
            match (what, told.code, known) {
                (0 | 1, ALLOWED, None) => {
                    prop_assert!(sure < 2);
                    holders.push((id, passed));
                }
                // Told again, or taken anew after it has lapsed.
                (0 | 1, ALLOWED, Some(at)) if told.marks >> 55 & 1 == 0 => holders[at].1 = passed,
                (2, ALLOWED, Some(at)) => holders[at].1 = passed,
                (2, _, Some(at)) => {
                    prop_assert!(passed - holders[at].1 > LEASE, "within its lease");
                    holders.remove(at);
                }
                (3, _, Some(at)) => _ = holders.remove(at),
                _ => {}
            }
            let sure = holders.iter().filter(|(_, heard)| passed - heard <= LEASE).count() as u64;
            prop_assert!(2 - store.remaining("j") >= sure);
        }
    }
}
