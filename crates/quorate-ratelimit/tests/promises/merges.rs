//! Decisions of peers alone, merged: in any order, and never heavier than they were.

use proptest::prelude::*;
use quorate_ratelimit::Limit;

use super::*;

fn limits() -> impl Strategy<Value = Limit> {
    let length = std::time::Duration::from_secs(10);
    prop_oneof![
        (1..100u64, 1..100u64).prop_map(|(amount, burst)| Limit::per_second(amount).burst(burst)),
        (1..100u64, 1..100u64).prop_map(|(amount, burst)| Limit::per_day(amount).burst(burst)),
        (1..100u64).prop_map(move |max| Limit::window(max, length)),
        (1..100u64).prop_map(move |max| Limit::sliding(max, length)),
        (1..100u64).prop_map(move |max| Limit::approximate_sliding(max, length)),
        Just(Limit::counter()),
    ]
}

proptest! {
    /// Local decisions of several peers, merged at one moment: the same in any order.
    #[test]
    fn merges_commute(
        limit in limits(),
        group in prop::collection::vec((0..100_000u32, 1..30u64), 0..5),
        alone in prop::collection::vec(
            prop::collection::vec((0..100_000u32, 1..30u64), 1..8),
            1..4,
        ),
        order in any::<prop::sample::Index>(),
        now in 0..200_000u32,
    ) {
        let mut one = OneKey::new(limit);
        let at = |millis: u32| START + u64::from(millis) * 1_000_000;
        for (millis, amount) in group {
            one.take(at(millis), amount);
        }
        let cell = one.value;
        let mut deltas: Vec<Delta> = alone
            .iter()
            .map(|decisions| {
                one.value = cell;
                let mut delta = Delta::default();
                for (millis, amount) in decisions {
                    one.take_alone(at(*millis), *amount, &mut delta);
                }
                delta
            })
            .collect();
        let merge_all = |one: &mut OneKey, deltas: &[Delta]| {
            one.value = cell;
            let units: u64 = deltas.iter().map(|delta| one.merge(at(now), delta)).sum();
            (one.value, units)
        };
        let first = merge_all(&mut one, &deltas);
        let taken: u64 = deltas.iter().map(|delta| delta.units).sum();
        prop_assert!(first.1 <= taken, "no unit is counted that was not taken");
        let places = deltas.len();
        deltas.rotate_left(order.index(places));
        prop_assert_eq!(first, merge_all(&mut one, &deltas));
        deltas.reverse();
        prop_assert_eq!(first, merge_all(&mut one, &deltas));
    }

    /// Merged into an empty cell, local decisions weigh what they would if the group had made them.
    #[test]
    fn merged_decisions_weigh_what_the_groups_own_would(
        limit in limits(),
        group in 0..50u64,
        alone in prop::collection::vec((0..20_000u64, 1..30u64), 1..12),
        late in 0..20_000u64,
    ) {
        let mut peer = OneKey::new(limit);
        peer.take(START, group);
        let mut replayed = OneKey::new(limit);
        let (mut delta, mut now) = (Delta::default(), START);
        for (millis, amount) in alone {
            now += millis * MILLISECOND;
            if peer.take_alone(now, amount, &mut delta).units > 0 {
                prop_assert_eq!(replayed.take(now, amount).code, ALLOWED);
            }
        }
        now += late * MILLISECOND;
        let mut merged = OneKey::new(limit);
        merged.merge(now, &delta);
        prop_assert_eq!(merged.take(now, 0), replayed.take(now, 0));
    }

    /// What a peer decided and gave back alone counts, merged, at most what it still holds, and the
    /// order of merges does not matter.
    #[test]
    fn local_refunds_weigh_no_more_than_what_was_taken_locally(
        limit in limits(),
        group in 0..50u64,
        steps in prop::collection::vec((0..3000u64, 1..30u64, 0..6u64), 1..20),
    ) {
        let mut peer = OneKey::new(limit);
        peer.ask(START, group, DEBIT);
        let (mut delta, mut now, mut taken) = (Delta::default(), START, 0);
        for (millis, amount, operation) in steps {
            now += millis * MILLISECOND;
            let before = peer.cell(now).value().copied();
            let value = peer.value;
            let answer = peer.ask(now, amount, operation);
            taken += answer.units;
            if let Some(after) = peer.value.filter(|after| Some(*after) != value) {
                let item = Item { key: peer.key.as_ref(), args: [amount, operation] };
                peer.model.accumulate(&item, before.as_ref(), &after, &mut delta);
            }
        }
        let mut merged = OneKey::new(limit);
        prop_assert!(merged.merge(now, &delta) <= taken);
    }
}

