//! Groups of peers over TLS: changed to it and back, and renewed, under load.

#[path = "../../quorate/tests/support/mod.rs"]
mod peers;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use peers::{Counter, LONG, NAMES, add, count, events, until};
use quorate::transport::{InProcess, Tcp, Transport};
use quorate::{
    Event, Link, Peer, PeerBuilder, Protection, Refusal, RefusedBy, Shutdown, StartError, Tls,
};
use quorate_tls::{CredentialsError, TlsTransport};
use support::{Authority, Folder, Issued, config, shared};

fn builder(tls: &TlsTransport, name: &str) -> PeerBuilder {
    Peer::builder(name, Counter)
        .members(NAMES.map(|name| (name, name)))
        .transport(shared(tls))
        .tokio_clock()
}

/// Three peers with one CA, each with its transport.
struct Trio {
    network: InProcess,
    ca: Authority,
    tls: Vec<TlsTransport>,
    peers: Vec<Peer>,
}

impl Trio {
    async fn start(stage: Tls) -> Self {
        let (network, ca) = (InProcess::network(), Authority::new("group"));
        let mut trio = Self { network, ca, tls: Vec::new(), peers: Vec::new() };
        for name in NAMES {
            let (tls, peer) = trio.start_one(name, stage).await;
            trio.tls.push(tls);
            trio.peers.push(peer);
        }
        trio.until_whole().await;
        trio
    }

    async fn start_one(&self, name: &str, stage: Tls) -> (TlsTransport, Peer) {
        let tls = support::at(&self.network, &self.ca, name, stage);
        let peer = builder(&tls, name).start().await.expect("the settings are valid");
        (tls, peer)
    }

    /// Ends a peer as an operator does, and starts it with another stage.
    async fn restart(&mut self, index: usize, stage: Tls) {
        let end = self.peers[index].shutdown().await;
        assert!(!matches!(end, Shutdown::NotHandedOver { .. }), "{end:?}");
        (self.tls[index], self.peers[index]) = self.start_one(NAMES[index], stage).await;
        self.until_whole().await;
    }

    async fn until_whole(&self) {
        for peer in &self.peers {
            peer.wait_ready(LONG).await.expect("three peers form a group");
            until(peer, |status| {
                let is_up = |peer: &quorate::PeerStatus| peer.link == Link::Up && peer.is_member;
                status.peers.iter().filter(|peer| is_up(peer)).count() == 2
            })
            .await;
        }
    }

    /// What protects each peer's links to the others.
    fn protections(&self) -> Vec<[Option<Protection>; 2]> {
        let of = |peer: &Peer| {
            let status = peer.status();
            [status.peers[0].protection, status.peers[1].protection]
        };
        self.peers.iter().map(of).collect()
    }
}

