//! Windows, fixed, approximate and of a calendar, and counters: against plain sums.

use proptest::prelude::*;
use quorate_ratelimit::Limit;

use super::*;

proptest! {
    /// In no window more than the max, windows never go back, and nothing less is admitted.
    #[test]
    fn a_window_admits_exactly_its_max(
        max in 1..50u64,
        length in prop::sample::select(vec![1_000_000, SECOND, 86_400 * SECOND]),
        requests in prop::collection::vec((0..6000u32, 0..20u64), 1..80),
    ) {
        let limit = Limit::window(max, std::time::Duration::from_nanos(length));
        let mut one = OneKey::new(limit);
        let (mut window, mut count) = (0, 0);
        for (time, amount) in requests {
            // In any order: a failover may bring a clock that is behind.
            let now = START + share(time, length);
            let aligned = now / length * length;
            if aligned > window && amount > 0 && amount <= max {
                (window, count) = (aligned, 0);
            }
            let answer = one.take(now, amount);
            if amount == 0 || amount > max {
                continue;
            }
            prop_assert_eq!(answer.code == ALLOWED, amount <= max - count);
            count += answer.units;
            prop_assert_eq!(remaining(&answer), max - count, "remaining");
            prop_assert_eq!(answer.words[4], window / 1_000_000, "window");
            prop_assert_eq!(answer.words[3], window + length - now, "reset after");
        }
    }

    /// Every operation on a window, against a count: units are conserved, whatever the order.
    #[test]
    fn a_window_counts_what_was_taken_less_what_was_given_back(
        max in 1..50u64,
        steps in prop::collection::vec((0..4000u64, 0..60u64, 0..6u64, prop::bool::ANY), 1..60),
    ) {
        let length = std::time::Duration::from_secs(10);
        let mut one = OneKey::new(Limit::window(max, length));
        let (mut now, mut start, mut count) = (START, START, 0u64);
        for (millis, amount, operation, of_an_older) in steps {
            now += millis * MILLISECOND;
            let present = now / (10 * SECOND) * 10 * SECOND;
            if present > start {
                (start, count) = (present, 0);
            }
            let left = max.saturating_sub(count);
            let named = if of_an_older { start - 10 * SECOND } else { start } / MILLISECOND;
            let argument = if operation == REFUND { REFUND | named << 8 } else { operation };
            let (granted, code) = match operation {
                UP_TO if left == 0 => (0, DENIED),
                UP_TO => (amount.min(left), ALLOWED),
                DEBIT => (amount, ALLOWED),
                REFUND if of_an_older => (0, ALLOWED),
                REFUND => (amount.min(count), ALLOWED),
                RESET => (count, ALLOWED),
                _ if amount.max(1) <= left && operation == PEEK => (0, ALLOWED),
                _ if amount.max(1) <= left => (amount, ALLOWED),
                _ if amount <= max => (0, DENIED),
                _ => (0, 3),
            };
            match operation {
                REFUND | RESET => count -= granted,
                _ => count += granted,
            }
            let answer = one.ask(now, amount, argument);
            prop_assert_eq!(answer.code, code);
            prop_assert_eq!(remaining(&answer), max.saturating_sub(count), "remaining");
            if code == ALLOWED {
                prop_assert_eq!(answer.words[2], granted);
            }
            let units = if operation == REFUND || operation == RESET { 0 } else { granted };
            prop_assert_eq!(answer.units, units);
        }
    }

    /// Two counters against a list of everything that was admitted: the same decisions, the stated
    /// bound, and a denied amount is admitted exactly after its `retry_after`.
    #[test]
    fn an_approximate_sliding_window_admits_what_its_two_counters_say_and_no_more_than_its_bound(
        max in 1..60u64,
        length_ms in 1..20_000u64,
        steps in prop::collection::vec((0..3000u32, 0..400u32), 1..80),
    ) {
        let length = length_ms * MILLISECOND;
        let of = std::time::Duration::from_millis(length_ms);
        let mut one = OneKey::new(Limit::approximate_sliding(max, of));
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        let mut now = START;
        for (gap, amount) in steps {
            now += share(gap, length);
            let amount = share(amount, max).clamp(1, max);
            let start = now / length * length;
            let elapsed = now - start;
            let between = |from: u64, to: u64| -> u64 {
                let within = admitted.iter().filter(|(at, _)| (from..to).contains(at));
                within.map(|(_, units)| units).sum()
            };
            let previous = u128::from(between(start.saturating_sub(length), start));
            let weighed = (previous * u128::from(length - elapsed)).div_ceil(u128::from(length));
            let used = between(start, now + 1) + weighed as u64;
            let state = one.value;
            let answer = one.take(now, amount);
            prop_assert_eq!(answer.code == ALLOWED, used + amount <= max);
            if answer.code == ALLOWED {
                admitted.push((now, amount));
            } else {
                let wait = answer.words[2];
                prop_assert!(wait > 0);
                prop_assert_eq!(one.take(now + wait - 1, amount).code, DENIED);
                one.value = state;
                prop_assert_eq!(one.take(now + wait, amount).code, ALLOWED);
                one.value = state;
            }
            let recent = admitted.iter().filter(|(at, _)| now - at < length);
            let recent: u64 = recent.map(|(_, units)| units).sum();
            let part = u128::from(max) * u128::from(elapsed) / u128::from(length);
            prop_assert!(u128::from(recent) <= u128::from(max) + part + 1);
        }
    }

    /// Every operation on an approximate sliding window: what is given back is of the window that
    /// was named, and no more than was taken there.
    #[test]
    fn an_approximate_sliding_window_gives_back_to_the_window_that_it_was_taken_from(
        max in 1..50u64,
        steps in prop::collection::vec((0..9000u64, 0..60u64, 0..6u64, 0..3u64), 1..60),
    ) {
        let ten = 10 * SECOND;
        let length = std::time::Duration::from_secs(10);
        let mut one = OneKey::new(Limit::approximate_sliding(max, length));
        let mut counts: std::collections::BTreeMap<u64, u64> = Default::default();
        let mut now = START;
        for (millis, amount, operation, ago) in steps {
            now += millis * MILLISECOND;
            let start = now / ten * ten;
            counts.retain(|window, _| window + ten >= start);
            let named = start - ago * ten;
            let argument = if operation == REFUND {
                REFUND | (named / MILLISECOND) << 8
            } else {
                operation
            };
            let answer = one.ask(now, amount, argument);
            if answer.code != ALLOWED {
                continue;
            }
            let granted = answer.words[2];
            match operation {
                REFUND => {
                    let count = counts.entry(named).or_default();
                    let expected = if ago < 2 { amount.min(*count) } else { 0 };
                    prop_assert_eq!(granted, expected);
                    *count -= granted;
                }
                RESET => counts.clear(),
                _ => *counts.entry(start).or_default() += granted,
            }
            let previous = u128::from(counts.get(&(start - ten)).copied().unwrap_or(0));
            let within = u128::from(ten - (now - start));
            let weighed = (previous * within).div_ceil(u128::from(ten)) as u64;
            let current = counts.get(&start).copied().unwrap_or(0);
            prop_assert_eq!(remaining(&answer), max.saturating_sub(current + weighed));
        }
    }

    /// A counter is the sum of what was added less what was taken off, and never expires.
    #[test]
    fn a_counter_is_a_sum(steps in prop::collection::vec((0..u64::MAX / 64, 0..6u64), 1..60)) {
        let mut one = OneKey::new(Limit::counter());
        let (mut now, mut sum) = (START, 0u64);
        for (amount, operation) in steps {
            now += 366 * 86_400 * SECOND / 60;
            let answer = one.ask(now, amount, operation);
            prop_assert_eq!(answer.code, ALLOWED);
            match operation {
                REFUND => sum = sum.saturating_sub(amount),
                RESET => sum = 0,
                PEEK => {}
                _ => sum = sum.saturating_add(amount),
            }
            prop_assert_eq!(u64::MAX - remaining(&answer), sum);
        }
    }
}

