//! Reservations conserve units: what is not used comes back, once, and nothing else does.

use std::time::Duration;

use proptest::prelude::*;

use super::{SECOND, START, Store};
use crate::limit::Limit;
use crate::model::answer::code::{ALLOWED, DENIED, ENDED};
use crate::model::reservation::TERM_NANOS;
use crate::rule::operation::{Operation, SideOperation};

const DAY: Duration = Duration::from_secs(86_400);

/// A bucket to which nothing flows back in a test.
fn bucket() -> Store {
    Store::new(&[("l", Limit::per(1, DAY * 365).burst(10))])
}

#[test]
fn what_is_not_used_comes_back_and_what_is_used_beyond_is_taken() {
    let mut store = bucket();
    let reserved = store.reservation("l", 1, SideOperation::Reserve, 6);
    assert_eq!((reserved.code, reserved.remaining, reserved.units), (ALLOWED, 4, 6));
    let committed = store.reservation("l", 1, SideOperation::Commit, 2);
    assert_eq!((committed.code, committed.remaining, committed.third), (ALLOWED, 8, 2));
    // The first answer was lost.
    let again = store.reservation("l", 1, SideOperation::Commit, 2);
    assert_eq!((again.code, again.remaining, again.third), (ALLOWED, 8, 2));
    store.reservation("l", 2, SideOperation::Reserve, 3);
    assert_eq!(store.reservation("l", 2, SideOperation::Commit, 12).remaining, 0);
    assert_eq!(store.acquire("l", 1).code, DENIED);
    store.one("l", Operation::Refund { window_ms: None }, 4);
    assert_eq!(store.remaining("l"), 0, "it was 4 below zero");
}

#[test]
fn a_reservation_asked_for_again_is_taken_once() {
    let mut store = bucket();
    for _ in 0..3 {
        let told = store.reservation("l", 1, SideOperation::Reserve, 6);
        assert_eq!((told.code, told.third, told.remaining), (ALLOWED, 6, 4));
    }
    assert_eq!(store.reservation("l", 2, SideOperation::Reserve, 5).code, DENIED);
    assert_eq!(store.reservation("l", 1, SideOperation::Commit, 0).remaining, 10);
}

#[test]
fn one_that_nobody_settles_lapses_and_who_is_denied_for_it_finds_that_out() {
    let mut store = bucket();
    store.reservation("l", 1, SideOperation::Reserve, 6);
    store.now += TERM_NANOS;
    assert_eq!(store.acquire_or_settle("l", 5).code, DENIED, "it lasts that long");
    store.now += TERM_NANOS / 2;
    assert_eq!(store.acquire("l", 5).code, DENIED, "by itself a cell knows nothing of it");
    let told = store.acquire_or_settle("l", 5);
    assert_eq!((told.code, told.remaining), (ALLOWED, 5));
    assert_eq!(store.reservation("l", 1, SideOperation::Commit, 1).code, ENDED);
    assert_eq!(store.remaining("l"), 5, "it came too late");
    // Nothing is held any more: a denial is one.
    assert_eq!(store.acquire("l", 6).marks >> 32, 0);
}

#[test]
fn a_window_gets_back_what_was_reserved_in_it_and_no_other() {
    let hour = 3_600 * SECOND;
    let mut store = Store::new(&[("l", Limit::window(10, Duration::from_secs(3_600)))]);
    store.now = START / hour * hour + hour - SECOND;
    store.reservation("l", 1, SideOperation::Reserve, 6);
    store.reservation("l", 2, SideOperation::Reserve, 2);
    store.now += 2 * SECOND;
    assert_eq!(store.acquire("l", 10).code, ALLOWED, "a new window");
    assert_eq!(store.reservation("l", 1, SideOperation::Commit, 0).code, ALLOWED);
    assert_eq!(store.remaining("l"), 0, "it was of the last one");
    store.now += TERM_NANOS * 2;
    assert_eq!(store.acquire_or_settle("l", 1).code, DENIED, "and so was this");
}

