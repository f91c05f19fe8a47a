//! Certificates, and what they let whoever has them do in a group.

use super::*;

#[tokio::test(start_paused = true)]
async fn joiners_and_clients_need_a_certificate_of_the_groups_own() {
    let trio = Trio::start(Tls::Required).await;
    let start = async |name: &str, names: &[&str], setup: fn(PeerBuilder) -> PeerBuilder| {
        let tls = config(&[&trio.ca], &trio.ca.issue(names)).over(trio.network.at(name));
        let tls = tls.transport().expect("the certificate is good");
        let builder =
            Peer::builder(name, Counter).join(["b"]).transport(shared(&tls)).tokio_clock();
        setup(builder).start().await.expect("the settings are valid")
    };
    let joiner = |builder: PeerBuilder| builder.advertise("d").listen("d");
    // Another service of the same CA has a name of its own, and wants in under it.
    let billing = start("billing", &["billing"], PeerBuilder::client).await;
    let status = until(&billing, |status| !status.refusals.is_empty()).await;
    let refusal = &status.refusals[0];
    assert_eq!((&*refusal.field, refusal.by), ("certificate", RefusedBy::Them));
    assert!(refusal.theirs.contains("the URI quorate:billing"), "{refusal:?}");
    assert!(billing.wait_ready(Duration::from_secs(5)).await.is_err());
    let status = until(&trio.peers[1], |status| !status.refusals.is_empty()).await;
    assert_eq!((&*status.refusals[0].peer, &*status.refusals[0].field), ("billing", "certificate"));
    let client = start("web-1", &["web-1", "quorate-client:web-1"], PeerBuilder::client).await;
    client.wait_ready(LONG).await.expect("it may");
    assert_eq!(add(&client, "k", 2).await.expect("there is a primary").answer.words[0], 2);
    // Who may be a member may be a client as well.
    let client = start("web-2", &["quorate:web-2"], PeerBuilder::client).await;
    client.wait_ready(LONG).await.expect("it may");
    let d = start("d", &["d", "quorate:d"], joiner).await;
    until(&d, |status| status.members.len() == 4 && status.members.iter().all(|m| m.is_counted))
        .await;
    assert_eq!(count(&d, "k").await, 2);
}

/// A client's certificate joined as a member, with a vote and all data.
#[tokio::test(start_paused = true)]
async fn a_certificate_of_a_client_or_of_who_commands_makes_no_member() {
    let trio = Trio::start(Tls::Required).await;
    // Whose own transport does not mind.
    let start = async |name: &str, names: &[&str], setup: fn(PeerBuilder) -> PeerBuilder| {
        let tls = config(&[&trio.ca], &trio.ca.issue(names)).over(trio.network.at(name));
        let tls = Careless(tls.transport().expect("the certificate is good"));
        let builder = Peer::builder(name, Counter).join(["b"]).listen(name);
        setup(builder.transport(Arc::new(tls)).tokio_clock()).start().await.expect("valid settings")
    };
    let joiner = |builder: PeerBuilder| builder;
    for (name, role, setup) in [
        ("d", "quorate-client:d", joiner as fn(PeerBuilder) -> PeerBuilder),
        ("e", "quorate-admin:e", joiner),
        ("f", "quorate-viewer:f", joiner),
        ("g", "quorate-admin:g", PeerBuilder::client),
        ("h", "quorate-viewer:h", PeerBuilder::client),
    ] {
        let peer = start(name, &[name, role], setup).await;
        let status = until(&peer, |status| !status.refusals.is_empty()).await;
        let refusal = &status.refusals[0];
        assert_eq!((&*refusal.field, refusal.by), ("certificate", RefusedBy::Them), "{role}");
        assert!(refusal.theirs.contains(&format!("URI quorate:{name}")), "{refusal:?}");
        assert!(peer.wait_ready(Duration::from_secs(5)).await.is_err(), "{role}");
        assert_eq!(trio.peers[0].status().members.len(), 3, "{role}");
    }
}

/// With one certificate that names nobody here it claimed name after name, and filled the events.
#[tokio::test(start_paused = true)]
async fn a_stranger_with_a_certificate_of_the_ca_is_one_stranger_whatever_it_claims() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let a = support::at(&network, &ca, "a", Tls::Required);
    let a = builder(&a, "a").start().await.expect("the settings are valid");
    let issued = ca.issue(&["billing", "quorate:billing"]);
    let mut strangers = Vec::new();
    for number in 0..50 {
        let tls = config(&[&ca], &issued).over(network.at("evil")).transport();
        let tls = Careless(tls.expect("the certificate is good"));
        let stranger = Peer::builder(format!("n{number}"), Counter).transport(Arc::new(tls));
        let stranger = stranger.tokio_clock().join(["a"]).client().start().await;
        strangers.push(stranger.expect("the settings are valid"));
    }
    let told = |theirs: &str| theirs.contains(", as n");
    until(&a, |status| status.refusals.iter().any(|refusal| told(&refusal.theirs))).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let kept: Vec<_> = a.status().refusals.into_iter().map(|refusal| refusal.peer).collect();
    assert_eq!(kept, ["evil"]);
    let told = |event: &Event| matches!(event, Event::ConfigMismatch { .. });
    assert!(events(&a).iter().filter(|event| told(event)).count() <= 1, "{:?}", events(&a));
}

