//! Whom this peer trusts to name others: its CAs, and what they have revoked.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder, UnknownStatusPolicy,
};

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
        let crls: Vec<&CertRevocationList<'_>> = self.crls.iter().collect();
        // With no list there is nothing to look into.
        let revocation = RevocationOptionsBuilder::new(&crls)
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
