//! Any requests of any window, one after the other.

use proptest::prelude::*;

use super::*;

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
