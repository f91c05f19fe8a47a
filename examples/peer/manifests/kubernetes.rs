//! The manifests for Kubernetes.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{HeaderStyle, Limit, Limits};
use tower_service::Service as _;

use super::*;
use crate::http::{Face, routes};
use crate::service::Service;

const BASE: &str = "kubernetes/base";
const TLS: &str = "kubernetes/tls";

/// The objects of the folder `base`, as its kustomization lists them.
fn base() -> Vec<Yaml> {
    let kustomization = documents(&file(&format!("{BASE}/kustomization.yaml"))).remove(0);
    let files = texts(&kustomization, "resources");
    files.iter().flat_map(|name| documents(&file(&format!("{BASE}/{name}")))).collect()
}

fn of_kind<'y>(objects: &'y [Yaml], kind: &str) -> Vec<&'y Yaml> {
    objects.iter().filter(|object| object["kind"].as_str() == Some(kind)).collect()
}

fn named<'y>(objects: &'y [Yaml], kind: &str, name: &str) -> &'y Yaml {
    let found = of_kind(objects, kind).into_iter().find(|it| text(it, "metadata/name") == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// What the pods of an object are made by.
fn template(object: &Yaml) -> &Yaml {
    if text(object, "kind") == "Pod" { object } else { at(object, "spec/template") }
}

/// All that have pods.
fn workloads(objects: &[Yaml]) -> Vec<&Yaml> {
    let kinds = ["StatefulSet", "Deployment", "Pod"];
    kinds.into_iter().flat_map(|kind| of_kind(objects, kind)).collect()
}

fn container(object: &Yaml) -> &Yaml {
    let containers = list(template(object), "spec/containers");
    assert_eq!(containers.len(), 1, "a peer, and nothing beside it");
    &containers[0]
}

fn labels(value: &Yaml, path: &str) -> BTreeMap<String, String> {
    let labels = at(value, path).as_hash().unwrap_or_else(|| panic!("no {path} in {value:?}"));
    let text = |value: &Yaml| value.as_str().expect("text").to_owned();
    labels.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Whether a selector takes the pods of an object.
fn selects(selector: &BTreeMap<String, String>, object: &Yaml) -> bool {
    let pods = labels(template(object), "metadata/labels");
    !selector.is_empty() && selector.iter().all(|(name, value)| pods.get(name) == Some(value))
}

/// The name of the first pod of an object.
fn pod(object: &Yaml) -> String {
    let name = text(object, "metadata/name");
    match text(object, "kind") {
        "StatefulSet" => format!("{name}-0"),
        "Deployment" => format!("{name}-7d4b9c6f5d-x2x4z"),
        _ => name.to_owned(),
    }
}

/// Arguments of an object as its first pod is given them, and those of a patch after them.
fn arguments(object: &Yaml, more: &[String]) -> Vec<String> {
    let container = container(object);
    let known = |field: &str| match field {
        "metadata.name" => pod(object),
        "status.podIP" => "10.1.2.3".to_owned(),
        _ => panic!("{field} is not known to this test"),
    };
    let variables: Vec<(String, String)> = optional(container, "env")
        .iter()
        .map(|variable| {
            let value = known(text(variable, "valueFrom/fieldRef/fieldPath"));
            (format!("$({})", text(variable, "name")), value)
        })
        .collect();
    let mut arguments = texts(container, "args");
    arguments.extend_from_slice(more);
    for argument in &mut arguments {
        for (variable, value) in &variables {
            *argument = argument.replace(variable, value);
        }
        assert!(!argument.contains("$("), "{argument}: no such variable");
    }
    arguments
}

/// The number of a port that is told by name or number.
fn container_port(object: &Yaml, port: &Yaml) -> i64 {
    let ports = list(container(object), "ports");
    let is_it = |it: &&Yaml| it["name"] == *port || it["containerPort"] == *port;
    let found = ports.iter().find(is_it).unwrap_or_else(|| panic!("no port {port:?}"));
    number(found, "containerPort")
}

/// Holds what an object says of its pods against what the program will do there.
fn check_workload(object: &Yaml, objects: &[Yaml], more: &[String]) {
    let arguments = arguments(object, more);
    let options = options(&arguments);
    check_image(text(container(object), "image"));
    assert_eq!(options.name, pod(object), "a name is its pod's: it is nobody else's");
    let named = |name: &str| container_port(object, &Yaml::String(name.to_owned()));
    assert_eq!(port(&options.http.http), named("http"));
    if !options.client {
        assert_eq!(port(listens(&options)), named("peers"));
    }
    if let Some(advertised) = &options.advertise {
        assert_eq!(port(advertised), port(listens(&options)));
    }
    if options.join.is_empty() {
        check_founders(&options);
    }
    for contact in &options.join {
        let service = named_service(objects, host(contact));
        assert_eq!(at(service, "spec/clusterIP").as_str(), Some("None"), "{contact}");
        assert!(ports_of(service).contains(&port(contact)), "{contact}");
    }
    check_probes(object);
    check_end(object, &options);
    check_files(object, objects, &options);
}

fn named_service<'y>(objects: &'y [Yaml], name: &str) -> &'y Yaml {
    named(objects, "Service", name)
}

