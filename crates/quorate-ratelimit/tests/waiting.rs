//! Whoever waits exactly as long as an answer says is admitted, if nobody else has taken anything
//! meanwhile: on a clock whose cheap readings lag by a tick, as the machine's do, wherever the
//! call is made.

use std::time::Duration;

use quorate::{Mode, PeerBuilder};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits, RateLimiter, WithoutPrimary};
use tokio::time::{Instant, advance};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// How often a cheap reading of the clock moves on.
const TICK: Duration = Duration::from_millis(10);

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits::builder()
        .limit("alone", Limit::per_second(10).burst(1).without_primary(WithoutPrimary::share(500)))
        .limit("fast", Limit::per_second(400).burst(2))
        .limit("rate", Limit::per_second(10).burst(1))
        .limit("sliding", Limit::sliding(3, second))
        .limit("slow", Limit::per_second(1))
        .limit("window", Limit::window(3, second))
        .build()
        .expect("usable")
}

async fn group() -> TestGroup {
    let lagging = |peer: PeerBuilder| peer.tokio_clock_with_ticks(TICK);
    let group = TestGroup::start(&limits(), NAMES, lagging).await.expect("usable settings");
    // The wall clocks of these peers were read one after the other: group time comes to rest.
    group.pass(Duration::from_secs(120)).await;
    group
}

/// Lets time pass in two steps: at the first one changes are replicated, which moves group time on.
async fn pass(time: Duration) {
    advance(time / 2).await;
    advance(time - time / 2).await;
}

/// Takes until it is denied, at any phase of the clock, and comes back when it was told to: how
/// often that was, and how often it was denied again.
async fn early(limiter: &RateLimiter, limit: &str, key: &str, rounds: u32) -> (u32, u32) {
    let mut came = 0;
    let mut denied = 0;
    for round in 0..rounds {
        advance(Duration::from_micros(u64::from(round) * 370)).await;
        let wait = loop {
            let decision = limiter.acquire(limit, key, 1).await.expect("it is decided");
            if let Some(wait) = decision.retry_after {
                break wait;
            }
        };
        pass(wait).await;
        came += 1;
        let again = limiter.acquire(limit, key, 1).await.expect("it is decided");
        denied += u32::from(!again.allowed);
    }
    (came, denied)
}

