//! Every error of TLS as people read it, of a file that has it where one can be made.

mod support;

use std::io;

use quorate_tls::{CredentialsError, PeerFault, TlsConfig};
use rcgen::{CertificateParams, GeneralSubtree, KeyUsagePurpose, NameConstraints};
use support::{Authority, Issued, config};
#[path = "../../quorate/tests/support/words.rs"]
mod words;

use words::assert_told;

/// What is said of these files.
fn told(ca: &str, certificate: &str, key: &str) -> String {
    let config = TlsConfig::from_pem(ca.to_owned(), certificate.to_owned(), key.to_owned());
    config.transport().map(drop).expect_err("they cannot be used").to_string()
}

/// What is said of a certificate of this CA.
fn of(ca: &Authority, issued: &Issued) -> String {
    told(&ca.pem, &issued.certificate, &issued.key)
}

/// The text without its last lines.
fn cut(pem: &str) -> String {
    let lines: Vec<&str> = pem.trim_end().lines().collect();
    lines[..lines.len() - 2].join("\n")
}

fn body(kind: &str, base64: &str) -> String {
    format!("-----BEGIN {kind}-----\n{base64}\n-----END {kind}-----\n")
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_used() {
    let (ca, other) = (Authority::new("group"), Authority::new("other"));
    let own = ca.issue(&["a"]);
    let (certificate, key) = (&*own.certificate, &*own.key);
    let behind = format!("{}{certificate}", ca.pem);
    let foreign = other.issue(&["a"]).key;
    let past = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    };
    let old = |proc: &str| body("RSA PRIVATE KEY", &format!("Proc-Type: 4,{proc}\n\nAAAA"));
    let missing = TlsConfig::from_pem_files("/nonexistent/ca.pem", "a.pem", "a.key").transport();
    let crl = TlsConfig::from_pem(ca.pem.clone(), certificate.to_owned(), key.to_owned());
    let crl = |text: String| crl.clone().crl_pem(text).transport().map(drop);
    let crl = |text: String| crl(text).expect_err("it cannot be used").to_string();
    let ended = Authority::new_with("ended", past);
    let issuing = Authority::new("issuing");
    let link =
        ca.sign_with(&issuing, |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    let below = issuing.issue(&["b"]).with(&[&link.certificate]);
    let unable = config(&[&ca], &below).crl_pem(issuing.revoke(&[])).transport().map(drop);
    // OpenSSL's older form of the same.
    let encrypted = told(&ca.pem, certificate, &old("ENCRYPTED"));
    assert_eq!(encrypted, told(&ca.pem, certificate, &body("ENCRYPTED PRIVATE KEY", "AAAA")));
    assert_eq!(told(key, certificate, key), told("", certificate, key));
    assert_told([
        (
            missing.map(drop).expect_err("there is no file").to_string(),
            "cannot read a.key: No such file or directory (os error 2)",
        ),
        (
            told("", certificate, key),
            "there is no CA certificate in the CA that was given: it takes PEM, with a BEGIN and \
             an END line",
        ),
        (
            told(&cut(&ca.pem), certificate, key),
            "the CA that was given cannot be used: it ends before an END line that belongs to its \
             BEGIN line: is it cut off?",
        ),
        (
            told(&body("CERTIFICATE", "!!!"), certificate, key),
            "the CA that was given cannot be used: what stands between a BEGIN and its END line \
             is no base64: is it damaged?",
        ),
        (
            told(&body("CERTIFICATE", "AAAA"), certificate, key),
            "the CA that was given cannot be used: not a usable certificate: it is damaged",
        ),
        (
            told(certificate, certificate, key),
            "the certificate CN=a in the CA that was given is no CA: take it out, or put in its \
             place the certificate of the CA that has signed it (basic constraints CA, and key \
             usage keyCertSign if it names any)",
        ),
        (
            told(&ca.pem, &cut(certificate), key),
            "the certificate that was given cannot be used: it ends before an END line that \
             belongs to its BEGIN line: is it cut off?",
        ),
        (
            told(&ca.pem, &body("CERTIFICATE", "AAAA"), key),
            "the certificate that was given cannot be used: not a usable certificate: it is \
             damaged",
        ),
        (
            told(&ca.pem, "-----BEGIN", key),
            "there is no certificate in the certificate that was given: it takes PEM, with a \
             BEGIN and an END line",
        ),
        (
            told(&ca.pem, certificate, " "),
            "there is no private key in the key that was given: it takes PEM, with a BEGIN and an \
             END line",
        ),
        (
            told(&ca.pem, certificate, &cut(key)),
            "the key that was given cannot be used: it ends before an END line that belongs to \
             its BEGIN line: is it cut off?",
        ),
        (
            told(&ca.pem, certificate, &body("ENCRYPTED PRIVATE KEY", "AAAA")),
            "the private key in the key that was given is encrypted: decrypt it first, for \
             example by openssl pkey",
        ),
        // What names the curve P-521, and what names nothing.
        (
            told(&ca.pem, certificate, &body("PRIVATE KEY", "BgUrgQQAIw==")),
            "the private key in the key that was given is on the curve P-521, and cannot be used: \
             make one on the curve P-256 or P-384, of Ed25519, or of RSA with 2048 bits or more",
        ),
        (
            told(&ca.pem, certificate, &body("PRIVATE KEY", "AAAA")),
            "the private key in the key that was given is damaged, or of a kind that is not known \
             here, and cannot be used: make one on the curve P-256 or P-384, of Ed25519, or of \
             RSA with 2048 bits or more",
        ),
        (
            told(&ca.pem, &behind, key),
            "the first certificate in the certificate that was given, CN=group, is a CA's: put \
             this peer's own first, and those of the CAs above it behind it",
        ),
        (
            told(&ca.pem, certificate, &foreign),
            "the private key in the key that was given is not that of the certificate in the \
             certificate that was given",
        ),
        (
            of(&ca, &other.issue(&["a"])),
            "the certificate CN=a (a) in the certificate that was given is not signed by any CA \
             in the CA that was given: add its CA there, and the intermediate certificates to the \
             certificate that was given",
        ),
        (
            of(&ca, &ca.issue_with(&["a"], past)),
            "the certificate CN=a (a) in the certificate that was given is valid from \
             2001-01-01T00:00:00Z to 2002-01-01T00:00:00Z only: renew it, or set this machine's \
             clock",
        ),
        (
            of(&ended, &ended.issue(&["a"])),
            "the CA CN=ended in the CA that was given is valid from 2001-01-01T00:00:00Z to \
             2002-01-01T00:00:00Z only: renew it there, or set this machine's clock",
        ),
        (
            crl("nothing".to_owned()),
            "there is no CRL (X509 CRL) in the CRL that was given: it takes PEM, with a BEGIN and \
             an END line",
        ),
        (crl(body("X509 CRL", "AAAA")), "the CRL that was given cannot be used: it is damaged"),
        (
            crl(other.revoke(&[])),
            "the revocations in the CRL that was given are not signed by any CA in the CA that \
             was given, nor by one that this peer's certificate comes with: is it the right file, \
             and whole?",
        ),
        (
            unable.expect_err("it may not").to_string(),
            "the revocations in the CRL that was given are signed by CN=issuing, which may not: \
             its certificate names key usages, and cRLSign is not one of them",
        ),
    ]);
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be_used() {
    let ca = Authority::new("group");
    let own = ca.issue(&["a"]);
    let config = || config(&[&ca], &own);
    let refused = |config: TlsConfig| {
        config.transport().map(drop).expect_err("it cannot be used").to_string()
    };
    let origin = || "a.key".to_owned();
    let subject = || "CN=a (a)".to_owned();
    let certificate = || "a.pem".to_owned();
    let source = || io::Error::other("its signature is not that of the CA that it names").into();
    assert_told([
        (
            refused(config().names(["quota.example"])),
            "the pattern \"quota.example\" has no place for a name: use the like of \
             {peer}.quota.example or spiffe://example.org/quota/{peer}",
        ),
        (
            refused(config().names(["{peer}.a", "x-{peer}.a"])),
            "the patterns \"{peer}.a\" and \"x-{peer}.a\" can make one name of two peers, or of a \
             member and somebody who is to be less: have them differ in what stands before or \
             behind {peer}, by more than letters, digits, \"-\", \"_\" and \".\"",
        ),
        (
            CredentialsError::TooLarge { origin: origin(), max_bytes: 1_048_576 }.to_string(),
            "a.key has more than 1048576 bytes: is it the right file?",
        ),
        (
            CredentialsError::KeyExposed { origin: origin(), mode: 0o644 }.to_string(),
            "the private key in a.key is open to others (mode 0644): set the mode to 0600, or to \
             0640 with a group of its own; for a Kubernetes secret by its defaultMode",
        ),
        (
            CredentialsError::Usage {
                certificate: certificate(),
                subject: subject(),
                usage: "clientAuth",
            }
            .to_string(),
            "the certificate CN=a (a) in a.pem is not for clientAuth: a peer's is for both ends \
             of TLS, serverAuth and clientAuth",
        ),
        (
            CredentialsError::Unusable {
                certificate: certificate(),
                subject: subject(),
                source: source(),
            }
            .to_string(),
            "the certificate CN=a (a) in a.pem cannot be used: its signature is not that of the \
             CA that it names",
        ),
        (
            CredentialsError::NotNamed {
                certificate: certificate(),
                subject: subject(),
                peer: "b".into(),
                wanted: "the DNS name b".into(),
            }
            .to_string(),
            "the certificate CN=a (a) in a.pem does not name b: it takes the DNS name b",
        ),
        (
            CredentialsError::NoProvider.to_string(),
            "no provider of cryptography: turn on the feature `ring` or `aws-lc-rs` of \
             quorate-tls, or give one by rustls_0_23_provider()",
        ),
        (
            CredentialsError::Provider { source: source() }.to_string(),
            "the provider of cryptography has no TLS 1.3: its signature is not that of the CA \
             that it names",
        ),
        (
            CredentialsError::NotFiles.to_string(),
            "these credentials were given as bytes: use replace() with new ones",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_the_other_end() {
    let certificate = || "CN=a (a)".to_owned();
    let told = |fault: PeerFault| fault.to_string();
    let reason = || "its signature is not that of the CA that it names".to_owned();
    assert_told([
        (
            told(PeerFault::CaNotCurrent {
                certificate: certificate(),
                ca: "CN=group".into(),
                not_before: day("2025"),
                not_after: day("2026"),
            }),
            "its certificate CN=a (a) is of the CA CN=group, which is in the CA file here and \
             valid from 2025-01-01 00:00:00 to 2026-01-01 00:00:00 only: renew that CA, or put \
             another one in its place, at both ends, or set this machine's clock",
        ),
        (
            told(PeerFault::Garbage { reason: "too many empty fragments".into() }),
            "it does not talk TLS: too many empty fragments",
        ),
        (
            told(PeerFault::Expired { certificate: certificate(), not_after: day("2026") }),
            "its certificate CN=a (a) has ended on 2026-01-01 00:00:00: renew it",
        ),
        (
            told(PeerFault::Incompatible { reason: "tls13 required".into() }),
            "it cannot talk TLS 1.3 as this peer does: tls13 required",
        ),
        (
            told(PeerFault::IntermediateNotCurrent {
                certificate: certificate(),
                intermediate: "CN=two".into(),
                not_before: day("2025"),
                not_after: day("2026"),
            }),
            "the certificate CN=two, which it shows between its own, CN=a (a), and the CA, is \
             valid from 2025-01-01 00:00:00 to 2026-01-01 00:00:00 only: put a current one in the \
             certificate's file there, or set the clocks",
        ),
        (
            told(PeerFault::Invalid { certificate: certificate(), reason: reason() }),
            "its certificate CN=a (a) cannot be used: its signature is not that of the CA that it \
             names",
        ),
        (told(PeerFault::NoCertificate), "it has shown no certificate: every peer needs one"),
        (
            told(PeerFault::NoProtocol { ours: "quorate/4, quorate/3".into() }),
            "it does not speak quorate/4, quorate/3: is it a peer of Quorate, of a version near \
             this one?",
        ),
        (
            told(PeerFault::NotYetValid { certificate: certificate(), not_before: day("2027") }),
            "its certificate CN=a (a) begins on 2027-01-01 00:00:00 only: is a clock wrong?",
        ),
        (
            told(PeerFault::PlainText),
            "it talks plain text, and TLS is required here: turn TLS on there, or use \
             `permissive` here meanwhile",
        ),
        (
            told(PeerFault::Refused { certificate: certificate(), alert: "unknown CA".into() }),
            "it refuses this peer's certificate CN=a (a): unknown CA",
        ),
        (
            told(PeerFault::Revoked { certificate: certificate() }),
            "its certificate CN=a (a) was revoked: give it another one",
        ),
        (
            told(PeerFault::TooMuch { certificates: 9, bytes: 9_000 }),
            "it shows 9 certificates of 9000 bytes, and at most 8 certificates of 16384 bytes are \
             read: leave out there what does not lead to its CA",
        ),
        (
            told(PeerFault::UnknownCa { certificate: certificate() }),
            "its certificate CN=a (a) is of a CA that is not trusted here: add that CA to both \
             ends, or use another certificate there",
        ),
        (
            told(PeerFault::WrongName {
                certificate: certificate(),
                wanted: "the DNS name b".into(),
            }),
            "its certificate CN=a (a) does not name it: it takes the DNS name b",
        ),
        (
            told(PeerFault::WrongUsage { certificate: certificate(), usage: "clientAuth" }),
            "its certificate CN=a (a) is not for clientAuth: a peer's is for both ends of TLS, \
             `serverAuth` and `clientAuth`",
        ),
    ]);
}

fn day(year: &str) -> String {
    format!("{year}-01-01 00:00:00")
}

/// A CA on the curve P-521, and a certificate that it has signed; made by OpenSSL, for nothing here
/// makes such keys.
#[cfg(feature = "ring")]
const BY_P521: [&str; 2] = [
    "-----BEGIN CERTIFICATE-----\n\
MIIB2jCCATygAwIBAgIBATAKBggqhkjOPQQDBDAQMQ4wDAYDVQQDDAVsYXJnZTAg\n\
Fw0yMDAxMDEwMDAwMDBaGA8yMTAwMDEwMTAwMDAwMFowEDEOMAwGA1UEAwwFbGFy\n\
Z2UwgZswEAYHKoZIzj0CAQYFK4EEACMDgYYABADT2hit0DB2Yc365fpnREPi9roe\n\
sS3aodNo9ARTn9JIV64sQWWP4df5YvmENtZxyZVrwtvv5tmxUco0NtO97XEwYQHQ\n\
shkujiRqhmwdCdXxlTq5dUrw+pOzpUf+0jR6P1dOiz88rY3WJ/q1jA0jl+4fGbuW\n\
ezb36xKwqmLhAOMb3q6SzqNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8E\n\
BAMCAgQwHQYDVR0OBBYEFHmtSIwQirWZftp807SDYK0WVDWDMAoGCCqGSM49BAME\n\
A4GLADCBhwJCAReufGfnvScd2gIySe+BL8RSS6TK6+iFaRneo0tt/A6GZR+4p4O3\n\
2FbPcK1JTBhkCrrFYcK0auDvBsUuHOryMNWuAkEOjogt+ljrjjNZU9+fNSKxRR83\n\
mo9Vb40bpMduFO1BmJGpRkFlZdsgvH5EJjNkOCofGxPYv/vY1Fnt370EM4IVsA==\n\
-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n\
MIIBojCCAQOgAwIBAgIBAjAKBggqhkjOPQQDBDAQMQ4wDAYDVQQDDAVsYXJnZTAg\n\
Fw0yMDAxMDEwMDAwMDBaGA8yMTAwMDEwMTAwMDAwMFowDDEKMAgGA1UEAwwBYTBZ\n\
MBMGByqGSM49AgEGCCqGSM49AwEHA0IABFuniduAS3UyKNE0vx0tJng4eO1Doc+P\n\
nxhaYf/jOCTBjpwLziknsDB0B7wHTncm40nprZ2PNRYQ3OeYO66JjeOjUDBOMAwG\n\
A1UdEQQFMAOCAWEwHQYDVR0OBBYEFPSigStALYX/mtgEipURZz9bj7R8MB8GA1Ud\n\
IwQYMBaAFHmtSIwQirWZftp807SDYK0WVDWDMAoGCCqGSM49BAMEA4GMADCBiAJC\n\
AfbiPkRAepWF2CQtyLDn+K6O6KkwkEIf54w5S+x0vnqgZplvIVOOyjNkQRfAURr0\n\
OHI3ObAtDlhYksWwux16gXMdAkIB0fRnaGyYrnxkPKfmUxNuKQNGrBpzFE+8O5/4\n\
QFK6yT4Qk7wQzZ3fcjVmxhK3dMF1V3E5qlZ/zTH9tYVnl6EetT0=\n\
-----END CERTIFICATE-----\n",
];

/// "Not signed by any CA in the file", which had it, and "add its CA there".
#[cfg(feature = "ring")]
#[tokio::test(start_paused = true)]
async fn a_signature_that_is_not_known_here_is_not_told_as_a_ca_that_is_missing() {
    let [ca, certificate] = BY_P521;
    let key = Authority::new("group").issue(&["a"]).key;
    let config = TlsConfig::from_pem(ca.to_owned(), certificate.to_owned(), key);
    let refused = config.provider(quorate_tls::Provider::Ring).transport().map(drop);
    assert_eq!(
        refused.expect_err("nobody could verify it").to_string(),
        "the certificate CN=a (a) in the certificate that was given cannot be used: its signature \
         is of a kind that this build does not know: use ECDSA on P-256 or P-384, Ed25519 or RSA"
    );
}

/// It said twice which certificate it is.
#[tokio::test(start_paused = true)]
async fn what_the_verifier_finds_is_told_once() {
    let names = |params: &mut CertificateParams| {
        let permitted = vec![GeneralSubtree::DnsName("quota.example".to_owned())];
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    };
    let ca = Authority::new_with("group", names);
    assert_eq!(
        of(&ca, &ca.issue(&["a"])),
        "the certificate CN=a (a) in the certificate that was given cannot be used: its CA may \
         not sign these names (name constraints)"
    );
}

/// It was passed over, and the others in the file were used: not signed, or not revoked.
#[tokio::test(start_paused = true)]
async fn what_stands_behind_a_byte_order_mark_or_spaces_is_not_passed_over() {
    let (ca, other) = (Authority::new("group"), Authority::new("other"));
    let own = ca.issue(&["a"]);
    let (certificate, key) = (&*own.certificate, &*own.key);
    let wanted =
        "cannot be used: spaces, or a byte order mark, stand before a BEGIN line: take them out";
    for before in ["\u{feff}", " ", "\t"] {
        let cas = format!("{}{before}{}", other.pem, ca.pem);
        assert_eq!(told(&cas, certificate, key), format!("the CA that was given {wanted}"));
        let chain = format!("{before}{certificate}");
        let said = told(&ca.pem, &chain, key);
        assert_eq!(said, format!("the certificate that was given {wanted}"));
        let said = told(&ca.pem, certificate, &format!("{before}{key}"));
        assert_eq!(said, format!("the key that was given {wanted}"));
        let lists = format!("{before}{}{}", ca.revoke(&[&own]), ca.revoke(&[]));
        let config = config(&[&ca], &own).crl_pem(lists).transport().map(drop);
        let said = config.expect_err("one list would be passed over").to_string();
        assert_eq!(said, format!("the CRL that was given {wanted}"));
    }
    // What is commented out is meant to be.
    let commented: String = other.pem.lines().map(|line| format!("# {line}\n")).collect();
    let cas = format!("{commented}{}", ca.pem);
    let config = TlsConfig::from_pem(cas, certificate.to_owned(), key.to_owned());
    assert!(config.transport().is_ok());
}
