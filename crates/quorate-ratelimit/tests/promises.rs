//! What limits promise, against references that are too simple to be wrong: a list of everything
//! that was admitted.

use proptest::prelude::*;
use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Limit, Limits, Operation, RateLimitModel};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_753_000_000 * SECOND;

const DENIED: u8 = 0;
const ALLOWED: u8 = 1;

/// Units that remain by an answer: none, if the word for them has what was taken beyond the limit.
fn remaining(answer: &Answer) -> u64 {
    if answer.words[5] >> 62 & 1 == 0 { answer.words[1] } else { 0 }
}

/// One limit and one key, as a store would hold it.
struct OneKey {
    model: RateLimitModel,
    key: quorate_ratelimit::Key,
    value: Option<Value>,
}

impl OneKey {
    fn new(limit: Limit) -> Self {
        let limits = Limits::builder().limit("l", limit).build().expect("usable");
        let key = limits.key("l", "k").expect("known");
        Self { model: limits.model(), key, value: None }
    }

    fn item(&self, amount: u64) -> Item<'_> {
        Item { key: self.key.as_ref(), args: [amount, 0] }
    }

    /// Decides as the store does: an expired cell is absent, a changed one is written.
    fn take(&mut self, now: u64, amount: u64) -> Answer {
        let mut cell = self.cell(now);
        let answer = self.model.decide(
            &[self.item(amount)],
            std::slice::from_mut(&mut cell),
            GroupTime(now),
        );
        assert_eq!(cell.is_changed(), answer.units > 0, "a denial or a peek changes nothing");
        assert_eq!(answer.units, if answer.code == ALLOWED { amount } else { 0 });
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        answer
    }

    fn cell(&self, now: u64) -> Cell {
        Cell::new(self.value.filter(|value| value.expires > GroupTime(now)))
    }

    /// A decision of a peer on its own: on `value`, remembered in `delta`.
    fn take_alone(&mut self, now: u64, amount: u64, delta: &mut Delta) -> Answer {
        let before = self.cell(now).value().copied();
        let answer = self.take(now, amount);
        if let (Some(after), true) = (&self.value, answer.units > 0) {
            self.model.accumulate(&self.item(amount), before.as_ref(), after, delta);
            delta.units = delta.units.saturating_add(answer.units);
        }
        answer
    }

    fn merge(&mut self, now: u64, delta: &Delta) -> u64 {
        let mut cell = self.cell(now);
        let units = self.model.merge(self.key.as_ref(), delta, &mut cell, GroupTime(now));
        assert_eq!(cell.is_changed(), units > 0);
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        units
    }
}

/// A rate as numbers.
#[derive(Clone, Copy, Debug)]
struct Rate {
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

fn rates() -> impl Strategy<Value = Rate> {
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
fn requests() -> impl Strategy<Value = Vec<(u32, bool, u32)>> {
    let gaps = prop_oneof![Just(0), 0..3u32, 900..1100u32, 0..5000u32];
    let amounts = prop_oneof![Just(0), 0..10u32, 0..300u32, 0..1100u32];
    prop::collection::vec((gaps, prop::bool::weighted(0.1), amounts), 1..60)
}

fn share(thousandths: u32, of: u64) -> u64 {
    let part = u128::from(thousandths) * u128::from(of) / 1000;
    u64::try_from(part).expect("a share of a small number")
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
                .map(|(key, amount)| Item { key: key.as_ref(), args: [*amount, 0] })
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

proptest! {
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

const UP_TO: u64 = Operation::AcquireUpTo.argument();
const DEBIT: u64 = Operation::Debit.argument();
const REFUND: u64 = Operation::Refund { window_ms: None }.argument();
const PEEK: u64 = Operation::Peek.argument();
const RESET: u64 = Operation::Reset.argument();

impl OneKey {
    fn ask(&mut self, now: u64, amount: u64, operation: u64) -> Answer {
        let mut cell = self.cell(now);
        let item = Item { key: self.key.as_ref(), args: [amount, operation] };
        let answer = self.model.decide(&[item], std::slice::from_mut(&mut cell), GroupTime(now));
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        answer
    }
}

proptest! {
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

const MILLISECOND: u64 = 1_000_000;

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
        let item = Item { key, args: [1, 0] };
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

#[test]
fn the_answer_to_several_items_speaks_of_the_tightest() {
    let limits = Limits::builder()
        .limit("wide", Limit::per_day(100))
        .limit("narrow", Limit::per_second(2))
        .limit("slow", Limit::per_day(2))
        .build()
        .expect("usable");
    let keys = ["wide", "narrow", "slow"].map(|name| limits.key(name, "k").expect("known"));
    let items = |amount| keys.each_ref().map(|key| Item { key: key.as_ref(), args: [amount, 0] });
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
