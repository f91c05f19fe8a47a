//! Limits that change: what was taken still counts, or does not, as was asked.

use std::time::Duration;

use proptest::prelude::*;
use quorate::{GroupTime, MAX_POLICY_BYTES, Model, Policy};

use super::{SECOND, START, Store};
use crate::limit::Limit;
use crate::model::answer::code::{ALLOWED, DENIED, UNKNOWN_LIMIT};
use crate::model::policy::Carry;
use crate::rule::operation::SideOperation;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Remaining units after a change of a limit of which 40 are taken.
fn remaining(before: Limit, after: Limit, carry: Carry) -> u64 {
    let mut store = Store::new(&[("l", before)]);
    // In the middle of a window of either length.
    store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 1_800 * SECOND;
    assert_eq!(store.acquire("l", 40).code, ALLOWED);
    store.change(&[("l", after)], carry).expect("usable");
    store.remaining("l")
}

#[test]
fn usage_is_kept_in_units_as_a_part_or_not_at_all() {
    let slow = |burst| Limit::per(1, DAY * 300).burst(burst);
    let other = |burst| Limit::per(3, DAY * 366).burst(burst);
    let (hour, day) = (|max| Limit::window(max, HOUR), |max| Limit::window(max, DAY));
    let sliding = |max| Limit::sliding(max, DAY);
    let cases = [
        (slow(100), slow(200)),
        (slow(100), other(200)),
        (hour(100), hour(200)),
        (hour(100), day(200)),
        (day(100), hour(200)),
        (hour(100), slow(200)),
        (slow(100), day(200)),
        (sliding(100), sliding(200)),
        (sliding(100), hour(200)),
    ];
    for (before, after) in cases {
        assert_eq!(remaining(before, after, Carry::Keep), 160, "{before} to {after}");
        assert_eq!(remaining(before, after, Carry::Proportional), 120, "{before} to {after}");
        assert_eq!(remaining(before, after, Carry::Reset), 200, "{before} to {after}");
        assert_eq!(remaining(before, before, Carry::Reset), 60, "what stays is not touched");
    }
    // Lowered below what is used: nothing until that is paid back.
    assert_eq!(remaining(slow(100), slow(30), Carry::Keep), 0);
    assert_eq!(remaining(slow(100), slow(30), Carry::Proportional), 18);
}

#[test]
fn a_raised_limit_works_at_once_and_others_come_and_go() {
    let mut store = Store::new(&[("a", Limit::per_second(5)), ("b", Limit::per_second(5))]);
    assert_eq!((store.acquire("a", 5).code, store.acquire("a", 1).code), (ALLOWED, DENIED));
    let new = [("a", Limit::per_second(9)), ("c", Limit::per_second(1))];
    assert_eq!(store.change(&new, Carry::Keep), Ok(1));
    assert_eq!((store.acquire("a", 4).code, store.acquire("a", 1).code), (ALLOWED, DENIED));
    assert_eq!((store.acquire("b", 1).code, store.acquire("c", 1).code), (UNKNOWN_LIMIT, ALLOWED));
    assert_eq!(store.change(&new, Carry::Reset), Ok(1), "the same again changes nothing");
}

#[test]
fn usage_goes_through_several_changes_and_a_chain_without_end_is_refused() {
    let mut store = Store::new(&[("l", Limit::window(100, DAY))]);
    store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 60 * SECOND;
    store.acquire("l", 40);
    for (hours, max, revision) in [(12, 200, 1), (8, 100, 2), (6, 400, 3)] {
        let limit = Limit::window(max, HOUR * hours);
        assert_eq!(store.change(&[("l", limit)], Carry::Proportional), Ok(revision));
    }
    assert_eq!(store.remaining("l"), 240, "four tenths of it are used");
    store.acquire("l", 40);
    assert_eq!(store.remaining("l"), 200);
    let mut change = |minutes: u32| {
        let limit = Limit::window(400, Duration::from_secs(60) * minutes);
        store.change(&[("l", limit)], Carry::Keep)
    };
    let refused = (10..30).find_map(|minutes| change(minutes).err()).expect("at last");
    assert!(refused.contains("carry=reset"), "{refused}");
}

