//! Rates: exact to the unit and the nanosecond, however they divide their period.

use proptest::prelude::*;
use quorate_ratelimit::Limit;

use super::*;

/// A rate as numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    amount: u64,
    period: u64,
    burst: u64,
}

impl Rate {
    fn limit(self) -> Limit {
        let limit = match self.period / SECOND {
            1 => Limit::per_second(self.amount),
            60 => Limit::per_minute(self.amount),
            3600 => Limit::per_hour(self.amount),
            86_400 => Limit::per_day(self.amount),
            _ => Limit::per(self.amount, std::time::Duration::from_nanos(self.period)),
        };
        limit.burst(self.burst)
    }

    /// Whether `units` are at most what the rate promises for any `time` nanoseconds.
    fn permits(self, units: u64, time: u64) -> bool {
        let [amount, period, burst] = [self.amount, self.period, self.burst].map(u128::from);
        u128::from(units) * period <= burst * period + amount * u128::from(time)
    }
}

pub(crate) fn rates() -> impl Strategy<Value = Rate> {
    let amounts = prop_oneof![1..10u64, 1..1000u64, 1..10_000_000u64, Just(10_000_000), Just(1)];
    let periods = prop::sample::select(vec![
        SECOND / 4,
        SECOND,
        60 * SECOND,
        3600 * SECOND,
        86_400 * SECOND,
        365 * 86_400 * SECOND,
    ]);
    let bursts = prop_oneof![1..5u64, 1..100u64, 1..10_000_000u64];
    (amounts, periods, bursts).prop_map(|(amount, period, burst)| {
        // Full again within three years: group time ends in the year 2554.
        let most = amount * (3 * 365 * 86_400 * SECOND / period);
        Rate { amount, period, burst: burst.min(most) }
    })
}

/// Requests as (thousandths of the time that one unit takes, or of a burst, thousandths of the
/// burst): so that every rate is driven around its edge.
pub(crate) fn requests() -> impl Strategy<Value = Vec<(u32, bool, u32)>> {
    let gaps = prop_oneof![Just(0), 0..3u32, 900..1100u32, 0..5000u32];
    let amounts = prop_oneof![Just(0), 0..10u32, 0..300u32, 0..1100u32];
    prop::collection::vec((gaps, prop::bool::weighted(0.1), amounts), 1..60)
}

