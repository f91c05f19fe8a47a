//! Peers without a primary, limit by limit.

use std::time::Duration;

use proptest::prelude::*;
use quorate::{Mode, Model};

use super::{Alone, SECOND, START, Store, key, merge};
use crate::limit::Limit;
use crate::limit::without_primary::WithoutPrimary;
use crate::model::answer::code::{ALLOWED, DENIED};
use crate::model::side_cell::SideCell;
use crate::rule::operation::{Operation, SideOperation};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_limit_may_say_what_the_group_does_not() {
    let limit = Limit::per_second(1);
    let store = Store::new(&[
        ("group", limit),
        ("refuse", limit.without_primary(WithoutPrimary::Refuse)),
        ("share", limit.without_primary(WithoutPrimary::share(500))),
        ("open", limit.without_primary(WithoutPrimary::Open)),
    ]);
    let mode = |names: &[&str], mode: Mode| {
        let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
        let items: Vec<_> = keys.iter().map(|key| Operation::Acquire.item(key, 1)).collect();
        store.model.mode_of(&items, mode)
    };
    for group in [Mode::Strict, Mode::Relaxed] {
        assert_eq!(mode(&["group"], group), group);
        assert_eq!(mode(&["refuse"], group), Mode::Strict);
        assert_eq!(mode(&["share", "open"], group), Mode::Relaxed);
        assert_eq!(mode(&["open", "refuse"], group), Mode::Strict, "one of them refuses");
        assert_eq!(mode(&["share", "group"], group), group);
        // What is reserved is the group's to settle.
        let (key, own) = (key("open"), SideCell::Reservation.key(&[b"r"]));
        let items = [&key[..], own.as_ref()].map(|key| Operation::Acquire.item(key, 1));
        assert_eq!(store.model.mode_of(&items, group), Mode::Strict);
    }
}

/// A group merges what others say that they decided alone only if some limit lets them.
#[test]
fn some_limit_must_let_a_peer_of_a_strict_group_decide_alone() {
    let limit = Limit::per_second(1);
    let may = |choice: WithoutPrimary, mode: Mode| {
        let store = Store::new(&[("group", limit), ("own", limit.without_primary(choice))]);
        store.model.may_decide_alone(mode)
    };
    use WithoutPrimary::{AsGroup, Open, Refuse};
    for choice in [AsGroup, Refuse, Open, WithoutPrimary::share(500)] {
        assert!(may(choice, Mode::Relaxed));
        assert_eq!(may(choice, Mode::Strict), !matches!(choice, AsGroup | Refuse), "{choice:?}");
    }
    // Nor is anything lost of what was decided before the last of them was taken out.
    let open = limit.without_primary(Open);
    let mut store = Store::new(&[("l", open)]);
    store.change(&[("l", limit)], crate::model::policy::Carry::Keep).expect("usable");
    assert!(store.model.may_decide_alone(Mode::Strict), "the code says so");
    let mut store = Store::new(&[("l", limit)]);
    store.change(&[("l", open)], crate::model::policy::Carry::Keep).expect("usable");
    assert!(store.model.may_decide_alone(Mode::Strict), "the group says so");
    store.change(&[("l", limit)], crate::model::policy::Carry::Keep).expect("usable");
    assert!(store.model.may_decide_alone(Mode::Strict), "the group has said so");
    let store = Store::new(&[("l", limit)]);
    store.model.set_policy(&quorate::Policy::default()).expect("it is that of the code");
    assert!(!store.model.may_decide_alone(Mode::Strict), "nobody has said so");
}

#[test]
fn what_was_decided_alone_counts_after_a_change() {
    let limit = |max, hours: u32| {
        Limit::window(max, DAY / 24 * hours).without_primary(WithoutPrimary::Open)
    };
    let mut store = Store::new(&[("l", limit(100, 24))]);
    store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + SECOND;
    let mut alone = Alone::new(&store);
    alone.acquire("l", 50);
    let deltas = alone.deltas;
    store.change(&[("l", limit(100, 12))], crate::model::policy::Carry::Keep).expect("usable");
    assert_eq!(merge(&mut store, &deltas), 50);
    assert_eq!(store.remaining("l"), 50);
}

#[test]
fn an_open_limit_admits_everything_and_counts_it() {
    let limit = Limit::window(10, DAY).without_primary(WithoutPrimary::Open);
    let mut store = Store::new(&[("l", limit)]);
    store.acquire("l", 8);
    let mut alone = Alone::new(&store);
    for _ in 0..5 {
        assert_eq!(alone.acquire("l", 4).code, ALLOWED);
    }
    let deltas = alone.deltas;
    assert_eq!(merge(&mut store, &deltas), 10, "as far as the limit goes");
    assert_eq!(store.acquire("l", 1).code, DENIED);
}

#[test]
fn a_permit_of_a_peer_whose_clock_is_ahead_is_known_when_it_is_merged() {
    let limit = Limit::concurrent(2).without_primary(WithoutPrimary::share(1000));
    let mut store = Store::new(&[("j", limit)]);
    let mut alone = Alone::new(&store);
    alone.now += 100 * SECOND;
    let (key, own) = (key("j"), SideCell::Permit.key(&[&key("j"), &[1]]));
    let take = SideOperation::TakePermit.item(&key, 1);
    assert_eq!(alone.decide(&[take, own.item()]).code, ALLOWED);
    let deltas = alone.deltas;
    merge(&mut store, &deltas);
    assert_eq!(store.remaining("j"), 1);
    assert_eq!(store.permit("j", 1, SideOperation::RenewPermit, 0).code, ALLOWED);
    assert_eq!(store.permit("j", 1, SideOperation::ReleasePermit, 0).remaining, 2);
}

