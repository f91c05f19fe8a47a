//! What a sliding window promises, against a list of everything that was ever taken: in no time of
//! its length more than the max, and what it denies too early is bounded.

use std::time::Duration;

use proptest::prelude::*;
use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};
use quorate_ratelimit::{Key, Limit, Limits, Operation, RateLimitModel};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const START: u64 = 1_753_000_000 * SECOND;

const DENIED: u8 = 0;
const ALLOWED: u8 = 1;

/// Units that remain by an answer: none, if the word for them has what was taken beyond the limit.
fn remaining(answer: &Answer) -> u64 {
    if answer.words[5] >> 62 & 1 == 0 { answer.words[1] } else { 0 }
}

const ACQUIRE: u64 = Operation::Acquire.argument();
const UP_TO: u64 = Operation::AcquireUpTo.argument();
const DEBIT: u64 = Operation::Debit.argument();
const REFUND: u64 = Operation::Refund { window_ms: None }.argument();
const PEEK: u64 = Operation::Peek.argument();
const RESET: u64 = Operation::Reset.argument();

/// One limit and one key, as a store would hold it.
struct OneKey {
    model: RateLimitModel,
    key: Key,
    value: Option<Value>,
}

impl OneKey {
    fn new(limit: Limit) -> Self {
        let limits = Limits::builder().limit("l", limit).build().expect("usable");
        let key = limits.key("l", "k").expect("known");
        Self { model: limits.model(), key, value: None }
    }

    fn cell(&self, now: u64) -> Cell {
        Cell::new(self.value.filter(|value| value.expires > GroupTime(now)))
    }

    /// Decides as the store does: an expired cell is absent, a changed one is written.
    fn ask(&mut self, now: u64, amount: u64, operation: u64) -> Answer {
        let mut cell = self.cell(now);
        let item = Item { key: self.key.as_ref(), args: [amount, operation] };
        let answer = self.model.decide(&[item], std::slice::from_mut(&mut cell), GroupTime(now));
        if cell.is_changed() {
            self.value = cell.value().copied();
        }
        answer
    }

    fn take(&mut self, now: u64, amount: u64) -> Answer {
        self.ask(now, amount, ACQUIRE)
    }

    /// The same without an effect.
    fn would(&mut self, now: u64, amount: u64) -> Answer {
        let value = self.value;
        let answer = self.take(now, amount);
        self.value = value;
        answer
    }