#[test]
fn of_a_rate_what_has_flowed_back_is_not_given_back_again() {
    let mut store = Store::new(&[("l", Limit::per_second(100))]);
    for id in 0..50 {
        assert_eq!(store.reservation("l", id, SideOperation::Reserve, 100).code, ALLOWED);
        store.now += SECOND;
    }
    // At one instant: no more than the burst, whoever cancels what was reserved before.
    let mut admitted = 0;
    for id in 0..50 {
        if store.acquire("l", 100).code == ALLOWED {
            admitted += 100;
        }
        store.reservation("l", id, SideOperation::Commit, 0);
    }
    assert_eq!(admitted, 100);
}

#[test]
fn a_commit_whose_answer_was_lost_is_known_for_another_term() {
    let mut store = bucket();
    store.reservation("l", 1, SideOperation::Reserve, 6);
    store.now += TERM_NANOS;
    assert_eq!(store.reservation("l", 1, SideOperation::Commit, 2).code, ALLOWED);
    store.now += TERM_NANOS - 1;
    let again = store.reservation("l", 1, SideOperation::Commit, 2);
    assert_eq!((again.code, again.third, again.remaining), (ALLOWED, 2, 8));
}

#[test]
fn a_key_that_is_reset_gives_nothing_back_of_what_is_reserved() {
    let mut store = bucket();
    store.reservation("l", 1, SideOperation::Reserve, 6);
    let key = super::key("l");
    let reserved = crate::model::side_cell::SideCell::Reserved.key(&[&key]);
    store.decide(&[Operation::Reset.item(&key, 0), reserved.item()]);
    assert_eq!(store.acquire("l", 10).code, ALLOWED);
    store.reservation("l", 1, SideOperation::Commit, 0);
    assert_eq!(store.remaining("l"), 0);
}

proptest! {
    /// Against a list: taken is what was committed and what is reserved, and what has lapsed is
    /// free once somebody is denied for it.
    #[test]
    fn units_are_conserved(
        steps in prop::collection::vec((0..8u8, 0..4u8, 0..7u64, 0..900u64), 1..100),
    ) {
        let mut store = Store::new(&[("l", Limit::per(1, DAY * 366).burst(20))]);
        // Reserved units and when; and what was used for good.
        let mut open: Vec<(u8, u64, u64)> = Vec::new();
        let mut ended: Vec<u8> = Vec::new();
        let mut used = 0;
        for (id, what, amount, permille) in steps {
            store.now += permille * TERM_NANOS / 1000;
            let now = store.now;
            let known = open.iter().position(|(other, ..)| *other == id);
            let is_sure = |since: u64| now - since <= TERM_NANOS;
            let is_gone = |since: u64| now - since >= TERM_NANOS * 3 / 2;
            let sure: u64 = open.iter().filter(|o| is_sure(o.2)).map(|o| o.1).sum();
            match what {
                0 | 1 if known.is_none() && !ended.contains(&id) => {
                    let told = store.reservation("l", id, SideOperation::Reserve, amount);
                    if told.code == ALLOWED {
                        prop_assert!(used + sure + amount.max(1) <= 20 || amount == 0);
                        open.push((id, amount, now));
                    } else {
                        let most: u64 = open.iter().filter(|o| !is_gone(o.2)).map(|o| o.1).sum();
                        prop_assert!(used + most + amount.max(1) > 20);
                    }
                }
                2 => {
                    let told = store.reservation("l", id, SideOperation::Commit, amount);
                    match known {
                        Some(at) if told.code == ALLOWED => {
                            open.remove(at);
                            ended.push(id);
                            used += amount;
                        }
                        Some(at) => {
                            prop_assert!(!is_sure(open[at].2));
                            open.remove(at);
                            ended.push(id);
                        }
                        None => {}
                    }
                }
                _ => {
                    let told = store.acquire_or_settle("l", amount.max(1));
                    let most: u64 = open.iter().filter(|o| !is_gone(o.2)).map(|o| o.1).sum();
                    if told.code == ALLOWED {
                        prop_assert!(used + sure + amount.max(1) <= 20);
                        used += amount.max(1);
                    } else {
                        prop_assert!(used + most + amount.max(1) > 20);
                    }
                }
            }
            // Debits may have gone below zero.
            let sure: u64 = open.iter().filter(|o| is_sure(o.2)).map(|o| o.1).sum();
            prop_assert!(store.remaining("l") <= 20u64.saturating_sub(used + sure));
        }
    }
}
