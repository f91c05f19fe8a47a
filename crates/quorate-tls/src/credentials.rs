//! What this peer shows to others and whom it trusts: read, checked, and ready for connections.

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate::transport::Claim;
use quorate::wire::{MIN_PROTOCOL_VERSION, PROTOCOL_VERSION};
use quorate::{Certificate, PeerName};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use webpki::{BorrowedCertRevocationList, CertRevocationList, anchor_from_trusted_cert};

use crate::certificate::{Description, moment, subject};
use crate::error::CredentialsError;
use crate::inquiry::Inquiry;
use crate::names::Names;
use crate::source::{Material, Source};
use crate::trust::{Shown, Trust, is_signed_by_one};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) trust: Arc<Trust>,
    /// This peer's own certificate, with the end of the first to end of those sent with it.
    pub(crate) own: Certificate,
    /// The subjects of the CAs, for people.
    pub(crate) trusted: Vec<String>,
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
        let damaged = |origin: String, error: &dyn std::fmt::Debug| CredentialsError::Damaged {
            origin,
            source: format!("{error:?}").into(),
        };
        let mut anchors = Vec::new();
        for ca in &cas {
            let anchor = anchor_from_trusted_cert(ca);
            let anchor = anchor.map_err(|error| damaged(source.ca.origin(), &error))?;
            anchors.push(anchor.to_owned());
        }
        let mut lists: Vec<CertRevocationList<'static>> = Vec::new();
        for (place, crl) in &crls {
            let list = BorrowedCertRevocationList::from_der(crl).and_then(|list| list.to_owned());
            let list = list.map_err(|error| CredentialsError::Damaged {
                origin: source.crls[*place].origin(),
                source: format!("{error:?}; it takes a CRL of version 2, with a CRL number").into(),
            })?;
            lists.push(list.into());
        }
        let algorithms = provider.signature_verification_algorithms;
        let known: Vec<_> = cas.iter().chain(chain.iter().skip(1)).collect();
        for (place, crl) in &crls {
            if !is_signed_by_one(crl, &known, algorithms) {
                let (crl, ca) = (source.crls[*place].origin(), source.ca.origin());
                return Err(CredentialsError::ForeignCrl { crl, ca });
            }
        }
        let trust = Trust { anchors, crls: lists, algorithms };
        let (description, own) = check_chain(source, &trust, &chain)?;
        let certified =
            CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => CredentialsError::KeyMismatch {
                    certificate: source.certificate.origin(),
                    key: source.key.origin(),
                },
                error => {
                    CredentialsError::Key { origin: source.key.origin(), source: Box::new(error) }
                }
            })?;
        Ok(Self {
            trust: Arc::new(trust),
            own,
            trusted: cas.iter().map(subject).collect(),
            description,
            key: Arc::new(SingleCertAndKey::from(certified)),
            provider: provider.clone(),
        })
    }

    /// Checks that these peers, which run in this process, are named.
    pub(crate) fn check_names(
        &self,
        source: &Source,
        names: &Names,
        peers: &BTreeSet<PeerName>,
    ) -> Result<(), CredentialsError> {
        // Others may know it as a member, or not: here it is enough if one of the two fits.
        let is_unnamed = |peer: &&PeerName| {
            !names.prove(&self.description, Claim::Member(peer))
                && !names.prove(&self.description, Claim::Newcomer(peer))
        };
        let Some(peer) = peers.iter().find(is_unnamed) else { return Ok(()) };
        Err(CredentialsError::NotNamed {
            certificate: source.certificate.origin(),
            subject: self.own.to_string(),
            peer: peer.to_string(),
            wanted: names.wanted(Claim::Member(peer)),
        })
    }

    /// For one connection from here, whose questions `inquiry` asks.
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

    /// For one connection that came in.
    pub(crate) fn server(&self, inquiry: Arc<Inquiry>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider was checked when the files were read")
            .with_client_cert_verifier(inquiry)
            .with_cert_resolver(self.key.clone());
        config.alpn_protocols = protocols();
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

/// Checks that this peer's certificate is valid at present and that the others will trust it; they
/// have the same CAs.
fn check_chain(
    source: &Source,
    trust: &Trust,
    chain: &[CertificateDer<'_>],
) -> Result<(Description, Certificate), CredentialsError> {
    let origin = || source.certificate.origin();
    let mut described = Vec::new();
    for certificate in chain {
        described.push(Description::of(certificate).map_err(|error| {
            CredentialsError::Damaged { origin: origin(), source: Box::new(error) }
        })?);
    }
    let missing = || CredentialsError::Missing { what: "certificate", origin: origin() };
    let (leaf, intermediates) = chain.split_first().ok_or_else(missing)?;
    let ends = described.iter().map(|one| one.told.not_after_ms).min().ok_or_else(missing)?;
    let begins = described.iter().map(|one| one.not_before_ms).max().ok_or_else(missing)?;
    let description = described.swap_remove(0);
    let now = UnixTime::now();
    let now_ms = now.as_secs() * 1000;
    if now_ms < begins || now_ms > ends {
        return Err(CredentialsError::NotCurrent {
            certificate: origin(),
            subject: description.told.to_string(),
            not_before: moment(begins),
            not_after: moment(ends),
        });
    }
    for shown in [Shown::ByDialer, Shown::ByListener] {
        // Whether it was revoked is for the others to say: what has revoked it must be usable here.
        let verified = trust.verify_unrevoked(leaf, intermediates, now, shown);
        let (certificate, subject) = (origin(), description.told.to_string());
        verified.map_err(|error| match error {
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                CredentialsError::Untrusted { certificate, subject, ca: source.ca.origin() }
            }
            webpki::Error::RequiredEkuNotFoundContext(_) => {
                CredentialsError::Usage { certificate, subject, usage: shown.usage() }
            }
            error => {
                let source = format!("{error:?}").into();
                CredentialsError::Unusable { certificate, subject, source }
            }
        })?;
    }
    let mut own = description.told.clone();
    own.not_after_ms = ends;
    Ok((description, own))
}

/// The protocol by the versions that this peer speaks, the newest first.
pub(crate) fn protocols() -> Vec<Vec<u8>> {
    let versions = (MIN_PROTOCOL_VERSION..=PROTOCOL_VERSION).rev();
    versions.map(|version| format!("quorate/{version}").into_bytes()).collect()
}

/// Them, for people.
pub(crate) fn protocols_told() -> String {
    let protocols = protocols();
    let told: Vec<_> = protocols.iter().map(|one| String::from_utf8_lossy(one)).collect();
    told.join(", ")
}
