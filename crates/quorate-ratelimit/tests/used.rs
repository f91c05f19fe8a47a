//! One number for what is used of a key, whoever is asked for it.

use std::time::Duration;

use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits};

/// A limit of 123 of each kind, and of a sliding window that counts in multiples.
fn limits() -> Limits {
    let hour = Duration::from_secs(3600);
    let builder = Limits::builder()
        .limit("rate", Limit::per(1, 100 * hour).burst(123))
        .limit("window", Limit::window(123, hour))
        .limit("sliding", Limit::sliding(123, hour))
        .limit("large", Limit::sliding(100_000, hour))
        .limit("about", Limit::approximate_sliding(123, hour))
        .limit("counter", Limit::counter());
    builder.build().expect("usable")
}

/// The status of a key had 200 in one place, and 123 in the other.
#[tokio::test(start_paused = true)]
async fn what_is_debited_beyond_the_limit_is_used_wherever_it_is_read() {
    let group = TestGroup::start(&limits(), ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    for (limit, _) in limits().iter() {
        // Of the large one as far beyond.
        let (debited, back) = if limit == "large" { (160_000, 40_000) } else { (200, 50) };
        for name in ["a", "b", "c"] {
            let limiter = group.limiter(name);
            let top = async || {
                group.pass(Duration::from_secs(2)).await;
                let top = limiter.top(limit, 9).await.expect("it is known");
                top.used.iter().find(|used| used.key == name).map_or(0, |used| used.used)
            };
            let taken = limiter.debit(limit, name, debited).await.expect("a primary");
            assert_eq!(taken.used(), debited, "{limit}");
            let peeked = limiter.peek(limit, name, 1).await.expect("a primary");
            assert_eq!((peeked.used(), top().await), (debited, debited), "{limit}");
            if limit == "counter" {
                continue;
            }
            assert_eq!((peeked.allowed, peeked.remaining), (false, 0), "{limit}");
            let joint = limiter.acquire_all(&[(limit, name, 1), ("counter", "k", 1)]).await;
            assert_eq!(joint.expect("a primary").decision.used(), debited, "{limit}");
            let given = limiter.refund(limit, name, back).await.expect("a primary");
            let left = debited - back;
            assert_eq!((given.used(), top().await), (left, left), "{limit}");
            let denied = limiter.acquire(limit, name, 1).await.expect("a primary");
            assert_eq!((denied.allowed, denied.used()), (false, left), "{limit}");
            // Below the limit again there is room, and nothing beyond.
            let rest = limiter.refund(limit, name, left - 3).await.expect("a primary");
            assert_eq!((rest.used(), rest.remaining), (3, rest.limit - 3), "{limit}");
        }
    }
}
