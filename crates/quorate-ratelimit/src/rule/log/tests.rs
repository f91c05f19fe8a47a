//! Logs of any form against what they say of their units.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const SPAN: Span = Span::new(320 * MS);

/// Units and the moments at which they leave, the same moments together.
fn leaving(log: &Log) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for before in (0..=log.form.slices()).rev() {
        let (at, units) = (log.leaves(&SPAN, before), log.units(before));
        match all.last_mut() {
            Some((last, sum)) if *last == at => *sum += units,
            _ => all.push((at, units)),
        }
    }
    all.retain(|(_, units)| *units > 0);
    all
}

fn logs() -> impl Strategy<Value = Log> {
    let max = prop_oneof![1..8u64, 8..64u64, 64..4_096u64, 4_096..MOST_UNITS];
    let steps = prop::collection::vec((0..60 * MS, 0..1000u64), 1..60);
    (max, steps).prop_map(|(max, steps)| {
        let home = Home::new(max);
        let mut at = 1_753_000_000_000_000_000;
        let mut log = Log::empty(home, at);
        for (gap, part) in steps {
            at += gap;
            let look = log.look(&SPAN, at);
            let left = max.saturating_sub(log.used(&look));
            let units = u128::from(left) * u128::from(part) / 1000;
            log.take(&SPAN, home, &look, units as u64);
        }
        log
    })
}

proptest! {
    #[test]
    fn a_log_is_read_as_it_was_written(log in logs()) {
        let words = log.pack();
        prop_assert_eq!(words[2] >> (TAG_SHIFT - 1), 0, "the mark and the tag are not of it");
        prop_assert_eq!(Log::unpack(&words), log);
    }

    /// In a coarser form no unit leaves earlier, none is lost, and none leaves later than with
    /// the end of its new slice.
    #[test]
    fn a_coarser_form_keeps_every_unit_at_least_as_long(log in logs(), max in 1..MOST_UNITS) {
        let mut coarse = log;
        coarse.coarsen(&SPAN, Home::new(max));
        let sum = |all: &[(u64, u64)]| all.iter().map(|(_, units)| units).sum::<u64>();
        let (before, after) = (leaving(&log), leaving(&coarse));
        let is_full = (1..=coarse.form.slices()).any(|before| coarse.is_full(before));
        if !is_full {
            prop_assert_eq!(sum(&before), sum(&after));
        }
        for (at, _) in &before {
            let left = |all: &[(u64, u64)], until: u64| {
                all.iter().filter(|(at, _)| *at > until).map(|(_, units)| units).sum::<u64>()
            };
            prop_assert!(left(&after, at - 1) >= left(&before, at - 1));
            if coarse.form != Form::Large {
                let late = at + SPAN.slice(coarse.form);
                prop_assert!(left(&after, late) <= left(&before, *at));
            }
        }
    }

    #[test]
    fn the_sum_of_packed_counts_is_that_of_all(
        bits in any::<u128>(),
        number in 0..4u64,
    ) {
        let form = Form::of(number);
        let earlier = bits & low(form.bits() * form.slices());
        let log = Log { form, scale: 0, last: 0, newest: 0, earlier, owed: Owed::NONE };
        let all = (1..=form.slices()).map(|before| log.count(before));
        prop_assert_eq!(sum(earlier, form), all.sum::<u64>());
    }
}

#[test]
fn a_slice_that_has_more_than_it_can_say_blocks_until_it_leaves() {
    let home = Home::new(5_000);
    let at = 1_000 * 320 * MS;
    let mut log = Log::with(&SPAN, home, at, MOST_UNITS);
    let look = log.look(&SPAN, at + 320 * MS - 1);
    log.take(&SPAN, home, &look, 1);
    assert!(log.used(&look.taken()) > 5_000);
    assert_eq!(log.give_back_of(&SPAN, &look.taken(), at, 999_999), 0);
    assert_eq!(log.used(&log.look(&SPAN, at + 320 * MS + SPAN.slice(Form::Large))), 1);
}
