//! What the other end shows: how much of it is looked at, which path of it counts, and what was
//! revoked on that path.

mod support;

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use quorate::transport::{InProcess, Stream, Transport, Unwanted};
use quorate::{PeerName, RefusedBy};
use quorate_tls::{CredentialsError, PeerFault, TlsConfig};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use support::{Authority, Issued, config, ended, strangers};

const PROTOCOL: Option<&str> = Some("quorate/3");

/// `b` listens with these settings, and a stranger shows it this; what came of it at `b`.
async fn shown_to_b(b: TlsConfig, shown: &Issued) -> io::Result<Stream> {
    let network = InProcess::network();
    let b = b.over(network.at("b")).transport().expect("the certificates are good");
    let mut listener = b.listen("b").await.expect("the address is free");
    let accepting = async { listener.accept().await.expect("one comes").open.await };
    let dialing = strangers::dial(&network, "b", Some(shown), PROTOCOL);
    tokio::select! {
        accepted = accepting => accepted,
        () = async { let _ = dialing.await; std::future::pending().await } => unreachable!(),
    }
}

fn fault(result: io::Result<Stream>) -> PeerFault {
    let Err(error) = result else { panic!("it was let in") };
    let unwanted = Unwanted::of(&error).unwrap_or_else(|| panic!("not a fault: {error:?}"));
    assert_eq!(unwanted.by, RefusedBy::Us);
    unwanted.source.downcast_ref::<PeerFault>().expect("it comes from here").clone()
}

fn is_revoked(result: io::Result<Stream>) -> bool {
    match result {
        Ok(_) => false,
        result => matches!(fault(result), PeerFault::Revoked { .. }),
    }
}

/// The settings of `b`, whose own certificate is of the first of these CAs.
fn b(cas: &[&Authority]) -> TlsConfig {
    config(cas, &cas[0].issue(&["b"]))
}

/// CAs of one name that nobody has signed but themselves.
fn fakes(count: usize, name: &str) -> Vec<Authority> {
    (0..count).map(|_| Authority::new(name)).collect()
}

fn pems(cas: &[Authority]) -> Vec<&str> {
    cas.iter().map(|ca| ca.pem.as_str()).collect()
}

/// A path is searched in all that a stranger shows: with 49 certificates that took seconds.
#[tokio::test(start_paused = true)]
async fn more_than_eight_certificates_are_refused_unread() {
    let (ca, above) = (Authority::new("group"), fakes(8, "group"));
    let shown = Authority::new("group").issue(&["a"]).with(&pems(&above));
    let found = fault(shown_to_b(b(&[&ca]), &shown).await);
    assert!(found.to_string().contains("9 certificates"), "{found}");
    // Who is good is held to the same, at either end.
    let shown = ca.issue(&["b"]).with(&pems(&above));
    let found = fault(shown_to_b(b(&[&ca]), &shown).await);
    assert!(found.to_string().contains("9 certificates"), "{found}");
    let network = InProcess::network();
    let listening = strangers::listen(&network, "b", &shown, PROTOCOL).await;
    let a = config(&[&ca], &ca.issue(&["a"])).over(network.at("a")).transport();
    let (a, to) = (a.expect("the certificate is good"), PeerName::from("b"));
    let (_, dialed) = tokio::join!(listening, a.connect("b", Some(&to)));
    assert!(fault(dialed).to_string().contains("9 certificates"));
}

