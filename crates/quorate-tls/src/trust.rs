//! Whom this peer trusts to name others: its CAs, and what they have revoked.

use std::cell::Cell;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::chain;
use crate::revocations::Revocations;

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

/// A CA that is trusted as long as its certificate is valid.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) trusted: TrustAnchor<'static>,
    /// Its key, a `SubjectPublicKeyInfo`.
    pub(crate) key: Vec<u8>,
    /// Its subject, for people.
    pub(crate) subject: String,
    /// Its first and last moment, in milliseconds since the Unix epoch.
    pub(crate) not_before_ms: u64,
    pub(crate) not_after_ms: u64,
}

impl Anchor {
    pub(crate) fn is_current(&self, now_ms: u64) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }
}

/// Why a certificate is not good.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// More was shown than is looked at.
    TooMuch { certificates: usize, bytes: usize },
    /// So many CAs have one name that it was not found out which of them has signed it.
    TooManyChecks,
    /// No trusted CA stands above it.
    UnknownCa,
    /// It was revoked, or one between it and the CA, on every path that there is.
    Revoked,
    /// What the verifier says.
    Verifier(webpki::Error),
}

impl VerifyError {
    pub(crate) fn is_unknown_ca(&self) -> bool {
        matches!(self, Self::UnknownCa)
    }
}

impl From<webpki::Error> for VerifyError {
    fn from(error: webpki::Error) -> Self {
        match error {
            // A CA of the same name with another key is another CA.
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                Self::UnknownCa
            }
            error => Self::Verifier(error),
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) revocations: Revocations,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Verifies that a CA of this peer has signed a certificate, that both are valid at `now`, this
    /// one for its end of a connection, and that on the path between them nothing was revoked. A
    /// list of revocations says nothing of the certificates of a CA that it is not of, and counts
    /// even if a newer one is due: what was revoked stays so.
    pub(crate) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<(), VerifyError> {
        let anchors: Vec<_> = self.current(now).collect();
        let is_good = |path: &VerifiedPath<'_>| !self.revocations.revoke(path);
        self.verify_under(&anchors, end_entity, others, now, shown, is_good).map(drop)
    }

    /// The same without lists of revocations, under these CAs, be they valid or not; returns the
    /// one above it.
    pub(crate) fn anchor_of<'a>(
        &self,
        anchors: &[&'a Anchor],
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<&'a Anchor, VerifyError> {
        self.verify_under(anchors, end_entity, others, now, shown, |_| true)
    }

    /// The CAs that are valid.
    pub(crate) fn current(&self, now: UnixTime) -> impl Iterator<Item = &Anchor> {
        let now_ms = now.as_secs().saturating_mul(1000);
        self.anchors.iter().filter(move |anchor| anchor.is_current(now_ms))
    }

    fn verify_under<'a>(
        &self,
        anchors: &[&'a Anchor],
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
        is_good: impl Fn(&VerifiedPath<'_>) -> bool,
    ) -> Result<&'a Anchor, VerifyError> {
        chain::check_size(end_entity, others)?;
        let others = chain::vouched(anchors, end_entity, others, &self.algorithms)?;
        let trusted: Vec<_> = anchors.iter().map(|anchor| borrowed(&anchor.trusted)).collect();
        let certificate = EndEntityCert::try_from(end_entity)?;
        let is_revoked = Cell::new(false);
        let check = |path: &VerifiedPath<'_>| {
            if is_good(path) {
                return Ok(());
            }
            is_revoked.set(true);
            // Another path may be free of it.
            Err(webpki::Error::CertRevoked)
        };
        let verified = certificate.verify_for_usage(
            self.algorithms.all,
            &trusted,
            &others,
            now,
            shown.key_usage(),
            None,
            Some(&check),
        );
        match verified {
            Ok(path) => {
                let index = trusted.iter().position(|one| std::ptr::eq(one, path.anchor()));
                index.map(|index| anchors[index]).ok_or(VerifyError::UnknownCa)
            }
            Err(_) if is_revoked.get() => Err(VerifyError::Revoked),
            Err(error) => Err(error.into()),
        }
    }
}

fn borrowed<'a>(anchor: &'a TrustAnchor<'_>) -> TrustAnchor<'a> {
    TrustAnchor {
        subject: anchor.subject.as_ref().into(),
        subject_public_key_info: anchor.subject_public_key_info.as_ref().into(),
        name_constraints: anchor.name_constraints.as_ref().map(|der| der.as_ref().into()),
    }
}
