//! Who may ask a peer over TLS, and give it orders, is said by a certificate and by nothing else.

use quorate::admin::{AdminError, Ask, Client};
use serde_json::{Value, json};

use super::peers::exposed::Exposed;
use super::*;

/// Whoever has a certificate with these names.
fn holder(network: &InProcess, ca: &Authority, names: &[&str]) -> TlsTransport {
    let tls = config(&[ca], &ca.issue(names)).over(network.at("desk")).transport();
    tls.expect("the certificate is good")
}

async fn ask_as(tls: &TlsTransport, as_: &str) -> Result<Client, AdminError> {
    Client::connect(shared(tls), "a", as_, "").await
}

fn not_let_in(connected: Result<Client, AdminError>) -> (String, String) {
    match connected {
        Err(AdminError::NotLetIn { field, theirs, .. }) => (field, theirs),
        other => panic!("not refused, but {other:?}"),
    }
}

fn refused(answer: Result<Value, AdminError>) -> String {
    match answer {
        Err(AdminError::Refused(refused)) => refused.error.into_owned(),
        other => panic!("not refused, but {other:?}"),
    }
}

fn acts(peer: &Peer) -> Vec<(String, String)> {
    let told = events(peer).into_iter().filter_map(|event| match event {
        Event::AdminActed { by, what } => Some((by.to_string(), what)),
        _ => None,
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn an_admin_acts_and_a_viewer_looks() {
    let trio = Trio::start(Tls::Required).await;
    let admin = holder(&trio.network, &trio.ca, &["quorate-admin:alice"]);
    let mut admin = ask_as(&admin, "alice").await.expect("it may ask");
    assert_eq!((admin.peer().as_str(), admin.group()), ("a", "default"));
    admin.ask(&Ask::Status).await.expect("it may look");
    admin.ask(&Ask::Priority { priority: 9 }).await.expect("it may act");
    let viewer = holder(&trio.network, &trio.ca, &["quorate-viewer:bob", "desk"]);
    let mut viewer = ask_as(&viewer, "bob").await.expect("it may ask");
    for look in [Ask::Status, Ask::Stats, Ask::Events { since: 0, wait_ms: 0 }] {
        viewer.ask(&look).await.expect("it may look");
    }
    for act in [
        Ask::Switch { to: "b".into() },
        Ask::Leave,
        Ask::Forget { peer: "b".into() },
        Ask::Priority { priority: 1 },
        Ask::Found,
    ] {
        assert_eq!(refused(viewer.ask(&act).await), "not_allowed", "{act}");
    }
    let unknown = viewer.ask_json(&json!({ "ask": "limits.put", "limits": {} })).await;
    assert_eq!(refused(unknown), "unknown_ask");
    viewer.ask(&Ask::Status).await.expect("it goes on");
    assert_eq!(acts(&trio.peers[0]), [("alice".to_owned(), "priority 9".to_owned())]);
    let status = trio.peers[0].status();
    assert_eq!((status.peers.len(), status.refusals), (2, vec![]));
}

/// Every other certificate of the CA, and one of somebody else's.
#[tokio::test(start_paused = true)]
async fn no_other_certificate_lets_anybody_ask() {
    let trio = Trio::start(Tls::Required).await;
    for names in [
        &["a", "quorate:a"][..],
        &["quorate:alice"],
        &["alice"],
        &["quorate-client:alice"],
        &["*.example", "quorate-client:alice"],
        &["quorate-admin:bob"],
        &["quorate-admin:Alice", "quorate-viewer:alice."],
        &["quorate-admin:*"],
        &["quorate-admin:"],
        &["Quorate-admin:alice"],
        &["quorate-admin:alice/x"],
    ] {
        let tls = holder(&trio.network, &trio.ca, names);
        let (field, theirs) = not_let_in(ask_as(&tls, "alice").await);
        assert_eq!(field, "certificate", "{names:?}");
        let wanted = "one with the URI quorate-admin:alice, or to look one with the URI \
                      quorate-viewer:alice";
        assert_eq!(theirs, wanted, "{names:?}");
    }
    let refusals = trio.peers[0].status().refusals;
    assert!(refusals.iter().all(|refusal| refusal.peer == "desk"), "{refusals:?}");
    let stranger = Authority::new("another");
    let issued = stranger.issue(&["quorate-admin:alice"]);
    let tls = config(&[&trio.ca, &stranger], &issued).over(trio.network.at("desk")).transport();
    let error = ask_as(&tls.expect("it is good elsewhere"), "alice").await.expect_err("refused");
    assert!(matches!(error, AdminError::Connect { .. }), "{error}");
    // An end without TLS, and so without any certificate, is told what is asked for.
    let plain = Client::connect(trio.network.at("desk"), "a", "alice", "").await;
    assert_eq!(not_let_in(plain), ("tls".to_owned(), "required".to_owned()));
    let names = ["quorate-admin:alice"];
    let mut admin = ask_as(&holder(&trio.network, &trio.ca, &names), "alice").await;
    admin.as_mut().expect("it may ask").ask(&Ask::Status).await.expect("it answers");
    assert_eq!(acts(&trio.peers[0]), []);
}

/// Whoever asks tells nobody its business who is no peer.
#[tokio::test(start_paused = true)]
async fn an_admin_asks_nobody_but_a_peer() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let other = config(&[&ca], &ca.issue(&["billing", "quorate-client:billing"]));
    let other = other.over(network.at("a")).transport().expect("the certificate is good");
    let mut listener = other.listen("a").await.expect("the address is free");
    let listening = tokio::spawn(async move {
        let incoming = listener.accept().await.expect("it dials");
        incoming.open.await.is_err()
    });
    let admin = holder(&network, &ca, &["quorate-admin:alice"]);
    let error = ask_as(&admin, "alice").await.expect_err("it is no peer");
    assert!(matches!(error, AdminError::Connect { .. }), "{error}");
    assert!(error.is_not_connected());
    // The listener learns of it by the first thing that it reads.
    listening.await.expect("it does not panic");
}

#[tokio::test(start_paused = true)]
async fn patterns_of_ones_own_name_admins_and_viewers() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let patterned = |issued: &Issued, at: &str| {
        let tls = config(&[&ca], issued).names(["{peer}.quota.example"]).over(network.at(at));
        let tls = tls.admins(["{peer}.ops.example"]).viewers(["spiffe://x/look/{peer}"]);
        tls.transport().expect("the certificate is good")
    };
    let a = patterned(&ca.issue(&["a.quota.example"]), "a");
    let a = Peer::builder("a", Counter).members([("a", "a")]).transport(shared(&a));
    let a = a.tokio_clock().start().await.expect("the settings are valid");
    a.wait_ready(LONG).await.expect("it is alone");
    let ask = async |names: &[&str]| ask_as(&patterned(&ca.issue(names), "desk"), "b").await;
    let mut admin = ask(&["b.ops.example"]).await.expect("it may ask");
    admin.ask(&Ask::Priority { priority: 1 }).await.expect("it may act");
    let mut viewer = ask(&["spiffe://x/look/b"]).await.expect("it may ask");
    assert_eq!(refused(viewer.ask(&Ask::Found).await), "not_allowed");
    for names in [
        &["*.ops.example"][..],
        &["b.quota.example"],
        &["quorate-admin:b"],
        &["quorate-viewer:b"],
        &["c.ops.example"],
        &["b.ops.example", "quorate-client:b"],
    ] {
        assert_eq!(not_let_in(ask(names).await).0, "certificate", "{names:?}");
    }
}

/// As long as peers take plain text, whoever asks does not from another machine.
#[tokio::test(start_paused = true)]
async fn a_permissive_peer_takes_no_orders_in_plain_text_from_elsewhere() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let issued = ca.issue(&["a", "quorate:a"]);
    let tls = config(&[&ca], &issued).stage(Tls::Permissive);
    let tls = tls.over(Arc::new(Exposed(network.at("a")))).transport();
    let a = Peer::builder("a", Counter)
        .members([("a", "a")])
        .transport(shared(&tls.expect("the certificate is good")))
        .plaintext_allowed_on_network()
        .tokio_clock();
    let a = a.start().await.expect("the settings are valid");
    a.wait_ready(LONG).await.expect("it is alone");
    let plain = |from: &str| {
        let at = network.at(from);
        async move { Client::connect(at, "a", "alice", "").await }
    };
    assert_eq!(not_let_in(plain("far").await).0, "admin");
    plain("near").await.expect("it is on this machine");
    let issued = ca.issue(&["quorate-admin:alice"]);
    let far = config(&[&ca], &issued).over(network.at("far")).transport();
    let mut admin = ask_as(&far.expect("it is good"), "alice").await.expect("it may ask");
    admin.ask(&Ask::Found).await.expect("it may act");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_as_well() {
    let ca = Authority::new("group");
    let on_loopback = async |tls: Option<TlsTransport>| {
        let [(name, address), ..] = peers::free_addresses();
        let transport: Arc<dyn Transport> = match tls {
            Some(tls) => shared(&tls),
            None => Arc::new(Tcp::default()),
        };
        let builder = Peer::builder(name, Counter).members([(name, address.clone())]);
        let peer = builder.transport(transport).start().await.expect("the port is free");
        peer.wait_ready(LONG).await.expect("it is alone");
        (peer, address)
    };
    let own = config(&[&ca], &ca.issue(&["quorate:a"])).transport().expect("it is good");
    let (peer, address) = on_loopback(Some(own)).await;
    let admin = config(&[&ca], &ca.issue(&["quorate-admin:alice"])).transport();
    let admin = shared(&admin.expect("it is good"));
    let mut client = Client::connect(admin, &address, "alice", "default").await.expect("it may");
    let status = client.ask(&Ask::Status).await.expect("it answers");
    assert_eq!(status["name"], json!(peer.name()));
    let plain = Client::connect(Arc::new(Tcp::default()), &address, "alice", "").await;
    assert_eq!(not_let_in(plain).0, "tls");
    drop((client, peer));
    let (peer, address) = on_loopback(None).await;
    let plain = Client::connect(Arc::new(Tcp::default()), &address, "alice", "").await;
    let mut plain = plain.expect("it is on this machine");
    plain.ask(&Ask::Priority { priority: 2 }).await.expect("it may act");
    assert_eq!(acts(&peer).len(), 1);
    peer.shutdown().await;
    assert!(plain.ask(&Ask::Status).await.is_err());
}