#[test]
fn permits_are_not_carried_into_another_lease() {
    let jobs = |max, seconds| Limit::concurrent(max).lease(Duration::from_secs(seconds));
    let mut store = Store::new(&[("j", jobs(2, 30))]);
    store.permit("j", 1, SideOperation::TakePermit, 2);
    assert_eq!(store.change(&[("j", jobs(5, 30))], Carry::Keep), Ok(1));
    assert_eq!(store.remaining("j"), 3);
    assert_eq!(store.change(&[("j", jobs(3, 30))], Carry::Proportional), Ok(2));
    assert_eq!(store.permit("j", 1, SideOperation::RenewPermit, 0).code, ALLOWED);
    let refused = store.change(&[("j", jobs(3, 60))], Carry::Keep).expect_err("another lease");
    assert!(refused.contains("another name"), "{refused}");
    assert_eq!(store.change(&[("j", jobs(3, 60))], Carry::Reset), Ok(3));
    assert_eq!(store.remaining("j"), 3);
}

#[test]
fn a_reservation_is_settled_after_a_change_of_numbers_and_stays_taken_after_one_of_form() {
    let slow = |burst| Limit::per(1, DAY * 300).burst(burst);
    let mut store = Store::new(&[("l", slow(10))]);
    store.reservation("l", 1, SideOperation::Reserve, 6);
    assert_eq!(store.change(&[("l", slow(20))], Carry::Keep), Ok(1));
    assert_eq!(store.reservation("l", 1, SideOperation::Commit, 1).remaining, 19);
    store.reservation("l", 2, SideOperation::Reserve, 6);
    for (limit, carry, left) in
        [(Limit::per(2, DAY * 366).burst(20), Carry::Keep, 20 - 7), (slow(10), Carry::Reset, 10)]
    {
        store.change(&[("l", limit)], carry).expect("usable");
        assert_eq!(store.remaining("l"), left);
        store.acquire("l", left);
        assert_eq!(
            store.reservation("l", 2, SideOperation::Commit, 0).remaining,
            0,
            "not another's"
        );
    }
}

#[test]
fn after_a_change_the_new_rate_gives_back_what_was_kept() {
    let cases = [
        (Limit::per(1, DAY * 365).burst(10), Limit::per_second(10).burst(10), 1, 10),
        (Limit::per_day(1000), Limit::per_second(10).burst(100), 91, 10),
        (Limit::window(10, DAY), Limit::window(10, HOUR), 3_600, 10),
        (Limit::counter(), Limit::window(10, HOUR), 3_600, 10),
        (Limit::sliding(10, DAY), Limit::per_second(5).burst(10), 2, 10),
    ];
    for (before, after, seconds, left) in cases {
        let mut store = Store::new(&[("l", before)]);
        store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 1_800 * SECOND;
        store.acquire("l", before.capacity().min(1000));
        store.change(&[("l", after)], Carry::Keep).expect("usable");
        assert_eq!(store.acquire("l", 1).code, DENIED, "{before} to {after}");
        store.now += seconds * SECOND;
        // Denials write nothing; the time since the change counts all the same.
        assert!(store.remaining("l") >= left, "{before} to {after}: {}", store.remaining("l"));
    }
}

#[test]
fn a_form_in_the_middle_that_is_over_keeps_its_scale() {
    let mut store = Store::new(&[("l", Limit::window(100, DAY))]);
    store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 60 * SECOND;
    store.acquire("l", 40);
    for limit in [Limit::per_second(200), Limit::window(50, DAY)] {
        store.change(&[("l", limit)], Carry::Proportional).expect("usable");
    }
    assert_eq!(store.remaining("l"), 30);
    store.now += 600 * SECOND;
    store.change(&[("l", Limit::window(100, DAY))], Carry::Proportional).expect("usable");
    assert_eq!(store.remaining("l"), 60);
}

