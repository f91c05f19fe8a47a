//! What a limiter counts of its own calls, and what it does where there is no room for a count.

use std::time::Duration;

use quorate::{Acknowledge, Bounds, DecideError, Mode, PeerBuilder};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, AtCapacity, Carry, Counts, Limit, Limits, RateLimiter};

fn limits() -> Limits {
    Limits::builder()
        .limit("mail", Limit::per_day(1).burst(10))
        .limit("api", Limit::per_day(1).burst(100))
        .limit("trial", Limit::per_day(1).burst(2).shadow())
        .build()
        .expect("usable")
}

async fn group(setup: fn(PeerBuilder) -> PeerBuilder) -> TestGroup {
    TestGroup::start(&limits(), ["a", "b", "c"], setup).await.expect("the settings are valid")
}

/// Allowed, denied, shadowed, uncounted; local; units; errors.
fn numbers(counts: &Counts) -> ([u64; 4], u64, u64, u64) {
    let Counts { allowed, denied, shadowed, uncounted, local, granted, .. } = *counts;
    ([allowed, denied, shadowed, uncounted], local, granted, counts.errors.all())
}

fn of(limiter: &RateLimiter, limit: &str) -> ([u64; 4], u64, u64, u64) {
    numbers(&limiter.stats().limits[limit])
}

#[tokio::test(start_paused = true)]
async fn every_way_of_taking_is_counted_where_it_is_asked_for() {
    let group = group(|peer| peer).await;
    let primary = group.primary().await;
    let replica = if primary == "a" { "b" } else { "a" };
    for limiter in [group.limiter(&primary), group.limiter(replica)] {
        let key = limiter.peer().name().to_string();
        let stats = limiter.stats();
        assert_eq!(stats.limits.keys().collect::<Vec<_>>(), ["api", "mail", "trial"]);
        assert_eq!(stats.totals, Counts::default());
        _ = limiter.acquire("mail", &key, 6).await;
        _ = limiter.acquire("mail", &key, 6).await;
        _ = limiter.acquire_within("mail", &key, 1, Duration::from_secs(1)).await;
        _ = limiter.acquire_up_to("mail", &key, 9).await;
        assert_eq!(of(limiter, "mail"), ([3, 1, 0, 0], 0, 10, 0));
        _ = limiter.debit("api", &key, 7).await;
        // Once charged, twice answered.
        for _ in 0..2 {
            _ = limiter.idempotency_key("id").acquire("api", &key, 5).await;
        }
        assert_eq!(of(limiter, "api"), ([3, 0, 0, 0], 0, 12, 0));
        _ = limiter.acquire("trial", &key, 2).await;
        _ = limiter.acquire("trial", &key, 2).await;
        assert_eq!(of(limiter, "trial"), ([1, 0, 1, 0], 0, 2, 0));
        // What takes nothing is not counted.
        _ = limiter.peek("api", &key, 1).await;
        _ = limiter.acquire("api", &key, 0).await;
        _ = limiter.refund("api", &key, 1).await;
        _ = limiter.reset("api", &key).await;
        assert_eq!(of(limiter, "api"), ([3, 0, 0, 0], 0, 12, 0));
        // A clone counts with it, another limiter of the same peer by itself.
        assert_eq!(limiter.clone().stats(), limiter.stats());
        assert_eq!(numbers(&limiter.stats().totals), ([7, 1, 1, 0], 0, 24, 0));
        let other = RateLimiter::new(limiter.peer().clone(), &limiter.limits());
        assert_eq!(other.stats().totals, Counts::default());
    }
}

