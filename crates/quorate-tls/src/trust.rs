//! Whom this peer trusts to name others: its CAs, and what they have revoked.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// Which end of a connection a certificate is shown at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By the end that connects.
    ByDialer,
    /// By the end that was connected to.
    ByListener,
}

impl Shown {
    /// The usage that a certificate needs for it, if it names any.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::ByDialer => "clientAuth",
            Self::ByListener => "serverAuth",
        }
    }

    fn key_usage(self) -> KeyUsage {
        match self {
            Self::ByDialer => KeyUsage::client_auth(),
            Self::ByListener => KeyUsage::server_auth(),
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) anchors: Vec<TrustAnchor<'static>>,
    pub(crate) crls: Vec<CertRevocationList<'static>>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Verifies that a CA of this peer has signed a certificate, that it is valid at `now` for its
    /// end of a connection, and that it was not revoked, nor any between it and the CA. A list of
    /// revocations says nothing of the certificates of a CA that it is not of, and counts even if a
    /// newer one is due: what was revoked stays so.
    pub(crate) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<(), webpki::Error> {
        self.verify_unrevoked(end_entity, intermediates, now, shown)?;
        // Of several lists of one CA the verifier would look into the first alone.
        for list in &self.crls {
            match self.verify_with(Some(list), end_entity, intermediates, now, shown) {
                // A CA of the same name and another key: that the certificate is good is known, and
                // that a CA has signed the list too.
                Ok(())
                | Err(webpki::Error::InvalidCrlSignatureForPublicKey)
                | Err(webpki::Error::InvalidSignatureForPublicKey) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same without lists of revocations.
    pub(crate) fn verify_unrevoked(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<(), webpki::Error> {
        self.verify_with(None, end_entity, intermediates, now, shown)
    }

    fn verify_with(
        &self,
        list: Option<&CertRevocationList<'static>>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<(), webpki::Error> {
        let lists: Vec<&CertRevocationList<'_>> = list.into_iter().collect();
        // With no list there is nothing to look into.
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_status_policy(UnknownStatusPolicy::Allow).build());
        let certificate = EndEntityCert::try_from(end_entity)?;
        let (algorithms, usage) = (self.algorithms.all, shown.key_usage());
        certificate.verify_for_usage(
            algorithms,
            &self.anchors,
            intermediates,
            now,
            usage,
            revocation,
            None,
        )?;
        Ok(())
    }
}

/// Whether one of these CAs has signed a list of revocations.
pub(crate) fn is_signed_by_one(
    list: &[u8],
    cas: &[&CertificateDer<'_>],
    algorithms: WebPkiSupportedAlgorithms,
) -> bool {
    let Ok(list) = CertificateList::<Rfc5280>::from_der(list) else { return false };
    let Ok(content) = list.tbs_cert_list.to_der() else { return false };
    let Some(signature) = list.signature.as_bytes() else { return false };
    let signed_with = identifier(&list.signature_algorithm);
    cas.iter().any(|ca| {
        let Ok(ca) = x509_cert::Certificate::from_der(ca) else { return false };
        let key = ca.tbs_certificate().subject_public_key_info();
        let Some(bytes) = key.subject_public_key.as_bytes() else { return false };
        let kind = identifier(&key.algorithm);
        let fitting = algorithms.all.iter().filter(|algorithm| {
            Some(algorithm.signature_alg_id().as_ref()) == signed_with.as_deref()
                && Some(algorithm.public_key_alg_id().as_ref()) == kind.as_deref()
        });
        *ca.tbs_certificate().subject() == list.tbs_cert_list.issuer
            && fitting
                .into_iter()
                .any(|algorithm| algorithm.verify_signature(bytes, &content, signature).is_ok())
    })
}

/// The bytes by which an algorithm is known: what stands in its sequence.
fn identifier(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let sequence = algorithm.to_der().ok()?;
    let content = AnyRef::from_der(&sequence).ok()?;
    Some(content.value().to_vec())
}