fn ports_of(service: &Yaml) -> Vec<i64> {
    list(service, "spec/ports").iter().map(|port| number(port, "port")).collect()
}

/// A member that is killed because another one is missing makes two of one.
fn check_probes(object: &Yaml) {
    let container = container(object);
    assert!(container["startupProbe"].is_badvalue(), "a startup probe kills a good member");
    assert_eq!(text(container, "livenessProbe/httpGet/path"), "/healthz");
    let is_client = texts(container, "args").iter().any(|argument| argument == "--client");
    let wanted = if is_client { "/readyz" } else { "/readyz?settled=120" };
    assert_eq!(text(container, "readinessProbe/httpGet/path"), wanted);
    for probe in ["livenessProbe", "readinessProbe"] {
        let port = container_port(object, at(container, &format!("{probe}/httpGet/port")));
        assert_eq!(port, container_port(object, &Yaml::String("http".to_owned())));
    }
}

/// A restart is no departure, and whoever ends is given the time for it.
fn check_end(object: &Yaml, options: &Options) {
    let stop = at(container(object), "lifecycle/preStop");
    assert!(stop["exec"].is_badvalue() && stop["httpGet"].is_badvalue(), "only a pause: {stop:?}");
    let pause = at(stop, "sleep/seconds").as_i64().unwrap_or(0);
    let pause = Duration::from_secs(pause.try_into().expect("not negative"));
    let grace = number(template(object), "spec/terminationGracePeriodSeconds");
    let grace = Duration::from_secs(grace.try_into().expect("not negative"));
    assert!(grace >= pause + time_to_end(options), "{grace:?}");
    if text(object, "kind") == "StatefulSet" {
        assert!(!options.leave_on_stop, "a restart is no departure");
    }
}

/// What is read and written is mounted there.
fn check_files(object: &Yaml, objects: &[Yaml], options: &Options) {
    let mounts = optional(container(object), "volumeMounts");
    let mount_of = |path: &Path| {
        let found = mounts.iter().find(|mount| path.starts_with(text(mount, "mountPath")));
        found.unwrap_or_else(|| panic!("nothing is mounted for {}", path.display()))
    };
    if let Some(dir) = &options.data_dir {
        let claims = list(object, "spec/volumeClaimTemplates");
        let volume = text(mount_of(dir), "name");
        assert!(claims.iter().any(|claim| text(claim, "metadata/name") == volume), "{volume}");
        // Of the volume's root the mode is not this peer's to say.
        assert_ne!(dir.as_path(), Path::new(text(mount_of(dir), "mountPath")));
    }
    if let Some(limits) = &options.limits {
        let mount = mount_of(limits);
        let volumes = list(template(object), "spec/volumes");
        let volume = volumes.iter().find(|it| text(it, "name") == text(mount, "name"));
        let map = named(objects, "ConfigMap", text(volume.expect("it is there"), "configMap/name"));
        let file = limits.file_name().and_then(|name| name.to_str()).expect("a name");
        crate::rules::parse(text(&map["data"], file)).expect("a limits file");
    }
}