proptest! {
    /// Over any interval T at most burst + rate * T, and nothing less: the decision is the one of
    /// a search through all that was ever admitted.
    #[test]
    fn a_rate_admits_exactly_what_it_promises(rate in rates(), requests in requests()) {
        let mut one = OneKey::new(rate.limit());
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        let mut now = START;
        for (gap, is_long, amount) in requests {
            let unit = (rate.period / rate.amount).max(1);
            now += share(gap, if is_long { unit * rate.burst } else { unit });
            let amount = share(amount, rate.burst).clamp(1, rate.burst);
            let mut units = amount;
            let is_permitted = admitted.iter().rev().all(|(time, earlier)| {
                units += earlier;
                rate.permits(units, now - time)
            });
            let answer = one.take(now, amount);
            prop_assert_eq!(answer.code == ALLOWED, is_permitted);
            if is_permitted {
                admitted.push((now, amount));
            }
        }
    }

    /// Exactly the remaining units are admitted, and exactly after `retry_after` a denied amount.
    #[test]
    fn remaining_and_retry_after_are_exact(rate in rates(), requests in requests()) {
        let mut one = OneKey::new(rate.limit());
        let mut now = START;
        for (gap, _, amount) in requests {
            now += share(gap, (rate.period / rate.amount).max(1));
            let amount = share(amount, rate.burst).clamp(1, rate.burst);
            let answer = one.take(now, amount);
            let [limit, remaining, retry_after, reset_after, ..] = answer.words;
            prop_assert_eq!(limit, rate.burst);
            let state = one.value;
            if remaining > 0 {
                prop_assert_eq!(one.take(now, remaining).code, ALLOWED);
                one.value = state;
            }
            if remaining < limit {
                prop_assert_eq!(one.take(now, remaining + 1).code, DENIED);
                prop_assert_eq!(one.take(now + reset_after, limit).code, ALLOWED);
                one.value = state;
            }
            if answer.code == DENIED {
                prop_assert!(retry_after > 0);
                prop_assert_eq!(one.take(now + retry_after - 1, amount).code, DENIED);
                prop_assert_eq!(one.take(now + retry_after, amount).code, ALLOWED);
                one.value = state;
            } else {
                prop_assert_eq!(retry_after, amount, "the word says what was taken then");
            }
        }
    }

    /// A cell that expires is one that says nothing any more: forgetting it changes no answer.
    #[test]
    fn an_expired_cell_says_nothing(rate in rates(), amount in 1..1000u32, late in 0..3u64) {
        let mut one = OneKey::new(rate.limit());
        one.take(START, share(amount, rate.burst).max(1));
        let expires = one.value.expect("admitted").expires;
        let now = GroupTime(expires.0 + late);
        let mut kept = Cell::new(one.value);
        let mut absent = Cell::new(None);
        for cell in [&mut kept, &mut absent] {
            one.model.decide(&[one.item(1)], std::slice::from_mut(cell), now);
        }
        prop_assert_eq!(kept, absent);
    }

    /// Group time never goes back, but if it did, nothing would flow back twice.
    #[test]
    fn a_rate_holds_when_time_goes_back(
        rate in rates(),
        requests in prop::collection::vec((0..2000u32, 0..500u32), 1..60),
    ) {
        let mut one = OneKey::new(rate.limit());
        let unit = (rate.period / rate.amount).max(1);
        let mut units = 0;
        let (mut first, mut last) = (u64::MAX, 0);
        for (time, amount) in requests {
            let now = START + share(time, unit);
            (first, last) = (first.min(now), last.max(now));
            units += one.take(now, share(amount, rate.burst)).units;
            prop_assert!(rate.permits(units, last - first));
        }
    }

    /// A refund gives a rate back what was taken and has not flowed back yet, and no more; a debit
    /// makes the next ones wait for what was used beyond the burst.
    #[test]
    fn a_rate_is_given_back_no_more_than_was_taken(
        rate in rates(),
        taken in 1..1000u32,
        used in 0..3000u32,
        refunded in 0..3000u32,
        wait in 0..2000u32,
    ) {
        let mut one = OneKey::new(rate.limit());
        let mut fresh = OneKey::new(rate.limit());
        one.ask(START, share(taken, rate.burst).clamp(1, rate.burst), 0);
        one.ask(START, share(used, rate.burst), DEBIT);
        let now = START + share(wait, (rate.period / rate.amount).max(1));
        let before = one.ask(now, 1, PEEK);
        let back = one.ask(now, share(refunded, rate.burst), REFUND);
        prop_assert_eq!((back.code, back.units), (ALLOWED, 0));
        prop_assert!(back.words[2] <= share(refunded, rate.burst));
        prop_assert!(remaining(&back) >= remaining(&before) && remaining(&back) <= rate.burst);
        // All of it given back is as if nothing had ever been taken.
        one.ask(now, u64::MAX, REFUND);
        prop_assert_eq!(one.ask(now, 1, PEEK).words, fresh.ask(now, 1, PEEK).words);
        // And reset after any of it too.
        one.ask(now, share(used, rate.burst), DEBIT);
        one.ask(now, 0, RESET);
        prop_assert_eq!(one.ask(now, 1, PEEK).words, fresh.ask(now, 1, PEEK).words);
    }

    /// What was debited beyond the capacity is waited for, to the nanosecond.
    #[test]
    fn a_rate_in_debt_admits_again_when_it_is_paid(rate in rates(), used in 1..5000u32) {
        let mut one = OneKey::new(rate.limit());
        let used = share(used, rate.burst) + 1;
        prop_assert_eq!(one.ask(START, used, DEBIT).words[2], used);
        let denied = one.ask(START, rate.burst, 0);
        prop_assert_eq!(denied.code, DENIED);
        let wait = denied.words[2];
        prop_assert_eq!(one.ask(START + wait - 1, rate.burst, PEEK).code, DENIED);
        prop_assert_eq!(one.ask(START + wait, rate.burst, PEEK).code, ALLOWED);
    }
}

