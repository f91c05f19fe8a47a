//! What is handed to a recorder: every number under its name, and never a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits, MetricKind};

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
        assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
        let known = ["bound", "kind", "limit", "outcome", "peer", "reason"];
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
            values.sort_unstable();
            values
        };
        let all = ["a", "b", "c"].map(|peer| (peer.to_owned(), 0));
        assert_eq!(values("quorate_lag"), all, "at {name}");
        assert_eq!(values("quorate_is_counted"), [(String::new(), 1)]);
        assert_eq!(values("quorate_catching_up_cells"), [(String::new(), 0)]);
        assert_eq!(values("quorate_certificate_end_seconds"), []);
    }
}
