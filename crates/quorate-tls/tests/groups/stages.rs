//! Groups that are changed to TLS and back, and calls over it.

use super::*;

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