#[test]
fn a_rate_of_ten_million_a_second_is_exact() {
    let mut one = OneKey::new(Limit::per_second(10_000_000).burst(1));
    // One unit each 100 ns: a request each 33 ns is admitted every fourth time, at 0, 132, 264 ..
    let admitted = (0..4000).filter(|step| one.take(START + 33 * step, 1).units > 0).count();
    assert_eq!(admitted, 1000);
    // And one each 50 ns every second time.
    let start = START + SECOND;
    let admitted = (0..4000).filter(|step| one.take(start + 50 * step, 1).units > 0).count();
    assert_eq!(admitted, 2000);
}

#[test]
fn a_rate_of_one_a_day_is_exact() {
    let mut one = OneKey::new(Limit::per_day(1));
    let day = 86_400 * SECOND;
    assert_eq!(one.take(START, 1).code, ALLOWED);
    let denied = one.take(START + 1, 1);
    assert_eq!((denied.code, denied.words[2]), (DENIED, day - 1));
    assert_eq!(one.take(START + day - 1, 1).code, DENIED);
    assert_eq!(one.take(START + day, 1).code, ALLOWED);
}

/// The trap of rates that do not divide a second: an interval rounded down admits more than the
/// rate, one rounded up less, and after a day it is thousands.
#[test]
fn a_rate_that_does_not_divide_its_period_loses_nothing_in_the_long_run() {
    for rate in [3, 7, 999_983] {
        let mut one = OneKey::new(Limit::per_second(rate).burst(1_000_000));
        one.take(START, 1_000_000);
        // Steps that never hit an interval, and take all there is.
        let (steps, step) = (100_000, 100_000_007);
        let taken: u64 = (1..=steps)
            .map(|index| {
                let now = START + index * step;
                let remaining = remaining(&one.take(now, 0));
                one.take(now, remaining).units
            })
            .sum();
        let exact = u128::from(rate) * u128::from(steps * step) / u128::from(SECOND);
        assert_eq!(u128::from(taken), exact);
    }
}

/// A primary whose clock is behind tells callers to wait for as much longer.
#[test]
fn times_are_counted_from_the_newest_decision() {
    let mut one = OneKey::new(Limit::per_second(1).burst(2));
    one.take(START + 10 * SECOND, 2);
    let denied = one.take(START, 1);
    assert_eq!(denied.code, DENIED);
    assert_eq!(denied.words[2..4], [11 * SECOND, 12 * SECOND]);
}

#[test]
fn a_changed_burst_keeps_what_was_taken_and_a_changed_rate_starts_afresh() {
    let length = std::time::Duration::from_secs(3600);
    let (rate, window) = (Limit::per_hour(10), Limit::window(10, length));
    for (before, after, units) in [
        (rate, Limit::per_hour(10).burst(20), 12),
        (rate, Limit::per_hour(10).burst(5), 0),
        (rate, Limit::per_hour(11), 11),
        (rate, window, 10),
        (window, Limit::window(20, length), 12),
        (window, Limit::window(5, length), 0),
        (window, Limit::window(10, length * 2), 10),
        (window, rate, 10),
    ] {
        let mut one = OneKey::new(before);
        one.take(START, 8);
        let mut changed = OneKey { value: one.value, ..OneKey::new(after) };
        assert_eq!(remaining(&changed.take(START, 0)), units, "{before} to {after}");
    }
}