#[test]
fn permits_of_a_peer_alone_go_on_and_new_ones_are_a_share() {
    let limit = Limit::concurrent(10).without_primary(WithoutPrimary::share(500));
    let mut store = Store::new(&[("j", limit)]);
    store.permit("j", 1, SideOperation::TakePermit, 3);
    let mut alone = Alone::new(&store);
    alone.now += 5 * SECOND;
    let mut on = |id: u8, operation: SideOperation, amount: u64| {
        let key = key("j");
        let own = SideCell::Permit.key(&[&key, &[id]]);
        alone.decide(&[operation.item(&key, amount), own.item()])
    };
    assert_eq!(on(1, SideOperation::RenewPermit, 0).code, ALLOWED, "it is known here");
    assert_eq!(on(2, SideOperation::TakePermit, 2).code, ALLOWED);
    assert_eq!(on(3, SideOperation::TakePermit, 1).code, DENIED, "5 of 10 are this peer's");
    assert_eq!(on(2, SideOperation::ReleasePermit, 0).third, 2);
    assert_eq!(on(4, SideOperation::TakePermit, 1).code, ALLOWED);
    let (deltas, now) = (alone.deltas, alone.now);
    store.now = now;
    merge(&mut store, &deltas);
    assert_eq!(store.permit("j", 4, SideOperation::ReleasePermit, 0).third, 1, "its id came along");
    assert_eq!(store.remaining("j"), 4, "renewed here, it counts in two slices ..");
    store.now += 45 * SECOND - 5 * SECOND;
    assert_eq!(store.remaining("j"), 7, ".. until the older one lapses");
}

proptest! {
    /// Merged in any order, what several peers did alone to permits is the same.
    #[test]
    fn merges_of_permits_commute(
        steps in prop::collection::vec((0..3usize, 0..3u8, 0..4u8, 0..5u64, 0..20u64), 1..40),
        order in Just(vec![0usize, 1, 2]).prop_shuffle(),
    ) {
        let jobs = Limit::concurrent(9).without_primary(WithoutPrimary::share(700));
        let mut store = Store::new(&[("j", jobs)]);
        store.permit("j", 0, SideOperation::TakePermit, 2);
        let mut peers = [(); 3].map(|()| Alone::new(&store));
        let mut now = store.now;
        for (peer, what, id, amount, seconds) in steps {
            now += seconds * SECOND;
            peers[peer].now = now;
            // Who takes one draws its id; what all knew of may be renewed and ended by any.
            let id = if id == 0 && what > 0 { 0 } else { id + 10 * (peer as u8 + 1) };
            let operation = match what {
                0 => SideOperation::TakePermit,
                1 => SideOperation::RenewPermit,
                _ => SideOperation::ReleasePermit,
            };
            let key = key("j");
            let own = SideCell::Permit.key(&[&key, &[id]]);
            peers[peer].decide(&[
                operation.item(&key, amount),
                own.item(),
            ]);
        }
        let deltas = peers.map(|peer| peer.deltas);
        let merged = |order: &[usize]| {
            let mut copy = Store { cells: store.cells.clone(), ..Store::new(&[("j", jobs)]) };
            copy.now = now;
            order.iter().for_each(|peer| _ = merge(&mut copy, &deltas[*peer]));
            copy.cells
        };
        prop_assert_eq!(merged(&[0, 1, 2]), merged(&order));
    }

    /// Whatever peers are cut off, and for however long: each admits at most its share, rounded up,
    /// in a window, and of a rate what that share of it admits; together with the group's own that
    /// is the stated bound.
    #[test]
    fn a_share_bounds_what_is_admitted_alone(
        per_mille in 1..=1000u16,
        max in 1..60u64,
        is_rate in any::<bool>(),
        group in 0..60u64,
        asked in prop::collection::vec((0..4_000u64, 1..9u64), 1..60),
    ) {
        let share = WithoutPrimary::share(per_mille);
        let limit = if is_rate { Limit::per_second(max) } else { Limit::window(max, DAY) };
        let mut store = Store::new(&[("l", limit.without_primary(share))]);
        store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + SECOND;
        store.acquire("l", group.min(max));
        let mut alone = Alone::new(&store);
        let (begun, mut admitted) = (alone.now, 0);
        let part = (max * u64::from(per_mille)).div_ceil(1000);
        for (millis, amount) in asked {
            alone.now += millis * 1_000_000;
            let told = alone.acquire("l", amount);
            if told.code == ALLOWED {
                admitted += amount;
            } else {
                prop_assert!(told.code == DENIED || amount > max);
            }
            let flowed = if is_rate {
                let elapsed = u128::from(alone.now - begun);
                elapsed * u128::from(max) * u128::from(per_mille) / (1000 * u128::from(SECOND))
            } else {
                0
            };
            prop_assert!(u128::from(admitted) <= u128::from(part) + flowed);
        }
        // What was admitted alone counts when it is merged, as far as it still matters.
        let (deltas, now) = (alone.deltas, alone.now);
        store.now = now;
        let units = merge(&mut store, &deltas);
        prop_assert!(units <= admitted);
        if !is_rate {
            prop_assert_eq!(units, admitted);
            prop_assert_eq!(store.remaining("l"), (max - group.min(max)).saturating_sub(admitted));
        }
    }
}
