//! Time in the test kit: however much of it passes, a group is what it was, and limits see all of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate::{Acknowledge, Basis, Event, Mode, PeerBuilder};
use quorate_ratelimit::testing::{TestGroup, TestGroupBuilder, utc};
use quorate_ratelimit::{Calendar, Limit, Limits, RateLimiter};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn limits() -> Limits {
    Limits::builder()
        .limit("minute", Limit::window(5, MINUTE))
        .limit("hour", Limit::window(10, HOUR))
        .limit("day", Limit::calendar(7, Calendar::day()))
        .limit("month", Limit::calendar(1_000, Calendar::month(1)))
        .limit("drip", Limit::per(1, HOUR).burst(100))
        .limit("jobs", Limit::concurrent(2))
        .build()
        .expect("usable")
}

/// A group on a day of its own: from the date of the machine the hours that pass would lead into
/// the next month once a month.
fn group() -> TestGroupBuilder {
    TestGroup::builder(&limits()).starting_at(utc("2026-03-02T12:00:00Z"))
}

fn exact() -> TestGroupBuilder {
    group().setup(|peer| peer.acknowledge(Acknowledge::Majority))
}

/// How often the peers publish their statuses: at least once in each of their heartbeats.
fn count_heartbeats(group: &TestGroup) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    for name in NAMES {
        let (mut watch, count) = (group.limiter(name).peer().watch_status(), count.clone());
        tokio::spawn(async move {
            while watch.changed().await.is_some() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    count
}

/// What has happened at a peer since the event of this number.
fn events(limiter: &RateLimiter, since: u64) -> Vec<Event> {
    limiter.peer().events_since(since).into_iter().map(|numbered| numbered.event).collect()
}

fn newest(limiter: &RateLimiter) -> u64 {
    limiter.peer().events_since(0).last().map_or(0, |numbered| numbered.number)
}

fn nanos(date: SystemTime) -> u64 {
    let since = date.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

async fn remaining(limiter: &RateLimiter, limit: &str) -> u64 {
    limiter.peek(limit, "k", 1).await.expect("a primary").remaining
}

/// 15 days took 20 minutes, for each second of them had its heartbeats.
#[tokio::test(start_paused = true)]
async fn a_month_has_no_more_heartbeats_than_some_minutes() {
    let group = exact().starting_at(utc("2026-01-01T00:00:00Z")).start().await.expect("usable");
    group.pass(MINUTE).await;
    let heartbeats = count_heartbeats(&group);
    let before = NAMES.map(|name| newest(group.limiter(name)));
    let primary = group.primary().await;
    for day in 1..=30 {
        for name in NAMES {
            let taken = group.limiter(name).acquire("day", "k", 2).await.expect("a primary");
            assert!(taken.allowed, "day {day}: {taken:?}");
        }
        group.pass(DAY).await;
    }
    assert_eq!(group.primary().await, primary);
    for (name, before) in NAMES.into_iter().zip(before) {
        let limiter = group.limiter(name);
        assert_eq!(events(limiter, before), [], "{name}");
        assert_eq!(remaining(limiter, "month").await, 1_000);
        assert_eq!(remaining(limiter, "day").await, 7, "of a day on which none was taken");
        let calendar = limiter.peer().group_time().now().0;
        let expected = nanos(utc("2026-01-31T00:01:00Z"));
        assert!(calendar.abs_diff(expected) < 30_000_000_000, "{name}: {:?}", group.now());
    }
    // Three peers, thirty days, and a few heartbeats of each, in which a peer publishes ten times.
    let heartbeats = heartbeats.load(Ordering::Relaxed);
    assert!(heartbeats < 3 * 30 * 10 * 10, "{heartbeats}");
}

/// What runs beside the test sees every minute of an hour that passes at once.
#[tokio::test(start_paused = true)]
async fn calls_that_are_made_meanwhile_see_the_time_that_it_is() {
    for acknowledge in [Acknowledge::Primary, Acknowledge::Majority] {
        let group = group().setup(move |peer| peer.acknowledge(acknowledge));
        let mut group = group.start().await.expect("usable");
        group.client("web").await.expect("usable");
        group.pass(MINUTE).await;
        let callers = ["a", "b", "c", "web"].map(|name| {
            let limiter = group.limiter(name).clone();
            tokio::spawn(async move {
                let (mut allowed, mut times) = (0, Vec::new());
                for _ in 0..60 {
                    // A window of its own each time: 5 of 6 units fit.
                    for _ in 0..6 {
                        let taken = limiter.acquire("minute", limiter.peer().name().as_str(), 1);
                        let taken = taken.await.expect("a primary");
                        allowed += u64::from(taken.allowed);
                        times.push(taken.group_time.0);
                    }
                    tokio::time::sleep(MINUTE).await;
                }
                (allowed, times)
            })
        });
        group.pass(HOUR + MINUTE).await;
        for caller in callers {
            let (allowed, times) = caller.await.expect("it does not panic");
            assert_eq!(allowed, 60 * 5);
            assert!(times.is_sorted());
            let passed = times[times.len() - 1] - times[0];
            let expected = u64::try_from((MINUTE * 59).as_nanos()).expect("it fits");
            assert!(passed.abs_diff(expected) < 1_000_000_000, "{passed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_while_its_guard_lives_and_lapses_when_it_does_not() {
    let group = exact().start().await.expect("usable");
    group.pass(MINUTE).await;
    let one = group.limiter("a").permit("jobs", "k").await.expect("a primary");
    let other = group.limiter("b").permit("jobs", "k").await.expect("a primary");
    let (one, other) = (one.permit.expect("free"), other.permit.expect("free"));
    // Its process dies: nobody renews it.
    _ = other.detach();
    group.pass(HOUR).await;
    assert!(!one.is_lost(), "{one:?}");
    assert!(one.left() > Duration::ZERO && one.left() <= one.lease(), "{one:?}");
    assert_eq!(remaining(group.limiter("c"), "jobs").await, 1);
    drop(one);
    group.pass(SECOND).await;
    assert_eq!(remaining(group.limiter("c"), "jobs").await, 2);
}

/// The group finds out at its usual pace that its primary is gone, and not ten times as late.
#[tokio::test(start_paused = true)]
async fn a_failover_takes_as_long_in_an_hour_that_passes_at_once_as_in_any_other() {
    let mut group = exact().start().await.expect("usable");
    group.pass(DAY).await;
    let primary = group.primary().await;
    let left = NAMES.into_iter().find(|name| *name != primary).expect("three");
    let before = newest(group.limiter(left));
    let killed = nanos(group.now()) / 1_000_000;
    group.kill(&primary);
    group.pass(HOUR).await;
    let events = group.limiter(left).peer().events_since(before);
    let elected = events.iter().find(|numbered| {
        matches!(&numbered.event, Event::PrimaryChanged { primary: Some(new), .. }
            if *new.as_str() != *primary)
    });
    let took = elected.expect("another primary").at_ms.saturating_sub(killed);
    assert!((5_000..15_000).contains(&took), "{took} ms");

    // And a peer that comes back is let in, with clocks that show what those of the others do.
    assert!(group.limiter(left).acquire("day", "k", 3).await.expect("a primary").allowed);
    group.restart(&primary).await.expect("usable");
    group.pass(HOUR).await;
    let next = group.primary().await;
    group.kill(&next);
    let again = group.primary().await;
    let now = group.limiter(&again).peer().group_time().now().0;
    assert!(now.abs_diff(nanos(group.now())) < 1_000_000_000, "{now}");
    let passed = Duration::from_nanos(now).saturating_sub(Duration::from_millis(killed));
    assert!(passed > HOUR * 2 && passed < HOUR * 2 + MINUTE, "{passed:?}");
}

/// Nobody was told what was decided last, if the primary died before its next heartbeat.
#[tokio::test(start_paused = true)]
async fn what_was_taken_meanwhile_is_with_the_others_afterwards() {
    let mut group = group().start().await.expect("usable");
    group.pass(MINUTE).await;
    let limiter = group.limiter("a").clone();
    let caller = tokio::spawn(async move {
        for _ in 0..50 {
            tokio::time::sleep(MINUTE).await;
            assert!(limiter.acquire("month", "k", 1).await.expect("a primary").allowed);
        }
    });
    group.pass(HOUR).await;
    caller.await.expect("it does not panic");
    let primary = group.primary().await;
    group.kill(&primary);
    let next = group.primary().await;
    assert_eq!(remaining(group.limiter(&next), "month").await, 950);
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_for_days_decides_alone_and_is_merged() {
    let relaxed = |peer: PeerBuilder| peer.mode(Mode::Relaxed);
    let group = group().setup(relaxed).start().await.expect("usable");
    group.pass(MINUTE).await;
    let primary = group.primary().await;
    let alone = if primary == "c" { "b" } else { "c" };
    let (limiter, cut) = (group.limiter(alone), group.now());
    group.isolate(&[alone]);
    group.pass(DAY * 3).await;
    let local = limiter.acquire("month", "k", 7).await.expect("it decides alone");
    let Basis::Local { since } = local.basis else { panic!("{local:?}") };
    let late = since.0.abs_diff(nanos(cut));
    assert!(late < 15_000_000_000, "{late} ns after it was cut off");
    let passed = local.group_time.0.saturating_sub(nanos(cut));
    assert!(passed.abs_diff(nanos(UNIX_EPOCH + DAY * 3)) < 2_000_000_000, "{passed}");
    group.heal();
    group.pass(DAY).await;
    assert_eq!(remaining(group.limiter(&group.primary().await), "month").await, 993);
    assert!(!limiter.acquire("hour", "k", 1).await.expect("a primary").basis.is_local());
}

#[tokio::test(start_paused = true)]
async fn a_group_starts_at_the_date_that_it_is_told() {
    let group = exact().starting_at(utc("2028-02-28T23:50:00Z")).start().await.expect("usable");
    let limiter = group.limiter("b");
    assert!(limiter.acquire("day", "k", 7).await.expect("a primary").allowed);
    let denied = limiter.acquire("day", "k", 1).await.expect("a primary");
    let midnight = utc("2028-02-29T00:00:00Z");
    let wait = denied.retry_after.expect("tomorrow");
    let until = midnight.duration_since(group.now()).expect("before midnight");
    assert!(wait.abs_diff(until) < SECOND, "{wait:?} and {until:?}");
    group.pass_until(midnight).await;
    assert!(group.now() >= midnight && group.now() < midnight + SECOND);
    assert!(limiter.acquire("day", "k", 7).await.expect("a primary").allowed);
    assert_eq!(remaining(limiter, "month").await, 1_000);
    group.pass_until(utc("2028-03-01T00:00:01Z")).await;
    assert_eq!(remaining(limiter, "day").await, 7, "the 29th of February was a day");
    group.pass_until(utc("2020-01-01T00:00:00Z")).await;
    assert!(group.now() < utc("2028-03-01T00:00:02Z"), "time does not go back");
}