/// Calls peers one after the other until it is told to stop; every one is to be answered.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    fn spawn(self: &Arc<Self>, peer: &Peer) -> tokio::task::JoinHandle<()> {
        let (load, peer) = (self.clone(), peer.clone());
        tokio::spawn(async move {
            while !load.is_over.load(Ordering::Relaxed) {
                match add(&peer, "k", 1).await {
                    Ok(_) => load.acknowledged.fetch_add(1, Ordering::Relaxed),
                    Err(quorate::DecideError::ShuttingDown) => return,
                    Err(error) => {
                        eprintln!("{}: {error}", peer.name());
                        load.failed.fetch_add(1, Ordering::Relaxed)
                    }
                };
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn three_peers_decide_over_tls_and_say_so() {
    let trio = Trio::start(Tls::Required).await;
    for (total, peer) in (1..).zip(&trio.peers) {
        assert_eq!(add(peer, "k", 1).await.expect("there is a primary").answer.words[0], total);
    }
    assert_eq!(trio.protections(), [[Some(Protection::Tls); 2]; 3]);
    let status = trio.peers[0].status();
    assert_eq!(status.tls, Some(Tls::Required));
    let own = status.certificate.expect("it has one");
    assert_eq!(
        (&*own.subject, &own.names[..]),
        ("CN=a", &["a".to_owned(), "quorate:a".into()][..])
    );
    let theirs = status.peers[0].certificate.as_ref().expect("it has shown one");
    assert_eq!(theirs.subject, "CN=b");
    assert_eq!(status.refusals, []);
}

/// The gateways stop every peer for this.
#[tokio::test(start_paused = true)]
async fn a_group_changes_to_tls_and_back_under_load_and_says_which_links_are_plain() {
    let mut trio = Trio::start(Tls::Off).await;
    // Plain text in memory is called local.
    assert_eq!(trio.protections(), [[Some(Protection::Local); 2]; 3]);
    let load = Arc::new(Load::default());
    let mut calls: Vec<_> = trio.peers.iter().map(|peer| load.spawn(peer)).collect();
    for stage in [Tls::Permissive, Tls::Required, Tls::Permissive, Tls::Off] {
        for index in 0..3 {
            trio.restart(index, stage).await;
            calls.push(load.spawn(&trio.peers[index]));
            tokio::time::sleep(Duration::from_millis(50)).await;
            // Whoever stands at another stage is told of by name.
            let status = trio.peers[index].status();
            let differing = status.peers.iter().filter(|peer| !peer.differs.is_empty());
            assert_eq!(differing.count(), 2 - index, "{stage}");
        }
        let expected = if stage == Tls::Off { Protection::Local } else { Protection::Tls };
        assert_eq!(trio.protections(), [[Some(expected); 2]; 3], "{stage}");
    }
    load.is_over.store(true, Ordering::Relaxed);
    for call in calls {
        call.await.expect("a caller does not panic");
    }
    let acknowledged = load.acknowledged.load(Ordering::Relaxed);
    assert_eq!(load.failed.load(Ordering::Relaxed), 0);
    assert!(acknowledged > 100, "{acknowledged}");
    assert_eq!(count(&trio.peers[0], "k").await, acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_mixed_stage_is_named_and_plain_against_required_is_refused_by_name() {
    let trio = Trio::start(Tls::Required).await;
    trio.peers[2].shutdown().await;
    let (_tls, c) = trio.start_one("c", Tls::Permissive).await;
    until(&c, |status| status.peers.iter().all(|peer| peer.differs.len() == 1)).await;
    let differs = &c.status().peers[0].differs[0];
    let told = (&*differs.field, &*differs.ours, &*differs.theirs);
    assert_eq!(told, ("tls", "permissive", "required"));
    let is_told =
        |event: &Event| matches!(event, Event::TransportDiffers { field, .. } if field == "tls");
    until(&trio.peers[0], |_| events(&trio.peers[0]).iter().any(is_told)).await;
    c.shutdown().await;
    let (_tls, c) = trio.start_one("c", Tls::Off).await;
    let refused = |status: &quorate::Status| status.refusals.len() >= 2;
    let status = until(&c, refused).await;
    for refusal in &status.refusals {
        assert_eq!((&*refusal.field, &*refusal.ours), ("tls", "off"), "{refusal:?}");
    }
    let by_name = |refusal: &&Refusal| refusal.peer == "a" && refusal.by == RefusedBy::Them;
    let by_name = status.refusals.iter().find(by_name).expect("it dials a");
    assert_eq!(&*by_name.theirs, "required");
    let status =
        until(&trio.peers[0], |status| status.refusals.iter().any(|r| r.peer == "c")).await;
    let refusal = status.refusals.iter().find(|refusal| refusal.peer == "c").expect("found");
    assert_eq!((&*refusal.field, &*refusal.ours, &*refusal.theirs), ("tls", "required", "off"));
    let is_told =
        |event: &Event| matches!(event, Event::ConfigMismatch { field, .. } if field == "tls");
    until(&trio.peers[0], |_| events(&trio.peers[0]).iter().any(is_told)).await;
    assert_eq!(count(&trio.peers[0], "k").await, 0, "the others go on");
}

#[tokio::test(start_paused = true)]
async fn certificates_and_the_ca_are_renewed_under_load_without_a_link_lost() {
    let trio = Trio::start(Tls::Required).await;
    let incarnations = |peer: &Peer| -> Vec<_> {
        peer.events_since(0)
            .iter()
            .filter(|e| matches!(e.event, Event::PeerDown { .. }))
            .cloned()
            .collect()
    };
    let load = Arc::new(Load::default());
    let calls: Vec<_> = trio.peers.iter().map(|peer| load.spawn(peer)).collect();
    let next = Authority::new("next");
    let cas =
        |cas: &[&Authority]| cas.iter().map(|ca| ca.pem.clone()).collect::<Vec<_>>().join("\n");
    let issue = |ca: &Authority, index: usize| {
        ca.issue(&[NAMES[index], &format!("quorate:{}", NAMES[index])])
    };
    // A new certificate of the same CA; then both CAs are trusted; then the new one's certificates
    // are shown; then the old one is trusted no more.
    let steps: [(&[&Authority], &Authority); 4] = [
        (&[&trio.ca], &trio.ca),
        (&[&trio.ca, &next], &trio.ca),
        (&[&trio.ca, &next], &next),
        (&[&next], &next),
    ];
    for (trusted, ca) in steps {
        for (index, tls) in trio.tls.iter().enumerate() {
            let Issued { certificate, key, .. } = issue(ca, index);
            tls.replace(cas(trusted), certificate, key).expect("they are good");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    load.is_over.store(true, Ordering::Relaxed);
    for call in calls {
        call.await.expect("a caller does not panic");
    }
    assert_eq!(load.failed.load(Ordering::Relaxed), 0);
    for peer in &trio.peers {
        assert_eq!(incarnations(peer), [], "no link was lost");
        let renewed = events(peer);
        let trusted = renewed.iter().filter_map(|event| match event {
            Event::CertificateRenewed { trusted, .. } => Some(trusted.join(" ")),
            _ => None,
        });
        let expected = ["CN=group", "CN=group CN=next", "CN=group CN=next", "CN=next"];
        assert_eq!(trusted.collect::<Vec<_>>(), expected);
    }
    // Links that are made from now on are of the new CA only.
    trio.network.cut("a", "b");
    until(&trio.peers[0], |status| status.peers[0].link == Link::Down).await;
    trio.network.heal("a", "b");
    trio.until_whole().await;
    let old = config(&[&trio.ca, &next], &issue(&trio.ca, 2)).over(trio.network.at("c"));
    let old = old.transport().expect("it is good in itself");
    trio.peers[2].shutdown().await;
    let c = builder(&old, "c").start().await.expect("the settings are valid");
    let status = until(&c, |status| status.refusals.len() >= 2).await;
    assert!(status.refusals.iter().all(|r| r.field == "certificate" && r.by == RefusedBy::Them));
}

#[tokio::test(start_paused = true)]
async fn files_are_read_again_and_bad_ones_are_refused_with_an_event() {
    let (network, ca, folder) =
        (InProcess::network(), Authority::new("group"), Folder::new("reload"));
    let [ca_file, certificate, key] = folder.write_all(&[&ca], &ca.issue(&["a"]));
    let tls = quorate_tls::TlsConfig::from_pem_files(ca_file, certificate, key)
        .over(network.at("a"))
        .transport()
        .expect("the files are good");
    let peer = builder(&tls, "a").start().await.expect("the settings are valid");
    tokio::task::yield_now().await;
    let first = tls.reload().expect("the files are good");
    let other = Authority::new("other");
    let bad = [
        ("peer.pem", "nonsense".to_owned(), "no certificate in"),
        ("peer.key", ca.issue(&["a"]).key, "is not that of the certificate in"),
        ("peer.pem", ca.issue(&["b"]).certificate, "is not that of the certificate in"),
        ("ca.pem", other.pem.clone(), "is not signed by any CA in"),
        ("ca.pem", String::new(), "no CA certificate in"),
    ];
    let good = ca.issue(&["a", "more"]);
    for (file, text, expected) in bad {
        folder.write_all(&[&ca], &good);
        folder.write(file, &text);
        let error = tls.reload().expect_err("the file is bad").to_string();
        assert!(error.contains(expected), "{error}");
        until(&peer, |_| {
            events(&peer).contains(&Event::CertificateRefused { error: error.clone() })
        })
        .await;
        assert_eq!(peer.status().certificate.as_ref(), Some(&first), "what was read stays in use");
    }
    folder.write_all(&[&ca], &ca.issue(&["b"]));
    assert!(matches!(tls.reload(), Err(CredentialsError::NotNamed { .. })), "it is b's");
    folder.write_all(&[&ca], &ca.issue_with(&["a"], support::expired));
    assert!(matches!(tls.reload(), Err(CredentialsError::NotCurrent { .. })));
    folder.write_all(&[&ca], &good);
    let renewed = tls.reload().expect("the files are good");
    assert_eq!(renewed.names, ["a", "more"]);
    assert_eq!(peer.status().certificate, Some(renewed));
}

/// An ended CA was trusted like any other, and nobody was told.
#[tokio::test(start_paused = true)]
async fn a_ca_that_has_ended_is_told_at_the_start_and_when_files_are_read() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let old = Authority::new_with("old", support::ended);
    let tls = config(&[&old, &ca], &ca.issue(&["a"])).over(network.at("a")).transport();
    let tls = tls.expect("one of them is valid");
    let peer = builder(&tls, "a").start().await.expect("the settings are valid");
    let told = |peer: &Peer| -> usize {
        let of_old = |event: &Event| {
            matches!(event, Event::CaNotTrusted { subject, not_after_ms, .. }
                if subject == "CN=old" && *not_after_ms > 0)
        };
        events(peer).iter().filter(|event| of_old(event)).count()
    };
    until(&peer, |_| told(&peer) == 1).await;
    let Issued { certificate, key, .. } = ca.issue(&["a"]);
    tls.replace(format!("{}\n{}", ca.pem, old.pem), certificate, key).expect("they are good");
    until(&peer, |_| told(&peer) == 2).await;
    let trusted = |event: &Event| match event {
        Event::CertificateRenewed { trusted, .. } => trusted == &["CN=group"],
        _ => false,
    };
    assert!(events(&peer).iter().any(trusted), "{:?}", events(&peer));
}

/// A reload took down what to read, waited for its turn, and undid what had come meanwhile.
#[test]
fn a_reload_never_undoes_a_replacement() {
    let (ca, folder) = (Authority::new("group"), Folder::new("race"));
    let [ca_file, certificate, key] = folder.write_all(&[&ca], &ca.issue(&["a"]));
    let new = ca.issue(&["a", "new"]);
    for _ in 0..100 {
        let tls = quorate_tls::TlsConfig::from_pem_files(&ca_file, &certificate, &key).transport();
        let tls = tls.expect("the files are good");
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                // After the replacement there is nothing to read.
                let _ = tls.reload();
            });
            both.wait();
            let (certificate, key) = (new.certificate.clone(), new.key.clone());
            tls.replace(ca.pem.clone(), certificate, key).expect("they are good");
        });
        assert_eq!(tls.certificate().expect("it has one").names, ["a", "new"]);
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_or_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (ca, folder) = (Authority::new("group"), Folder::new("mode"));
    let [ca_file, certificate, key] = folder.write_all(&[&ca], &ca.issue(&["a"]));
    let config = || quorate_tls::TlsConfig::from_pem_files(&ca_file, &certificate, &key);
    for (mode, is_good) in [
        (0o600, true),
        (0o400, true),
        (0o640, true),
        (0o644, false),
        (0o660, false),
        (0o602, false),
    ] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&key, permissions).expect("it is this test's own");
        match config().transport() {
            Ok(_) => assert!(is_good, "{mode:o}"),
            Err(error) => {
                assert!(
                    !is_good && matches!(error, CredentialsError::KeyExposed { .. }),
                    "{error}"
                );
                assert!(error.to_string().contains(&format!("mode {mode:04o}")), "{error}");
            }
        }
        config().exposed_key_allowed().transport().expect("in so many words");
    }
}

#[tokio::test(start_paused = true)]
async fn watched_files_are_read_when_they_have_changed() {
    let (network, ca, folder) =
        (InProcess::network(), Authority::new("group"), Folder::new("watch"));
    let [ca_file, certificate, key] = folder.write_all(&[&ca], &ca.issue(&["a"]));
    let tls = quorate_tls::TlsConfig::from_pem_files(ca_file, certificate, key)
        .watch(Duration::from_secs(5))
        .over(network.at("a"))
        .transport()
        .expect("the files are good");
    let peer = builder(&tls, "a").start().await.expect("the settings are valid");
    let names = |peer: &Peer| peer.status().certificate.expect("it has one").names;
    let renewals = |peer: &Peer| {
        let events = events(peer);
        events.iter().filter(|e| matches!(e, Event::CertificateRenewed { .. })).count()
    };
    let next = ca.issue(&["a", "next"]);
    // Half of them are there at one look, and all at the next.
    tokio::time::sleep(Duration::from_secs(1)).await;
    folder.write("peer.pem", &next.certificate);
    tokio::time::sleep(Duration::from_secs(5)).await;
    folder.write("peer.key", &next.key);
    until(&peer, |_| names(&peer) == ["a", "next"]).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(renewals(&peer), 1);
    let refused = |event: &Event| matches!(event, Event::CertificateRefused { .. });
    assert!(!events(&peer).iter().any(refused), "half of them was never used");
    folder.write("peer.pem", "nonsense");
    until(&peer, |_| events(&peer).iter().any(refused)).await;
    assert_eq!(names(&peer), ["a", "next"]);
}

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

#[tokio::test(start_paused = true)]
async fn the_end_of_a_certificate_is_told_before_it_comes() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let issued = ca.issue_with(&["a"], |params| params.not_after = in_hours(7 * 24 + 1));
    let tls = config(&[&ca], &issued).over(network.at("a")).transport().expect("it is valid");
    let peer = builder(&tls, "a").start().await.expect("the settings are valid");
    let told = |peer: &Peer| -> Vec<u64> {
        let days = |event| match event {
            Event::CertificateExpiring { within_days, .. } => Some(within_days),
            _ => None,
        };
        events(peer).into_iter().filter_map(days).collect()
    };
    until(&peer, |_| told(&peer) == [30]).await;
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    until(&peer, |_| told(&peer) == [30, 7]).await;
}