#[test]
fn a_calendar_window_ends_at_its_moment_and_is_never_opened_again() {
    use quorate_ratelimit::Calendar;
    // 2026-11-15 and 2026-12-15, midnight in Berlin.
    let [start, end] = [1_794_697_200, 1_797_289_200].map(|seconds| seconds * SECOND);
    let month = Calendar::month(15).in_zone("Europe/Berlin");
    let mut one = OneKey::new(Limit::calendar(10, month));
    assert_eq!(one.take(start - 1, 10).code, ALLOWED);
    assert_eq!(one.take(start - 1, 1).code, DENIED);
    let first = one.take(start, 7);
    assert_eq!((first.code, remaining(&first), first.words[4]), (ALLOWED, 3, start / MILLISECOND));
    assert_eq!(first.words[3], end - start, "until it is reset");
    let denied = one.take(end - 5, 4);
    assert_eq!((denied.code, denied.words[2]), (DENIED, 5));
    // A clock that has gone back does not open the older one.
    assert_eq!(one.take(start - SECOND, 4).code, DENIED);
    let refund = REFUND | (start / MILLISECOND) << 8;
    assert_eq!(one.ask(end - 1, 2, refund).words[2], 2);
    assert_eq!(one.ask(end, 2, refund).words[2], 0, "it is over");
    assert_eq!(one.take(end, 10).code, ALLOWED);
    assert_eq!(one.value.map(|value| value.expires > GroupTime(end)), Some(true));
}
