//! Answers to any request: of several items at once, of unknown limits, of amounts beyond them.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Any words in a cell, any key, any amount, any time: an answer, and never more than asked.
    #[test]
    fn decisions_are_total(
        rate in (1..=u64::MAX, 0..4u32, 1..=u64::MAX),
        max in 1..=u64::MAX,
        words in any::<[u64; 3]>(),
        tag in prop::option::of(Just(())),
        amount in prop_oneof![any::<u64>(), 0..5u64, (u64::MAX - 5)..=u64::MAX],
        now in prop_oneof![any::<u64>(), (u64::MAX - 5)..=u64::MAX, 0..5u64],
    ) {
        let (units, unit, burst) = rate;
        let per = [Limit::per_second, Limit::per_minute, Limit::per_hour, Limit::per_day];
        let limits = [
            per[unit as usize](units).burst(burst),
            Limit::window(max, std::time::Duration::from_millis(units.clamp(1, 86_400_000))),
        ];
        for limit in limits {
            let mut one = OneKey::new(limit);
            let mut value = Value { words, expires: GroupTime(u64::MAX) };
            if tag.is_some() {
                // The tag of the limit itself, so that the words are taken at their face.
                one.take(1, 1);
                let written = one.value.expect("one unit is admitted").words[2];
                value.words[2] = written & 0xffff << 48 | words[2] >> 16;
            }
            one.value = Some(value);
            let answer = one.take(now, amount);
            prop_assert!(remaining(&answer) <= answer.words[0]);
            let mut delta = Delta { words: value.words, units: amount };
            one.take_alone(now, amount, &mut delta);
            let merged = one.merge(now, &delta);
            prop_assert!(merged <= limit.capacity());
        }
    }

    /// Several items are admitted all or none: as many cells change as items ask for something,
    /// or none.
    #[test]
    fn several_items_are_admitted_all_or_none(
        capacities in prop::collection::vec(1..20u64, 2..16),
        calls in prop::collection::vec(prop::collection::vec(0..8u64, 16), 1..20),
    ) {
        let mut builder = Limits::builder();
        for (index, capacity) in capacities.iter().enumerate() {
            let rate = Limit::per_day(1).burst(*capacity);
            let window = Limit::window(*capacity, std::time::Duration::from_secs(86_400));
            builder = builder.limit(index.to_string(), [rate, window][index % 2]);
        }
        let limits = builder.build().expect("usable");
        let key = |index: usize| limits.key(&index.to_string(), "k").expect("known");
        let keys: Vec<_> = (0..capacities.len()).map(key).collect();
        let mut left = capacities.clone();
        let mut values = vec![None; left.len()];
        for amounts in calls {
            let item = |(key, amount): (&quorate_ratelimit::Key, &u64)| (key.clone(), *amount);
            let asked: Vec<_> = keys.iter().zip(&amounts).map(item).collect();
            let items: Vec<_> = asked
                .iter()
                .map(|(key, amount)| Operation::Acquire.item(key.as_ref(), *amount))
                .collect();
            let mut cells: Vec<_> = values.iter().map(|value| Cell::new(*value)).collect();
            let answer = limits.model().decide(&items, &mut cells, GroupTime(START));
            let mut each = left.iter().zip(&amounts);
            let is_admitted = each.all(|(left, amount)| *left >= (*amount).max(1));
            prop_assert_eq!(answer.code == ALLOWED, is_admitted);
            for (index, cell) in cells.iter().enumerate() {
                prop_assert_eq!(cell.is_changed(), is_admitted && amounts[index] > 0);
                if is_admitted {
                    left[index] -= amounts[index];
                }
                values[index] = cell.value().copied();
            }
            let total: u64 = amounts[..left.len()].iter().sum();
            prop_assert_eq!(answer.units, if is_admitted { total } else { 0 });
        }
    }
}

#[test]
fn a_peek_answers_as_one_unit_would_and_takes_nothing() {
    for limit in [Limit::per_day(2), Limit::window(2, std::time::Duration::from_secs(86_400))] {
        let mut one = OneKey::new(limit);
        assert_eq!((one.take(START, 0).code, one.value), (ALLOWED, None));
        assert_eq!(one.take(START, 2).code, ALLOWED);
        let peek = one.take(START, 0);
        assert_eq!((peek.code, remaining(&peek)), (DENIED, 0));
        assert!(peek.words[2] > 0, "it says when to come back");
    }
}

#[test]
fn an_amount_above_the_capacity_is_no_denial() {
    for limit in [Limit::per_second(9), Limit::window(9, std::time::Duration::from_secs(1))] {
        let answer = OneKey::new(limit).take(START, 10);
        assert_eq!((answer.code, answer.words[0]), (3, 9));
    }
}

#[test]
fn keys_without_a_known_limit_are_answered_so() {
    let one = OneKey::new(Limit::per_second(1));
    for key in [&b"abc"[..], b"", b"abcdefgh"] {
        let item = Operation::Acquire.item(key, 1);
        let mut cell = Cell::new(None);
        let answer = one.model.decide(&[item], std::slice::from_mut(&mut cell), GroupTime(START));
        assert_eq!((answer.code, answer.units, cell.is_changed()), (2, 0, false));
        let mut cells = [Cell::new(None); 2];
        let answer = one.model.decide(&[one.item(1), item], &mut cells, GroupTime(START));
        assert_eq!((answer.code, answer.units, answer.words[5]), (2, 0, 1));
        assert!(cells.iter().all(|cell| !cell.is_changed()));
        let delta = Delta { words: [1, 1, 1], units: 1 };
        assert_eq!(one.model.merge(key, &delta, &mut cell, GroupTime(START)), 0);
    }
}

#[test]
fn the_answer_to_several_items_speaks_of_the_tightest() {
    let limits = Limits::builder()
        .limit("wide", Limit::per_day(100))
        .limit("narrow", Limit::per_second(2))
        .limit("slow", Limit::per_day(2))
        .build()
        .expect("usable");
    let keys = ["wide", "narrow", "slow"].map(|name| limits.key(name, "k").expect("known"));
    let items = |amount| keys.each_ref().map(|key| Operation::Acquire.item(key.as_ref(), amount));
    let mut cells = [Cell::new(None); 3];
    let first = limits.model().decide(&items(2), &mut cells, GroupTime(START));
    assert_eq!((first.code, first.units, first.words[5]), (ALLOWED, 6, 1));
    let mut cells = cells.map(|cell| Cell::new(cell.value().copied()));
    let second = limits.model().decide(&items(1), &mut cells, GroupTime(START));
    // The one that denies for longest, and a bit for each that denies.
    assert_eq!((second.code, second.units), (DENIED, 0));
    assert_eq!((second.words[5] & 0xff, second.words[5] >> 8), (2, 0b110));
    assert_eq!(second.words[2], 43_200 * SECOND);
}
