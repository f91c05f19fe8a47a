//! What is handed to a recorder: every number under its name, and never a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use quorate::PeerBuilder;
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Carry, Limit, Limits, MetricKind, RateLimiter};

/// Remembers what was recorded last, as `name{label=value,..}`.
#[derive(Default)]
struct Book {
    values: Arc<Mutex<BTreeMap<String, u64>>>,
    described: Mutex<BTreeSet<String>>,
}

struct Entry(String, Arc<Mutex<BTreeMap<String, u64>>>);

impl Entry {
    fn note(&self, value: u64) {
        self.1.lock().expect("no panic").insert(self.0.clone(), value);
    }
}

impl CounterFn for Entry {
    fn increment(&self, _: u64) {
        panic!("numbers are kept by the limiter, and told as they are");
    }

    fn absolute(&self, value: u64) {
        self.note(value);
    }
}

impl GaugeFn for Entry {
    fn increment(&self, _: f64) {
        panic!("as above");
    }

    fn decrement(&self, _: f64) {
        panic!("as above");
    }

    fn set(&self, value: f64) {
        self.note(value as u64);
    }
}

impl Book {
    fn entry(&self, key: &Key) -> Arc<Entry> {
        let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
        let labels = labels.collect::<Vec<_>>().join(",");
        Arc::new(Entry(format!("{}{{{labels}}}", key.name()), Arc::clone(&self.values)))
    }

    fn describe(&self, name: &KeyName) {
        self.described.lock().expect("no panic").insert(name.as_str().to_owned());
    }

    fn value(&self, entry: &str) -> Option<u64> {
        self.values.lock().expect("no panic").get(entry).copied()
    }
}

