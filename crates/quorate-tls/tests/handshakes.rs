//! Two ends of one connection: who is let in, who is not, and what each of them is told.

mod support;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quorate::transport::{Claim, InProcess, Stream, Transport, Unwanted};
use quorate::{PeerName, Protection, RefusedBy, Tls};
use quorate_tls::{CredentialsError, PeerFault, TlsConfig, TlsTransport};
use support::strangers;
use support::{Authority, Issued, config, expired, for_servers_only, not_yet_valid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PROTOCOL: Option<&str> = Some("quorate/2");

const LONG: Duration = Duration::from_secs(60);

/// What came of a connection at the end that accepted it, and at the other.
type Ends = (io::Result<Stream>, io::Result<Stream>);

/// `b` listens, and `a` connects to whom it takes for b.
async fn connect(network: &InProcess, a: TlsConfig, b: TlsConfig) -> Ends {
    let [a, b] = [(a, "a"), (b, "b")].map(|(config, name)| {
        config.over(network.at(name)).transport().expect("the certificates are good")
    });
    connect_transports(&a, &b).await
}

async fn connect_transports(a: &TlsTransport, b: &TlsTransport) -> Ends {
    let mut listener = b.listen("b").await.expect("the address is free");
    let to = PeerName::from("b");
    let accepting = async { listener.accept().await.expect("one comes").open.await };
    tokio::join!(accepting, a.connect("b", Some(&to)))
}

/// The fault that an end has found or heard, and who refused whom.
fn fault<T>(result: io::Result<T>) -> (PeerFault, RefusedBy) {
    let Err(error) = result else { panic!("it was let in") };
    let unwanted = Unwanted::of(&error).unwrap_or_else(|| panic!("not a fault: {error:?}"));
    let fault = unwanted.source.downcast_ref::<PeerFault>().expect("it comes from here");
    assert!(!unwanted.ours.is_empty() && !unwanted.theirs.is_empty(), "{unwanted:?}");
    assert_eq!(error.to_string(), fault.to_string());
    (fault.clone(), unwanted.by)
}

async fn read_fault(stream: io::Result<Stream>) -> (PeerFault, RefusedBy) {
    let mut stream = stream.expect("its own handshake is done");
    fault(stream.reader.read(&mut [0; 8]).await)
}

/// `b` with a certificate that names it, listening, and what comes of what `dial` does.
async fn refused_at_b<F: Future<Output = io::Result<usize>>>(
    ca: &Authority,
    change: impl FnOnce(TlsConfig) -> TlsConfig,
    dial: impl FnOnce(InProcess) -> F,
) -> (PeerFault, io::Error) {
    let network = InProcess::network();
    let b = change(config(&[ca], &ca.issue(&["b"]))).over(network.at("b"));
    let b = b.transport().expect("the certificate is good");
    let mut listener = b.listen("b").await.expect("the address is free");
    let accepting = async { listener.accept().await.expect("one comes").open.await };
    let (accepted, dialed) = tokio::join!(accepting, dial(network));
    let (fault, by) = fault(accepted);
    assert_eq!(by, RefusedBy::Us);
    (fault, dialed.expect_err("it is refused"))
}

fn described(issued_to: &str) -> String {
    format!("CN={issued_to} ({issued_to})")
}

#[tokio::test(start_paused = true)]
async fn peers_of_one_ca_that_are_whom_they_say_to_be_talk_and_know_it() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let [a, b] = ["a", "b"].map(|name| config(&[&ca], &ca.issue(&[name])));
    let (at_b, at_a) = connect(&network, a, b).await;
    let (mut at_b, mut at_a) = (at_b.expect("a is good"), at_a.expect("b is good"));
    for (stream, other) in [(&at_b, "a"), (&at_a, "b")] {
        assert_eq!(stream.protection, Protection::Tls);
        let proof = stream.proof.as_ref().expect("it was proved");
        let (other, third) = (PeerName::from(other), PeerName::from("c"));
        assert!(proof.is_of(Claim::Member(&other)));
        assert!(!proof.is_of(Claim::Joiner(&other)), "it has a DNS name only");
        assert!(!proof.is_of(Claim::Member(&third)));
        assert_eq!(proof.certificate().to_string(), described(other.as_str()));
    }
    // More than fits into the pipes, both ways at once, as the core writes it.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|byte| byte as u8).collect();
    let (mut got_a, mut got_b) = (vec![0; sent.len()], vec![0; sent.len()]);
    let results = tokio::join!(
        async {
            at_a.writer.write_all(&sent).await?;
            at_a.writer.flush().await
        },
        async {
            at_b.writer.write_all(&sent).await?;
            at_b.writer.flush().await
        },
        at_a.reader.read_exact(&mut got_a),
        at_b.reader.read_exact(&mut got_b),
    );
    assert!(results.0.is_ok() && results.1.is_ok() && results.2.is_ok() && results.3.is_ok());
    assert!(got_a == sent && got_b == sent);
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_another_ca_is_refused_and_hears_so() {
    let network = InProcess::network();
    let (ca, other) = (Authority::new("group"), Authority::new("other"));
    let a = config(&[&ca], &ca.issue(&["a"]));
    let b = config(&[&other, &ca], &other.issue(&["b"]));
    let (at_b, at_a) = connect(&network, a, b).await;
    assert_eq!(fault(at_a), (PeerFault::UnknownCa { certificate: described("b") }, RefusedBy::Us));
    let refused = PeerFault::Refused { certificate: described("b"), alert: "unknown CA".into() };
    assert_eq!(fault(at_b), (refused, RefusedBy::Them));
}

#[tokio::test(start_paused = true)]
async fn a_dialer_of_another_ca_is_refused_and_hears_so() {
    let network = InProcess::network();
    let (ca, other) = (Authority::new("group"), Authority::new("other"));
    let a = config(&[&other, &ca], &other.issue(&["a"]));
    let b = config(&[&ca], &ca.issue(&["b"]));
    let (at_b, at_a) = connect(&network, a, b).await;
    assert_eq!(fault(at_b), (PeerFault::UnknownCa { certificate: described("a") }, RefusedBy::Us));
    let refused = PeerFault::Refused { certificate: described("a"), alert: "unknown CA".into() };
    assert_eq!(read_fault(at_a).await, (refused, RefusedBy::Them));
}

#[tokio::test(start_paused = true)]
async fn a_ca_of_the_same_name_with_another_key_is_another_ca() {
    let (ca, twin) = (Authority::new("group"), Authority::new("group"));
    let stranger = twin.issue(&["a"]);
    let dial =
        |network| async move { strangers::dial(&network, "b", Some(&stranger), PROTOCOL).await };
    let (fault, _) = refused_at_b(&ca, |b| b, dial).await;
    assert_eq!(fault, PeerFault::UnknownCa { certificate: described("a") });
}

/// A certificate of the right CA for another service, or for another peer.
#[tokio::test(start_paused = true)]
async fn a_listener_that_is_not_whom_it_is_taken_for_is_refused() {
    let ca = Authority::new("group");
    for name in ["billing", "c", "*.quota.example", "b.example", "quorate:c"] {
        let network = InProcess::network();
        let a = config(&[&ca], &ca.issue(&["a"]));
        let (at_b, at_a) = connect(&network, a, config(&[&ca], &ca.issue(&[name]))).await;
        let certificate = described(name);
        let wanted = "one with the URI quorate:b (of a known member the DNS name b will do)";
        let wrong = PeerFault::WrongName { certificate, wanted: wanted.into() };
        assert_eq!(fault(at_a), (wrong, RefusedBy::Us));
        assert!(matches!(fault(at_b), (PeerFault::Refused { .. }, RefusedBy::Them)));
    }
}

async fn refused_dialer(ca: &Authority, stranger: &Issued) -> (PeerFault, io::Error) {
    let dial =
        |network| async move { strangers::dial(&network, "b", Some(stranger), PROTOCOL).await };
    refused_at_b(ca, |b| b, dial).await
}

#[tokio::test(start_paused = true)]
async fn a_certificate_out_of_its_time_is_refused() {
    let ca = Authority::new("group");
    let (fault, heard) = refused_dialer(&ca, &ca.issue_with(&["a"], expired)).await;
    let (certificate, not_after) = (described("a"), "2021-01-01T00:00:00Z".into());
    assert_eq!(fault, PeerFault::Expired { certificate: certificate.clone(), not_after });
    assert!(format!("{heard:?}").contains("CertificateExpired"), "{heard:?}");
    let (fault, _) = refused_dialer(&ca, &ca.issue_with(&["a"], not_yet_valid)).await;
    let not_before = "2999-01-01T00:00:00Z".into();
    assert_eq!(fault, PeerFault::NotYetValid { certificate, not_before });
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_servers_only_is_no_peers() {
    let ca = Authority::new("group");
    let (fault, _) = refused_dialer(&ca, &ca.issue_with(&["a"], for_servers_only)).await;
    let certificate = described("a");
    assert_eq!(fault, PeerFault::WrongUsage { certificate, usage: "clientAuth" });
}

#[tokio::test(start_paused = true)]
async fn a_dialer_without_a_certificate_is_refused() {
    let dial = |network| async move { strangers::dial(&network, "b", None, PROTOCOL).await };
    let (fault, heard) = refused_at_b(&Authority::new("group"), |b| b, dial).await;
    assert_eq!(fault, PeerFault::NoCertificate);
    assert!(format!("{heard:?}").contains("CertificateRequired"), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_certificate_is_refused_and_others_of_its_ca_are_not() {
    let (ca, other) = (Authority::new("group"), Authority::new("next"));
    let (a, old) = (ca.issue(&["a"]), ca.issue(&["a"]));
    let list = ca.revoke(&[&old]);
    let with_list = |b: TlsConfig| b.crl_pem(list.clone());
    let dial = |network| async move { strangers::dial(&network, "b", Some(&old), PROTOCOL).await };
    let (fault, heard) = refused_at_b(&ca, with_list, dial).await;
    assert_eq!(fault, PeerFault::Revoked { certificate: described("a") });
    assert!(format!("{heard:?}").contains("CertificateRevoked"), "{heard:?}");
    for a in [config(&[&ca], &a), config(&[&ca, &other], &other.issue(&["a"]))] {
        let b = config(&[&ca, &other], &ca.issue(&["b"])).crl_pem(list.clone());
        let (at_b, at_a) = connect(&InProcess::network(), a, b).await;
        assert!(at_b.is_ok() && at_a.is_ok(), "the list says nothing of them");
    }
}

#[tokio::test(start_paused = true)]
async fn another_protocol_or_none_is_refused() {
    let ca = Authority::new("group");
    for protocol in [Some("h2"), Some("quorate/99"), None] {
        let stranger = ca.issue(&["a"]);
        let dial = |network| async move {
            strangers::dial(&network, "b", Some(&stranger), protocol).await
        };
        let network = InProcess::network();
        let b = config(&[&ca], &ca.issue(&["b"])).over(network.at("b")).transport();
        let b = b.expect("the certificate is good");
        let mut listener = b.listen("b").await.expect("the address is free");
        let accepting = async { listener.accept().await.expect("one comes").open.await };
        let (accepted, _) = tokio::join!(accepting, dial(network));
        let ours =
            "quorate/7, quorate/6, quorate/5, quorate/4, quorate/3, quorate/2, quorate/1".into();
        assert_eq!(fault(accepted), (PeerFault::NoProtocol { ours }, RefusedBy::Us));
    }
}

/// What the dialer finds at an end that verifies nothing.
async fn refused_at_a(ca: &Authority, there: &Issued, protocol: Option<&str>) -> PeerFault {
    let network = InProcess::network();
    let listening = strangers::listen(&network, "b", there, protocol).await;
    let a = config(&[ca], &ca.issue(&["a"])).over(network.at("a")).transport();
    let (a, to) = (a.expect("the certificate is good"), PeerName::from("b"));
    let (_, dialed) = tokio::join!(listening, a.connect("b", Some(&to)));
    fault(dialed).0
}

#[tokio::test(start_paused = true)]
async fn a_dialer_holds_a_listener_to_the_same() {
    let (ca, other) = (Authority::new("group"), Authority::new("other"));
    let good = ca.issue(&["b"]);
    let certificate = described("b");
    let found = refused_at_a(&ca, &ca.issue_with(&["b"], expired), PROTOCOL).await;
    assert!(matches!(found, PeerFault::Expired { .. }), "{found}");
    let found = refused_at_a(&ca, &ca.issue_with(&["b"], not_yet_valid), PROTOCOL).await;
    assert!(matches!(found, PeerFault::NotYetValid { .. }), "{found}");
    let found = refused_at_a(&ca, &other.issue(&["b"]), PROTOCOL).await;
    assert_eq!(found, PeerFault::UnknownCa { certificate });
    for protocol in [Some("http/1.1"), None] {
        let found = refused_at_a(&ca, &good, protocol).await;
        assert!(matches!(found, PeerFault::NoProtocol { .. }), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_tls_at_all_is_named_by_both_ends() {
    let ca = Authority::new("group");
    // A dialer that finds something else: the banner of another protocol.
    let network = InProcess::network();
    let mut listener = network.at("b").listen("b").await.expect("the address is free");
    let banner = async {
        let mut stream = listener.accept().await.expect("one comes").open.await.expect("a pipe");
        stream.writer.write_all(b"220 mail.example ready\r\n").await.expect("there is room");
        stream.reader.read(&mut [0; 64]).await
    };
    let a = config(&[&ca], &ca.issue(&["a"])).over(network.at("a")).transport();
    let (a, to) = (a.expect("the certificate is good"), PeerName::from("b"));
    let (_, dialed) = tokio::join!(banner, a.connect("b", Some(&to)));
    assert_eq!(fault(dialed).0, PeerFault::PlainText);
    // A listener that is sent something else, or TLS that is damaged.
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[22, 3, 1, 0, 4, 1, 2, 3, 4, 5, 6]] {
        let network = InProcess::network();
        let b = config(&[&ca], &ca.issue(&["b"])).over(network.at("b")).transport();
        let b = b.expect("the certificate is good");
        let mut listener = b.listen("b").await.expect("the address is free");
        let accepting = async { listener.accept().await.expect("one comes").open.await };
        let dialing = async {
            let mut stream = network.at("x").connect("b", None).await.expect("it listens");
            stream.writer.write_all(garbage).await.expect("there is room");
            let mut said = Vec::new();
            let _ = stream.reader.read_to_end(&mut said).await;
            said
        };
        let (accepted, said) = tokio::join!(accepting, dialing);
        let error = accepted.err().expect("it is refused");
        let is_garbage = |unwanted: &Unwanted| {
            matches!(unwanted.source.downcast_ref(), Some(PeerFault::Garbage { .. }))
        };
        assert!(Unwanted::of(&error).is_none_or(is_garbage), "{error:?}");
        assert!(said.is_empty() || said[0] == 21, "nothing, or an alert: {said:?}");
    }
}

/// The ends of a connection between two stages.
async fn staged(a: Tls, b: Tls) -> Ends {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let [a, b] = [("a", a), ("b", b)].map(|(name, stage)| support::at(&network, &ca, name, stage));
    let mut listener = b.listen("b").await.expect("the address is free");
    let to = PeerName::from("b");
    // One that prefers TLS may come twice.
    let accepting = async {
        let first = listener.accept().await.expect("one comes").open.await;
        match (a.tls(), b.tls()) {
            (Some(Tls::Permissive), Some(Tls::Off)) => {
                // As the core says that it takes plain text only: anything that is not TLS.
                let mut first = first.expect("it takes anything");
                first.writer.write_all(&[9, 0, 0, 0, 2]).await.expect("there is room");
                listener.accept().await.expect("it comes again").open.await
            }
            _ => first,
        }
    };
    let dialing = async {
        let mut stream = a.connect("b", Some(&to)).await?;
        // Who takes either looks at this first.
        stream.writer.write_all(&[200, 0, 0, 0, 1]).await?;
        stream.writer.flush().await?;
        Ok(stream)
    };
    let both = async { tokio::join!(accepting, dialing) };
    tokio::time::timeout(LONG, both).await.unwrap_or_else(|_| panic!("{a:?} to {b:?} hangs"))
}

#[tokio::test(start_paused = true)]
async fn neighbouring_stages_are_connected_by_the_best_that_both_have() {
    let stages = [Tls::Off, Tls::Permissive, Tls::Required];
    for (at_a, a) in stages.into_iter().enumerate() {
        for (at_b, b) in stages.into_iter().enumerate().filter(|(at_b, _)| at_a.abs_diff(*at_b) < 2)
        {
            let (at_listener, at_dialer) = staged(a, b).await;
            let is_plain = at_a.min(at_b) == 0;
            let expected = if is_plain { Protection::Local } else { Protection::Tls };
            for stream in [at_listener, at_dialer] {
                let stream = stream.unwrap_or_else(|error| panic!("{a} to {b}: {error}"));
                assert_eq!(stream.protection, expected, "{a} to {b}");
                assert_eq!(stream.proof.is_some(), !is_plain);
            }
        }
    }
}

/// Who listens in plain text is told by its core (`refusals.rs` of the crate `quorate`).
#[tokio::test(start_paused = true)]
async fn plain_text_is_not_taken_where_tls_is_required() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let b = support::at(&network, &ca, "b", Tls::Required);
    let mut listener = b.listen("b").await.expect("the address is free");
    let accepting = async { listener.accept().await.expect("one comes").open.await };
    let dialing = async {
        let mut stream = network.at("a").connect("b", None).await.expect("it listens");
        stream.writer.write_all(&[200, 0, 0, 0, 1, 8, 1]).await.expect("there is room");
        let mut said = Vec::new();
        stream.reader.read_to_end(&mut said).await.expect("it is closed in order");
        said
    };
    let (accepted, said) = tokio::join!(accepting, dialing);
    assert_eq!(fault(accepted).0, PeerFault::PlainText);
    let mut said = bytes::BytesMut::from(&said[..]);
    let (kind, body) =
        quorate::internal::wire::split(&mut said, 4096).expect("a frame").expect("all of it");
    let frame = quorate::internal::wire::decode(kind, body).expect("a refusal in plain text");
    let quorate::internal::wire::Frame::Refuse(refuse) = frame else {
        panic!("not one: {frame:?}")
    };
    assert_eq!((&*refuse.field, &*refuse.ours, &*refuse.theirs), ("tls", "required", "off"));
}

#[tokio::test(start_paused = true)]
async fn any_first_bytes_are_refused_or_handed_on_whole() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let hello = [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    let mut inputs: Vec<Vec<u8>> =
        vec![vec![], vec![22], hello.to_vec(), b"GET / HTTP/1.1\r\n".into()];
    inputs.extend((0..hello.len()).map(|end| hello[..end].to_vec()));
    inputs.extend((0..=255).map(|byte| [byte, 3, 1, 0, byte, 1, 2, 3].to_vec()));
    inputs.push(vec![22; 70_000]);
    let corpus =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/first_bytes");
    for file in std::fs::read_dir(corpus).expect("the corpus is committed") {
        inputs.push(std::fs::read(file.expect("a file").path()).expect("it can be read"));
    }
    inputs.push([&[200, 0, 0, 0, 1][..], &[7; 300]].concat());
    for stage in [Tls::Required, Tls::Permissive] {
        let tls = support::at(&network, &ca, "b", stage);
        for data in &inputs {
            quorate_tls::fuzzing::first_bytes(&tls, data).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_provider_talks_with_every_other() {
    use quorate_tls::Provider;
    let ca = Authority::new("group");
    let custom = || Arc::new(rustls::crypto::ring::default_provider());
    let of = |name: &str| config(&[&ca], &ca.issue(&[name]));
    for provider in Provider::all() {
        for other in Provider::all() {
            let ends = (of("a").provider(provider), of("b").provider(other));
            let (at_b, at_a) = connect(&InProcess::network(), ends.0, ends.1).await;
            assert!(at_b.is_ok() && at_a.is_ok(), "{provider:?} to {other:?}");
        }
        let ends = (of("a").rustls_0_23_provider(custom()), of("b").provider(provider));
        let (at_b, at_a) = connect(&InProcess::network(), ends.0, ends.1).await;
        assert!(at_b.is_ok() && at_a.is_ok(), "a given one to {provider:?}");
    }
}

/// A session takes nothing that stands behind a goodbye: reading it was tried again and again, for
/// ever, with the session's lock held.
#[tokio::test(start_paused = true)]
async fn what_comes_after_a_goodbye_is_the_end() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let b = config(&[&ca], &ca.issue(&["b"])).over(network.at("b")).transport();
    let b = b.expect("the certificate is good");
    let mut listener = b.listen("b").await.expect("the address is free");
    let accepting = async {
        let mut stream =
            listener.accept().await.expect("one comes").open.await.expect("it is good");
        let mut read = Vec::new();
        stream.reader.read_to_end(&mut read).await.expect("a goodbye is an end in order");
        assert_eq!(read, b"last words");
        assert_eq!(stream.reader.read(&mut [0; 8]).await.expect("still"), 0);
    };
    let stranger = ca.issue(&["a"]);
    let dialing = strangers::dial_and_go_on_after_goodbye(&network, "b", &stranger, "quorate/2");
    let both = async { tokio::join!(accepting, dialing) };
    tokio::time::timeout(LONG, both).await.expect("it does not hang").1.unwrap_or_default();
}

/// What stands behind the handshake in one read is the first that is read of the session.
#[tokio::test(start_paused = true)]
async fn what_is_sent_right_behind_the_handshake_arrives() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let [a, b] = ["a", "b"].map(|name| support::at(&network, &ca, name, Tls::Required));
    let mut listener = b.listen("b").await.expect("the address is free");
    for length in [1, 5_000, 7_000, 8_192, 20_000, 150_000] {
        let sent: Vec<u8> = (0..length).map(|byte: u32| byte as u8).collect();
        let to = PeerName::from("b");
        let dialing = async {
            let mut stream = a.connect("b", Some(&to)).await.expect("b is good");
            stream.writer.write_all(&sent).await.expect("there is room");
            stream.writer.flush().await.expect("there is room");
            stream
        };
        let accepting = async {
            let mut stream = listener.accept().await.expect("one comes").open.await?;
            let mut got = vec![0; sent.len()];
            stream.reader.read_exact(&mut got).await?;
            Ok::<_, io::Error>(got)
        };
        let (got, _kept) = tokio::join!(accepting, dialing);
        assert!(got.expect("all of it comes") == sent, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_list_of_revocations_counts_for_the_ca_that_signed_it_and_no_other() {
    let (ca, twin) = (Authority::new("group"), Authority::new("group"));
    let (one, other, good) = (ca.issue(&["a"]), ca.issue(&["a"]), twin.issue(&["a"]));
    let lists = [ca.revoke(&[&one]), ca.revoke(&[&other])];
    let b = || config(&[&ca, &twin], &ca.issue(&["b"])).crl_pem(lists.join("\n"));
    for (revoked, cas) in [(&one, [&ca, &twin]), (&other, [&ca, &twin]), (&other, [&twin, &ca])] {
        let stranger = revoked.clone();
        let b = || config(&cas, &ca.issue(&["b"])).crl_pem(lists.join("\n"));
        let dial = |network| async move {
            strangers::dial(&network, "b", Some(&stranger), PROTOCOL).await
        };
        let (fault, _) = refused_at_b(&ca, |_| b(), dial).await;
        assert_eq!(fault, PeerFault::Revoked { certificate: described("a") });
    }
    // The lists are of a CA that has the same name and another key.
    let (at_b, at_a) = connect(&InProcess::network(), config(&[&ca, &twin], &good), b()).await;
    assert!(at_b.is_ok() && at_a.is_ok(), "{:?} {:?}", at_b.map(drop), at_a.map(drop));
    // One that no trusted CA has signed is no list, and is found before it refuses everybody.
    let foreign = Authority::new("other").revoke(&[]);
    let error = config(&[&ca], &one).crl_pem(foreign).transport().expect_err("it is foreign");
    assert!(matches!(error, CredentialsError::ForeignCrl { .. }), "{error}");
    let forged = twin.revoke(&[&one]);
    let error = config(&[&ca], &one).crl_pem(forged).transport().expect_err("it is forged");
    assert!(matches!(error, CredentialsError::ForeignCrl { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_an_own_certificate_is_named() {
    let (ca, other) = (Authority::new("group"), Authority::new("other"));
    let error = |config: TlsConfig| config.transport().expect_err("it is bad");
    let found = error(config(&[&ca], &ca.issue_with(&["a"], for_servers_only)));
    assert!(matches!(found, CredentialsError::Usage { usage: "clientAuth", .. }), "{found}");
    let found = error(config(&[&ca], &other.issue(&["a"])));
    assert!(matches!(found, CredentialsError::Untrusted { .. }), "{found}");
    let found = error(config(&[&ca], &ca.issue_with(&["a"], expired)));
    assert!(matches!(found, CredentialsError::NotCurrent { .. }), "{found}");
    let found = error(config(&[&ca], &ca.issue_with(&["a"], not_yet_valid)));
    assert!(matches!(found, CredentialsError::NotCurrent { .. }), "{found}");
    let mut mixed = ca.issue(&["a"]);
    mixed.key = ca.issue(&["a"]).key;
    assert!(matches!(error(config(&[&ca], &mixed)), CredentialsError::KeyMismatch { .. }));
    mixed.key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n".into();
    let found = error(config(&[&ca], &mixed));
    assert!(matches!(found, CredentialsError::EncryptedKey { .. }), "{found}");
}

/// A peer of a version that knows no TLS closes without a word; so does one that is about to end.
#[tokio::test(start_paused = true)]
async fn a_permissive_dialer_tries_plain_text_when_tls_is_closed_again_and_again() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    let a = support::at(&network, &ca, "a", Tls::Permissive);
    let mut listener = network.at("b").listen("b").await.expect("the address is free");
    let to = PeerName::from("b");
    for attempt in 1..=3 {
        let closing = async {
            // Dropped unread, and the plain one kept.
            drop(listener.accept().await.expect("one comes").open.await);
            match attempt {
                3 => Some(listener.accept().await.expect("it comes again").open.await),
                _ => None,
            }
        };
        let (_kept, dialed) = tokio::join!(closing, a.connect("b", Some(&to)));
        match (attempt, dialed) {
            (3, Ok(stream)) => assert_eq!(stream.protection, Protection::Local),
            (1 | 2, Err(error)) => assert!(Unwanted::of(&error).is_none(), "{error}"),
            (_, dialed) => panic!("{attempt}: {:?}", dialed.map(drop)),
        }
    }
}