#[test]
fn a_limit_that_was_away_begins_anew() {
    let window = |max| Limit::window(max, DAY);
    let mut store = Store::new(&[("l", window(10)), ("m", window(1))]);
    store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 60 * SECOND;
    store.acquire("l", 10);
    store.change(&[("m", window(1))], Carry::Keep).expect("usable");
    store.change(&[("l", window(11)), ("m", window(1))], Carry::Keep).expect("usable");
    assert_eq!(store.remaining("l"), 11);
}

#[test]
fn what_is_owed_beyond_a_lower_limit_is_not_forgiven_by_changes() {
    let mut store = Store::new(&[("l", Limit::per_day(1000))]);
    store.acquire("l", 1000);
    for rate in 1..4 {
        store.change(&[("l", Limit::per_second(rate).burst(5))], Carry::Keep).expect("usable");
        store.now += 60 * SECOND;
        assert_eq!(store.acquire("l", 1).code, DENIED, "at {rate}/s");
    }
}

#[test]
fn the_window_before_a_change_of_length_still_counts_in_part() {
    let minute = Duration::from_secs(60);
    let mut store = Store::new(&[("l", Limit::sliding(100, minute))]);
    store.now = START / (120 * SECOND) * (120 * SECOND) + 59 * SECOND;
    store.acquire("l", 100);
    store.now += 2 * SECOND;
    store.change(&[("l", Limit::sliding(100, minute * 2))], Carry::Keep).expect("usable");
    assert!(store.remaining("l") <= 2);
}

#[test]
fn a_change_that_cannot_be_read_or_breaks_a_rule_is_refused() {
    let store = Store::new(&[("l", Limit::per_second(1))]);
    for request in [
        &b""[..],
        b"{}",
        b"[]",
        br#"{"limits":{"l":{"rate":"0/s"}}}"#,
        br#"{"limits":{"":{"rate":"1/s"}}}"#,
        br#"{"limits":{"l":{"rate":"1/s","frobnicate":1}}}"#,
        br#"{"limits":{},"carry":"some"}"#,
    ] {
        let changed = store.model.change_policy(&Policy::default(), request, GroupTime(START));
        assert!(changed.is_err(), "{changed:?}");
    }
    // A policy of a newer version: the model goes on with what it had.
    let unusable = Policy { revision: 7, bytes: b"{\"limits\":{\"l\":{\"is\":{}}}}"[..].into() };
    assert!(store.model.set_policy(&unusable).is_err());
}

/// The bytes of a change to so many daily limits, in the time zones of five continents.
#[cfg(feature = "calendar")]
fn daily_limits(carry: &str, count: usize, max: u64) -> Vec<u8> {
    const ZONES: [&str; 5] =
        ["UTC", "Europe/Berlin", "Africa/Cairo", "America/New_York", "Asia/Kathmandu"];
    let limit = |number: usize| {
        let zone = ZONES[number % ZONES.len()];
        let limit = serde_json::json!({ "calendar": "day", "max": max, "time_zone": zone });
        (format!("l{number}"), limit)
    };
    let limits: std::collections::BTreeMap<_, _> = (0..count).map(limit).collect();
    let change = serde_json::json!({ "carry": carry, "limits": limits });
    serde_json::to_vec(&change).expect("it is written")
}

/// A thousand daily limits took ten seconds inside the event loop, and 613 MiB: the lease was gone.
#[cfg(feature = "calendar")]
#[test]
fn the_largest_change_of_calendars_works_out_none_of_their_days() {
    use crate::limit::calendar::work;

    let store = Store::new(&[("l", Limit::per_second(1))]);
    let mut policy = Policy::default();
    _ = work::take();
    for (carry, count, max) in [
        ("keep", 1_000, 100),
        ("keep", 1_000, 200),
        ("proportional", 400, 300),
        ("reset", 1_000, 400),
        ("keep", 1_000, 400),
    ] {
        let request = daily_limits(carry, count, max);
        assert!(request.len() <= MAX_POLICY_BYTES);
        let changed = store.model.change_policy(&policy, &request, GroupTime(store.now));
        let changed = changed.expect("it fits");
        let work::Work { days, zones } = work::take();
        assert_eq!(days, 0, "{carry}: days were worked out to change a policy");
        assert!(
            zones <= count * 6,
            "{carry}: {zones} time zones were looked up for {count} limits"
        );
        let Some(bytes) = changed else { continue };
        policy = Policy { revision: policy.revision + 1, bytes };
        store.model.set_policy(&policy).expect("it is usable");
        let work::Work { days, zones } = work::take();
        assert_eq!(days, 0, "{carry}: days were worked out to take a policy up");
        assert!(
            zones <= count * 6,
            "{carry}: {zones} time zones were looked up for {count} limits"
        );
    }
    assert_eq!(policy.revision, 4, "the same again is no change");
}

