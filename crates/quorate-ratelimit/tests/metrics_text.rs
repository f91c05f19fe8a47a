//! `RateLimiter::metrics_text`: what Prometheus scrapes, read as its format is described.

use std::collections::{BTreeMap, BTreeSet};

use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits};

const NAMES: [&str; 3] = ["plain", "with \"quotes\"", "back\\slash, {a=\"b\"} 7"];

async fn group() -> TestGroup {
    let limits = NAMES
        .into_iter()
        .fold(Limits::builder(), |builder, name| builder.limit(name, Limit::per_day(1).burst(5)));
    let limits = limits.build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    group.expect("the settings are valid")
}

/// Values by name and labels.
type Read = BTreeMap<(String, Vec<(String, String)>), f64>;

/// Reads the format as its description says: families whole, in one place, each with its help
/// and type before its values.
fn read(text: &str) -> Read {
    let (mut values, mut seen) = (Read::new(), BTreeSet::new());
    let mut family = None;
    let mut is_histogram = false;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(seen.insert(name.to_owned()), "{name} twice");
            assert!(!help.is_empty());
            family = Some((name.to_owned(), false));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            is_histogram = kind == "histogram";
            assert_eq!(family, Some((name.to_owned(), false)));
            family = Some((name.to_owned(), true));
        } else {
            let (name, labels, value) = sample(line);
            let parts = ["_bucket", "_sum", "_count"];
            let part = parts.iter().find_map(|part| name.strip_suffix(part));
            let of = part.filter(|_| is_histogram).unwrap_or(&name);
            assert_eq!(family, Some((of.to_owned(), true)), "{line}");
            assert_eq!(values.insert((name, labels), value), None, "{line} twice");
        }
    }
    values
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let (name, mut rest) = line.split_at(end.expect("a value follows"));
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a quoted value");
            let (value, after) = quoted(after);
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

/// A text up to its closing quotes, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next().expect("something is escaped").1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quotes in {text}")
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
