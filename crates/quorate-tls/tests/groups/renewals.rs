//! Certificates, keys and CAs that are replaced, read again, or end.

use super::*;

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