/// 22,000 were reserved, 19,250 used, and 22,000 told as taken.
#[tokio::test(start_paused = true)]
async fn of_a_reservation_counts_what_was_used_when_it_is_settled() {
    let group = group(|peer| peer).await;
    let (here, there) = (group.limiter("a"), group.limiter("b"));
    let units = |limiter: &RateLimiter| {
        let Counts { granted, reserved, refunded, .. } = limiter.stats().limits["api"];
        (granted, reserved, refunded)
    };
    let mut ids = Vec::new();
    for amount in [40, 30, 20] {
        ids.extend(here.reserve("api", "k", amount).await.expect("a primary").id);
    }
    assert_eq!((ids.len(), units(here)), (3, (0, 90, 0)));
    assert!(!here.reserve("api", "k", 11).await.expect("a primary").decision.allowed);
    assert_eq!(of(here, "api"), ([3, 1, 0, 0], 0, 0, 0), "decided when it is asked for");
    // Less than was reserved, more than that, and asked for again as its answer was lost.
    _ = here.commit(&ids[0], 25).await.expect("in time");
    _ = there.commit(&ids[1], 33).await.expect("in time");
    _ = there.commit(&ids[1], 33).await.expect("in time");
    _ = here.cancel(&ids[2]).await.expect("in time");
    assert_eq!((units(here), units(there)), ((25, 90, 0), (33, 0, 0)));
    let used = here.peek("api", "k", 1).await.expect("a primary").used();
    assert_eq!(used, 25 + 33);
    // What lapses was never taken.
    _ = here.reserve("api", "l", 50).await.expect("a primary");
    group.pass(Duration::from_secs(600)).await;
    assert_eq!(units(here), (25, 140, 0));
    let taken = here.acquire("api", "m", 9).await.expect("a primary");
    _ = here.refund_of("api", "m", 4, &taken).await.expect("a primary");
    for _ in 0..2 {
        _ = here.idempotency_key("back").refund("api", "m", 2).await.expect("a primary");
    }
    assert_eq!(units(here), (34, 140, 6), "what is given back is counted beside it");
}

