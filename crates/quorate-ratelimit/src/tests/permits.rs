//! Permits: never more than there are places, and free by themselves.

use std::time::Duration;

use proptest::prelude::*;

use super::{SECOND, Store};
use crate::limit::Limit;
use crate::model::answer::code::{ALLOWED, DENIED, ENDED, NEVER_ADMITTED, UNSUPPORTED};
use crate::rule::operation::{Operation, SideOperation};

const LEASE: u64 = 10 * SECOND;

fn store(max: u64) -> Store {
    let limit = Limit::concurrent(max).lease(Duration::from_nanos(LEASE));
    Store::new(&[("jobs", limit), ("rate", Limit::per_day(9))])
}

#[test]
fn a_permit_is_taken_renewed_and_given_back_once() {
    let mut store = store(2);
    assert_eq!(store.permit("jobs", 1, SideOperation::TakePermit, 1).code, ALLOWED);
    assert_eq!(store.permit("jobs", 2, SideOperation::TakePermit, 1).remaining, 0);
    let denied = store.permit("jobs", 3, SideOperation::TakePermit, 1);
    assert_eq!(denied.code, DENIED);
    assert!((LEASE..=LEASE * 3 / 2).contains(&denied.third), "until a lease would end");
    // The first answer was lost.
    let again = store.permit("jobs", 1, SideOperation::TakePermit, 1);
    assert_eq!((again.code, again.remaining, again.units), (ALLOWED, 0, 0));
    for granted in [1, 0] {
        let released = store.permit("jobs", 1, SideOperation::ReleasePermit, 0);
        assert_eq!((released.code, released.third, released.remaining), (ALLOWED, granted, 1));
    }
    assert_eq!(store.permit("jobs", 1, SideOperation::RenewPermit, 0).code, ENDED);
    assert_eq!(store.remaining("jobs"), 1);
}

#[test]
fn who_is_not_heard_of_for_a_lease_loses_it_and_its_id_is_good_for_nothing() {
    let mut store = store(1);
    store.permit("jobs", 1, SideOperation::TakePermit, 1);
    for _ in 0..20 {
        store.now += LEASE - 1;
        assert_eq!(store.permit("jobs", 1, SideOperation::RenewPermit, 0).code, ALLOWED, "in time");
        assert_eq!(store.permit("jobs", 2, SideOperation::TakePermit, 1).code, DENIED);
    }
    store.now += LEASE * 3 / 2;
    assert_eq!(store.permit("jobs", 2, SideOperation::TakePermit, 1).code, ALLOWED);
    assert_eq!(store.permit("jobs", 1, SideOperation::RenewPermit, 0).code, ENDED);
    assert_eq!(store.permit("jobs", 1, SideOperation::ReleasePermit, 0).third, 0);
    assert_eq!(store.remaining("jobs"), 0, "the other one's is not given back by it");
}

#[test]
fn permits_are_for_concurrency_limits_and_these_for_nothing_else() {
    let mut store = store(3);
    assert_eq!(store.permit("rate", 1, SideOperation::TakePermit, 1).code, UNSUPPORTED);
    for operation in [Operation::Acquire, Operation::Debit, Operation::Reset] {
        assert_eq!(store.one("jobs", operation, 1).code, UNSUPPORTED);
    }
    assert_eq!(store.reservation("jobs", 1, SideOperation::Reserve, 1).code, UNSUPPORTED);
    assert_eq!(store.permit("jobs", 1, SideOperation::TakePermit, 4).code, NEVER_ADMITTED);
    assert!(store.cells.is_empty(), "nothing was written");
}

proptest! {
    /// Against a list of who holds what and was last heard of when: whoever is within its lease
    /// holds its places, whoever is past one and a half holds none, and there are never more than
    /// the max.
    #[test]
    fn places_are_held_for_a_lease_and_free_after_one_and_a_half(
        max in 1..6u64,
        steps in prop::collection::vec((0..5u8, 0..4u8, 1..3u64, 0..800u64), 1..120),
    ) {
        let mut store = store(max);
        // Units and when they were last confirmed, by id.
        let mut holders: Vec<(u8, u64, u64)> = Vec::new();
        for (id, what, units, permille) in steps {
            store.now += permille * LEASE / 1000;
            let now = store.now;
            holders.retain(|(_, _, heard)| now - heard < LEASE * 3 / 2);
            let sure: u64 =
                holders.iter().filter(|(_, _, heard)| now - heard <= LEASE).map(|h| h.1).sum();
            let most: u64 = holders.iter().map(|h| h.1).sum();
            let known = holders.iter().position(|(other, ..)| *other == id);
            match what {
                0 | 1 => {
                    let told = store.permit("jobs", id, SideOperation::TakePermit, units);
                    match (told.code, known) {
                        (ALLOWED, None) => {
                            prop_assert!(sure + units <= max);
                            holders.push((id, units, now));
                        }
                        // Of one that may have lapsed: a new one, unless it says otherwise.
                        (ALLOWED, Some(at)) if told.marks >> 55 & 1 == 0 => {
                            prop_assert!(now - holders[at].2 > LEASE && sure + units <= max);
                            holders[at] = (id, units, now);
                        }
                        // It was given back, and is remembered for that.
                        (ALLOWED, Some(_)) | (ENDED, None) => {}
                        (DENIED, _) => prop_assert!(most + units > max),
                        (code, _) => prop_assert!(code == NEVER_ADMITTED && units > max),
                    }
                }
                2 => {
                    let told = store.permit("jobs", id, SideOperation::RenewPermit, 0);
                    if let Some(at) = known {
                        if told.code == ALLOWED {
                            holders[at].2 = now;
                        } else {
                            prop_assert!(now - holders[at].2 > LEASE, "within its lease");
                            holders.remove(at);
                        }
                    } else {
                        prop_assert_eq!(told.code, ENDED);
                    }
                }
                _ => {
                    let told = store.permit("jobs", id, SideOperation::ReleasePermit, 0);
                    prop_assert_eq!(told.code, ALLOWED);
                    if let Some(at) = known {
                        holders.remove(at);
                    } else {
                        prop_assert_eq!(told.third, 0);
                    }
                }
            }
            let now = store.now;
            let sure: u64 =
                holders.iter().filter(|(_, _, heard)| now - heard <= LEASE).map(|h| h.1).sum();
            prop_assert!(max - store.remaining("jobs") >= sure);
        }
    }
}
