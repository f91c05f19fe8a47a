//! Sliding windows that count in multiples, or did under another max: what is given back of them,
//! and what a changed max leaves of that.

use std::time::Duration;

use proptest::prelude::*;
use quorate::{Cell, Delta, GroupTime, Model};

use super::{SECOND, Store, key};
use crate::limit::Limit;
use crate::model::answer::code::ALLOWED;
use crate::model::answer::word;
use crate::model::policy::Carry;
use crate::rule::operation::{Operation, SideOperation};

fn minute(max: u64) -> Limit {
    Limit::sliding(max, Duration::from_secs(60))
}

fn used(store: &mut Store, max: u64) -> u64 {
    max - store.remaining("l")
}

/// The start of the window that the answer to an acquire names.
fn acquired(store: &mut Store, amount: u64) -> u64 {
    let key = key("l");
    let mut cells = [Cell::new(store.seen(&key))];
    let item = Operation::Acquire.item(&key, amount);
    let answer = store.model.decide(&[item], &mut cells, GroupTime(store.now));
    assert_eq!(answer.code, ALLOWED);
    store.write(&key, &cells[0]);
    answer.words[word::WINDOW]
}

/// 250 reservations of 4,000 of which 10 were used each left all of the million taken.
#[test]
fn small_parts_of_a_large_window_come_back_after_their_slice() {
    for max in [100_000u64, 1_000_000, 10_000_000] {
        let mut store = Store::new(&[("l", minute(max))]);
        for id in 0..250 {
            let told = store.reservation("l", id, SideOperation::Reserve, max / 250);
            assert_eq!(told.code, ALLOWED);
        }
        store.now += 10 * SECOND;
        store.one("l", Operation::Debit, 1);
        for id in 0..250 {
            store.reservation("l", id, SideOperation::Commit, 10);
        }
        assert_eq!(used(&mut store, max), 2_501, "{max}");
    }
}

/// Each reservation is settled about 20 s later: what is late is a few multiples, for ever.
#[test]
fn small_parts_that_come_back_all_the_time_leave_in_time() {
    let max = 1_000_000;
    let mut store = Store::new(&[("l", minute(max))]);
    // When it was reserved, and what is left of it.
    let mut taken: Vec<(u64, u64)> = Vec::new();
    for second in 0..250u8 {
        let told = store.reservation("l", second, SideOperation::Reserve, 4_000);
        assert_eq!(told.code, ALLOWED);
        taken.push((store.now, 4_000));
        if let Some(reserved) = second.checked_sub(20).map(|reserved| reserved ^ 3) {
            let told = store.reservation("l", reserved, SideOperation::Commit, 1_250);
            assert_eq!(told.code, ALLOWED);
            taken[usize::from(reserved)].1 = 1_250;
        }
        let within = |time: u64| -> u64 {
            taken.iter().filter(|(at, _)| store.now - at < time).map(|(_, units)| units).sum()
        };
        let (least, most) = (within(60 * SECOND), within(68 * SECOND) + 2 * max / 63);
        let used = used(&mut store, max);
        assert!(used >= least && used <= most, "{second}: {used} of {least} to {most}");
        store.now += SECOND;
    }
}

#[test]
fn what_was_just_taken_of_a_large_window_comes_back_whole() {
    let mut store = Store::new(&[("l", minute(100_000))]);
    store.acquire("l", 4_096);
    store.now += 20 * SECOND;
    for _ in 0..50 {
        store.acquire("l", 500);
        assert_eq!(store.one("l", Operation::Refund { window_ms: None }, 500).third, 500);
    }
    assert_eq!(used(&mut store, 100_000), 4_096);
}

/// Denied of a thousand calls a minute, after the max has become another.
fn denied(store: &mut Store, amount: u64) -> u32 {
    let calls = (0..1_000).map(|_| {
        store.now += 60_000_000;
        u32::from(store.acquire("l", amount).code != ALLOWED)
    });
    calls.sum()
}

/// 37 to 46 % of a demand of 70 % were denied, and went on to be.
#[test]
fn a_max_that_was_lowered_admits_what_a_fresh_one_does_after_two_lengths() {
    for (from, to, percent) in [
        (1_000_000, 10_000, 70),
        (1_000_000, 20_000, 70),
        (1_000_000, 50_000, 80),
        (1_000_000, 4_000, 50),
        (100_000, 2_000, 80),
    ] {
        let mut store = Store::new(&[("l", minute(from))]);
        store.acquire("l", to / 2);
        store.change(&[("l", minute(to))], Carry::Keep).expect("usable");
        denied(&mut store, to * percent / 100_000);
        denied(&mut store, to * percent / 100_000);
        for minutes in 2..12 {
            let denied = denied(&mut store, to * percent / 100_000);
            assert_eq!(denied, 0, "{from} to {to}, minute {minutes}");
        }
    }
}

/// One of 5 that 100 units were debited from kept slices of an eighth for as long as it was used.
#[test]
fn a_window_goes_back_to_its_own_slices_while_it_is_used() {
    let mut store = Store::new(&[("l", minute(5))]);
    store.one("l", Operation::Debit, 100);
    store.now += 59 * SECOND;
    store.one("l", Operation::Debit, 1);
    for _ in 0..4 {
        store.now += 20 * SECOND;
        store.one("l", Operation::Debit, 1);
    }
    let slice = 60 * SECOND / 32;
    store.now = store.now / (8 * slice) * (8 * slice) + 8 * slice;
    assert_eq!(used(&mut store, 5), 3);
    assert_eq!(store.acquire("l", 2).code, ALLOWED);
    store.now += slice + SECOND;
    store.one("l", Operation::Debit, 1);
    store.now += 59 * SECOND;
    assert_eq!(used(&mut store, 5), 1, "the two left with their slice");
}

