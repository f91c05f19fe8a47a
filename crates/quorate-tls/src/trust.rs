//! Trust: the CAs that may name peers to this one, and what they have revoked.

use std::cell::Cell;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::anchor::Anchor;
use crate::chain::{self, Checks};
use crate::revocations::Revocations;
use crate::verify_error::VerifyError;

/// The end of a connection at which a certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By the end that connects.
    ByDialer,
    /// By the end that was connected to.
    ByListener,
}

impl Shown {
    /// Returns the usage that a certificate needs for it, if it names any.
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

/// The CAs that this peer trusts, and what they have revoked.
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
        let is_good = |path: &VerifiedPath<'_>| !self.revocations.revoke(path);
        self.find(end_entity, others, now, shown, &is_good).map(drop)
    }

    /// Returns the CA that stands above a certificate, verified as by [`Trust::verify`] but without
    /// lists of revocations.
    pub(crate) fn anchor_of(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<&Anchor, VerifyError> {
        self.find(end_entity, others, now, shown, &|_| true)
    }

    /// Returns the CAs that are valid.
    pub(crate) fn current(&self, now: UnixTime) -> impl Iterator<Item = &Anchor> {
        let now_ms = millis(now);
        self.anchors.iter().filter(move |anchor| anchor.is_current(now_ms))
    }

    /// Looks for a path to a CA that is valid. If there is none, it looks with the checks that are
    /// left for one to a CA that is not, which is another fault and has another remedy.
    fn find(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
        is_good: &dyn Fn(&VerifiedPath<'_>) -> bool,
    ) -> Result<&Anchor, VerifyError> {
        let now_ms = millis(now);
        let (current, rest): (Vec<_>, Vec<_>) =
            self.anchors.iter().partition(|anchor| anchor.is_current(now_ms));
        let mut checks = Checks::default();
        let search = Search { trust: self, end_entity, others, now, shown, is_good };
        match search.under(&current, &mut checks) {
            Err(VerifyError::UnknownCa) if !rest.is_empty() => {}
            found => return found,
        }
        match search.under(&rest, &mut checks) {
            Ok(anchor) => Err(VerifyError::of_ca(anchor)),
            // It was not found out, and makes no difference to whether it is trusted.
            Err(VerifyError::TooManyChecks) => Err(VerifyError::UnknownCa),
            Err(error) => Err(error),
        }
    }
}

/// A certificate to be verified, and how.
struct Search<'a> {
    trust: &'a Trust,
    end_entity: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    now: UnixTime,
    shown: Shown,
    /// Returns true if a path may be taken, as nothing on it was revoked.
    is_good: &'a dyn Fn(&VerifiedPath<'_>) -> bool,
}

impl Search<'_> {
    /// Finds the one of these CAs, be they valid or not, that stands above it.
    fn under<'b>(
        &self,
        anchors: &[&'b Anchor],
        checks: &mut Checks,
    ) -> Result<&'b Anchor, VerifyError> {
        let Self { end_entity, others, now, .. } = *self;
        let algorithms = &self.trust.algorithms;
        chain::check_size(end_entity, others)?;
        let vouched = chain::vouched(anchors, end_entity, others, algorithms, checks)?;
        let trusted: Vec<_> = anchors.iter().map(|anchor| borrowed(&anchor.trusted)).collect();
        let certificate = EndEntityCert::try_from(end_entity)?;
        // The verifier tells of the last path that it has tried, which may have another fault.
        let is_revoked = Cell::new(false);
        let check = |path: &VerifiedPath<'_>| {
            if (self.is_good)(path) {
                return Ok(());
            }
            is_revoked.set(true);
            // Another path may be free of it.
            Err(webpki::Error::CertRevoked)
        };
        let verified = certificate.verify_for_usage(
            algorithms.all,
            &trusted,
            &vouched,
            now,
            self.shown.key_usage(),
            None,
            Some(&check),
        );
        match verified {
            Ok(path) => {
                let index = trusted.iter().position(|one| std::ptr::eq(one, path.anchor()));
                index.map(|index| anchors[index]).ok_or(VerifyError::UnknownCa)
            }
            Err(_) if is_revoked.get() => Err(VerifyError::Revoked),
            Err(error) => Err(VerifyError::of_path(error, end_entity, &vouched, millis(now))),
        }
    }
}

fn millis(now: UnixTime) -> u64 {
    now.as_secs().saturating_mul(1000)
}

fn borrowed<'a>(anchor: &'a TrustAnchor<'_>) -> TrustAnchor<'a> {
    TrustAnchor {
        subject: anchor.subject.as_ref().into(),
        subject_public_key_info: anchor.subject_public_key_info.as_ref().into(),
        name_constraints: anchor.name_constraints.as_ref().map(|der| der.as_ref().into()),
    }
}