#[tokio::test(start_paused = true)]
async fn nobody_who_waits_as_told_is_early_at_any_peer_under_any_limit() {
    let group = group().await;
    for name in NAMES {
        for limit in ["fast", "rate", "sliding", "slow", "window"] {
            let early = early(group.limiter(name), limit, name, 40).await;
            assert_eq!(early, (40, 0), "{limit} at {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_question_or_several_limits_say_is_kept_too() {
    let group = group().await;
    let primary = group.primary().await;
    for name in NAMES {
        let limiter = group.limiter(name);
        for round in 0..40 {
            advance(Duration::from_micros(round * 370)).await;
            let items = [("rate", name, 1), ("fast", name, 2)];
            while limiter.acquire_all(&items).await.expect("it is decided").allowed {}
            let told = limiter.explain(&items).await.items;
            let told = told.into_iter().map(|item| item.decision.expect("it is decided"));
            let longest = told.filter_map(|decision| decision.retry_after).max();
            pass(longest.expect("one of them refuses")).await;
            let explained = limiter.explain(&items).await;
            assert!(explained.is_allowed(), "{explained} at {name}, {primary} is primary");
            let again = limiter.acquire_all(&items).await.expect("it is decided");
            assert!(again.allowed, "{again:?} at {name}, {primary} is primary");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_alone_keeps_its_word_too() {
    let relaxed = |peer: PeerBuilder| peer.mode(Mode::Relaxed).tokio_clock_with_ticks(TICK);
    let group = TestGroup::start(&limits(), NAMES, relaxed).await.expect("usable settings");
    group.pass(Duration::from_secs(120)).await;
    group.isolate(&["a"]);
    group.pass(Duration::from_secs(60)).await;
    for limit in ["alone", "rate", "sliding", "window"] {
        let limiter = group.limiter("a");
        assert!(limiter.peek(limit, "k", 1).await.expect("it is decided").basis.is_local());
        assert_eq!(early(limiter, limit, "k", 40).await, (40, 0), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_says_no_more_than_the_limit_would() {
    // Less than a tick.
    let pause = Duration::from_millis(3);
    let shadow = Limit::per(1, pause).shadow();
    let limits = Limits::builder().limit("shadow", shadow).build().expect("usable");
    let lagging = |peer: PeerBuilder| peer.tokio_clock_with_ticks(TICK);
    let group = TestGroup::start(&limits, NAMES, lagging).await.expect("usable settings");
    group.pass(Duration::from_secs(120)).await;
    let primary = group.primary().await;
    for name in NAMES {
        let limiter = group.limiter(name);
        for round in 0..40 {
            advance(Duration::from_micros(round * 370)).await;
            let decision = limiter.acquire("shadow", name, 1).await.expect("it is decided");
            assert!(!decision.shadow, "at {name}, {primary} is primary");
            pass(pause).await;
        }
    }
}

/// What is held lasts as long as its holder is told, from when it was asked for: the reading that
/// it counts by must not be an older one.
#[tokio::test(start_paused = true)]
async fn a_permit_lasts_its_lease_from_when_it_was_asked_for() {
    let lease = Duration::from_millis(200);
    let jobs = Limit::concurrent(1).lease(lease);
    let limits = Limits::builder().limit("jobs", jobs).build().expect("usable");
    let lagging = |peer: PeerBuilder| peer.tokio_clock_with_ticks(TICK);
    let group = TestGroup::start(&limits, NAMES, lagging).await.expect("usable settings");
    group.pass(Duration::from_secs(120)).await;
    for name in NAMES {
        let limiter = group.limiter(name);
        for round in 0..100u32 {
            let key = format!("{name} {round}");
            pass(Duration::from_micros(8_370)).await;
            let (decision, id) = limiter.take_permit("jobs", &key, 1).await.expect("it is decided");
            assert_eq!((decision.reset_after, id.is_some()), (lease, true));
            pass(lease - Duration::from_nanos(1)).await;
            let (other, _) = limiter.take_permit("jobs", &key, 1).await.expect("it is decided");
            assert!(!other.allowed, "{key}");
        }
    }
}

/// By the readings that lag, what is taken is stamped up to a tick early, and would leave as early.
#[tokio::test(start_paused = true)]
async fn a_sliding_window_holds_by_a_stop_watch_too() {
    let length = Duration::from_millis(130);
    let limits = Limits::builder().limit("few", Limit::sliding(3, length)).build();
    let limits = limits.expect("usable");
    let lagging = |peer: PeerBuilder| peer.tokio_clock_with_ticks(TICK);
    let group = TestGroup::start(&limits, NAMES, lagging).await.expect("usable settings");
    group.pass(Duration::from_secs(120)).await;
    for name in NAMES {
        for round in 0..40 {
            let key = format!("{name} {round}");
            pass(Duration::from_micros(23_370)).await;
            let begun = Instant::now();
            let taken = group.limiter(name).acquire("few", &key, 3).await;
            assert!(taken.expect("it is decided").allowed);
            loop {
                advance(Duration::from_micros(300)).await;
                let next = group.limiter(name).acquire("few", &key, 1).await;
                if next.expect("it is decided").allowed {
                    break;
                }
            }
            let within = begun.elapsed();
            assert!(within >= length, "4 of 3 within {within:?}: {key}");
        }
    }
}

/// A denial of several permits told when the first of them would be free.
#[tokio::test(start_paused = true)]
async fn several_permits_are_free_when_a_denial_says_so() {
    let jobs = Limit::concurrent(3).lease(Duration::from_secs(2));
    let limits = Limits::builder().limit("jobs", jobs).build().expect("usable");
    let lagging = |peer: PeerBuilder| peer.tokio_clock_with_ticks(TICK);
    let group = TestGroup::start(&limits, NAMES, lagging).await.expect("usable settings");
    group.pass(Duration::from_secs(120)).await;
    for name in NAMES {
        for amount in 1..=3 {
            let limiter = group.limiter(name);
            let key = format!("{name} {amount}");
            for _ in 0..3 {
                let (_, id) = limiter.take_permit("jobs", &key, 1).await.expect("it is decided");
                assert!(id.is_some());
                pass(Duration::from_millis(600)).await;
            }
            let (denied, _) = limiter.take_permit("jobs", &key, amount).await.expect("decided");
            let asked = limiter.peek("jobs", &key, amount).await.expect("it is decided");
            assert_eq!(asked.retry_after, denied.retry_after);
            pass(denied.retry_after.expect("all are held")).await;
            let (again, _) = limiter.take_permit("jobs", &key, amount).await.expect("decided");
            assert!(again.allowed, "{key}: {again:?}");
        }
    }
}