/// Who joins knows an address, and told whoever was there of the group before it had heard a name.
#[tokio::test(start_paused = true)]
async fn nothing_is_told_to_another_service_at_an_address_to_join_at() {
    use tokio::io::AsyncReadExt;
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let other = config(&[&ca], &ca.issue(&["billing", "quorate-client:billing"]));
    let other = other.over(network.at("b")).transport().expect("the certificate is good");
    let mut listener = other.listen("b").await.expect("the address is free");
    let accepting = async {
        let mut heard = Vec::new();
        for _ in 0..3 {
            let incoming = listener.accept().await.expect("it tries again");
            let Ok(mut stream) = incoming.open.await else { continue };
            // It is done with its handshake before the other end has looked at its certificate.
            let _ = stream.reader.read_to_end(&mut heard).await;
        }
        heard
    };
    let tls = config(&[&ca], &ca.issue(&["quorate:d"])).over(network.at("d")).transport();
    let builder = Peer::builder("d", Counter).join(["b"]).listen("d").tokio_clock();
    let builder = builder.transport(shared(&tls.expect("the certificate is good")));
    let d = builder.start().await.expect("the settings are valid");
    assert_eq!(accepting.await, b"", "it has heard a Hello");
    let status = until(&d, |status| !status.refusals.is_empty()).await;
    let refusal = &status.refusals[0];
    assert_eq!((&*refusal.field, refusal.by), ("certificate", RefusedBy::Us));
    assert_eq!(refusal.ours, "one of a member, quorate:{peer}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_the_certificate_of_another_is_not_started() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let tls = support::at(&network, &ca, "b", Tls::Required);
    let error = builder(&tls, "a").start().await.expect_err("it is b's");
    assert!(matches!(error, StartError::Transport { .. }), "{error}");
    let expected = "a cannot be served by its transport: the certificate CN=b (b, quorate:b) in \
                    the certificate that was given does not name a: it takes one with the URI \
                    quorate:a (of a known member the DNS name a will do), or, for a client, one \
                    with the URI quorate-client:a or the URI quorate:a";
    assert_eq!(error.to_string(), expected);
}

/// A transport that starts with whatever certificate it has.
struct Careless(TlsTransport);
impl Transport for Careless {
    fn listen<'a>(
        &'a self,
        address: &'a str,
    ) -> quorate::transport::BoxFuture<'a, std::io::Result<Box<dyn quorate::transport::Listener>>>
    {
        self.0.listen(address)
    }
    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a quorate::PeerName>,
    ) -> quorate::transport::BoxFuture<'a, std::io::Result<quorate::transport::Stream>> {
        self.0.connect(address, to)
    }
    fn is_private<'a>(
        &'a self,
        address: &'a str,
    ) -> quorate::transport::BoxFuture<'a, std::io::Result<bool>> {
        self.0.is_private(address)
    }
}

/// A member that claims another member's name, with a certificate that is good for its own.
#[tokio::test(start_paused = true)]
async fn a_member_cannot_pass_for_another() {
    let trio = Trio::start(Tls::Required).await;
    trio.peers[1].shutdown().await;
    // A transport that shows c's certificate and does not mind.
    let issued = trio.ca.issue(&["c"]);
    let tls =
        config(&[&trio.ca], &issued).names(["{peer}", "quorate:{peer}"]).over(trio.network.at("b"));
    let tls = tls.transport().expect("the certificate is good");
    let b = Peer::builder("b", Counter)
        .members(NAMES.map(|name| (name, name)))
        .transport(Arc::new(Careless(tls)))
        .tokio_clock()
        .start()
        .await
        .expect("nothing is checked here");
    let is_refused = |status: &quorate::Status| {
        let mut refusals = status.refusals.iter();
        refusals.any(|refusal| refusal.field == "certificate" && refusal.peer == "b")
    };
    let status = until(&trio.peers[0], is_refused).await;
    let found = status.refusals.iter().find(|refusal| refusal.peer == "b").expect("found");
    assert!(found.ours.contains("DNS name b") && found.theirs == "CN=c (c), as b", "{found:?}");
    assert!(b.status().peers.iter().all(|peer| peer.link == Link::Down));
    assert!(trio.peers[0].status().peers.iter().any(|peer| peer.link == Link::Down));
}