#[tokio::test(start_paused = true)]
async fn more_than_16_kib_of_certificates_are_refused_unread() {
    let ca = Authority::new("group");
    let names: Vec<String> = (0..2_000).map(|number| format!("name-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = fault(shown_to_b(b(&[&ca]), &ca.issue(&names)).await);
    assert!(found.to_string().contains("at most 8 certificates of 16384 bytes"), "{found}");
    // Fewer bytes, and still more names than anybody has.
    let found = fault(shown_to_b(b(&[&ca]), &ca.issue(&names[..200])).await);
    assert!(found.to_string().contains("more than 128 names"), "{found}");
}

/// The body of the fuzz target `shown`, on its corpus and on what is drawn here.
#[test]
fn whatever_is_shown_only_who_is_good_is_let_in() {
    let (transport, cards) = support::cards::deck();
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/shown");
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    for file in std::fs::read_dir(corpus).expect("the corpus is committed") {
        inputs.push(std::fs::read(file.expect("a file").path()).expect("it can be read"));
    }
    assert!(inputs.len() > 4, "it has seeds");
    // Each by itself, and with all that could help it.
    inputs.extend((0..20).map(|card| vec![0, card]));
    inputs.extend((0..20).map(|card| vec![0, card, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 14]));
    let mut random = 1_u64;
    inputs.extend((0..3_000).map(|length| {
        let draw = |_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as u8
        };
        (0..length % 40).map(draw).collect()
    }));
    for data in &inputs {
        quorate_tls::fuzzing::shown(&transport, &cards, data);
        quorate_tls::fuzzing::certificate(data);
    }
    // Every bit of a good one.
    for place in 0..cards[5].der.len() * 8 {
        let [high, low] = u16::try_from(place / 8).expect("it is short").to_be_bytes();
        let what = 5 + 8 * u8::try_from(place % 8).expect("a bit");
        quorate_tls::fuzzing::shown(&transport, &cards, &[what, 5, high, low]);
        let mut der = cards[5].der.clone();
        der[place / 8] ^= 1 << (place % 8);
        quorate_tls::fuzzing::certificate(&der);
    }
}

thread_local! {
    /// Signatures of certificates that this thread has checked.
    static CHECKED: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
struct Counting(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        CHECKED.set(CHECKED.get() + 1);
        self.0.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

/// A provider that counts.
fn counting() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    let known = provider.signature_verification_algorithms;
    let counting = known.all.iter().map(|one| &*Box::leak(Box::new(Counting(*one))));
    let all: Vec<&'static dyn SignatureVerificationAlgorithm> =
        counting.map(|one| one as &dyn SignatureVerificationAlgorithm).collect();
    provider.signature_verification_algorithms =
        WebPkiSupportedAlgorithms { all: all.leak(), mapping: known.mapping };
    Arc::new(provider)
}

/// What a stranger shows that claims the name of the CA with all of it.
async fn signatures_checked(b: TlsConfig, shown: &Issued) -> usize {
    let b = b.rustls_0_23_provider(counting());
    let network = InProcess::network();
    let b = b.over(network.at("b")).transport().expect("the certificates are good");
    CHECKED.set(0);
    let mut listener = b.listen("b").await.expect("the address is free");
    let accepting = async { listener.accept().await.expect("one comes").open.await };
    let dialing = strangers::dial(&network, "b", Some(shown), PROTOCOL);
    let (accepted, _) = tokio::join!(accepting, dialing);
    let found = fault(accepted);
    assert!(matches!(found, PeerFault::UnknownCa { .. } | PeerFault::Invalid { .. }), "{found}");
    CHECKED.get()
}

#[tokio::test(start_paused = true)]
async fn what_a_stranger_shows_costs_a_signature_for_each_certificate() {
    let (ca, above) = (Authority::new("group"), fakes(7, "group"));
    let shown = Authority::new("group").issue(&["a"]).with(&pems(&above));
    assert_eq!(signatures_checked(b(&[&ca]), &shown).await, 8);
    // Of another name there is nothing to check.
    let other = Authority::new("other").issue(&["a"]).with(&pems(&fakes(7, "other")));
    assert_eq!(signatures_checked(b(&[&ca]), &other).await, 0);
    // What others have got of the CA is of no use to whoever shows it beside.
    let real = ca.below("real");
    let used = ca.issue(&["x"]);
    let shown = Authority::new("real").issue(&["a"]).with(&[&real.pem, &used.certificate]);
    assert_eq!(signatures_checked(b(&[&ca]), &shown).await, 3);
}

/// All that were there were verified one after the other, before anything else had its turn.
#[tokio::test(start_paused = true)]
async fn strangers_take_turns_with_everything_else() {
    const STRANGERS: usize = 24;
    let ca = Authority::new("group");
    let network = InProcess::network();
    let b = b(&[&ca]).rustls_0_23_provider(counting()).over(network.at("b")).transport();
    let b = b.expect("the certificate is good");
    let shown = Authority::new("group").issue(&["a"]).with(&pems(&fakes(7, "group")));
    let mut listener = b.listen("b").await.expect("the address is free");
    let mut strangers = tokio::task::JoinSet::new();
    let mut come = Vec::new();
    for _ in 0..STRANGERS {
        let (network, shown) = (network.clone(), shown.clone());
        strangers
            .spawn(async move { strangers::dial(&network, "b", Some(&shown), PROTOCOL).await });
        come.push(listener.accept().await.expect("one comes").open);
    }
    CHECKED.set(0);
    let mut accepted: tokio::task::JoinSet<_> = come.into_iter().collect();
    // Something else that has to do: two tasks that send a token to and fro.
    let (there, mut come_there) = tokio::sync::mpsc::channel(1);
    let (back, mut come_back) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(()) = come_there.recv().await {
            back.send(()).await.expect("it waits for that");
        }
    });
    let mut most = 0;
    while !accepted.is_empty() {
        let before = CHECKED.get();
        there.send(()).await.expect("it runs");
        come_back.recv().await.expect("it runs");
        most = most.max(CHECKED.get() - before);
        while let Some(one) = accepted.try_join_next() {
            assert!(one.expect("it does not panic").is_err(), "a stranger");
        }
    }
    assert_eq!(CHECKED.get(), STRANGERS * 8);
    assert!(most <= 16, "of one stranger for each of the two: {most}");
}