#[test]
fn local_decisions_of_an_open_window_are_counted_and_those_of_a_closed_one_dropped() {
    let mut one = OneKey::new(Limit::window(100, std::time::Duration::from_secs(60)));
    let minute = START / (60 * SECOND) * 60 * SECOND;
    one.take(minute, 10);
    let group = one.value;
    let mut delta = Delta::default();
    // A peer on its own takes 20 of the old window and 5 of the next one, twice.
    one.take_alone(minute + SECOND, 20, &mut delta);
    one.take_alone(minute + 61 * SECOND, 3, &mut delta);
    one.take_alone(minute + 62 * SECOND, 2, &mut delta);
    assert_eq!(delta.units, 25);
    one.value = group;
    assert_eq!(one.take(minute + 70 * SECOND, 7).code, ALLOWED);
    assert_eq!(one.merge(minute + 71 * SECOND, &delta), 5);
    assert_eq!(remaining(&one.take(minute + 72 * SECOND, 0)), 100 - 7 - 5);
    assert_eq!(one.merge(minute + 120 * SECOND, &delta), 0, "closed by now");
}

#[test]
fn local_decisions_on_a_bucket_count_as_far_as_they_have_not_flowed_back() {
    let mut one = OneKey::new(Limit::per_second(10).burst(100));
    one.take(START, 30);
    let group = one.value;
    let mut delta = Delta::default();
    one.take_alone(START, 40, &mut delta);
    one.value = group;
    // At once, all 40 count; the group has taken 30 itself.
    let mut at_once = OneKey { value: group, ..OneKey::new(Limit::per_second(10).burst(100)) };
    assert_eq!(at_once.merge(START, &delta), 40);
    assert_eq!(remaining(&at_once.take(START, 0)), 30);
    // Three seconds later 30 of either have flowed back.
    assert_eq!(one.merge(START + 3 * SECOND, &delta), 10);
    assert_eq!(remaining(&one.take(START + 3 * SECOND, 0)), 90);
    // An hour alone at the full rate leaves one burst behind, not an hour of denials.
    let mut alone = OneKey::new(Limit::per_second(10).burst(100));
    let mut delta = Delta::default();
    for step in 0..36_000 {
        alone.take_alone(START + step * 100 * MILLISECOND, 1, &mut delta);
    }
    let now = START + 3600 * SECOND;
    assert_eq!(delta.units, 36_000);
    assert_eq!(OneKey::new(Limit::per_second(10).burst(100)).merge(now, &delta), 0);
}

#[test]
fn merges_can_exceed_a_limit_and_are_paid_back() {
    let mut one = OneKey::new(Limit::per_second(10).burst(100));
    let mut deltas = [Delta::default(); 3];
    for delta in &mut deltas {
        one.value = None;
        one.take_alone(START, 100, delta);
    }
    one.value = None;
    assert_eq!(deltas.map(|delta| one.merge(START, &delta)), [100; 3]);
    let denied = one.take(START, 1);
    assert_eq!((denied.code, remaining(&denied)), (DENIED, 0));
    assert_eq!(denied.words[2], 20 * SECOND + 100 * MILLISECOND, "200 units too many, then one");
}