    /// A decision of a peer on its own: on `value`, remembered in `delta`.
    fn ask_alone(&mut self, now: u64, amount: u64, operation: u64, delta: &mut Delta) -> Answer {
        let before = self.cell(now).value().copied();
        let value = self.value;
        let answer = self.ask(now, amount, operation);
        if let Some(after) = self.value.filter(|after| Some(*after) != value) {
            let item = Item { key: self.key.as_ref(), args: [amount, operation] };
            self.model.accumulate(&item, before.as_ref(), &after, delta);
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

fn sliding(max: u64, length: u64) -> OneKey {
    OneKey::new(Limit::sliding(max, Duration::from_nanos(length)))
}

/// The slices of a length that a max has.
fn slices(max: u64) -> u64 {
    match max {
        0..=7 => 32,
        8..=63 => 16,
        _ => 8,
    }
}

/// Everything that was taken and not given back: when, and how much.
#[derive(Clone, Debug, Default)]
struct Log(Vec<(u64, u64)>);

impl Log {
    fn push(&mut self, at: u64, units: u64) {
        if units > 0 {
            self.0.push((at, units));
        }
    }

    /// Units that were taken in the time before `now`, its beginning left out.
    fn within(&self, now: u64, time: u64) -> u64 {
        self.0.iter().filter(|(at, _)| now - at < time).map(|(_, units)| units).sum()
    }
}

fn lengths() -> impl Strategy<Value = u64> {
    let lengths =
        [MILLISECOND, 7 * MILLISECOND, SECOND, 2 * SECOND, 900 * SECOND, 366 * 86_400 * SECOND];
    prop_oneof![
        prop::sample::select(lengths.to_vec()),
        (1..20_000u64).prop_map(|ms| ms * MILLISECOND)
    ]
}

/// The smallest, the edges of each resolution, and beyond.
fn maxima() -> impl Strategy<Value = u64> {
    let edges = [1, 2, 7, 8, 63, 64, 4_095, 4_096, 100_000, (1 << 47) - 1];
    prop_oneof![1..40u64, prop::sample::select(edges.to_vec()), 1..20_000u64]
}

/// Steps of time in thousandths of the length, and amounts in thousandths of the max: bursts,
/// trickles, and long pauses.
fn requests() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let gaps = prop_oneof![Just(0), 0..3u32, 0..60u32, 0..1500u32, 900..1200u32];
    let amounts = prop_oneof![Just(0), 0..60u32, 0..1000u32, Just(1000)];
    prop::collection::vec((gaps, amounts), 1..100)
}

fn share(thousandths: u32, of: u64) -> u64 {
    let part = u128::from(thousandths) * u128::from(of) / 1000;
    u64::try_from(part).expect("a share of a small number")
}

proptest! {
    /// Whatever comes: in no time of the length more than the max, nothing is denied for more than
    /// what was taken in a length and a slice, and a denial tells the moment at which it ends.
    #[test]
    fn no_time_of_the_length_has_more_than_the_max_and_little_is_denied_too_early(
        max in maxima(),
        length in lengths(),
        requests in requests(),
        up_to in any::<prop::sample::Index>(),
    ) {
        let mut one = sliding(max, length);
        let mut log = Log::default();
        let mut now = START;
        for (index, (gap, amount)) in requests.into_iter().enumerate() {
            now += share(gap, length);
            let amount = share(amount, max).clamp(1, max);
            let is_up_to = up_to.index(3) == index % 3;
            let answer = one.ask(now, amount, if is_up_to { UP_TO } else { ACQUIRE });
            let [limit, remaining, told, reset_after, ..] = answer.words;
            prop_assert_eq!(limit, max);
            let slice = length / slices(max);
            let late = log.within(now, length + slice);
            // Of a large max some is counted in multiples.
            let held_back = if max > 4_095 { max / 63 } else { 0 };
            if answer.code == ALLOWED {
                log.push(now, told);
                prop_assert_eq!(answer.units, told);
                prop_assert!(log.within(now, length) <= max);
                if told < amount {
                    prop_assert!(late + amount + held_back > max);
                    prop_assert_eq!(remaining, 0);
                }
            } else {
                prop_assert_eq!(answer.code, DENIED);
                let wanted = if is_up_to { 1 } else { amount };
                prop_assert!(late + wanted + held_back > max, "{} of {} are there", late, max);
                prop_assert!(told > 0 && told <= length);
                prop_assert_eq!(one.would(now + told - 1, wanted).code, DENIED);
                prop_assert_eq!(one.would(now + told, wanted).code, ALLOWED);
            }
            prop_assert!(remaining <= max - log.within(now, length));
            prop_assert!(remaining + held_back + log.within(now, length + slice) >= max);
            if remaining > 0 {
                prop_assert_eq!(one.would(now, remaining).code, ALLOWED);
            }
            if remaining < max {
                prop_assert_eq!(one.would(now, remaining + 1).code, DENIED);
                prop_assert!(reset_after > 0 && reset_after <= length);
                prop_assert_eq!(one.would(now + reset_after, max).code, ALLOWED);
            } else {
                prop_assert_eq!(reset_after, 0);
            }
        }
    }

    /// A key that is asked for all the time is admitted as often as one that waits.
    #[test]
    fn to_hammer_is_no_worse_than_to_wait(
        max in prop_oneof![1..30u64, Just(100)],
        length_ms in prop::sample::select(vec![200u64, 1_000, 2_000, 5_000]),
        pause_us in 300..20_000u64,
    ) {
        let length = length_ms * MILLISECOND;
        let (mut hammered, mut waited) = (sliding(max, length), sliding(max, length));
        let end = START + 20 * length;
        let (mut by_hammering, mut by_waiting) = (0, 0);
        let mut now = START;
        while now < end {
            by_hammering += hammered.take(now, 1).units;
            now += pause_us * 1_000;
        }
        let mut now = START;
        while now < end {
            let answer = waited.take(now, 1);
            by_waiting += answer.units;
            now += if answer.code == DENIED { answer.words[2] } else { 1 };
        }
        // A unit comes back a slice late at most, and is asked for once in a pause.
        let cycle = length + length / slices(max) + max * pause_us * 1_000;
        let most_lost = by_waiting - by_waiting * length / cycle + max;
        prop_assert!(by_hammering + most_lost >= by_waiting, "{by_hammering} {by_waiting}");
        prop_assert!(by_hammering <= 20 * max && by_waiting <= 20 * max);
    }

    /// Every operation: what was given back by its decision is given back, and whatever else is
    /// done nothing leaves before its time.
    #[test]
    fn units_are_given_back_to_the_part_that_they_were_taken_in_and_none_leaves_early(
        max in prop_oneof![1..80u64, Just(1_000), Just(5_000)],
        length in lengths(),
        steps in prop::collection::vec(
            (0..400u32, 0..1200u32, 0..8u64, any::<prop::sample::Index>()),
            1..80,
        ),
        has_plain in prop::bool::weighted(0.3),
    ) {
        let mut one = sliding(max, length);
        // Everything that was taken, its window, and what of it was not given back.
        let mut taken: Vec<(u64, u64, u64)> = Vec::new();
        let mut now = START;
        for (gap, amount, operation, which) in steps {
            now += share(gap, length);
            let amount = share(amount, max).max(1);
            let before = one.ask(now, 1, PEEK);
            let left = remaining(&before);
            match operation {
                0..4 => {
                    let last = if has_plain { ACQUIRE } else { DEBIT };
                    let operation = [ACQUIRE, UP_TO, ACQUIRE, last][operation as usize];
                    let answer = one.ask(now, amount, operation);
                    if answer.code != ALLOWED {
                        continue;
                    }
                    let granted = answer.words[2];
                    taken.push((now, answer.words[4], granted));
                    let recent = taken.iter().filter(|(at, ..)| now - at < length);
                    let recent: u64 = recent.map(|(_, _, units)| units).sum();
                    if operation == DEBIT {
                        prop_assert_eq!(granted, amount);
                        prop_assert!(remaining(&answer) <= max.saturating_sub(recent));
                    } else {
                        prop_assert!(recent <= max, "{} of {}", recent, max);
                    }
                }
                4..6 if !taken.is_empty() => {
                    let (at, window, units) = taken[which.index(taken.len())];
                    let back = amount.min(units);
                    let granted = one.ask(now, back, REFUND | window << 8).words[2];
                    prop_assert!(granted <= back);
                    let counts = now - at < length;
                    if counts && !has_plain && max <= 80 && length >= 32 * MILLISECOND {
                        prop_assert_eq!(granted, back);
                    }
                    let index = which.index(taken.len());
                    taken[index].2 -= granted;
                    let after = remaining(&one.ask(now, 1, PEEK));
                    prop_assert!(after >= left && after <= left + granted);
                }
                6 if has_plain => {
                    let mut granted = one.ask(now, amount, REFUND).words[2];
                    let recent = taken.iter().filter(|(at, ..)| now - at < length);
                    let recent: u64 = recent.map(|(_, _, units)| units).sum();
                    // First those of the present part, then those that count though they need not,
                    // and then the oldest.
                    let mut older = (max - left).saturating_sub(recent);
                    for (_, window, units) in taken.iter_mut().rev() {
                        if *window == before.words[4] {
                            let back = granted.min(*units);
                            (granted, *units) = (granted - back, *units - back);
                        }
                    }
                    older = older.min(granted);
                    granted -= older;
                    for (_, _, units) in taken.iter_mut().filter(|(at, ..)| now - at < length) {
                        let back = granted.min(*units);
                        (granted, *units) = (granted - back, *units - back);
                    }
                    prop_assert_eq!(granted, 0, "no more than was taken");
                }
                7 if which.index(4) == 0 => {
                    let answer = one.ask(now, 0, RESET);
                    prop_assert_eq!(remaining(&answer), max);
                    taken.clear();
                }
                _ => {}
            }
        }
    }

    /// What several peers took alone counts after a merge, each unit as long as it would have
    /// counted, and in whatever order they are merged.
    #[test]
    fn merges_lose_no_unit_and_commute(
        max in prop_oneof![1..80u64, Just(1_000), Just(5_000), Just(10_000_000)],
        length_ms in prop::sample::select(vec![1_000u64, 10_000]),
        group in prop::collection::vec((0..1500u32, 0..1000u32), 0..6),
        alone in prop::collection::vec(
            prop::collection::vec((0..700u32, 0..1000u32, 0..5u64), 1..12),
            1..4,
        ),
        rotated in any::<prop::sample::Index>(),
        late in 0..1300u32,
        later in prop::collection::vec((0..400u32, 0..1000u32), 0..30),
    ) {
        let length = length_ms * MILLISECOND;
        let mut one = sliding(max, length);
        let mut log = Log::default();
        let mut now = START;
        for (gap, amount) in group {
            now += share(gap, length);
            let answer = one.take(now, share(amount, max).max(1));
            log.push(now, answer.units);
        }
        let cell = one.value;
        let mut latest = now;
        let mut deltas = Vec::new();
        for decisions in alone {
            one.value = cell;
            let (mut delta, mut now) = (Delta::default(), now);
            let mut taken: Vec<(u64, u64, u64)> = Vec::new();
            for (gap, amount, operation) in decisions {
                now += share(gap, length);
                let amount = share(amount, max).max(1);
                match operation {
                    0 if !taken.is_empty() => {
                        let (_, window, units) = taken.last_mut().expect("there is one");
                        let back = amount.min(*units);
                        let argument = REFUND | *window << 8;
                        *units -= one.ask_alone(now, back, argument, &mut delta).words[2];
                    }
                    _ => {
                        let answer = one.ask_alone(now, amount, ACQUIRE, &mut delta);
                        taken.push((now, answer.words[4], answer.units));
                    }
                }
            }
            taken.iter().for_each(|(at, _, units)| log.push(*at, *units));
            latest = latest.max(now);
            deltas.push(delta);
        }
        let mut now = latest + share(late, length);
        let merge_all = |one: &mut OneKey, deltas: &[Delta]| {
            one.value = cell;
            let units: u64 = deltas.iter().map(|delta| one.merge(now, delta)).sum();
            (one.value, units)
        };
        let merged = merge_all(&mut one, &deltas);
        let units: u64 = deltas.iter().map(|delta| delta.units).sum();
        prop_assert!(merged.1 <= units, "no unit is counted that was not taken");
        let places = deltas.len();
        deltas.rotate_left(rotated.index(places));
        prop_assert_eq!(merged, merge_all(&mut one, &deltas));
        deltas.reverse();
        prop_assert_eq!(merged, merge_all(&mut one, &deltas));
        // From here on the group decides by all of it.
        for (gap, amount) in later {
            let used = max - remaining(&one.ask(now, 1, PEEK));
            prop_assert!(used >= log.within(now, length).min(max), "{} of {:?}", used, log);
            // Of each that was merged.
            let held_back = if max > 4_095 { max / 63 * (places as u64 + 1) } else { 0 };
            prop_assert!(used <= log.within(now, length + 2 * length / slices(max)) + held_back);
            now += share(gap, length);
            let answer = one.take(now, share(amount, max).max(1));
            log.push(now, answer.units);
            if answer.code == ALLOWED {
                prop_assert!(log.within(now, length) <= max);
            }
        }
    }

    /// Units that were taken under another max stay taken as long, and nothing is admitted beyond
    /// the present one.
    #[test]
    fn another_max_reads_the_same_cells(
        first in maxima(),
        second in maxima(),
        length_ms in prop::sample::select(vec![40u64, 1_000, 60_000]),
        before in requests(),
        after in requests(),
    ) {
        let length = length_ms * MILLISECOND;
        let mut one = sliding(first, length);
        let mut log = Log::default();
        let mut now = START;
        for (gap, amount) in before.into_iter().take(20) {
            now += share(gap, length);
            let answer = one.take(now, share(amount, first).max(1));
            log.push(now, answer.units);
        }
        let mut one = OneKey { value: one.value, ..sliding(second, length) };
        let changed = now;
        for (gap, amount) in after.into_iter().take(40) {
            now += share(gap, length);
            let answer = one.take(now, share(amount, second).max(1));
            log.push(now, answer.units);
            if answer.code == ALLOWED {
                prop_assert!(log.within(now, length) <= second);
            } else {
                let wanted = share(amount, second).max(1);
                // Those that were taken by longer slices before leave by those, and what was left
                // over of an earlier max's multiples with the slice of the change.
                let is_past = now - changed >= length + length / 8;
                let multiples = [(first, !is_past), (second, true)];
                let large = multiples.iter().filter(|(max, counts)| *max > 4_095 && *counts);
                let held_back: u64 = large.map(|(max, _)| max / 63).sum();
                let late = log.within(now, length + length / 8);
                prop_assert!(late + held_back + wanted > second, "{} of {}", late, second);
            }
            prop_assert!(answer.code == ALLOWED || answer.words[2] <= length);
        }
    }

    /// Any words in a cell, any amount, any time: an answer, and never more than asked.
    #[test]
    fn decisions_are_total(
        max in maxima(),
        length in lengths(),
        words in any::<[u64; 3]>(),
        amount in prop_oneof![any::<u64>(), 0..5u64, (u64::MAX - 5)..=u64::MAX],
        operation in 0..6u64,
        window in 0..u64::MAX >> 8,
        now in prop_oneof![any::<u64>(), (u64::MAX - 5)..=u64::MAX, 0..5u64],
    ) {
        let mut one = sliding(max, length);
        one.take(1, 1);
        let written = one.value.expect("one unit is admitted").words[2];
        let own = written & 0xffff << 48 | words[2] & 0x7fff_ffff_ffff;
        let cells = [(words[0], own), (now, own), (words[0], own ^ 4 << 48), (words[0], words[2])];
        for (last, tagged) in cells {
            let words = [last, words[1], tagged];
            one.value = Some(Value { words, expires: GroupTime(u64::MAX) });
            let argument = if operation == REFUND { REFUND | window << 8 } else { operation };
            let mut delta = Delta { words, units: amount };
            let answer = one.ask_alone(now, amount, argument, &mut delta);
            prop_assert!(remaining(&answer) <= answer.words[0]);
            prop_assert!(answer.units <= amount);
            prop_assert!(one.merge(now, &delta) <= max);
            let merged = one.merge(now, &Delta { words, units: 0 });
            prop_assert!(merged <= max);
            // The form and the multiple of a claim do not stay: what is taken later is exact.
            one.value = None;
            one.merge(now, &Delta { words, units: 0 });
            let used = max - remaining(&one.ask(now, 1, PEEK));
            prop_assert!(one.take(now, max - used).units == max - used);
        }
    }
}

/// What "in any minute" was not: hammered at a max of 1 per 2 s it admitted one each 4 s.
#[test]
fn hammered_at_one_in_two_seconds_it_admits_one_in_two_seconds() {
    let mut one = sliding(1, 2 * SECOND);
    // Not at a whole second.
    let start = START + 777 * MILLISECOND;
    let admitted = (0..20_000u64).map(|ms| start + ms * MILLISECOND);
    let admitted: Vec<u64> = admitted.filter(|now| one.take(*now, 1).units > 0).collect();
    assert_eq!(admitted.len(), 10);
    assert!(admitted.windows(2).all(|pair| pair[1] - pair[0] == 2 * SECOND), "{admitted:?}");
}

/// 28 units were admitted within 1.9 s of a limit of 20 per 2 s.
#[test]
fn hammered_at_twenty_in_two_seconds_no_two_seconds_have_more() {
    for pause_us in [900, 4_100, 61_000, 99_990] {
        let mut one = sliding(20, 2 * SECOND);
        let mut log = Log::default();
        let mut now = START + 1_300 * MILLISECOND;
        while now < START + 60 * SECOND {
            log.push(now, one.take(now, 1).units);
            assert!(log.within(now, 2 * SECOND) <= 20);
            now += pause_us * 1_000;
        }
        let admitted: u64 = log.0.iter().map(|(_, units)| units).sum();
        // 58 s are 29 lengths; an eighth of a length is the most that one is late.
        assert!(admitted >= 20 * 29 * 8 / 9, "{admitted} each {pause_us} us");
    }
}

/// Retry-After was 949 s at 15 minutes.
#[test]
fn a_denial_never_tells_more_than_the_length() {
    let length = 900 * SECOND;
    let mut one = sliding(5, length);
    let start = START / length * length + SECOND;
    for at in [0, 0, 200, 400, 400] {
        assert_eq!(one.take(start + at * SECOND, 1).code, ALLOWED);
    }
    for amount in 1..=5 {
        let denied = one.take(start + 400 * SECOND, amount);
        assert_eq!(denied.code, DENIED);
        assert!(denied.words[2] <= length, "{amount}: {} s", denied.words[2] / SECOND);
        assert_eq!(one.would(start + 400 * SECOND + denied.words[2], amount).code, ALLOWED);
    }
    // All of it at one moment: to the nanosecond.
    let mut one = sliding(5, length);
    assert_eq!(one.take(START + 1, 5).code, ALLOWED);
    let denied = one.take(START + 1, 5);
    assert_eq!((denied.words[2], denied.words[3]), (length, length));
}

/// As the page says: group time that goes back makes waits longer by as much, and no more.
#[test]
fn what_was_taken_leaves_at_its_moment_though_time_goes_back() {
    let mut one = sliding(1, SECOND);
    assert_eq!(one.take(START, 1).code, ALLOWED);
    let denied = one.take(START - 5 * SECOND, 1);
    assert_eq!((denied.code, denied.words[2], denied.words[3]), (DENIED, 6 * SECOND, 6 * SECOND));
    assert_eq!(one.take(START + SECOND, 1).code, ALLOWED);
}

#[test]
fn what_was_debited_beyond_the_max_can_be_given_back() {
    const MOST: u64 = (1 << 47) - 2;
    for (max, amount) in [(1, 5), (5, 300), (60, 100_000), (100, MOST), (100, u64::MAX)] {
        let mut one = sliding(max, 10 * SECOND);
        // It was told all of it, and of what was more than it can say nothing was given back.
        let debit = one.ask(START, amount, DEBIT);
        let amount = amount.min(MOST);
        assert_eq!((remaining(&debit), debit.words[2], debit.units), (0, amount, amount));
        let back = one.ask(START, amount - 1, REFUND | debit.words[4] << 8);
        assert_eq!((back.words[2], remaining(&back)), (amount - 1, max - 1));
        assert_eq!(one.take(START + 10 * SECOND, max).code, ALLOWED);
    }
    // Part by part: what fills one does not keep the next from counting.
    let mut one = sliding(100, 8 * SECOND);
    let told = [0, 0, 1].map(|at| one.ask(START + at * SECOND, u64::MAX - 7, DEBIT).words[2]);
    assert_eq!(told[..2], [MOST, 0]);
    assert!(told[2] > MOST - (MOST >> 6), "{told:?}");
    let back = one.ask(START + SECOND, told[2], REFUND);
    // Less than a multiple is kept with what was left over of the part before.
    assert!(told[2] - back.words[2] < MOST >> 6, "{told:?}, {:?}", back.words[2]);
}

/// A peer of the version before this one has left a cell of two counters.
#[test]
fn cells_of_two_counters_are_carried_over_and_count_no_shorter() {
    let length = Duration::from_secs(10);
    let start = START / (10 * SECOND) * (10 * SECOND);
    for max in [5, 60, 4_000, 100_000] {
        let mut before = OneKey::new(Limit::approximate_sliding(max, length));
        assert_eq!(before.take(start - SECOND, max / 5).code, ALLOWED);
        assert_eq!(before.take(start + 2 * SECOND, max / 5).code, ALLOWED);
        let mut one = OneKey { value: before.value, ..OneKey::new(Limit::sliding(max, length)) };
        let now = start + 3 * SECOND;
        let left = max - 2 * (max / 5);
        assert_eq!(remaining(&one.ask(now, 1, PEEK)), left);
        assert_eq!(one.take(now, left + 1).code, DENIED);
        assert_eq!(one.take(now, left).code, ALLOWED);
        let denied = one.take(now, max);
        assert!(denied.code == DENIED && denied.words[2] <= 10 * SECOND);
        // Those of the window before leave with its end, and the others no later than if all had
        // been taken now.
        let held_back = if max > 4_095 { max / 63 } else { 0 };
        assert_eq!(one.would(start + 10 * SECOND, max / 5 - held_back).code, ALLOWED);
        assert_eq!(one.would(now + 10 * SECOND - 1, max).code, DENIED);
        assert_eq!(one.would(now + 10 * SECOND, max).code, ALLOWED);
        // A peer of that version takes a cell of this one for none.
        let mut after = OneKey { value: one.value, ..before };
        assert_eq!(remaining(&after.ask(now, 1, PEEK)), max);
    }
}

#[test]
fn a_clock_ahead_does_not_move_the_window_of_the_group() {
    let length = 10 * SECOND;
    let mut one = sliding(10, length);
    let mut delta = Delta::default();
    for ahead in [0, 4, 5] {
        one.ask_alone(START + (100 + ahead) * SECOND, 2, ACQUIRE, &mut delta);
    }
    one.value = None;
    assert_eq!(one.merge(START, &delta), 6);
    let denied = one.take(START, 5);
    assert_eq!((denied.code, denied.words[2]), (DENIED, length));
    assert_eq!(one.take(START + length, 10).code, ALLOWED);
}
