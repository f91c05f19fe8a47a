//! Permits and reservations at a group, across failovers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use quorate::{Acknowledge, PeerBuilder};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{AcquireError, Limit, Limits, PermitId, RESERVATION_TIME, ReservationId};

const LEASE: Duration = Duration::from_secs(30);

async fn group() -> TestGroup {
    let limits = Limits::builder()
        .limit("jobs", Limit::concurrent(2))
        .limit("tokens", Limit::per(1, Duration::from_secs(366 * 86_400)).burst(10))
        .limit("shadow", Limit::concurrent(1).shadow())
        .build()
        .expect("usable");
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    TestGroup::start(&limits, ["a", "b", "c"], exact).await.expect("the settings are valid")
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_for_as_long_as_its_guard_and_free_when_that_is_dropped() {
    let group = group().await;
    let one = group.limiter("a").permit("jobs", "k").await.expect("a primary");
    let two = group.limiter("b").permit("jobs", "k").await.expect("a primary");
    let (one, two) = (one.permit.expect("free"), two.permit.expect("free"));
    assert_ne!(one.id(), two.id());
    group.pass(LEASE * 10).await;
    let third = group.limiter("c").permit("jobs", "k").await.expect("a primary");
    assert!(third.permit.is_none() && third.decision.retry_after.is_some());
    assert!(!one.is_lost() && !two.is_lost());
    drop(two);
    group.pass(Duration::from_secs(1)).await;
    let third = group.limiter("c").permit("jobs", "k").await.expect("a primary");
    assert!(third.permit.is_some(), "{:?}", third.decision);
    assert_eq!(third.decision.reset_after, LEASE, "its lease");
}

#[tokio::test(start_paused = true)]
async fn a_permit_outlives_a_failover_and_not_its_holder() {
    let mut group = group().await;
    let primary = group.primary().await;
    let holder = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let permitted = group.limiter(holder).permit("jobs", "k").await.expect("a primary");
    let permit = permitted.permit.expect("free");
    group.kill(&primary);
    let next = group.primary().await;
    group.pass(LEASE * 2).await;
    assert!(!permit.is_lost());
    assert_eq!(group.limiter(&next).peek("jobs", "k", 1).await.expect("a primary").remaining, 1);
    // Its process dies: the others are told nothing.
    let id = permit.detach();
    group.pass(LEASE * 2).await;
    assert_eq!(group.limiter(&next).peek("jobs", "k", 1).await.expect("a primary").remaining, 2);
    let renewed = group.limiter(&next).renew_permit(&id).await;
    assert_eq!(renewed, Err(AcquireError::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_cut_off_is_told_when_its_lease_has_ended() {
    let group = group().await;
    let primary = group.primary().await;
    let holder = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let permit = group.limiter(holder).permit("jobs", "k").await.expect("a primary").permit;
    let permit = permit.expect("free");
    group.isolate(&[holder]);
    let before = tokio::time::Instant::now();
    permit.lost().await;
    assert!(permit.is_lost());
    assert!(before.elapsed() <= LEASE, "before somebody else may have it");
    assert_eq!(group.limiter(&primary).peek("jobs", "k", 1).await.expect("a primary").remaining, 1);
    group.pass(LEASE).await;
    assert_eq!(group.limiter(&primary).peek("jobs", "k", 1).await.expect("a primary").remaining, 2);
}

/// The clock goes on, and nothing else: what a machine that was suspended finds when it goes on.
async fn suspend(time: Duration) {
    let mut asleep = pin!(tokio::time::advance(time));
    poll_fn(|context| {
        let _ = asleep.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_suspended_knows_before_any_of_its_tasks_has_run() {
    let group = group().await;
    let permit = group.limiter("a").permit("jobs", "k").await.expect("a primary").permit;
    let permit = permit.expect("free");
    let left = permit.left();
    assert!(left > LEASE * 9 / 10 && left <= LEASE * 19 / 20, "{left:?}");
    suspend(left - Duration::from_millis(1)).await;
    assert!(!permit.is_lost());
    suspend(Duration::from_millis(1)).await;
    assert!(permit.is_lost(), "a twentieth before anybody else may have it");
    // Once it is lost it stays so, and whoever waits for that is told.
    let before = tokio::time::Instant::now();
    permit.lost().await;
    assert!(before.elapsed() <= LEASE / 10, "{:?}", before.elapsed());
    group.pass(LEASE * 2).await;
    assert!(permit.is_lost() && permit.left().is_zero());
    assert_eq!(group.limiter("a").peek("jobs", "k", 1).await.expect("a primary").remaining, 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_has_a_place_while_its_holder_is_told_that_it_has_it() {
    let group = group().await;
    let primary = group.primary().await;
    let holder = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let first = group.limiter(holder).permit("jobs", "k").await.expect("a primary").permit;
    let second = group.limiter(&primary).permit("jobs", "k").await.expect("a primary").permit;
    let (first, second) = (first.expect("free"), second.expect("free"));
    group.isolate(&[holder]);
    let cut = tokio::time::Instant::now();
    let mut third = None;
    while third.is_none() {
        group.pass(Duration::from_millis(500)).await;
        let held = !first.is_lost();
        third = group.limiter(&primary).permit("jobs", "k").await.expect("a primary").permit;
        assert!(!(held && third.is_some()), "after {:?}", cut.elapsed());
    }
    assert!(cut.elapsed() <= LEASE * 3 / 2, "{:?}", cut.elapsed());
    assert!(!second.is_lost(), "it has been renewed");
}

#[tokio::test(start_paused = true)]
async fn in_a_relaxed_group_a_permit_of_the_groups_is_not_renewed_alone() {
    let limits = Limits::builder().limit("jobs", Limit::concurrent(1)).build().expect("usable");
    let relaxed = |peer: PeerBuilder| peer.mode(quorate::Mode::Relaxed);
    let group = TestGroup::start(&limits, ["a", "b", "c"], relaxed).await;
    let group = group.expect("the settings are valid");
    let primary = group.primary().await;
    let holder = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let permit = group.limiter(holder).permit("jobs", "k").await.expect("a primary").permit;
    let permit = permit.expect("free");
    group.isolate(&[holder]);
    let cut = tokio::time::Instant::now();
    permit.lost().await;
    assert!(
        cut.elapsed() <= LEASE * 4 / 3,
        "before somebody else may have it: {:?}",
        cut.elapsed()
    );
    group.pass(LEASE).await;
    let next = group.limiter(&primary).permit("jobs", "k").await.expect("a primary");
    assert!(next.permit.is_some_and(|permit| !permit.is_lost()));
}

#[tokio::test(start_paused = true)]
async fn an_id_works_at_any_peer_and_nonsense_is_none() {
    let group = group().await;
    let (decision, id) = group.limiter("a").take_permit("jobs", "k", 2).await.expect("a primary");
    assert_eq!(decision.granted, 2);
    let text = id.expect("free").to_string();
    let id: PermitId = text.parse().expect("it was given");
    let renewed = group.limiter("b").renew_permit(&id).await.expect("it is held");
    assert_eq!(renewed.remaining, 0);
    let released = group.limiter("c").release_permit(&id).await.expect("a primary");
    assert_eq!((released.granted, released.remaining), (2, 2));
    assert!("permit".parse::<PermitId>().is_err());
    let json = serde_json::to_string(&id).expect("an id is text");
    assert_eq!(json, format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<PermitId>(&json).expect("the same id"), id);
    assert!(serde_json::from_str::<PermitId>("\"permit\"").is_err());
    assert!("".parse::<ReservationId>().is_err());
    let wrong = group.limiter("a").permit("tokens", "k").await;
    assert!(matches!(wrong, Err(AcquireError::Unsupported { .. })), "{wrong:?}");
    let wrong = group.limiter("a").acquire("jobs", "k", 1).await;
    assert!(matches!(wrong, Err(AcquireError::Unsupported { .. })), "{wrong:?}");
}

/// Ids were a number of the limiter and a counter: from one of one's own the next one's permit was
/// given back, and any amount was committed to a reservation of somebody else.
#[tokio::test(start_paused = true)]
async fn from_ids_of_ones_own_nothing_follows_for_those_of_others() {
    const NONCE_DIGITS: usize = 48;
    let group = group().await;
    let limiter = group.limiter("a");
    let mut drawn: Vec<Vec<u8>> = Vec::new();
    for _ in 0..40 {
        let (_, id) = limiter.take_permit("jobs", "mine", 1).await.expect("a primary");
        let id = id.expect("free");
        assert_eq!(limiter.release_permit(&id).await.expect("a primary").granted, 1);
        let text = id.to_string();
        let bytes = (0..NONCE_DIGITS).step_by(2);
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
        drawn.push(bytes.map(byte).collect());
    }
    // No byte of them stands still, or counts: one that is drawn is the same in all with 2^-312.
    for at in 0..NONCE_DIGITS / 2 {
        let is_same = drawn.iter().all(|nonce| nonce[at] == drawn[0][at]);
        let step = drawn[1][at].wrapping_sub(drawn[0][at]);
        let counts = drawn.windows(2).all(|two| two[1][at].wrapping_sub(two[0][at]) == step);
        assert!(!is_same && !counts, "byte {at} of an id can be foretold");
    }

    // What was possible: the neighbours of one's own id, with the other's key behind.
    let (_, theirs) = limiter.take_permit("jobs", "theirs", 1).await.expect("a primary");
    let theirs = theirs.expect("free").to_string();
    let reserved = limiter.reserve("tokens", "theirs", 6).await.expect("a primary");
    let reservation = reserved.id.expect("room").to_string();
    let (_, mine) = limiter.take_permit("jobs", "mine", 1).await.expect("a primary");
    let mine = mine.expect("free").to_string();
    for step in -50..=50i128 {
        let counter = u64::from_str_radix(&mine[32..NONCE_DIGITS], 16).expect("hexadecimal");
        let counter = u64::from_be_bytes(counter.to_le_bytes());
        let guess = counter.wrapping_add(step as u64).to_le_bytes();
        let guess: String = guess.iter().map(|byte| format!("{byte:02x}")).collect();
        let permit = format!("{}{guess}{}", &mine[..32], &theirs[NONCE_DIGITS..]);
        let permit: PermitId = permit.parse().expect("well formed");
        let released = limiter.release_permit(&permit).await.expect("a primary");
        assert_eq!(released.granted, 0, "{step}: somebody else's permit");
        let guess = format!("{}{guess}{}", &mine[..32], &reservation[NONCE_DIGITS..]);
        let guess: ReservationId = guess.parse().expect("well formed");
        let committed = limiter.commit(&guess, 1_000_000).await;
        assert_eq!(committed, Err(AcquireError::Ended), "{step}: somebody else's reservation");
    }
    assert_eq!(limiter.peek("jobs", "theirs", 1).await.expect("a primary").remaining, 1);
    assert_eq!(limiter.peek("tokens", "theirs", 1).await.expect("a primary").remaining, 4);
}

/// A log line is no place for what whoever reads it can give back.
#[tokio::test(start_paused = true)]
async fn an_id_is_told_to_whoever_asks_for_it_and_not_to_logs() {
    let group = group().await;
    let (_, id) = group.limiter("a").take_permit("jobs", "k", 1).await.expect("a primary");
    let id = id.expect("free");
    assert_eq!(format!("{id:?}"), "PermitId(..)");
    assert_eq!(id.to_string().parse(), Ok(id));
    let reserved = group.limiter("a").reserve("tokens", "k", 1).await.expect("a primary");
    let id = reserved.id.clone().expect("room");
    let number = &id.to_string()[..48];
    assert!(!format!("{reserved:?}").contains(number), "{reserved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_of_permits_admits_everybody_and_loses_nobody() {
    let group = group().await;
    let first = group.limiter("a").permit("shadow", "k").await.expect("a primary");
    let second = group.limiter("a").permit("shadow", "k").await.expect("a primary");
    assert!(!first.decision.shadow && second.decision.shadow);
    group.pass(LEASE * 4).await;
    assert!(first.permit.is_some_and(|permit| !permit.is_lost()));
    let second = second.permit.expect("a shadow admits");
    assert!(!second.is_lost());
    let lost = tokio::time::timeout(LEASE * 4, second.lost()).await;
    assert!(lost.is_err(), "it is never lost");
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_settled_after_a_failover_and_lapses_by_itself() {
    let mut group = group().await;
    let primary = group.primary().await;
    let other = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let reserved = group.limiter(other).reserve("tokens", "k", 6).await.expect("a primary");
    let id = reserved.id.expect("there is room");
    assert_eq!(reserved.decision.reset_after, RESERVATION_TIME);
    group.kill(&primary);
    let next = group.primary().await;
    let limiter = group.limiter(&next);
    let settled = limiter.commit(&id, 2).await.expect("a primary");
    assert_eq!((settled.granted, settled.remaining, settled.repeated), (2, 8, false));
    let again = limiter.commit(&id, 2).await.expect("a primary");
    assert_eq!((again.granted, again.remaining, again.repeated), (2, 8, true));

    let id = limiter.reserve("tokens", "k", 8).await.expect("a primary").id.expect("room");
    assert!(!limiter.acquire("tokens", "k", 1).await.expect("a primary").allowed);
    group.pass(RESERVATION_TIME * 2).await;
    let late = limiter.acquire("tokens", "k", 5).await.expect("a primary");
    assert_eq!((late.allowed, late.remaining), (true, 3), "what has lapsed is free");
    assert_eq!(limiter.commit(&id, 1).await, Err(AcquireError::Ended));

    let held = limiter.reserve("tokens", "k", 3).await.expect("a primary").id.expect("room");
    group.pass(RESERVATION_TIME * 2).await;
    let joint = limiter.acquire_all(&[("tokens", "k", 2), ("tokens", "other", 1)]).await;
    assert!(joint.expect("a primary").allowed);
    assert_eq!(limiter.cancel(&held).await, Err(AcquireError::Ended));
    let id = limiter.reserve("tokens", "k", 1).await.expect("a primary").id.expect("room");
    let once = limiter.idempotency_key("r").acquire("tokens", "k", 1).await.expect("a primary");
    assert!(!once.allowed);
    group.pass(RESERVATION_TIME * 2).await;
    let once = limiter.idempotency_key("r").acquire("tokens", "k", 1).await.expect("a primary");
    assert!(once.allowed);
    let once = limiter.idempotency_key("r").acquire("tokens", "k", 1).await.expect("a primary");
    assert!(once.allowed && once.repeated);
    drop(id);
}

/// What the documentation of a lease says of it, whenever the primary is lost after a renewal.
#[tokio::test(start_paused = true)]
async fn a_permit_outlasts_the_primary_where_its_lease_is_long_enough() {
    let lease = |seconds| Limit::concurrent(1).lease(Duration::from_secs(seconds));
    let limits = Limits::builder().limit("long", lease(20)).limit("short", lease(5)).build();
    let limits = limits.expect("usable");
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    for wait in [0, 2_000, 4_000, 6_500] {
        let group = TestGroup::start(&limits, ["a", "b", "c"], exact);
        let mut group = group.await.expect("usable settings");
        let primary = group.primary().await;
        let other =
            ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("there are three");
        let limiter = group.limiter(other).clone();
        let take = async |limit| limiter.permit(limit, "k").await.expect("a primary").permit;
        let (long, short) = (take("long").await, take("short").await);
        let (long, short) = (long.expect("it is free"), short.expect("it is free"));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        group.kill(&primary);
        group.primary().await;
        assert!(!long.is_lost() && short.is_lost(), "after {wait} ms");
        group.pass(Duration::from_secs(60)).await;
        assert!(!long.is_lost(), "it is renewed at the next one");
    }
}
