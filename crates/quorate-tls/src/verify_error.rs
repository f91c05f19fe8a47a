//! Reasons why a certificate is not good.

use rustls::pki_types::CertificateDer;

use crate::anchor::Anchor;
use crate::certificate::Authority;

/// The reason why a certificate is not good.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// More was shown than is looked at.
    TooMuch { certificates: usize, bytes: usize },
    /// So many CAs have one name that it was not found out which of them has signed it.
    TooManyChecks,
    /// No trusted CA stands above it.
    UnknownCa,
    /// The CA above it is known here, and has ended or has not begun.
    CaNotCurrent { subject: String, not_before_ms: u64, not_after_ms: u64 },
    /// A certificate between it and the CA has ended or has not begun.
    IntermediateNotCurrent { subject: String, not_before_ms: u64, not_after_ms: u64 },
    /// It was revoked, or one between it and the CA, on every path that there is.
    Revoked,
    /// Another fault, as the verifier tells it.
    Verifier(webpki::Error),
}

impl VerifyError {
    pub(crate) fn of_ca(anchor: &Anchor) -> Self {
        let Anchor { subject, not_before_ms, not_after_ms, .. } = anchor;
        Self::CaNotCurrent {
            subject: subject.clone(),
            not_before_ms: *not_before_ms,
            not_after_ms: *not_after_ms,
        }
    }

    /// Makes an error of the verifier's. If it is a matter of time and not of the end's own
    /// certificate, finds out which of the others it is of: the verifier does not say.
    pub(crate) fn of_path(
        error: webpki::Error,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now_ms: u64,
    ) -> Self {
        let not_current = |der: &CertificateDer<'_>| {
            let read = Authority::of(der).ok()?;
            (!read.is_current(now_ms) && tells_of(&error, &read)).then_some(read)
        };
        if not_current(end_entity).is_some() {
            return error.into();
        }
        match others.iter().find_map(not_current) {
            Some(Authority { subject, not_before_ms, not_after_ms, .. }) => {
                Self::IntermediateNotCurrent { subject, not_before_ms, not_after_ms }
            }
            None => error.into(),
        }
    }
}

/// Returns true if an error is about the time of this certificate, by the moment that it names.
fn tells_of(error: &webpki::Error, read: &Authority) -> bool {
    match error {
        webpki::Error::CertExpired { not_after, .. } => {
            read.not_after_ms / 1000 == not_after.as_secs()
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            read.not_before_ms / 1000 == not_before.as_secs()
        }
        _ => false,
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
