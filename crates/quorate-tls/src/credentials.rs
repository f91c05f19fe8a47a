//! Credentials: the certificate that this peer shows and the CAs that it trusts, read, checked, and
//! ready for connections.

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate::internal::wire::{MIN_PROTOCOL_VERSION, PROTOCOL_VERSION};
use quorate::transport::Claim;
use quorate::{Certificate, Event, PeerName};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use webpki::{anchor_from_trusted_cert, spki_for_anchor};

use crate::anchor::Anchor;
use crate::certificate::{Authority, Description, may_sign_certificates, moment, subject};
use crate::error::CredentialsError;
use crate::fault::PeerFault;
use crate::inquiry::Inquiry;
use crate::names::Names;
use crate::revocations::Revocations;
use crate::source::{Material, Source};
use crate::trust::{Shown, Trust};
use crate::verify_error::VerifyError;
use crate::{chain, wording};

/// Most CAs that are told of at a time.
const MAX_TOLD: usize = 8;

/// The certificate that this peer shows and the CAs that it trusts, ready for connections.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) trust: Arc<Trust>,
    /// This peer's own certificate, as people are told of it: with the end of whichever ends first
    /// of it, of those sent with it, and of the CA.
    pub(crate) own: Certificate,
    description: Description,
    key: Arc<SingleCertAndKey>,
    provider: Arc<CryptoProvider>,
}