#[test]
fn every_pod_starts_and_what_is_said_of_it_is_so() {
    let objects = base();
    assert_eq!(workloads(&objects).len(), 2);
    for object in workloads(&objects) {
        check_workload(object, &objects, &[]);
    }
}

/// Members under new names each time: they join, leave when they are stopped, and are forgotten
/// when they could not.
#[test]
fn members_of_a_deployment_come_by_joining_and_go_by_leaving() {
    let mut objects = base();
    for name in ["founder", "members"] {
        objects.extend(documents(&file(&format!("kubernetes/members-deployment/{name}.yaml"))));
    }
    let founder = named(&objects, "Pod", "quorate-founder");
    let members = named(&objects, "Deployment", "quorate-members");
    for object in [founder, members] {
        check_workload(object, &objects, &[]);
        let arguments = arguments(object, &[]);
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        assert!(has("--leave-on-stop") && has("--monitor-size"));
        assert_eq!(has("--rejoin"), has("--join"));
        let size = arguments.iter().skip_while(|it| *it != "--monitor-size").nth(1);
        let size = size.and_then(|size| size.parse().ok());
        assert_eq!(size, Some(number(members, "spec/replicas")), "as many as are deployed");
        let peers = named_service(&objects, "quorate-peers");
        assert!(selects(&labels(peers, "spec/selector"), object), "it is found by joiners");
        let budget = named(&objects, "PodDisruptionBudget", "quorate");
        assert!(selects(&labels(budget, "spec/selector/matchLabels"), object));
    }
    assert_eq!(text(founder, "spec/restartPolicy"), "Never", "it founds once");
    let only = labels(members, "spec/selector/matchLabels");
    assert!(selects(&only, members) && !selects(&only, founder));
    assert!(!selects(&only, named(&objects, "StatefulSet", "quorate")));
    let rollout = at(members, "spec/strategy/rollingUpdate");
    assert_eq!((number(rollout, "maxSurge"), number(rollout, "maxUnavailable")), (1, 0));
}

#[test]
fn selectors_take_the_pods_that_they_are_for() {
    let objects = base();
    let members = named(&objects, "StatefulSet", "quorate");
    let clients = named(&objects, "Deployment", "quorate-clients");
    for object in [members, clients] {
        assert!(selects(&labels(object, "spec/selector/matchLabels"), object));
    }
    for (kind, name, path) in [
        ("Service", "quorate-peers", "spec/selector"),
        ("PodDisruptionBudget", "quorate", "spec/selector/matchLabels"),
        ("NetworkPolicy", "quorate-members", "spec/podSelector/matchLabels"),
    ] {
        let selector = labels(named(&objects, kind, name), path);
        assert!(selects(&selector, members) && !selects(&selector, clients), "{kind} {name}");
    }
    let callers = labels(named_service(&objects, "quorate"), "spec/selector");
    assert!(selects(&callers, clients) && !selects(&callers, members));
    for spread in list(template(members), "spec/topologySpreadConstraints") {
        assert!(selects(&labels(spread, "labelSelector/matchLabels"), members));
    }
    let policy = named(&objects, "NetworkPolicy", "quorate-members");
    for rule in list(policy, "spec/ingress") {
        for from in optional(rule, "from") {
            let selector = labels(from, "podSelector/matchLabels");
            assert!(selects(&selector, members) && selects(&selector, clients));
        }
        for port in list(rule, "ports") {
            container_port(members, &port["port"]);
        }
    }
}

