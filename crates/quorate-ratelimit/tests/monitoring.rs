//! Alerts and the dashboard of docs/deploy speak of nothing that a running peer does not tell:
//! every name, label and word in their expressions is looked up in `metrics_text()`.

mod exposition;
mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use quorate::transport::{BoxFuture, Certificate, InProcess, Listener, Stream, Transport};
use quorate::{Peer, PeerName, Site, Status};
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::promql::{Expression, Selector};

/// Labels that Prometheus gives to what it scrapes.
const OF_TARGET: [&str; 2] = ["instance", "job"];

/// Labels whose values are the service's own.
const NAMED_BY_SERVICE: [&str; 5] = ["group", "limit", "peer", "version", "wire"];

/// A network whose members show certificates.
struct Certified(Arc<dyn Transport>);

impl Transport for Certified {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.0.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.0.connect(address, to)
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.0.is_private(address)
    }

    fn certificate(&self) -> Option<Certificate> {
        Some(Certificate::new("CN=a".to_owned(), vec!["a".to_owned()], 1_900_000_000_000))
    }
}

/// Words of each label of each metric, as a running peer tells them; the parts of a histogram by
/// their own names.
type Told = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

async fn told() -> Told {
    let network = InProcess::network();
    let active = at_site(&network, "a", ("east", "west"), "b").await;
    let passive = at_site(&network, "b", ("west", "east"), "a").await;
    active.peer().activate_site().await.expect("nobody decides yet");
    _ = active.acquire("mail", "alice", 1).await.expect("it decides");
    let is_told = |status: &Status| {
        let site = status.site.as_ref();
        site.is_some_and(|site| site.rpo_ms.or(site.behind_ms).is_some())
    };
    let mut told = Told::new();
    for limiter in [active, passive] {
        let mut statuses = limiter.peer().watch_status();
        let seen = tokio::time::timeout(Duration::from_secs(60), statuses.wait_for(is_told)).await;
        seen.expect("the one site follows the other");
        for (name, labels) in exposition::read(&limiter.metrics_text()).into_keys() {
            let words = told.entry(name).or_default();
            for (label, word) in labels {
                words.entry(label).or_default().insert(word);
            }
        }
    }
    told
}

/// A peer that is alone at its site.
async fn at_site(
    network: &InProcess,
    name: &str,
    (own, other): (&str, &str),
    contact: &str,
) -> RateLimiter {
    let limits = Limits::builder().limit("mail", Limit::per_day(1)).build().expect("usable");
    let peer = Peer::builder(name, limits.model())
        .group("billing")
        .members([(name, name)])
        .site(Site::new(own).other(other, [contact]))
        .transport(Arc::new(Certified(network.at(name))))
        .tokio_clock()
        .start()
        .await;
    RateLimiter::new(peer.expect("the settings are valid"), &limits)
}

fn file(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Looks up all that an expression, and the texts about what comes of it, speak of.
fn check(told: &Told, said: &str, texts: &[&str]) {
    let expression = Expression::read(said);
    assert!(!expression.selectors.is_empty(), "no metric in {said}");
    let mut labels: BTreeSet<&str> = OF_TARGET.into();
    for selector in &expression.selectors {
        let of_metric = look_up(told, selector, said);
        labels.extend(of_metric.keys().map(String::as_str));
    }
    for label in &expression.labels {
        assert!(labels.contains(&**label), "no label {label} in {said}");
    }
    for label in texts.iter().flat_map(|text| promql::templates(text)) {
        assert!(labels.contains(label), "no label {label} for {texts:?} of {said}");
    }
}

fn look_up<'t>(
    told: &'t Told,
    selector: &Selector,
    said: &str,
) -> &'t BTreeMap<String, BTreeSet<String>> {
    let name = &selector.metric;
    let labels = told.get(name).unwrap_or_else(|| panic!("{name} in {said} is told by no peer"));
    for (label, words) in &selector.labels {
        if OF_TARGET.contains(&&**label) {
            continue;
        }
        let known = labels.get(label).unwrap_or_else(|| panic!("{name} has no {label}: {said}"));
        if !NAMED_BY_SERVICE.contains(&&**label) {
            let unknown: Vec<_> = words.iter().filter(|word| !known.contains(*word)).collect();
            assert!(unknown.is_empty(), "{name} has no {label} of {unknown:?}, but {known:?}");
        }
    }
    labels
}

fn text<'y>(value: &'y Yaml, name: &str) -> &'y str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value:?}"))
}

#[tokio::test(start_paused = true)]
async fn every_alert_speaks_of_what_a_peer_tells_and_says_what_to_do() {
    let told = told().await;
    let documents = YamlLoader::load_from_str(&file("deploy/prometheus/alerts.yml"));
    let documents = documents.expect("it is YAML");
    let groups = documents[0]["groups"].as_vec().expect("a list of groups");
    let page = file("operations.md");
    let mut names = BTreeSet::new();
    for rule in groups.iter().flat_map(|group| group["rules"].as_vec().expect("a list of rules")) {
        let name = text(rule, "alert");
        assert!(name.starts_with("Quorate") && names.insert(name), "{name} twice");
        let severity = text(&rule["labels"], "severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotations = &rule["annotations"];
        let texts = ["summary", "description"].map(|of| text(annotations, of));
        check(&told, text(rule, "expr"), &texts);
        let runbook = text(annotations, "runbook");
        let section = runbook.strip_prefix("docs/operations.md, section ").expect("a section");
        assert!(page.contains(&format!("\n## {section}. ")), "{name}: {runbook} does not exist");
    }
    assert!(names.len() > 20, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn every_panel_of_the_dashboard_draws_what_a_peer_tells() {
    let told = told().await;
    let dashboard: Value =
        serde_json::from_str(&file("deploy/grafana/quorate.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("a list of panels");
    let mut drawn = 0;
    let mut places = BTreeSet::new();
    for panel in panels {
        assert!(places.insert(panel["gridPos"].to_string()), "two at one place: {panel}");
        if panel["type"] == "row" {
            continue;
        }
        for target in panel["targets"].as_array().expect("a list of targets") {
            let legend = target["legendFormat"].as_str().expect("a legend");
            check(&told, target["expr"].as_str().expect("an expression"), &[legend]);
            drawn += 1;
        }
    }
    assert!(drawn > 30, "{drawn}");
    for variable in dashboard["templating"]["list"].as_array().expect("a list of variables") {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = inner.and_then(|it| it.rsplit_once(", ")).expect("label_values");
        check(&told, metric, &[&format!("{{{{{label}}}}}")]);
    }
}

#[test]
fn an_expression_is_read_to_its_names_labels_and_words() {
    let said = r#"sum by (job, limit) (rate(a_total{kind=~"x|y",job="$job"}[5m]))
        / on (job) group_left (limit) count(b) > 1e3 and c offset 15m != bool 2"#;
    let read = Expression::read(said);
    let metrics: Vec<_> = read.selectors.iter().map(|selector| &*selector.metric).collect();
    assert_eq!(metrics, ["a_total", "b", "c"]);
    let kind = ("kind".to_owned(), vec!["x".to_owned(), "y".to_owned()]);
    assert_eq!(read.selectors[0].labels, [kind, ("job".to_owned(), vec![])]);
    assert_eq!(read.labels, ["job", "limit", "job", "limit"]);
    let found = promql::templates("{{ $labels.peer }} of {{job}} has {{ $value | humanize }}");
    assert_eq!(found.collect::<Vec<_>>(), ["peer", "job"]);
}
