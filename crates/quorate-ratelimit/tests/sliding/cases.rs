//! Single windows and what became of them, most of them faults of the past.

use super::*;

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
