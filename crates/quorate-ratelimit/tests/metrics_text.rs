//! `RateLimiter::metrics_text`: what Prometheus scrapes, read as its format is described.

mod exposition;

use std::collections::BTreeSet;

use quorate::transport::InProcess;
use quorate::{Peer, Site};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits, RateLimiter};

use crate::exposition::{Read, read, sample};

const NAMES: [&str; 3] = ["plain", "with \"quotes\"", "back\\slash, {a=\"b\"} 7"];

async fn group() -> TestGroup {
    let limits = NAMES
        .into_iter()
        .fold(Limits::builder(), |builder, name| builder.limit(name, Limit::per_day(1).burst(5)));
    let limits = limits.build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    group.expect("the settings are valid")
}

fn decisions(read: &Read, limit: &str, outcome: &str) -> f64 {
    let labels = [("limit", limit), ("outcome", outcome)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    read[&("quorate_decisions_total".to_owned(), labels)]
}

fn value(read: &Read, name: &str) -> f64 {
    read[&(name.to_owned(), Vec::new())]
}

#[tokio::test(start_paused = true)]
async fn the_text_is_what_prometheus_reads_and_moves_with_the_counts() {
    let group = group().await;
    let limiter = group.limiter(&group.primary().await);
    let before = read(&limiter.metrics_text());
    for name in NAMES {
        assert_eq!(decisions(&before, name, "allowed"), 0.0);
        for _ in 0..3 {
            _ = limiter.acquire(name, "sesame", 2).await;
        }
    }
    let written = limiter.metrics_text();
    assert!(!written.contains("sesame"), "no key is ever written");
    let after = read(&written);
    for name in NAMES {
        let outcomes = ["allowed", "denied", "shadowed", "uncounted"];
        let counts = outcomes.map(|outcome| decisions(&after, name, outcome));
        assert_eq!(counts, [2.0, 1.0, 0.0, 0.0], "{name}");
    }
    let names = ["quorate_cells", "quorate_is_primary", "quorate_reachable_members"];
    assert_eq!(names.map(|name| value(&after, name)), [3.0, 1.0, 3.0]);
    assert_eq!(value(&after, "quorate_store_bytes"), 3.0 * 128.0);
}

/// Prometheus takes no histogram whose parts do not agree.
#[tokio::test(start_paused = true)]
async fn a_histogram_has_its_buckets_in_order_and_as_many_calls_in_the_last_as_in_all() {
    let group = group().await;
    let primary = group.primary().await;
    let other = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let limiter = group.limiter(other);
    for _ in 0..3 {
        _ = limiter.acquire("plain", "k", 1).await;
    }
    let written = limiter.metrics_text();
    let values = read(&written);
    let buckets = written.lines().filter(|line| line.starts_with("quorate_call_seconds_b"));
    let buckets: Vec<f64> = buckets.map(|line| sample(line).2).collect();
    assert!(buckets.len() == 17 && buckets.is_sorted(), "{buckets:?}");
    assert_eq!(value(&values, "quorate_call_seconds_count"), 3.0);
    assert_eq!(buckets.last(), Some(&3.0));
    assert!(written.contains("quorate_call_seconds_bucket{le=\"0.00025\"} "), "{written}");
    assert!(written.contains("quorate_call_seconds_bucket{le=\"+Inf\"} 3\n"));
}

/// Whoever stands at no site says nothing of one.
#[tokio::test(start_paused = true)]
async fn of_all_that_a_site_can_be_one_is_told() {
    let limits = Limits::builder().limit("mail", Limit::per_day(1)).build().expect("usable");
    let network = InProcess::network();
    let peer = Peer::builder("a", limits.model())
        .members([("a", "a")])
        .site(Site::new("east").other("west", ["b"]))
        .transport(network.at("a"))
        .tokio_clock();
    let peer = peer.start().await.expect("the settings are valid");
    let told = RateLimiter::new(peer.clone(), &limits).metrics_text();
    let of_site = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("quorate_site_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = of_site(&told);
    assert!(lines.contains(&"quorate_site_epoch 0".to_owned()), "{lines:?}");
    let told: Vec<_> = lines.iter().filter(|line| line.ends_with(" 1")).collect();
    let expected =
        ["quorate_site_mode{mode=\"standalone\"} 1", "quorate_site_state{state=\"Pending\"} 1"];
    assert_eq!(told, expected);
    assert_eq!(lines.len(), 1 + 3 + 8);
    // The words are those of the status.
    let site = serde_json::to_value(peer.status().site).expect("it can be written");
    assert_eq!((&site["mode"], &site["state"]), (&"standalone".into(), &"Pending".into()));
    assert!(of_site(&group().await.limiter("a").metrics_text()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_number_is_listed_for_operators_and_no_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let listed = page.split('`').filter(|word| word.starts_with("quorate_"));
    let listed: BTreeSet<&str> =
        listed.map(|word| word.split('{').next().unwrap_or(word)).collect();
    let metrics = group().await.limiter("a").metrics();
    let known: BTreeSet<&str> = metrics.iter().map(|metric| metric.name).collect();
    assert_eq!(listed, known);
}