/// Two debits of 5,000 under 100 were 255 units under 20,000.
#[test]
fn what_was_debited_beyond_the_max_counts_under_a_higher_one() {
    for (max, debits, raised) in
        [(100, [5_000, 5_000, 1], 20_000), (5_000, [5_000, 45_000, 1], 60_000)]
    {
        let mut store = Store::new(&[("l", minute(max))]);
        for amount in debits {
            store.one("l", Operation::Debit, amount);
            store.now += 10 * SECOND;
        }
        store.change(&[("l", minute(raised))], Carry::Keep).expect("usable");
        let sum: u64 = debits.iter().sum();
        assert_eq!(used(&mut store, raised), sum, "{max} to {raised}");
        assert_eq!(store.acquire("l", raised - sum + 1).code, 0);
        assert_eq!(store.acquire("l", raised - sum).code, ALLOWED);
    }
}

/// In 12 of 16 phases nothing was given back of what was taken after 5 had become 100.
#[test]
fn what_is_taken_under_a_raised_max_is_found_again() {
    for (before, after) in [(5, 50), (5, 100), (50, 100), (5, 100_000), (100, 5), (100_000, 50)] {
        for phase in 0..16 {
            let mut store = Store::new(&[("l", minute(before))]);
            store.acquire("l", 1);
            store.change(&[("l", minute(after))], Carry::Keep).expect("usable");
            store.now += 9 * SECOND + phase * SECOND / 2;
            let window = acquired(&mut store, 2);
            store.now += 8 * SECOND;
            store.acquire("l", 1);
            let told = store.one("l", Operation::Refund { window_ms: Some(window) }, 2);
            assert_eq!(told.third, 2, "{before} to {after}, {phase}");
            assert_eq!(used(&mut store, after), 2);
        }
    }
}

/// One count in multiples of two to the 41st merged two million million units into a limit of 5.
#[test]
fn what_a_peer_claims_in_multiples_is_bounded_by_the_max() {
    for (max, claims) in [(5, 5), (5_000, 5_000), (1_000_000, 1_000_000)] {
        let mut store = Store::new(&[("l", minute(max))]);
        store.acquire("l", 1);
        let key = key("l");
        let tag = store.cells[&key].words[2] >> 48 << 48;
        let packed: u128 = 41 << 47 | 1 << 53;
        let words = [store.now, packed as u64, (packed >> 64) as u64 | 3 << 45 | tag];
        let delta = Delta { words, units: 1 };
        let mut cell = Cell::new(None);
        let units = store.model.merge(&key, &delta, &mut cell, GroupTime(store.now));
        assert_eq!(units, claims);
        store.write(&key, &cell);
        assert_eq!(store.remaining("l"), 0);
        store.now += 60 * SECOND;
        assert_eq!(store.acquire("l", max / 2).code, ALLOWED);
        store.now += 10 * SECOND;
        assert_eq!(store.acquire("l", max - max / 2).code, ALLOWED);
        store.now += 55 * SECOND;
        assert_eq!(store.acquire("l", max / 3).code, ALLOWED, "{max}: in multiples of its own");
    }
}

proptest! {
    /// Against a list of all that was taken: refunds of any size, each of its decision, leave
    /// exactly what is not given back, if that is sure to count, and no unit leaves early. What is
    /// late is less than a multiple, and one for each slice that left while less than that was owed
    /// of it.
    #[test]
    fn refunds_of_any_size_are_exact_and_nothing_leaves_early(
        max in prop_oneof![4_096..6_000u64, Just(100_000), Just(1_000_000)],
        steps in prop::collection::vec((0..9_000u64, 1..60u64, 0..6u8, 0..1_000u64), 1..120),
    ) {
        let mut store = Store::new(&[("l", minute(max))]);
        let length = 60 * SECOND;
        let slice = length / 8;
        let mut has_refunded = false;
        let mut short = 0;
        // When, the window told, and what is left of it.
        let mut taken: Vec<(u64, u64, u64)> = Vec::new();
        for (gap, part, what, pick) in steps {
            store.now += gap * 1_000_000;
            let now = store.now;
            let most = (max / 20 * part / 60).max(1);
            if what < 3 {
                if store.one("l", Operation::Peek, most).code == ALLOWED {
                    let window = acquired(&mut store, most);
                    taken.push((now, window, most));
                }
            } else {
                let open: Vec<usize> = (0..taken.len())
                    .filter(|index| now - taken[*index].0 < length && taken[*index].2 > 0)
                    .collect();
                if let Some(index) = open.get(pick as usize % open.len().max(1)) {
                    let (_, window, units) = taken[*index];
                    let back = if what == 5 { units } else { (units / 3).max(1) };
                    let refund = Operation::Refund { window_ms: Some(window) };
                    let told = store.one("l", refund, back).third;
                    // Multiples are taken off the oldest slice of which anything was given back:
                    // that one may have too few by then.
                    prop_assert!(told <= back);
                    short += back - told;
                    prop_assert!(short <= 9 * max / 63, "{} did not come back", short);
                    taken[*index].2 -= back;
                    has_refunded = true;
                }
            }
            let within = |time: u64| -> u64 {
                taken.iter().filter(|(at, ..)| now - at < time).map(|(.., units)| units).sum()
            };
            let found = used(&mut store, max);
            prop_assert!(within(length) <= max);
            prop_assert!(found >= within(length), "{} of {}", found, within(length));
            let multiples = if has_refunded { 9 } else { 1 };
            prop_assert!(found <= within(length + slice) + multiples * max / 63);
        }
    }
}