#[tokio::test(start_paused = true)]
async fn permits_and_reservations_count_where_they_begin_and_where_they_end() {
    let limits = Limits::builder()
        .limit("jobs", Limit::concurrent(2))
        .limit("api", Limit::per_day(1).burst(100));
    let limits = limits.build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await.expect("valid");
    let (here, there) = (group.limiter("a"), group.limiter("b"));
    let permits = |limiter: &RateLimiter| {
        let held = limiter.stats().limits["jobs"].held;
        (held.permits, held.permits_released, held.permits_late)
    };
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(here.take_permit("jobs", "k", 1).await.expect("a primary").1);
    }
    assert_eq!((ids.len(), permits(here)), (2, (2, 0, 0)), "the third found no place");
    _ = there.renew_permit(&ids[0]).await.expect("it is held");
    for _ in 0..2 {
        _ = there.release_permit(&ids[0]).await.expect("a primary");
    }
    assert_eq!(there.renew_permit(&ids[0]).await, Err(AcquireError::Ended));
    assert_eq!((permits(here), permits(there)), ((2, 0, 0), (0, 1, 1)), "given back once");

    let mut ids = Vec::new();
    for amount in [40, 30, 20, 11] {
        ids.extend(here.reserve("api", "k", amount).await.expect("a primary").id);
    }
    for _ in 0..2 {
        _ = there.commit(&ids[0], 25).await.expect("in time");
    }
    _ = here.cancel(&ids[1]).await.expect("in time");
    group.pass(Duration::from_secs(600)).await;
    assert_eq!(here.commit(&ids[2], 1).await, Err(AcquireError::Ended));
    let reservations = |limiter: &RateLimiter| {
        let held = limiter.stats().totals.held;
        let ended = [held.reservations_committed, held.reservations_cancelled];
        (held.reservations, ended, held.reservations_late)
    };
    assert_eq!(reservations(here), (3, [0, 1], 1));
    assert_eq!(reservations(there), (0, [1, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_on_several_limits_counts_for_those_that_spoke() {
    let group = group(|peer| peer).await;
    let limiter = group.limiter("a");
    let both = [("mail", "k", 8), ("trial", "k", 2), ("api", "k", 1)];
    assert!(limiter.acquire_all(&both).await.is_ok_and(|joint| joint.allowed));
    assert!(limiter.acquire_all(&both).await.is_ok_and(|joint| !joint.allowed));
    assert_eq!(of(limiter, "mail"), ([1, 1, 0, 0], 0, 8, 0));
    assert_eq!(of(limiter, "trial"), ([1, 0, 0, 0], 0, 2, 0));
    assert_eq!(of(limiter, "api"), ([1, 0, 0, 0], 0, 1, 0));
    let shadowed = limiter.acquire_all(&[("trial", "k", 2), ("api", "k", 1)]).await;
    assert!(shadowed.is_ok_and(|joint| joint.allowed));
    assert_eq!(of(limiter, "trial"), ([1, 0, 1, 0], 0, 2, 0));
    assert_eq!(of(limiter, "api"), ([2, 0, 0, 0], 0, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn errors_are_counted_by_what_was_wrong() {
    let group = group(|peer| peer).await;
    let primary = group.primary().await;
    let replica = if primary == "a" { "b" } else { "a" };
    let limiter = group.limiter(replica);
    _ = limiter.acquire("none", "k", 1).await;
    _ = limiter.acquire("mail", "k".repeat(509), 1).await;
    _ = limiter.acquire("mail", "k", 11).await;
    _ = limiter.acquire_all::<&str>(&[]).await;
    group.isolate(&[replica]);
    let soon = Duration::from_secs(1);
    _ = limiter.acquire_within("mail", "k", 1, soon).await;
    group.pass(Duration::from_secs(30)).await;
    _ = limiter.acquire("api", "k", 1).await;
    _ = limiter.peek("api", "k", 1).await;
    let stats = limiter.stats();
    let errors = stats.totals.errors;
    assert_eq!((errors.invalid, errors.outcome_unknown, errors.no_primary), (4, 1, 2));
    assert_eq!((errors.all(), stats.totals.decisions()), (7, 0));
    assert_eq!(stats.limits["mail"].errors.all(), 3);
    assert_eq!(stats.limits["api"].errors.no_primary, 2);
}

#[tokio::test(start_paused = true)]
async fn decisions_made_alone_are_told_apart() {
    let group = group(|peer| peer.mode(Mode::Relaxed)).await;
    let primary = group.primary().await;
    let alone = if primary == "c" { "b" } else { "c" };
    group.isolate(&[alone]);
    group.pass(Duration::from_secs(30)).await;
    let limiter = group.limiter(alone);
    _ = limiter.acquire("mail", "k", 9).await;
    _ = limiter.acquire("mail", "k", 9).await;
    assert_eq!(of(limiter, "mail"), ([1, 1, 0, 0], 2, 9, 0));
}

fn little_room(peer: PeerBuilder) -> PeerBuilder {
    peer.bounds(Bounds { max_cells: 2, max_overlay_keys: 1, ..Bounds::default() })
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_refused_at_a_full_store_unless_it_is_to_be_let_through() {
    let group = group(little_room).await;
    for name in ["a", "b"] {
        _ = group.limiter(name).acquire("mail", name, 10).await.expect("there is room");
    }
    for name in ["a", "b", "c"] {
        let limiter = group.limiter(name).clone();
        let refused = limiter.acquire("mail", "new", 1).await.expect_err("there is no room");
        assert!(matches!(&refused, AcquireError::Undecided(error) if error.is_store_full()));
        let lenient = limiter.clone().at_capacity(AtCapacity::Admit);
        let admitted = lenient.acquire("mail", "new", 3).await.expect("it is let through");
        assert!(admitted.allowed && !admitted.counted && admitted.retry_after.is_none());
        assert_eq!((admitted.granted, admitted.remaining, admitted.limit), (3, 10, 10));
        let part = lenient.acquire_up_to("mail", "new", 30).await.expect("it is let through");
        assert_eq!((part.granted, part.counted), (10, false));
        let joint = lenient.acquire_all(&[("mail", "new", 1), ("api", "new", 2)]).await;
        let joint = joint.expect("it is let through");
        assert!(joint.allowed && !joint.decision.counted && joint.violated.is_empty());
        // What is there is counted and denied as ever, and so is what would never be admitted.
        let denied = lenient.acquire("mail", "a", 1).await.expect("there is a primary");
        assert!(!denied.allowed && denied.counted);
        let never = lenient.acquire("mail", "new", 11).await;
        assert!(matches!(never, Err(AcquireError::NeverAdmitted { .. })));
        let back = lenient.refund_of("mail", "a", 3, &admitted).await.expect("there is a primary");
        assert_eq!(back.granted, 0, "nothing was taken");
        let mail = limiter.stats().limits["mail"];
        assert_eq!((mail.uncounted, mail.denied, mail.errors.overloaded), (3, 1, 1));
        assert_eq!(limiter.stats().limits["api"].uncounted, 1);
        assert_eq!(mail.granted, if name == "c" { 0 } else { 10 });
    }
    let primary = group.limiter(&group.primary().await).peer().status();
    assert_eq!(primary.cells, 2);
}

/// It said that a new key would be allowed, which the next call refused.
#[tokio::test(start_paused = true)]
async fn a_peek_at_a_full_store_says_what_an_acquire_would_come_to() {
    let group = group(little_room).await;
    for name in ["a", "b"] {
        let peeked = group.limiter(name).peek("mail", name, 10).await.expect("there is room");
        assert!(peeked.allowed);
        _ = group.limiter(name).acquire("mail", name, 9).await.expect("there is room");
    }
    let is_full =
        |error: AcquireError| matches!(&error, AcquireError::Undecided(it) if it.is_store_full());
    for name in ["a", "b", "c"] {
        let limiter = group.limiter(name).clone();
        assert!(is_full(limiter.acquire("mail", "new", 1).await.expect_err("there is no room")));
        assert!(is_full(limiter.peek("mail", "new", 1).await.expect_err("nor for what is asked")));
        assert!(is_full(limiter.acquire("mail", "new", 0).await.expect_err("a peek, too")));
        assert!(is_full(limiter.acquire_up_to("mail", "new", 0).await.expect_err("and this")));
        let joint = limiter.acquire_all(&[("mail", "a", 0), ("mail", "new", 0)]).await;
        assert!(is_full(joint.expect_err("one of them is new")));
        // What is there, what is never admitted and what is denied is answered as ever.
        assert!(limiter.peek("mail", "a", 1).await.expect("it is there").allowed);
        assert!(!limiter.peek("mail", "a", 2).await.expect("it is there").allowed);
        let never = limiter.peek("mail", "new", 11).await;
        assert!(matches!(never, Err(AcquireError::NeverAdmitted { .. })), "{never:?}");
        let lenient = limiter.at_capacity(AtCapacity::Admit);
        let peeked = lenient.peek("mail", "new", 3).await.expect("it would be let through");
        assert_eq!((peeked.allowed, peeked.counted, peeked.granted), (true, false, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peek_at_permits_asks_for_the_room_of_one_too() {
    let jobs = Limits::builder().limit("jobs", Limit::concurrent(9)).build().expect("usable");
    let bounds = |peer: PeerBuilder| peer.bounds(Bounds { max_cells: 3, ..Bounds::default() });
    let group = TestGroup::start(&jobs, ["a"], bounds).await.expect("the settings are valid");
    let limiter = group.limiter("a");
    for _ in 0..2 {
        assert!(limiter.peek("jobs", "k", 1).await.expect("there is room").allowed);
        let (taken, _) = limiter.take_permit("jobs", "k", 1).await.expect("there is room");
        assert!(taken.allowed);
    }
    let peeked = limiter.peek("jobs", "k", 1).await.expect_err("the key is there, a permit is not");
    let taken = limiter.take_permit("jobs", "k", 1).await.expect_err("so it is");
    assert_eq!(peeked, taken);
}

#[tokio::test(start_paused = true)]
async fn a_peek_at_a_peer_alone_says_what_it_has_room_to_remember() {
    let group = group(|peer| little_room(peer).mode(Mode::Relaxed)).await;
    let primary = group.primary().await;
    let alone = if primary == "c" { "b" } else { "c" };
    _ = group.limiter(alone).acquire("mail", "known", 1).await.expect("a primary");
    group.isolate(&[alone]);
    group.pass(Duration::from_secs(30)).await;
    let limiter = group.limiter(alone);
    assert!(limiter.peek("mail", "known", 1).await.expect("there is room for one").allowed);
    _ = limiter.acquire("mail", "k", 1).await.expect("it decides alone");
    for key in ["known", "l"] {
        let peeked = limiter.peek("mail", key, 1).await.expect_err("there is room for no other");
        assert_eq!(peeked, limiter.acquire("mail", key, 1).await.expect_err("so it is"), "{key}");
    }
    assert!(limiter.peek("mail", "k", 1).await.expect("it is there").allowed);
}

#[tokio::test(start_paused = true)]
async fn only_a_full_store_lets_calls_through_and_no_other_overload() {
    let group = group(|peer| {
        let bounds = Bounds { max_waiting_calls: 1, ..Bounds::default() };
        peer.bounds(bounds).acknowledge(Acknowledge::Majority)
    })
    .await;
    let primary = group.primary().await;
    let replica = if primary == "a" { "b" } else { "a" };
    group.isolate(&[replica]);
    let limiter = group.limiter(replica).clone().at_capacity(AtCapacity::Admit);
    let soon = Duration::from_secs(1);
    let ask = || limiter.acquire_within("mail", "k", 1, soon);
    let (first, second) = tokio::join!(ask(), ask());
    let overloaded = |result: &Result<_, AcquireError>| {
        matches!(result, Err(AcquireError::Undecided(DecideError::Overloaded { .. })))
    };
    assert!(!overloaded(&first) && overloaded(&second), "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_alone_lets_through_what_it_has_no_room_to_remember() {
    let group = group(|peer| little_room(peer).mode(Mode::Relaxed)).await;
    let primary = group.primary().await;
    let alone = if primary == "c" { "b" } else { "c" };
    group.isolate(&[alone]);
    group.pass(Duration::from_secs(30)).await;
    let limiter = group.limiter(alone).clone().at_capacity(AtCapacity::Admit);
    let first = limiter.acquire("mail", "k", 1).await.expect("it decides alone");
    let second = limiter.acquire("mail", "l", 1).await.expect("it is let through");
    assert_eq!((first.basis.is_local(), first.counted), (true, true));
    assert_eq!((second.basis.is_local(), second.counted), (true, false));
    assert_eq!(of(&limiter, "mail"), ([1, 0, 0, 1], 2, 1, 0));
}

/// The counts of the limit were replaced by those of limits that came later: a counter went back.
#[tokio::test(start_paused = true)]
async fn a_limit_may_be_called_as_those_are_counted_that_came_later() {
    let limit = || Limit::per_day(10);
    let code = Limits::builder().limit("(others)", limit());
    let changed = code.clone().limit("later", limit()).build().expect("usable");
    let group = TestGroup::start(&code.build().expect("usable"), ["a"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let limiter = group.limiter("a");
    _ = limiter.acquire("(others)", "k", 5).await.expect("a primary");
    limiter.change_limits(&changed, Carry::Keep).await.expect("a primary");
    _ = limiter.acquire("later", "k", 2).await.expect("a primary");
    let stats = limiter.stats();
    assert_eq!((stats.limits["(others)"].granted, stats.totals.granted), (7, 7));
}
