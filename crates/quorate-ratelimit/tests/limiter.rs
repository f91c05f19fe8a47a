//! Limits asked at the peers of a group in one process.

use std::time::{Duration, SystemTime};

use quorate::internal::TestClock;
use quorate::transport::InProcess;
use quorate::{Acknowledge, Basis, DecideError, GroupTime, Mode, Peer, PeerBuilder, Status};
use quorate_ratelimit::{AcquireError, Limit, Limits, RateLimiter};

const LONG: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn limits() -> Limits {
    Limits::builder()
        .limit("api", Limit::per_second(10).burst(5))
        .limit("mail", Limit::window(100, DAY))
        .limit("seen", Limit::counter())
        .limit("tried", Limit::window(1, DAY).shadow())
        .build()
        .expect("usable")
}

/// A peer on a day of its own: from the time of the machine the minutes that pass would lead into
/// the next day once a day.
fn builder(network: &InProcess, name: &str, names: &[&str], limits: &Limits) -> PeerBuilder {
    let noon = GroupTime(0).after(DAY * 20_000 + DAY / 2);
    Peer::builder(name, limits.model())
        .members(names.iter().map(|name| (*name, *name)))
        .transport(network.at(name))
        .test_clock(TestClock::starting_at(Some(noon)))
}

async fn start(
    names: &[&str],
    setup: fn(PeerBuilder) -> PeerBuilder,
) -> (InProcess, Vec<RateLimiter>) {
    let network = InProcess::network();
    let limits = limits();
    let mut limiters = Vec::new();
    for name in names {
        let peer = setup(builder(&network, name, names, &limits)).start().await;
        limiters.push(RateLimiter::new(peer.expect("the settings are valid"), &limits));
    }
    for limiter in &limiters {
        limiter.peer().wait_ready(LONG).await.expect("they form a group");
        // A relaxed peer is ready before there is a primary.
        until(limiter, |status| status.primary.is_some()).await;
    }
    (network, limiters)
}

/// Waits for a status.
async fn until(limiter: &RateLimiter, is_wanted: impl FnMut(&Status) -> bool) {
    let mut watch = limiter.peer().watch_status();
    let status = tokio::time::timeout(LONG, watch.wait_for(is_wanted)).await;
    assert!(status.is_ok_and(|status| status.is_some()), "{:#?}", limiter.peer().status());
}

#[tokio::test(start_paused = true)]
async fn a_decision_says_what_is_left_and_on_what_it_rests() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let status = limiters[0].peer().status();
    let mut last = None;
    for (index, limiter) in limiters.iter().enumerate() {
        let decision = limiter.acquire("mail", "alice", 10).await.expect("there is a primary");
        assert!(decision.allowed);
        assert_eq!(decision.limit, 100);
        assert_eq!(decision.remaining, 90 - 10 * index as u64);
        assert_eq!(decision.retry_after, None);
        assert!(decision.reset_after > Duration::ZERO && decision.reset_after <= DAY);
        assert_eq!(decision.basis, Basis::Primary);
        assert_eq!(decision.group_id, status.group_id);
        assert!(decision.group_id.is_some());
        assert_eq!(decision.term, decision.position.ballot.term);
        let window = decision.window.expect("a window");
        let start = window.duration_since(SystemTime::UNIX_EPOCH).expect("after the epoch");
        assert_eq!(start.as_millis() % DAY.as_millis(), 0);
        assert!(last < Some(decision.position), "positions order decisions");
        last = Some(decision.position);
    }
}

#[tokio::test(start_paused = true)]
async fn peers_share_one_quota_and_a_denial_takes_nothing() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let mut allowed = 0;
    for round in 0..20 {
        let limiter = &limiters[round % 3];
        let decision = limiter.acquire("mail", "bob", 7).await.expect("there is a primary");
        allowed += if decision.allowed { 7 } else { 0 };
        assert_eq!(decision.remaining, 100 - allowed);
        assert_eq!(decision.retry_after.is_none(), decision.allowed);
    }
    assert_eq!(allowed, 98);
    let other = limiters[0].acquire("mail", "carol", 100).await.expect("there is a primary");
    assert!(other.allowed, "another key has a count of its own");
}