impl Recorder for Book {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.entry(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.entry(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_reach_the_recorder_of_the_thread_and_keys_never_do() {
    let limits = Limits::builder().limit("mail", Limit::per_day(1).burst(5)).build();
    let limits = limits.expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let limiter = group.limiter(&group.primary().await);
    let book = Book::default();
    let publish = || metrics::with_local_recorder(&book, || limiter.publish_metrics());
    publish();
    assert_eq!(book.value("quorate_decisions_total{limit=mail,outcome=allowed}"), Some(0));
    for _ in 0..3 {
        _ = limiter.acquire("mail", "sesame", 2).await;
        _ = limiter.acquire("nothing", "sesame", 2).await;
    }
    publish();
    let expected = [
        ("quorate_decisions_total{limit=mail,outcome=allowed}", 2),
        ("quorate_decisions_total{limit=mail,outcome=denied}", 1),
        ("quorate_granted_units_total{limit=mail}", 4),
        ("quorate_errors_total{kind=invalid}", 3),
        ("quorate_is_primary{}", 1),
        ("quorate_members{}", 3),
        ("quorate_reachable_members{}", 3),
        ("quorate_spare_members{}", 1),
        ("quorate_stale_members{}", 0),
        ("quorate_cells{}", 1),
        ("quorate_store_bytes{}", 128),
    ];
    for (entry, value) in expected {
        assert_eq!(book.value(entry), Some(value), "{entry}");
    }
    let values = book.values.lock().expect("no panic");
    assert!(values.keys().all(|entry| !entry.contains("sesame")), "{values:?}");
    let names: BTreeSet<String> =
        limiter.metrics().iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(*book.described.lock().expect("no panic"), names);
}

/// A value by name and suffix, of the sample without labels of its own.
fn number(limiter: &RateLimiter, name: &str) -> Option<f64> {
    let metrics = limiter.metrics();
    let samples = metrics.iter().flat_map(|it| it.samples.iter().map(move |one| (it.name, one)));
    let mut named = samples.filter(|(metric, one)| format!("{metric}{}", one.suffix) == name);
    named.find(|(_, one)| one.labels.is_empty()).map(|(_, one)| one.value)
}

#[tokio::test(start_paused = true)]
async fn which_limits_are_decided_by_and_how_they_differ_is_a_number() {
    let set = |amount| {
        let limits = Limits::builder().limit("mail", Limit::per_day(amount));
        limits.limit("api", Limit::per_second(5)).build().expect("usable")
    };
    let group = TestGroup::start(&set(1), ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let numbers = |name: &str| {
        let names = ["quorate_limits_revision", "quorate_differing_limits"];
        names.map(|metric| number(group.limiter(name), metric))
    };
    assert_eq!(numbers("a"), [Some(0.0), Some(0.0)]);
    let changed = group.limiter("b").change_limits(&set(2), Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    group.pass(Duration::from_secs(3)).await;
    for name in ["a", "b", "c"] {
        assert_eq!(numbers(name), [Some(1.0), Some(1.0)], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_given_a_name_has_it_with_every_number() {
    let limits = Limits::builder().limit("mail", Limit::per_day(1)).build().expect("usable");
    let groups = async |setup: fn(PeerBuilder) -> PeerBuilder| {
        let group = TestGroup::start(&limits, ["a"], setup).await;
        let group = group.expect("the settings are valid");
        let metrics = group.limiter("a").metrics();
        let samples = metrics.into_iter().flat_map(|metric| metric.samples);
        let named = samples.map(|sample| {
            let of = sample.labels.into_iter().filter(|(label, _)| *label == "group");
            of.map(|(_, value)| value).collect::<Vec<_>>()
        });
        named.collect::<BTreeSet<_>>()
    };
    assert_eq!(
        groups(|peer| peer.group("billing")).await,
        BTreeSet::from([vec!["billing".to_owned()]])
    );
    assert_eq!(groups(|peer| peer).await, BTreeSet::from([vec![]]));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_sent_to_the_primary_are_told_by_how_long_they_take() {
    let limits = Limits::builder().limit("mail", Limit::per_day(9)).build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let primary = group.primary().await;
    for name in ["a", "b", "c"] {
        let limiter = group.limiter(name);
        for _ in 0..2 {
            _ = limiter.acquire("mail", name, 1).await.expect("a primary");
        }
        let expected = if name == primary { 0.0 } else { 2.0 };
        for metric in ["quorate_call_seconds_count", "quorate_forwarded_seconds_count"] {
            assert_eq!(number(limiter, metric), Some(expected), "{metric} at {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn names_keep_to_the_conventions() {
    let limits = Limits::builder().limit("mail", Limit::per_day(1)).build().expect("usable");
    let group = TestGroup::start(&limits, ["a"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    for metric in group.limiter("a").metrics() {
        let name = metric.name;
        assert!(name.starts_with("quorate_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(metric.kind == MetricKind::Counter, name.ends_with("_total"), "{name}");
        // Times are in seconds, and what is measured stands before its unit.
        for unit in ["micro", "milli", "nano", "minute", "percent", "kib", "mib"] {
            assert!(!name.contains(unit), "{name}");
        }
        assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
        let known = [
            "bound",
            "certainty",
            "kind",
            "le",
            "limit",
            "outcome",
            "peer",
            "reason",
            "version",
            "wire",
        ];
        let labels = metric.samples.iter().flat_map(|sample| &sample.labels);
        assert!(labels.into_iter().all(|(label, _)| known.contains(label)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_lag_of_every_member_is_the_same_at_every_peer() {
    let limits = Limits::builder().limit("api", Limit::per_day(9)).build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    _ = group.limiter("b").acquire("api", "alice", 1).await.expect("a primary");
    group.pass(Duration::from_secs(3)).await;
    for name in ["a", "b", "c"] {
        let metrics = group.limiter(name).metrics();
        let values = |wanted: &str| {
            let metric = metrics.iter().find(|metric| metric.name == wanted).expect("it is there");
            let label = |sample: &quorate_ratelimit::Sample| {
                sample.labels.iter().map(|(_, value)| value.to_string()).collect::<String>()
            };
            let mut values: Vec<_> =
                metric.samples.iter().map(|sample| (label(sample), sample.value)).collect();
            values.sort_by(|a, b| a.0.cmp(&b.0));
            values
        };
        let all = ["a", "b", "c"].map(|peer| (peer.to_owned(), 0.0));
        assert_eq!(values("quorate_lag"), all, "at {name}");
        assert_eq!(values("quorate_is_counted"), [(String::new(), 1.0)]);
        assert_eq!(values("quorate_catching_up_cells"), [(String::new(), 0.0)]);
        assert_eq!(values("quorate_certificate_expiry_timestamp_seconds"), []);
    }
}
