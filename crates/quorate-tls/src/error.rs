//! Faults of this peer's own files and settings.

use std::error::Error;
use std::io;

quorate::told_to_people! { CredentialsError }

/// The files or settings of this peer cannot be used. Nothing was changed: a peer that runs goes on
/// with what it had, one that does not was not started.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("cannot read {origin}: {source}")]
    Read {
        /// The file.
        origin: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error("{origin} has more than {max_bytes} bytes: is it the right file?")]
    TooLarge {
        /// The file.
        origin: String,
        /// The most that is read.
        max_bytes: u64,
    },
    /// A file is not PEM, or has nothing of the kind in it.
    #[error("there is no {what} in {origin}: it takes PEM, with a BEGIN and an END line")]
    Missing {
        /// The thing that was looked for.
        what: &'static str,
        /// The file.
        origin: String,
    },
    /// A private key that is encrypted.
    #[error(
        "the private key in {origin} is encrypted: decrypt it first, for example by openssl pkey"
    )]
    EncryptedKey {
        /// The file.
        origin: String,
    },
    /// A file with a private key can be read by everybody, or changed by others than its owner.
    #[error(
        "the private key in {origin} is open to others (mode {mode:04o}): set the mode to 0600, or \
         to 0640 with a group of its own; for a Kubernetes secret by its defaultMode"
    )]
    KeyExposed {
        /// The file.
        origin: String,
        /// Its mode, as `chmod` takes it.
        mode: u32,
    },
    /// PEM, but not what is to be in it.
    #[error("{origin} cannot be used: {source}")]
    Damaged {
        /// The file.
        origin: String,
        /// The fault.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A private key of a kind that the provider does not know.
    #[error(
        "the private key in {origin} is {kind}, and cannot be used: make one on the curve P-256 or \
         P-384, of Ed25519, or of RSA with 2048 bits or more"
    )]
    Key {
        /// The file.
        origin: String,
        /// The kind of the key, as far as that can be told.
        kind: &'static str,
        /// The provider's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The private key belongs to another certificate.
    #[error("the private key in {key} is not that of the certificate in {certificate}")]
    KeyMismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
    },
    /// None of the CAs has signed the certificate, so that the other peers, which have the same
    /// CAs, would refuse it.
    #[error(
        "the certificate {subject} in {certificate} is not signed by any CA in {ca}: add its CA \
         there, and the intermediate certificates to {certificate}"
    )]
    Untrusted {
        /// The file of the certificate.
        certificate: String,
        /// The certificate's subject.
        subject: String,
        /// The file of the CAs.
        ca: String,
    },
    /// The first certificate of the file is one of a CA.
    #[error(
        "the first certificate in {certificate}, {subject}, is a CA's: put this peer's own first, \
         and those of the CAs above it behind it"
    )]
    LeafNotFirst {
        /// The file of the certificate.
        certificate: String,
        /// The CA's subject.
        subject: String,
    },
    /// The certificate may be used at one end of TLS only.
    #[error(
        "the certificate {subject} in {certificate} is not for {usage}: a peer's is for both ends \
         of TLS, serverAuth and clientAuth"
    )]
    Usage {
        /// The file of the certificate.
        certificate: String,
        /// The certificate's subject.
        subject: String,
        /// The usage that it lacks.
        usage: &'static str,
    },
    /// The certificate cannot be used for another reason.
    #[error("the certificate {subject} in {certificate} cannot be used: {source}")]
    Unusable {
        /// The file of the certificate.
        certificate: String,
        /// The certificate's subject.
        subject: String,
        /// The fault that the check has found.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A certificate in the file of the CAs is not one of a CA.
    #[error(
        "the certificate {subject} in {ca} is no CA: take it out, or put in its place the \
         certificate of the CA that has signed it (basic constraints CA, and key usage \
         keyCertSign if it names any)"
    )]
    NotCa {
        /// The file of the CAs.
        ca: String,
        /// The certificate's subject.
        subject: String,
    },
    /// The CA that has signed the certificate has ended, or has not begun, so that the other peers
    /// would refuse it.
    #[error(
        "the CA {subject} in {ca} is valid from {not_before} to {not_after} only: renew it there, \
         or set this machine's clock"
    )]
    CaNotCurrent {
        /// The file of the CAs.
        ca: String,
        /// The CA's subject.
        subject: String,
        /// Its first moment.
        not_before: String,
        /// Its last moment.
        not_after: String,
    },
    /// A list of revocations is signed by a CA whose certificate does not let it.
    #[error(
        "the revocations in {crl} are signed by {subject}, which may not: its certificate names \
         key usages, and cRLSign is not one of them"
    )]
    MayNotRevoke {
        /// The file of the revocations.
        crl: String,
        /// The CA's subject.
        subject: String,
    },
    /// A list of revocations is of no CA that is known here.
    #[error(
        "the revocations in {crl} are not signed by any CA in {ca}, nor by one that this peer's \
         certificate comes with: is it the right file, and whole?"
    )]
    ForeignCrl {
        /// The file of the revocations.
        crl: String,
        /// The file of the CAs.
        ca: String,
    },
    /// The certificate, or one that is sent with it, has ended or has not begun.
    #[error(
        "the certificate {subject} in {certificate} is valid from {not_before} to {not_after} \
         only: renew it, or set this machine's clock"
    )]
    NotCurrent {
        /// The file of the certificate.
        certificate: String,
        /// The subject and names of the one of the file that is not valid.
        subject: String,
        /// Its first moment.
        not_before: String,
        /// Its last moment.
        not_after: String,
    },
    /// The certificate is another peer's.
    #[error("the certificate {subject} in {certificate} does not name {peer}: it takes {wanted}")]
    NotNamed {
        /// The file of the certificate.
        certificate: String,
        /// The certificate's subject and names.
        subject: String,
        /// This peer.
        peer: String,
        /// The names that would do.
        wanted: String,
    },
    /// A pattern of names cannot be used.
    #[error(
        "the pattern {pattern:?} has no place for a name: use the like of {{peer}}.quota.example \
         or spiffe://example.org/quota/{{peer}}"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// Two patterns of names can give one name to two peers, or to peers of two kinds.
    #[error(
        "the patterns {first:?} and {second:?} can make one name of two peers, or of a member and \
         somebody who is to be less: have them differ in what stands before or behind {{peer}}, by \
         more than letters, digits, \"-\", \"_\" and \".\""
    )]
    PatternsClash {
        /// One of them.
        first: String,
        /// The other one.
        second: String,
    },
    /// There is nothing that encrypts.
    #[error(
        "no provider of cryptography: turn on the feature `ring` or `aws-lc-rs` of quorate-tls, or \
         give one by rustls_0_23_provider()"
    )]
    NoProvider,
    /// The provider has no TLS 1.3.
    #[error("the provider of cryptography has no TLS 1.3: {source}")]
    Provider {
        /// The error of rustls.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Credentials that were given as bytes are not read again.
    #[error("these credentials were given as bytes: use replace() with new ones")]
    NotFiles,
}
