//! Names that lead to several machines, over TLS; and what is told of links that are down.

#[path = "../../quorate/tests/support/mod.rs"]
mod peers;
mod support;

use peers::named::{named, names};
use peers::{Counter, NAMES, until};
use quorate::transport::InProcess;
use quorate::{Link, LinkErrorReason, Peer, PeerRole, Status, Tls};
use quorate_tls::TlsTransport;
use support::{Authority, config, shared};

/// A transport with a certificate for `name`, over a network with names.
fn tls(
    network: &InProcess,
    ca: &Authority,
    name: &str,
    names: &peers::named::Names,
) -> TlsTransport {
    let issued = ca.issue(&[name, &format!("quorate:{name}")]);
    let config = config(&[ca], &issued).over(named(network, name, names));
    config.transport().expect("the certificate is good")
}

async fn start(name: &str, tls: &TlsTransport) -> Peer {
    let builder = Peer::builder(name, Counter).members(NAMES.map(|name| (name, name)));
    let builder = builder.transport(shared(tls)).tokio_clock();
    builder.start().await.expect("the settings are valid")
}

#[tokio::test(start_paused = true)]
async fn a_joiner_finds_the_group_behind_a_name_that_leads_to_itself_as_well() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let names = names(&[("svc", &["0", "d", "c"])]);
    let mut peers = Vec::new();
    for name in NAMES {
        peers.push(start(name, &tls(&network, &ca, name, &names)).await);
    }
    let transport = tls(&network, &ca, "d", &names);
    let d = Peer::builder("d", Counter).listen("d").join(["svc"]).tokio_clock();
    let d = d.transport(shared(&transport)).start().await.expect("the settings are valid");
    let status = until(&d, |s| s.role == PeerRole::Replica && s.size == 4).await;
    assert_eq!(status.tls, Some(Tls::Required));
    for peer in peers.iter().chain([&d]) {
        assert_eq!(peer.status().refusals, [], "at {}", peer.name());
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_wanted_is_why_a_link_is_down() {
    let network = InProcess::network();
    let (ours, theirs) = (Authority::new("group"), Authority::new("other"));
    let names = names(&[]);
    let a = start("a", &tls(&network, &ours, "a", &names)).await;
    let _b = start("b", &tls(&network, &theirs, "b", &names)).await;
    let reason = |status: &Status| {
        let error = status.peers[0].link_error.as_ref();
        error.filter(|error| error.reason == LinkErrorReason::Certificate).cloned()
    };
    let status = until(&a, |status| reason(status).is_some()).await;
    assert_eq!(status.peers[0].link, Link::Down);
    let said = reason(&status).expect("it was there").detail;
    assert!(said.starts_with("b: ") && said.contains("certificate"), "{said}");
}