#[tokio::test(start_paused = true)]
async fn waiting_as_long_as_a_denial_says_is_enough() {
    let (_network, limiters) = start(&NAMES[..1], |builder| builder).await;
    let limiter = &limiters[0];
    let taken = limiter.acquire("api", "alice", 5).await.expect("it is primary");
    assert_eq!((taken.allowed, taken.remaining, taken.window), (true, 0, None));
    assert_eq!(taken.reset_after, Duration::from_millis(500));
    let denied = limiter.acquire("api", "alice", 2).await.expect("it is primary");
    assert!(!denied.allowed);
    let wait = denied.retry_after.expect("it was denied");
    assert!(wait > Duration::ZERO && wait <= Duration::from_millis(200), "{wait:?}");
    tokio::time::advance(wait).await;
    assert!(limiter.acquire("api", "alice", 2).await.expect("it is primary").allowed);
}

#[tokio::test(start_paused = true)]
async fn an_amount_of_zero_takes_nothing() {
    let (_network, limiters) = start(&NAMES[..1], |builder| builder).await;
    let limiter = &limiters[0];
    for _ in 0..3 {
        let peek = limiter.acquire("mail", "alice", 0).await.expect("it is primary");
        assert_eq!((peek.allowed, peek.remaining), (true, 100));
    }
    assert!(limiter.acquire("mail", "alice", 100).await.expect("it is primary").allowed);
    let peek = limiter.acquire("mail", "alice", 0).await.expect("it is primary");
    assert_eq!((peek.allowed, peek.remaining), (false, 0));
    assert!(peek.retry_after.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decided_is_an_error_that_says_so() {
    let (_network, limiters) = start(&NAMES[..1], |builder| builder).await;
    let limiter = &limiters[0];
    let unknown = AcquireError::UnknownLimit { limit: "apo".into() };
    assert_eq!(limiter.acquire("apo", "alice", 1).await, Err(unknown));
    let long = AcquireError::KeyTooLong { bytes: 509, max: 508 };
    assert_eq!(limiter.acquire("api", [0; 509], 1).await, Err(long));
    let never = AcquireError::NeverAdmitted { limit: "api".into(), amount: 6, max: 5 };
    assert_eq!(limiter.acquire("api", "alice", 6).await, Err(never.clone()));
    assert!(!never.is_retryable());
    for key in [&[][..], &[0xff; 508]] {
        assert!(limiter.acquire("api", key, 5).await.expect("it is primary").allowed);
    }
    limiter.peer().shutdown().await;
    let ended = limiter.acquire("api", "alice", 1).await.expect_err("it has ended");
    assert_eq!(ended, AcquireError::Undecided(DecideError::ShuttingDown));
}

/// Limits roll out peer by peer: the primary's are applied, and it says if it has none.
#[tokio::test(start_paused = true)]
async fn the_limits_of_the_peer_that_decides_are_applied() {
    let (network, names) = (InProcess::network(), ["a", "b", "c"]);
    let old = limits();
    let new = Limits::builder()
        .limit("api", Limit::per_second(10).burst(7))
        .limit("new", Limit::per_day(1))
        .build()
        .expect("usable");
    let mut limiters = Vec::new();
    for name in names {
        let limits = if name == "c" { &new } else { &old };
        let priority = if name == "c" { 0 } else { 100 };
        let peer = builder(&network, name, &names, limits).priority(priority).start().await;
        limiters.push(RateLimiter::new(peer.expect("the settings are valid"), limits));
    }
    limiters[2].peer().wait_ready(LONG).await.expect("they form a group");
    let decision = limiters[2].acquire("api", "alice", 5).await.expect("there is a primary");
    assert_eq!((decision.limit, decision.remaining), (5, 0));
    let missing = AcquireError::MissingLimit { limit: "new".into(), revision: 0 };
    assert_eq!(limiters[2].acquire("new", "alice", 1).await, Err(missing));
}

#[tokio::test(start_paused = true)]
async fn counts_survive_the_primary() {
    let (_network, mut limiters) =
        start(&NAMES, |builder| builder.acknowledge(Acknowledge::Majority)).await;
    for limiter in &limiters {
        assert!(limiter.acquire("mail", "alice", 30).await.expect("there is a primary").allowed);
    }
    let old = limiters[0].peer().status().primary.expect("there is a primary");
    // Dropped, it ends as a crash would.
    limiters.retain(|limiter| *limiter.peer().name() != old);
    for limiter in &limiters {
        until(limiter, |status| status.primary.as_ref().is_some_and(|primary| *primary != old))
            .await;
        limiter.peer().wait_ready(LONG).await.expect("the others elect one of them");
    }
    let decision = limiters[0].acquire("mail", "alice", 11).await.expect("there is a primary");
    assert_eq!((decision.allowed, decision.remaining), (false, 10));
}

#[tokio::test(start_paused = true)]
async fn a_peer_alone_decides_locally_and_is_merged() {
    let (network, limiters) = start(&NAMES, |builder| builder.mode(Mode::Relaxed)).await;
    let primary = limiters[0].peer().status().primary.expect("there is a primary");
    let is_replica = |limiter: &&RateLimiter| *limiter.peer().name() != primary;
    let alone = limiters.iter().find(is_replica).expect("two are replicas");
    assert!(alone.acquire("mail", "alice", 10).await.expect("there is a primary").allowed);
    let name = alone.peer().name().to_string();
    let others: Vec<_> = NAMES.into_iter().filter(|other| **other != name).collect();
    for other in &others {
        network.cut(&name, other);
    }
    let local = loop {
        match alone.acquire("mail", "alice", 20).await {
            Ok(decision) if decision.basis.is_local() => break decision,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert!(local.allowed);
    for other in &others {
        network.heal(&name, other);
    }
    until(alone, |status| status.primary.is_some() && status.overlay_units == 0).await;
    let peek = alone.acquire("mail", "alice", 0).await.expect("there is a primary");
    assert_eq!((peek.basis, peek.remaining), (Basis::Primary, 100 - 10 - 20));
}

#[test]
fn a_call_can_be_spawned() {
    fn is_send<T: Send>(_: impl FnOnce(RateLimiter) -> T) {}
    is_send(|limiter| async move { limiter.acquire("api", "alice", 1).await });
}

#[tokio::test(start_paused = true)]
async fn amounts_are_taken_up_to_what_there_is_debited_given_back_and_reset() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let [a, b, c] = [&limiters[0], &limiters[1], &limiters[2]];
    let taken = a.acquire("mail", "k", 70).await.expect("there is a primary");
    assert_eq!((taken.granted, taken.remaining), (70, 30));
    let peeked = b.peek("mail", "k", 31).await.expect("there is a primary");
    assert!(!peeked.allowed && peeked.retry_after.is_some() && peeked.granted == 0);
    assert!(b.peek("mail", "k", 30).await.expect("there is a primary").allowed);
    let up_to = b.acquire_up_to("mail", "k", 50).await.expect("there is a primary");
    assert_eq!((up_to.allowed, up_to.granted, up_to.remaining), (true, 30, 0));
    let up_to = c.acquire_up_to("mail", "k", 1).await.expect("there is a primary");
    assert_eq!((up_to.allowed, up_to.granted), (false, 0));
    let debited = c.debit("mail", "k", 25).await.expect("there is a primary");
    assert_eq!((debited.allowed, debited.granted, debited.remaining), (true, 25, 0));
    // 125 of 100 are taken: of 40 that come back, 15 are to be had.
    let back = a.refund_of("mail", "k", 40, &taken).await.expect("there is a primary");
    assert_eq!((back.granted, back.remaining), (40, 15));
    let back = a.refund("mail", "k", 1000).await.expect("there is a primary");
    assert_eq!((back.granted, back.remaining), (85, 100));
    let back = a.refund("mail", "k", 1).await.expect("there is a primary");
    assert_eq!(back.granted, 0, "no more than was taken");
    _ = b.acquire("mail", "k", 100).await.expect("there is a primary");
    let reset = c.reset("mail", "k").await.expect("there is a primary");
    assert_eq!((reset.granted, reset.remaining), (100, 100));
    // What was taken of an older window is not given back to the present one.
    let mut old = a.acquire("mail", "k", 10).await.expect("there is a primary");
    old.window = old.window.map(|window| window - DAY);
    let back = b.refund_of("mail", "k", 10, &old).await.expect("there is a primary");
    assert_eq!((back.granted, back.remaining), (0, 90));
    // Nor what a decision did not take: those units are somebody else's.
    let denied = b.acquire("mail", "k", 95).await.expect("there is a primary");
    let back = b.refund_of("mail", "k", 5, &denied).await.expect("there is a primary");
    assert_eq!((denied.allowed, back.granted, back.remaining), (false, 0, 90));
    let up_to = b.acquire_up_to("mail", "k", 3).await.expect("there is a primary");
    let back = b.refund_of("mail", "k", 10, &up_to).await.expect("there is a primary");
    assert_eq!((up_to.granted, back.granted, back.remaining), (3, 3, 90));
}

#[tokio::test(start_paused = true)]
async fn several_amounts_are_taken_together_or_none_and_who_refuses_is_named() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let [a, b] = [&limiters[0], &limiters[1]];
    let joint = a.acquire_all(&[("mail", "k", 60), ("api", "k", 5)]).await.expect("a primary");
    assert!(joint.allowed && joint.violated.is_empty());
    assert_eq!((joint.tightest, joint.decision.remaining), (1, 0));
    let joint = b.acquire_all(&[("mail", "k", 41), ("api", "k", 1), ("mail", "other", 1)]).await;
    let joint = joint.expect("there is a primary");
    assert_eq!((joint.allowed, &joint.violated[..], joint.tightest), (false, &[0, 1][..], 0));
    assert!(joint.decision.retry_after.is_some_and(|wait| wait > Duration::from_secs(1)));
    let left = async |key: &str| a.peek("mail", key, 1).await.expect("a primary").remaining;
    assert_eq!((left("k").await, left("other").await), (40, 100), "nothing was taken");
    let alone = b.acquire_all(&[("mail", "k", 41)]).await.expect("there is a primary");
    assert_eq!((alone.allowed, &alone.violated[..]), (false, &[0][..]));
    let never = b.acquire_all(&[("mail", "k", 1), ("mail", "other", 101)]).await;
    assert_eq!(never, Err(never_in_mail()));
    let many: Vec<_> = (0..17).map(|number| ("mail", number.to_string(), 1)).collect();
    for items in [&many[..], &[]] {
        let error = AcquireError::Items { count: items.len(), max: 16 };
        assert_eq!(b.acquire_all(items).await, Err(error));
    }
    let twice = b.acquire_all(&[("mail", "k", 1), ("mail", "k", 1)]).await;
    assert_eq!(twice, Err(AcquireError::Twice { limit: "mail".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_denies_nothing() {
    let network = InProcess::network();
    let limits = Limits::builder()
        .limit("real", Limit::window(10, DAY))
        .limit("tried", Limit::window(3, DAY).shadow())
        .build()
        .expect("usable");
    let peer = builder(&network, "a", &["a"], &limits).start().await.expect("valid settings");
    let limiter = RateLimiter::new(peer, &limits);
    limiter.peer().wait_ready(LONG).await.expect("a group of one is ready");
    let first = limiter.acquire("tried", "k", 2).await.expect("there is a primary");
    assert_eq!((first.allowed, first.shadow, first.granted, first.remaining), (true, false, 2, 1));
    let second = limiter.acquire("tried", "k", 2).await.expect("there is a primary");
    assert_eq!((second.allowed, second.shadow, second.granted), (true, true, 0));
    assert_eq!((second.remaining, second.retry_after), (1, None), "nothing of it was taken");
    let large = limiter.acquire("tried", "k", 4).await.expect("more than it ever admits");
    assert!(large.allowed && large.shadow);
    let joint =
        limiter.acquire_all(&[("real", "k", 6), ("tried", "k", 2)]).await.expect("a primary");
    assert_eq!((joint.allowed, &joint.shadowed[..]), (true, &[1][..]));
    let joint =
        limiter.acquire_all(&[("real", "k", 6), ("tried", "k", 1)]).await.expect("a primary");
    assert_eq!(
        (joint.allowed, &joint.violated[..], &joint.shadowed[..]),
        (false, &[0][..], &[][..])
    );
    assert_eq!(limiter.peek("tried", "k", 1).await.expect("a primary").remaining, 1);
    assert_eq!(limiter.peek("real", "k", 1).await.expect("a primary").remaining, 4);
    // What is told is of what may deny, however little a shadow has left, and wherever it stands.
    for items in [[("tried", "k", 2), ("real", "k", 1)], [("real", "k", 1), ("tried", "k", 1)]] {
        let joint = limiter.acquire_all(&items).await.expect("a primary");
        assert_eq!((joint.allowed, items[joint.tightest].0), (true, "real"));
        assert!(!joint.decision.shadow && joint.decision.limit == 10, "{joint:?}");
    }
    let joint = limiter.acquire_all(&[("tried", "k", 1)]).await.expect("a primary");
    assert_eq!((joint.tightest, joint.decision.shadow), (0, true));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_when_there_is_room_and_who_stops_takes_nothing() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let [a, b] = [&limiters[0], &limiters[1]];
    _ = a.acquire("api", "k", 5).await.expect("there is a primary");
    // Two units come back every 200 ms; the clock is the tests' own.
    let before = tokio::time::Instant::now();
    let served = b.wait("api", "k", 2).await.expect("it comes");
    assert!(served.allowed && before.elapsed() >= Duration::from_millis(190), "{served:?}");
    let mail = async |key: &str| a.peek("mail", key, 1).await.expect("a primary").remaining;
    // Dropped at every point of its way: in the end nothing is taken.
    for polls in 0..12 {
        let mut waiting = Box::pin(b.wait("mail", "k", 40));
        for _ in 0..polls {
            let once = std::future::poll_fn(|context| {
                let polled = waiting.as_mut().poll(context);
                std::task::Poll::Ready(polled.is_ready())
            });
            if once.await {
                // Served: it is for whoever has waited to give it back.
                _ = b.refund("mail", "k", 40).await.expect("a primary");
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(waiting);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(mail("k").await, 100, "after {polls} polls");
    }
    let never = b.wait("mail", "k", 101).await;
    assert_eq!(never, Err(never_in_mail()));
}

fn never_in_mail() -> AcquireError {
    AcquireError::NeverAdmitted { limit: "mail".into(), amount: 101, max: 100 }
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_an_answer_each_and_an_explanation_takes_nothing() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let [a, c] = [&limiters[0], &limiters[2]];
    let batch = [("mail", "k", 60), ("none", "k", 1), ("mail", "other", 1), ("mail", "k2", 101)];
    let answers = c.batch(&batch).await;
    assert_eq!(answers.len(), 4);
    assert!(answers[0].as_ref().is_ok_and(|decision| decision.allowed && decision.remaining == 40));
    assert!(matches!(answers[1], Err(AcquireError::UnknownLimit { .. })));
    assert!(answers[2].as_ref().is_ok_and(|decision| decision.remaining == 99));
    assert!(matches!(answers[3], Err(AcquireError::NeverAdmitted { .. })));
    let explained = a.explain(&[("mail", "k", 41), ("api", "k", 2), ("none", "k", 1)]).await;
    assert!(!explained.is_allowed());
    let text = explained.to_string();
    let lines: Vec<_> = text.lines().collect();
    let refused = "mail: 100 in each window of 1d: refuses 41, 40 left; try in ";
    assert!(lines[0].starts_with(refused), "{text}");
    assert_eq!(lines[1], "api: 10 per 1s, burst 5: admits 2, 5 left");
    assert_eq!(lines[2], "none: no limit is called \"none\"");
    assert_eq!(a.peek("mail", "k", 1).await.expect("a primary").remaining, 40);
}

#[tokio::test(start_paused = true)]
async fn a_retry_with_its_key_is_charged_once_also_across_a_failover() {
    let (network, mut limiters) = start(&NAMES, |b| b.acknowledge(Acknowledge::Majority)).await;
    let left = async |at: &RateLimiter| at.peek("mail", "k", 1).await.expect("a primary").remaining;
    let once = limiters[0].idempotency_key("r1").acquire("mail", "k", 10).await.expect("a primary");
    assert_eq!((once.allowed, once.repeated, once.remaining, once.granted), (true, false, 90, 10));
    _ = limiters[1].acquire("mail", "k", 5).await.expect("a primary");
    let again =
        limiters[2].idempotency_key("r1").acquire("mail", "k", 10).await.expect("a primary");
    assert_eq!(
        (again.allowed, again.repeated, again.remaining, again.granted),
        (true, true, 90, 10)
    );
    assert_eq!((again.window, again.limit), (once.window, once.limit), "the first answer");
    assert_eq!(left(&limiters[0]).await, 85, "charged once");
    // The same key for another request is another request.
    let other =
        limiters[0].idempotency_key("r1").acquire("mail", "k", 11).await.expect("a primary");
    assert!(!other.repeated && other.remaining == 74);
    // The primary dies.
    let primary = limiters[0].peer().status().primary.expect("there is one").to_string();
    let index = NAMES.iter().position(|name| *name == primary).expect("it is one of them");
    let dead = limiters.remove(index);
    NAMES.iter().for_each(|name| network.cut(&primary, name));
    until(&limiters[0], |s| s.primary.as_ref().is_some_and(|new| new.as_str() != primary)).await;
    for limiter in &limiters {
        limiter.peer().wait_ready(LONG).await.expect("two of three go on");
        let again =
            limiter.idempotency_key("r1").acquire("mail", "k", 10).await.expect("a primary");
        assert!(again.repeated && again.remaining == 90, "{again:?}");
        assert_eq!(left(limiter).await, 74);
    }
    drop(dead);
    // A denial is not kept, and after its time a key is as new.
    let a = &limiters[0];
    let denied = a.idempotency_key("r2").acquire("mail", "k", 75).await.expect("a primary");
    assert!(!denied.allowed);
    _ = a.refund("mail", "k", 10).await.expect("a primary");
    let admitted = a.idempotency_key("r2").acquire("mail", "k", 75).await.expect("a primary");
    assert!(admitted.allowed && !admitted.repeated);
    let joint = [("mail", "j", 3), ("api", "j", 2)];
    let first = a.idempotency_key("r3").acquire_all(&joint).await.expect("a primary");
    let again = limiters[1].idempotency_key("r3").acquire_all(&joint).await.expect("a primary");
    assert!(first.allowed && again.allowed && again.decision.repeated && !first.decision.repeated);
    assert_eq!((first.tightest, again.tightest), (1, 1));
    assert_eq!(a.peek("mail", "j", 1).await.expect("a primary").remaining, 97);
    tokio::time::sleep(quorate_ratelimit::IDEMPOTENCY_TIME + LONG).await;
    let late = a.idempotency_key("r3").acquire_all(&joint).await.expect("a primary");
    assert!(late.allowed && !late.decision.repeated);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_refund_or_debit_counts_once() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let [a, b] = [&limiters[0], &limiters[1]];
    for limiter in [a, b] {
        let debited = limiter.idempotency_key("d").debit("mail", "k", 30).await.expect("a primary");
        assert_eq!((debited.granted, debited.remaining), (30, 70));
    }
    for limiter in [b, a] {
        let back = limiter.idempotency_key("u").refund("mail", "k", 10).await.expect("a primary");
        assert_eq!((back.granted, back.remaining), (10, 80));
    }
    for limiter in [b, a] {
        let taken = limiter.idempotency_key("t").acquire_up_to("mail", "k", 200).await;
        let taken = taken.expect("a primary");
        assert_eq!((taken.granted, taken.remaining), (80, 0));
    }
}

/// Whoever chooses the id of a call chooses whether it is charged: 20 of 20 passed under 5 an hour.
#[tokio::test(start_paused = true)]
async fn an_id_that_is_used_again_and_again_lifts_a_limit_only_so_far() {
    let (_network, limiters) = start(&NAMES, |builder| builder).await;
    let most = quorate_ratelimit::MAX_REPEATS;
    let once = |index: u32| limiters[index as usize % 3].idempotency_key("chosen by a caller");
    let first = once(0).acquire("mail", "k", 10).await.expect("a primary");
    assert!(first.allowed && !first.repeated);
    for index in 0..most {
        let again = once(index).acquire("mail", "k", 10).await.expect("a primary");
        assert!(again.allowed && again.repeated && again.remaining == 90, "{index}: {again:?}");
    }
    tokio::time::sleep(LONG).await;
    for index in 0..4 {
        let denied = once(index).acquire("mail", "k", 10).await.expect("a primary");
        assert!(!denied.allowed && denied.granted == 0 && denied.remaining == 90, "{denied:?}");
        assert!(denied.repeated, "it is the key that is used up, not the limit");
        let wait = denied.retry_after.expect("of a denial");
        assert!(wait <= quorate_ratelimit::IDEMPOTENCY_TIME - LONG, "{wait:?}");
        assert!(wait > quorate_ratelimit::IDEMPOTENCY_TIME - LONG * 2, "{wait:?}");
    }
    // Each of several in a call of its own has its own count, and a debit lifts a limit as well.
    let joint = [("mail", "j", 3), ("api", "j", 2)];
    for index in 0..=most + 1 {
        let told = once(index).acquire_all(&joint).await.expect("a primary");
        assert_eq!(told.allowed, index <= most, "{index}: {told:?}");
        assert_eq!(told.violated.is_empty(), told.allowed);
        assert_eq!(told.decision.repeated, index > 0);
        let told = once(index).debit("mail", "d", 30).await.expect("a primary");
        assert_eq!(told.allowed, index <= most, "{index}: {told:?}");
    }
    // What gives back gives back once, however often it is asked for.
    for index in 0..most * 2 {
        let back = once(index).refund("mail", "k", 4).await.expect("a primary");
        assert_eq!((back.allowed, back.granted, back.remaining), (true, 4, 94), "{index}");
    }
    // And what denies nothing denies no repeat.
    for index in 0..most * 2 {
        for limit in ["seen", "tried"] {
            let told = once(index).acquire(limit, "k", 1).await.expect("a primary");
            assert!(told.allowed, "{limit} {index}: {told:?}");
        }
    }
    tokio::time::sleep(quorate_ratelimit::IDEMPOTENCY_TIME).await;
    let new = once(0).acquire("mail", "k", 10).await.expect("a primary");
    assert!(new.allowed && !new.repeated && new.remaining == 84, "after its time it is charged");
}