#[test]
fn members_find_each_other_before_they_are_ready() {
    let objects = base();
    let set = named(&objects, "StatefulSet", "quorate");
    assert_eq!(text(set, "spec/podManagementPolicy"), "Parallel");
    let service = named_service(&objects, text(set, "spec/serviceName"));
    assert_eq!(at(service, "spec/publishNotReadyAddresses").as_bool(), Some(true));
    assert_eq!(text(service, "spec/clusterIP"), "None");
    let of_members = &list(service, "spec/ports")[0];
    let target = container_port(set, &of_members["targetPort"]);
    assert_eq!(target, number(of_members, "port"), "behind a name without an address of its own");
    let options = options(&arguments(set, &[]));
    let replicas = number(set, "spec/replicas");
    assert!(replicas == 3 || replicas == 5, "{replicas}");
    let (name, service) = (text(set, "metadata/name"), text(set, "spec/serviceName"));
    let all: Vec<(String, String)> = (0..replicas)
        .map(|index| (format!("{name}-{index}"), format!("{name}-{index}.{service}:{target}")))
        .collect();
    assert_eq!(options.peers, all);
    assert_eq!(options.advertise.as_deref(), Some(all[0].1.as_str()));
    let budget = named(&objects, "PodDisruptionBudget", "quorate");
    assert_eq!(number(budget, "spec/maxUnavailable"), 1);
}

/// The pods of `tls` have the arguments and files of `base` and those of the patches.
#[test]
fn over_tls_every_pod_has_a_certificate_of_its_own_name() {
    let objects = base();
    let kustomization = documents(&file(&format!("{TLS}/kustomization.yaml"))).remove(0);
    assert_eq!(texts(&kustomization, "resources"), ["../base"]);
    let patches = list(&kustomization, "patches");
    assert_eq!(patches.len(), workloads(&objects).len());
    for patch in patches {
        let object = named(&objects, text(patch, "target/kind"), text(patch, "target/name"));
        let steps = documents(text(patch, "patch")).remove(0);
        let added = |end: &str| -> Vec<Yaml> {
            let steps = steps.as_vec().expect("a list").iter();
            let added = steps.filter(|step| text(step, "path").ends_with(end));
            added.map(|step| step["value"].clone()).collect()
        };
        let flags: Vec<String> =
            added("/args/-").iter().map(|flag| flag.as_str().expect("text").to_owned()).collect();
        assert_eq!(flags.len(), 3);
        check_workload(object, &objects, &flags);
        let place = text(&added("/volumeMounts/-")[0], "mountPath").to_owned();
        for flag in &flags {
            let (_, path) = flag.split_once('=').expect("--FLAG=FILE");
            assert!(Path::new(path).starts_with(&place), "{path} is not mounted");
        }
        let attributes = &added("/volumes/-")[0]["csi"]["volumeAttributes"];
        let is_client = text(object, "kind") == "Deployment";
        let uri = if is_client { "quorate-client:${POD_NAME}" } else { "quorate:${POD_NAME}" };
        assert_eq!(attributes["csi.cert-manager.io/uri-sans"].as_str(), Some(uri));
    }
}

#[tokio::test(start_paused = true)]
async fn every_probe_asks_for_something_that_is_served() {
    let limits = Limits::builder().limit("mail", Limit::per_day(1)).build().expect("usable");
    let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
    let group = group.expect("the settings are valid");
    let limiter = group.limiter("a").clone();
    let service = Service::new(limiter, HeaderStyle::RetryAfter, false);
    let mut routes = routes(service, Face::Callers);
    let mut ask = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        routes.call(request).await.expect("infallible").status().as_u16()
    };
    assert_eq!(ask("/readiness").await, 404);
    for object in workloads(&base()) {
        for probe in ["livenessProbe", "readinessProbe"] {
            let path = text(container(object), &format!("{probe}/httpGet/path"));
            assert_eq!(ask(path).await, 200, "{path}");
        }
    }
}