#[cfg(feature = "calendar")]
#[test]
fn what_is_too_large_is_refused_before_anything_is_made_of_it() {
    use crate::limit::calendar::work;

    let store = Store::new(&[("l", Limit::per_second(1))]);
    let change = |request: &[u8]| {
        let changed = store.model.change_policy(&Policy::default(), request, GroupTime(store.now));
        changed.expect_err("it is too large")
    };
    _ = work::take();
    let request = daily_limits("keep", 2_000, 1);
    assert!(request.len() > MAX_POLICY_BYTES);
    assert!(change(&request).contains("98304 is most"));
    let many: String = (0..4_097).map(|number| format!("\"{number:x}\":{{}},")).collect();
    let many = format!("{{\"limits\":{{{}}}}}", many.trim_end_matches(','));
    assert!(many.len() <= MAX_POLICY_BYTES);
    assert_eq!(change(many.as_bytes()), "4097 limits are more than 4096: leave some out");
    let set = |bytes: Vec<u8>| {
        let policy = Policy { revision: 1, bytes: bytes.into() };
        store.model.set_policy(&policy).expect_err("it is too large")
    };
    assert!(set(request).contains("98304 is most"));
    assert_eq!(
        set(many.replace("{}", "{\"is\":{}}").into()),
        "4097 limits are more than 4096: leave some out"
    );
    let was = ["{\"is\":{\"calendar\":\"day\",\"max\":1},\"at\":1,\"until\":9}"; 9].join(",");
    let deep = format!("{{\"limits\":{{\"l\":{{\"is\":{{}},\"was\":[{was}]}}}}}}");
    assert_eq!(set(deep.into()), "limit l has more than 8 former forms");
    assert_eq!(work::take(), work::Work::default());
    // One that would be too large with all that it carries over is as little.
    let kept = daily_limits("keep", 1_000, 100);
    let first = store.model.change_policy(&Policy::default(), &kept, GroupTime(store.now));
    let bytes = first.expect("it fits").expect("a change");
    let policy = Policy { revision: 1, bytes };
    let scaled = daily_limits("proportional", 1_000, 200);
    let refused = store.model.change_policy(&policy, &scaled, GroupTime(store.now));
    assert!(refused.expect_err("too large").contains("carry=reset"));
    assert_eq!(work::take().days, 0);
}

proptest! {
    /// Whatever is changed into whatever: a kept unit is never forgotten, and a limit still admits
    /// no more than it has left.
    #[test]
    fn what_is_kept_is_never_less_than_what_was_taken(
        before in 0..4usize,
        after in 0..4usize,
        taken in 1..50u64,
        max in 50..200u64,
        pause in 0..600u64,
    ) {
        let limits = [
            Limit::per(1, DAY * 366).burst(max),
            Limit::window(max, DAY),
            Limit::sliding(max, DAY),
            Limit::window(max, HOUR * 12),
        ];
        let mut store = Store::new(&[("l", limits[before])]);
        store.now = START / (86_400 * SECOND) * (86_400 * SECOND) + 60 * SECOND;
        store.acquire("l", taken);
        store.now += pause * SECOND;
        store.change(&[("l", limits[after])], Carry::Keep).expect("usable");
        let left = store.remaining("l");
        prop_assert_eq!(left, max - taken);
        prop_assert_eq!(store.acquire("l", left).code, ALLOWED);
        prop_assert_eq!(store.acquire("l", 1).code, DENIED);
    }
}