impl Credentials {
    /// Reads and checks everything. Blocks.
    pub(crate) fn load(
        source: &Source,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, CredentialsError> {
        check_provider(provider)?;
        let Material { cas, chain, key, crls } = source.read()?;
        let algorithms = provider.signature_verification_algorithms;
        // Lists of revocations may be of CAs that are only shown, between this peer and a trusted
        // one.
        let known: Vec<_> = cas.iter().chain(chain.iter().skip(1)).collect();
        let trust = Trust {
            anchors: anchors(source, &cas)?,
            revocations: Revocations::read(source, &crls, &known, &algorithms)?,
            algorithms,
        };
        let CheckedLeaf { description, own } = check_chain(source, &trust, &chain)?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), provider).map_err(
            |error| match error {
                rustls::Error::InconsistentKeys(_) => CredentialsError::KeyMismatch {
                    certificate: source.certificate.origin(),
                    key: source.key.origin(),
                },
                error => CredentialsError::Key {
                    origin: source.key.origin(),
                    kind: wording::of_key(&key),
                    source: Box::new(error),
                },
            },
        )?;
        Ok(Self {
            trust: Arc::new(trust),
            own,
            description,
            key: Arc::new(SingleCertAndKey::from(certified)),
            provider: provider.clone(),
        })
    }

    /// Returns the subjects of the CAs that are trusted at present, for people.
    pub(crate) fn trusted(&self) -> Vec<String> {
        self.trust.current(UnixTime::now()).map(|anchor| anchor.subject.clone()).collect()
    }

    /// Returns events that tell of the CAs which are not trusted at that moment.
    pub(crate) fn untrusted(&self, now: UnixTime) -> Vec<Event> {
        let now_ms = now.as_secs().saturating_mul(1000);
        let not_current = self.trust.anchors.iter().filter(|anchor| !anchor.is_current(now_ms));
        let event = |anchor: &Anchor| Event::CaNotTrusted {
            subject: anchor.subject.clone(),
            not_before_ms: anchor.not_before_ms,
            not_after_ms: anchor.not_after_ms,
        };
        not_current.take(MAX_TOLD).map(event).collect()
    }

    /// Checks that these peers, which run in this process, are named.
    pub(crate) fn check_names(
        &self,
        source: &Source,
        names: &Names,
        peers: &BTreeSet<PeerName>,
    ) -> Result<(), CredentialsError> {
        // Others may know it as a member, or not, or it is a client: here it is enough if one fits.
        let unnamed = peers.iter().find(|peer| {
            let claims = [Claim::Member(peer), Claim::Joiner(peer), Claim::Client(peer)];
            !claims.into_iter().any(|claim| names.prove(&self.description, claim))
        });
        let Some(peer) = unnamed else { return Ok(()) };
        Err(CredentialsError::NotNamed {
            certificate: source.certificate.origin(),
            subject: self.own.to_string(),
            peer: peer.to_string(),
            wanted: format!(
                "{}, or, for a client, {}",
                names.wanted(Claim::Member(peer)),
                names.wanted(Claim::Client(peer)),
            ),
        })
    }

    /// Makes the settings of one connection from here, whose questions `inquiry` asks.
    pub(crate) fn client(&self, inquiry: Arc<Inquiry>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider was checked when the files were read")
            .dangerous()
            .with_custom_certificate_verifier(inquiry)
            .with_client_cert_resolver(self.key.clone());
        config.alpn_protocols = protocols();
        // A connection that is resumed verifies nothing anew.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// Makes the settings of one connection that came in.
    pub(crate) fn server(&self, inquiry: Arc<Inquiry>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider was checked when the files were read")
            .with_client_cert_verifier(inquiry)
            .with_cert_resolver(self.key.clone());
        config.alpn_protocols = protocols();
        // Nor is any ticket given out by which one could be resumed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

fn check_provider(provider: &Arc<CryptoProvider>) -> Result<(), CredentialsError> {
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let checked = builder.with_protocol_versions(&[&TLS13]).map(drop);
    checked.map_err(|error| CredentialsError::Provider { source: Box::new(error) })
}

/// This peer's own certificate, checked.
struct CheckedLeaf {
    description: Description,
    /// As people are told of it.
    own: Certificate,
}

/// Checks that this peer's certificate is valid at present and that the others will trust it; they
/// have the same CAs.
fn check_chain(
    source: &Source,
    trust: &Trust,
    chain: &[CertificateDer<'_>],
) -> Result<CheckedLeaf, CredentialsError> {
    let origin = || source.certificate.origin();
    let mut described = Vec::new();
    for certificate in chain {
        described.push(Description::of(certificate).map_err(|error| {
            CredentialsError::Damaged { origin: origin(), source: Box::new(error) }
        })?);
    }
    let missing = || CredentialsError::Missing { what: "certificate", origin: origin() };
    let (leaf, intermediates) = chain.split_first().ok_or_else(missing)?;
    if may_sign_certificates(leaf) {
        let subject = subject(leaf);
        return Err(CredentialsError::LeafNotFirst { certificate: origin(), subject });
    }
    let ends = described.iter().map(|one| one.told.not_after_ms).min().ok_or_else(missing)?;
    let now = UnixTime::now();
    let now_ms = now.as_secs() * 1000;
    if let Some(other) = described.iter().find(|one| !one.is_current(now_ms)) {
        return Err(CredentialsError::NotCurrent {
            certificate: origin(),
            subject: other.told.to_string(),
            not_before: moment(other.not_before_ms),
            not_after: moment(other.told.not_after_ms),
        });
    }
    let description = described.swap_remove(0);
    let mut own = description.told.clone();
    own.not_after_ms = ends;
    // A peer dials and is dialed: its certificate has to be good at both ends.
    for shown in [Shown::ByDialer, Shown::ByListener] {
        // Whether it was revoked is for the others to say: what has revoked it must be usable here.
        let found = trust.anchor_of(leaf, intermediates, now, shown).map_err(|error| match error {
            // Its CA may be there, and it is not found out.
            VerifyError::UnknownCa
                if chain::is_beyond(&trust.anchors, leaf, intermediates, &trust.algorithms) =>
            {
                VerifyError::Verifier(webpki::Error::SignatureAlgorithmMismatch)
            }
            error => error,
        });
        let anchor = found.map_err(|error| unusable(source, &description, error, shown))?;
        own.not_after_ms = own.not_after_ms.min(anchor.not_after_ms);
    }
    Ok(CheckedLeaf { description, own })
}

/// Says what is wrong with this peer's own certificate, as the others would see it.
fn unusable(
    source: &Source,
    description: &Description,
    error: VerifyError,
    shown: Shown,
) -> CredentialsError {
    let certificate = source.certificate.origin();
    let subject = description.told.to_string();
    match error {
        VerifyError::UnknownCa => {
            CredentialsError::Untrusted { certificate, subject, ca: source.ca.origin() }
        }
        VerifyError::CaNotCurrent { subject, not_before_ms, not_after_ms } => {
            CredentialsError::CaNotCurrent {
                ca: source.ca.origin(),
                subject,
                not_before: moment(not_before_ms),
                not_after: moment(not_after_ms),
            }
        }
        VerifyError::Verifier(webpki::Error::RequiredEkuNotFoundContext(_)) => {
            CredentialsError::Usage { certificate, subject, usage: shown.usage() }
        }
        error => {
            let source = match PeerFault::of_verification(error, subject.clone(), shown.usage()) {
                // The error around it says which certificate it is.
                PeerFault::Invalid { reason, .. } => reason.into(),
                fault => Box::new(fault) as _,
            };
            CredentialsError::Unusable { certificate, subject, source }
        }
    }
}

/// Reads the CAs of the file, each of which has to be one.
fn anchors(
    source: &Source,
    cas: &[CertificateDer<'static>],
) -> Result<Vec<Anchor>, CredentialsError> {
    let damaged = |error: String| CredentialsError::Damaged {
        origin: source.ca.origin(),
        source: error.into(),
    };
    let read = |der: &CertificateDer<'static>| {
        let ca = Authority::of(der).map_err(|error| damaged(error.to_string()))?;
        if !ca.may_sign {
            return Err(CredentialsError::NotCa { ca: source.ca.origin(), subject: ca.subject });
        }
        let anchor = anchor_from_trusted_cert(der);
        let trusted = anchor.map_err(|error| damaged(wording::of_verifier(&error)))?.to_owned();
        let key = spki_for_anchor(&trusted).to_vec();
        let Authority { subject, not_before_ms, not_after_ms, .. } = ca;
        Ok(Anchor { trusted, key, subject, not_before_ms, not_after_ms })
    };
    cas.iter().map(read).collect()
}

/// Names the protocol by the versions that this peer speaks, the newest first.
pub(crate) fn protocols() -> Vec<Vec<u8>> {
    let versions = (MIN_PROTOCOL_VERSION..=PROTOCOL_VERSION).rev();
    versions.map(|version| format!("quorate/{version}").into_bytes()).collect()
}

/// Writes the names of the protocol for people.
pub(crate) fn protocols_told() -> String {
    let protocols = protocols();
    let told: Vec<_> = protocols.iter().map(|one| String::from_utf8_lossy(one)).collect();
    told.join(", ")
}