/// As many bytes as TLS takes in one message, and more than anybody needs.
#[tokio::test(start_paused = true)]
async fn a_handshake_of_more_bytes_than_anybody_needs_is_broken_off() {
    let ca = Authority::new("group");
    let names: Vec<String> = (0..5_000).map(|number| format!("name-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = fault(shown_to_b(b(&[&ca]), &ca.issue(&names)).await);
    assert!(found.to_string().contains("more than 49152 bytes"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn many_trusted_cas_of_one_name_have_a_bound_together() {
    let cas = fakes(20, "group");
    let cas: Vec<&Authority> = cas.iter().collect();
    let shown = Authority::new("group").issue(&["a"]).with(&pems(&fakes(7, "group")));
    assert_eq!(signatures_checked(b(&cas), &shown).await, 64);
    for ca in &cas {
        let below = ca.below("below");
        let shown = below.issue(&["a"]).with(&[&below.pem]);
        shown_to_b(b(&cas), &shown).await.expect("each of them is trusted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_taken_in_any_order_and_with_what_it_does_not_need() {
    let ca = Authority::new("group");
    let one = ca.below("one");
    let two = one.below("two");
    let three = two.below("three");
    let leaf = three.issue(&["a"]);
    let (ca_pem, other) = (&ca.pem, Authority::new("other"));
    for others in [
        vec![&three.pem, &two.pem, &one.pem],
        vec![&one.pem, &two.pem, &three.pem],
        vec![ca_pem, &two.pem, &other.pem, &one.pem, &three.pem, &three.pem],
    ] {
        let others: Vec<&str> = others.into_iter().map(String::as_str).collect();
        shown_to_b(b(&[&ca]), &leaf.with(&others)).await.expect("it is whole");
    }
    let found = fault(shown_to_b(b(&[&ca]), &leaf.with(&[&three.pem, &one.pem])).await);
    assert!(matches!(found, PeerFault::UnknownCa { .. }), "{found}");
    // Who was signed by the CA is no CA by that.
    let leaf = ca.issue(&["x"]);
    let taken = support::issuer(&leaf, "x").issue(&["a"]).with(&[&leaf.certificate]);
    let found = fault(shown_to_b(b(&[&ca]), &taken).await);
    assert!(matches!(found, PeerFault::UnknownCa { .. }), "{found}");
}

/// A CA changes its key: the list that it signs by the new one was looked for one level up, found
/// to be signed by another key, and taken for nobody's.
#[tokio::test(start_paused = true)]
async fn a_list_counts_under_a_ca_that_has_a_new_key_under_its_old_name() {
    let (old, new) = (Authority::new("group"), Authority::new("group"));
    let link = old.sign(&new);
    let own = new.issue(&["b"]).with(&[&link.certificate]);
    let b = |lists: &[String]| config(&[&old], &own).crl_pem(lists.join("\n"));
    let of_old = old.issue(&["a"]);
    let of_new = new.issue(&["a"]);
    let shown = of_new.with(&[&link.certificate]);
    let (of_neither, empty) = (new.issue(&["a"]), [old.revoke(&[]), new.revoke(&[])]);
    assert!(is_revoked(shown_to_b(b(&[new.revoke(&[&of_new])]), &shown).await));
    assert!(is_revoked(shown_to_b(b(&[old.revoke(&[]), new.revoke(&[&of_new])]), &shown).await));
    assert!(is_revoked(shown_to_b(b(&[old.revoke(&[&link]), empty[1].clone()]), &shown).await));
    // It is one CA: its lists count for whatever it has signed, by whichever key.
    assert!(is_revoked(shown_to_b(b(&[new.revoke(&[&of_old])]), &of_old).await));
    assert!(is_revoked(shown_to_b(b(&[old.revoke(&[&of_new])]), &shown).await));
    for lists in [vec![new.revoke(&[&of_neither])], empty.to_vec()] {
        shown_to_b(b(&lists), &shown).await.expect("nothing revokes it");
        shown_to_b(b(&lists), &of_old).await.expect("nothing revokes it");
    }
}

/// Two CAs have signed a third, and both have revoked it: for each list there was a path that the
/// other one forbids.
#[tokio::test(start_paused = true)]
async fn all_lists_have_to_hold_on_one_path() {
    let (one, two, issuing) =
        (Authority::new("one"), Authority::new("two"), Authority::new("issuing"));
    let (by_one, by_two) = (one.sign(&issuing), two.sign(&issuing));
    let shown = issuing.issue(&["a"]).with(&[&by_one.certificate, &by_two.certificate]);
    let lists = [one.revoke(&[&by_one]), two.revoke(&[&by_two])];
    for lists in [lists.clone(), [lists[1].clone(), lists[0].clone()]] {
        assert!(is_revoked(shown_to_b(b(&[&one, &two]).crl_pem(lists.join("\n")), &shown).await));
    }
    // On the path that is left nothing is revoked.
    for list in &lists {
        let b = b(&[&one, &two]).crl_pem(list.clone());
        shown_to_b(b, &shown).await.expect("by the other one it is good");
    }
    let list = one.revoke(&[&by_one]);
    assert!(is_revoked(shown_to_b(b(&[&one]).crl_pem(list), &shown).await), "there is no other");
}

#[tokio::test(start_paused = true)]
async fn a_list_reaches_all_of_a_path() {
    let ca = Authority::new("group");
    let (issuing, link) = {
        let issuing = Authority::new("issuing");
        let link = ca.sign(&issuing);
        (issuing, link)
    };
    let leaf = issuing.issue(&["a"]);
    let shown = leaf.with(&[&link.certificate]);
    let own = issuing.issue(&["b"]).with(&[&link.certificate]);
    let b = |list: String| config(&[&ca], &own).crl_pem(list);
    assert!(is_revoked(shown_to_b(b(ca.revoke(&[&link])), &shown).await));
    assert!(is_revoked(shown_to_b(b(issuing.revoke(&[&leaf])), &shown).await));
    shown_to_b(b(ca.revoke(&[&leaf])), &shown).await.expect("it is not of that CA");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_a_ca_that_may_sign_none_is_found_when_it_is_read() {
    use rcgen::KeyUsagePurpose::KeyCertSign;
    let ca = Authority::new("group");
    let issuing = Authority::new("issuing");
    let link = ca.sign_with(&issuing, |params| params.key_usages = vec![KeyCertSign]);
    let own = issuing.issue(&["b"]).with(&[&link.certificate]);
    let error = config(&[&ca], &own).crl_pem(issuing.revoke(&[])).transport();
    let error = error.expect_err("it would refuse everybody").to_string();
    assert!(error.contains("CN=issuing") && error.contains("cRLSign"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_ca_file_takes_cas_only() {
    let ca = Authority::new("group");
    let leaf = ca.issue(&["x"]);
    let error = config_of([&ca.pem, &leaf.certificate], &ca).transport();
    let error = error.expect_err("x is no CA").to_string();
    assert!(error.contains("CN=x") && error.contains("is no CA"), "{error}");
    let signs_nothing = Authority::new_with("lists", |params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
    });
    let error = config_of([&ca.pem, &signs_nothing.pem], &ca).transport();
    let error = error.expect_err("it may not sign certificates").to_string();
    assert!(error.contains("CN=lists") && error.contains("is no CA"), "{error}");
}

fn config_of(cas: [&String; 2], of: &Authority) -> TlsConfig {
    let Issued { certificate, key, .. } = of.issue(&["b"]);
    TlsConfig::from_pem(cas.map(String::as_str).join("\n"), certificate, key)
}

/// It was told to be of an unknown CA, with the advice to add it to a file that has it.
#[tokio::test(start_paused = true)]
async fn a_ca_that_has_ended_vouches_for_nobody_and_is_told_as_that() {
    let (ca, old) = (Authority::new("group"), Authority::new_with("old", ended));
    let below = old.below("below");
    for shown in [old.issue(&["a"]), below.issue(&["a"]).with(&[&below.pem])] {
        let found = fault(shown_to_b(b(&[&ca, &old]), &shown).await);
        assert!(matches!(found, PeerFault::CaNotCurrent { .. }), "{found}");
        let sentence = found.to_string();
        assert!(sentence.contains("the CA CN=old, which is in the CA file here"), "{sentence}");
    }
    // Who is not of it is told as before, and what else is wrong comes first.
    let found = fault(shown_to_b(b(&[&ca, &old]), &Authority::new("old").issue(&["a"])).await);
    assert!(matches!(found, PeerFault::UnknownCa { .. }), "{found}");
    let shown = old.issue_with(&["a"], support::expired);
    let found = fault(shown_to_b(b(&[&ca, &old]), &shown).await);
    assert!(matches!(found, PeerFault::Expired { .. }), "{found}");
    let shown = old.issue(&["a"]);
    let list = old.revoke(&[&shown]);
    assert!(is_revoked(shown_to_b(b(&[&ca, &old]).crl_pem(list), &shown).await));
    // Of the same key and name, and still valid: as they are when a CA is renewed.
    let renewed = old.renewed();
    shown_to_b(b(&[&ca, &old, &renewed]), &old.issue(&["a"])).await.expect("it goes on");
    let error = b(&[&old]).transport().expect_err("nobody would trust it");
    assert!(matches!(&error, CredentialsError::CaNotCurrent { .. }), "{error}");
    assert!(error.to_string().contains("CN=old"), "{error}");
}

/// The second search has what the first one has left.
#[tokio::test(start_paused = true)]
async fn cas_that_have_ended_cost_a_stranger_no_more_checks_in_all() {
    let (ca, old) = (Authority::new("group"), Authority::new_with("group", ended));
    let shown = Authority::new("group").issue(&["a"]).with(&pems(&fakes(7, "group")));
    assert_eq!(signatures_checked(b(&[&ca, &old]), &shown).await, 16);
    let many: Vec<_> = (0..20).map(|_| Authority::new_with("group", ended)).collect();
    let cas: Vec<&Authority> = [&ca].into_iter().chain(&many).collect();
    assert_eq!(signatures_checked(b(&cas), &shown).await, 64);
}

/// It was told as the end of the leaf, which is valid.
#[tokio::test(start_paused = true)]
async fn a_certificate_between_that_is_over_is_told_by_its_name() {
    let (ca, one, two) = (Authority::new("group"), Authority::new("one"), Authority::new("two"));
    for change in [support::expired, support::not_yet_valid] {
        let first = ca.sign(&one).certificate;
        let second = one.sign_with(&two, change).certificate;
        let shown = two.issue(&["a"]).with(&[&second, &first]);
        let found = fault(shown_to_b(b(&[&ca]), &shown).await);
        assert!(matches!(found, PeerFault::IntermediateNotCurrent { .. }), "{found}");
        let sentence = found.to_string();
        assert!(sentence.contains("CN=two, which it shows between"), "{sentence}");
        // So are this peer's own.
        let error = config(&[&ca], &two.issue(&["b"]).with(&[&second, &first])).transport();
        let error = error.expect_err("it is over");
        assert!(matches!(&error, CredentialsError::NotCurrent { .. }), "{error}");
        assert!(error.to_string().contains("the certificate CN=two"), "{error}");
        // If its own is as well, that is what is told.
        let shown = two.issue_with(&["a"], support::expired).with(&[&second, &first]);
        let found = fault(shown_to_b(b(&[&ca]), &shown).await);
        assert!(matches!(found, PeerFault::Expired { .. }), "{found}");
    }
}