/// The others trust it no longer than its CA.
#[tokio::test(start_paused = true)]
async fn the_end_of_its_ca_is_told_as_the_end_of_a_certificate() {
    let network = InProcess::network();
    let ca = Authority::new_with("group", |params| params.not_after = in_hours(7 * 24 - 1));
    let tls = config(&[&ca], &ca.issue(&["a"])).over(network.at("a")).transport();
    let peer = builder(&tls.expect("it is valid"), "a").start().await.expect("valid settings");
    let is_told =
        |event: &Event| matches!(event, Event::CertificateExpiring { within_days: 7, .. });
    until(&peer, |_| events(&peer).iter().any(is_told)).await;
}

fn in_hours(hours: u64) -> time::OffsetDateTime {
    let now = rustls::pki_types::UnixTime::now().as_secs();
    let then = i64::try_from(now + hours * 3600).expect("it is near");
    time::OffsetDateTime::from_unix_timestamp(then).expect("it is near")
}

/// Over real sockets, with several threads, where writes end in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_over_tcp_are_counted_exactly() {
    let ca = Authority::new("group");
    let mut members = Vec::new();
    let mut held = Vec::new();
    for name in NAMES {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("free ports");
        members.push((name, listener.local_addr().expect("it is bound").to_string()));
        held.push(listener);
    }
    drop(held);
    let mut peers = Vec::new();
    for name in NAMES {
        let tls = config(&[&ca], &ca.issue(&[name])).over(Arc::new(Tcp::default())).transport();
        let tls = tls.expect("the certificate is good");
        let builder = Peer::builder(name, Counter).members(members.clone()).transport(shared(&tls));
        peers.push(builder.start().await.expect("the ports are free"));
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("three peers form a group");
    }
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..96_u64 {
        let peer = peers[number as usize % 3].clone();
        callers.spawn(async move {
            for _ in 0..100 {
                add(&peer, "all", 1).await.expect("there is a primary");
                add(&peer, &format!("own {number}"), 2).await.expect("there is a primary");
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("it does not panic");
    }
    for peer in &peers {
        assert_eq!(count(peer, "all").await, 9_600);
        assert_eq!(count(peer, "own 7").await, 200);
    }
}
