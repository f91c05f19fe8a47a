//! Faults of the other end.

use quorate::RefusedBy;
use quorate::transport::Unwanted;

use crate::certificate::moment;
use crate::chain::{MAX_BYTES, MAX_CERTIFICATES};
use crate::verify_error::VerifyError;
use crate::wording;

/// The reason why the other end of a connection is not wanted, or does not want this one. The
/// connection is
/// closed, and nothing was sent on it.
///
/// A variant's `certificate` is the subject and the names of the other end's, which are not
/// verified where the certificate is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// The CA that has signed its certificate is in the CA file here, and has ended or has not
    /// begun.
    #[error(
        "its certificate {certificate} is of the CA {ca}, which is in the CA file here and valid \
         from {not_before} to {not_after} only: renew that CA, or put another one in its place, \
         at both ends, or set this machine's clock"
    )]
    CaNotCurrent {
        /// The subject and names of its certificate.
        certificate: String,
        /// The CA's subject.
        ca: String,
        /// The CA's first moment.
        not_before: String,
        /// The CA's last moment.
        not_after: String,
    },
    /// It does not keep to TLS: a scanner, or another kind of service.
    #[error("it does not talk TLS: {reason}")]
    Garbage {
        /// The fault.
        reason: String,
    },
    /// Its certificate has ended.
    #[error("its certificate {certificate} has ended on {not_after}: renew it")]
    Expired {
        /// The subject and names of its certificate.
        certificate: String,
        /// Its last moment.
        not_after: String,
    },
    /// It speaks TLS of another version, or with nothing that this peer can use.
    #[error("it cannot talk TLS 1.3 as this peer does: {reason}")]
    Incompatible {
        /// The thing that does not fit.
        reason: String,
    },
    /// A certificate between its own and the CA, which it shows as well, has ended or has not
    /// begun.
    #[error(
        "the certificate {intermediate}, which it shows between its own, {certificate}, and the \
         CA, is valid from {not_before} to {not_after} only: put a current one in the \
         certificate's file there, or set the clocks"
    )]
    IntermediateNotCurrent {
        /// The subject and names of its own certificate.
        certificate: String,
        /// The subject of the one between.
        intermediate: String,
        /// That one's first moment.
        not_before: String,
        /// That one's last moment.
        not_after: String,
    },
    /// Its certificate cannot be used for another reason.
    #[error("its certificate {certificate} cannot be used: {reason}")]
    Invalid {
        /// The subject and names of its certificate.
        certificate: String,
        /// The reason.
        reason: String,
    },
    /// It has shown no certificate.
    #[error("it has shown no certificate: every peer needs one")]
    NoCertificate,
    /// It speaks TLS, but not with a peer of Quorate, or with none of a version known here.
    #[error("it does not speak {ours}: is it a peer of Quorate, of a version near this one?")]
    NoProtocol {
        /// The protocol names of this peer.
        ours: String,
    },
    /// Its certificate has not begun.
    #[error("its certificate {certificate} begins on {not_before} only: is a clock wrong?")]
    NotYetValid {
        /// The subject and names of its certificate.
        certificate: String,
        /// Its first moment.
        not_before: String,
    },
    /// It talks plain text, and TLS is required here.
    #[error(
        "it talks plain text, and TLS is required here: turn TLS on there, or use `permissive` \
         here meanwhile"
    )]
    PlainText,
    /// It has refused this peer's certificate, or its way of using TLS.
    #[error("it refuses this peer's certificate {certificate}: {alert}")]
    Refused {
        /// The subject and names of this peer's certificate.
        certificate: String,
        /// The alert that it has sent, by the name that TLS gives it.
        alert: String,
    },
    /// Its certificate was revoked.
    #[error("its certificate {certificate} was revoked: give it another one")]
    Revoked {
        /// The subject and names of its certificate.
        certificate: String,
    },
    /// It shows more certificates than anybody needs, and none of them was read.
    #[error(
        "it shows {certificates} certificates of {bytes} bytes, and at most {MAX_CERTIFICATES} \
         certificates of {MAX_BYTES} bytes are read: leave out there what does not lead to its CA"
    )]
    TooMuch {
        /// The number that it shows.
        certificates: usize,
        /// Their bytes together.
        bytes: usize,
    },
    /// No CA that is trusted here has signed its certificate.
    #[error(
        "its certificate {certificate} is of a CA that is not trusted here: add that CA to both \
         ends, or use another certificate there"
    )]
    UnknownCa {
        /// The subject and names of its certificate.
        certificate: String,
    },
    /// Its certificate is another's.
    #[error("its certificate {certificate} does not name it: it takes {wanted}")]
    WrongName {
        /// The subject and names of its certificate.
        certificate: String,
        /// The names that would do.
        wanted: String,
    },
    /// Its certificate may not be used at this end of a connection.
    #[error(
        "its certificate {certificate} is not for {usage}: a peer's is for both ends of TLS, \
         `serverAuth` and `clientAuth`"
    )]
    WrongUsage {
        /// The subject and names of its certificate.
        certificate: String,
        /// The usage that it lacks.
        usage: &'static str,
    },
}

impl PeerFault {
    /// Makes the fault of a certificate that did not pass the check.
    pub(crate) fn of_verification(
        error: VerifyError,
        certificate: String,
        usage: &'static str,
    ) -> Self {
        match error {
            VerifyError::TooMuch { certificates, bytes } => Self::TooMuch { certificates, bytes },
            VerifyError::TooManyChecks => Self::Invalid {
                certificate,
                reason: "too many CAs that are trusted here have the name of its CA".to_owned(),
            },
            VerifyError::UnknownCa => Self::UnknownCa { certificate },
            VerifyError::CaNotCurrent { subject, not_before_ms, not_after_ms } => {
                Self::CaNotCurrent {
                    certificate,
                    ca: subject,
                    not_before: moment(not_before_ms),
                    not_after: moment(not_after_ms),
                }
            }
            VerifyError::IntermediateNotCurrent { subject, not_before_ms, not_after_ms } => {
                Self::IntermediateNotCurrent {
                    certificate,
                    intermediate: subject,
                    not_before: moment(not_before_ms),
                    not_after: moment(not_after_ms),
                }
            }
            VerifyError::Revoked => Self::Revoked { certificate },
            VerifyError::Verifier(error) => Self::of_verifier(&error, certificate, usage),
        }
    }

    fn of_verifier(error: &webpki::Error, certificate: String, usage: &'static str) -> Self {
        let seconds = |time: &rustls::pki_types::UnixTime| moment(time.as_secs() * 1000);
        match error {
            webpki::Error::CertExpired { not_after, .. } => {
                Self::Expired { certificate, not_after: seconds(not_after) }
            }
            webpki::Error::CertNotValidYet { not_before, .. } => {
                Self::NotYetValid { certificate, not_before: seconds(not_before) }
            }
            webpki::Error::RequiredEkuNotFoundContext(_) => Self::WrongUsage { certificate, usage },
            error => Self::Invalid { certificate, reason: wording::of_verifier(error) },
        }
    }

    /// Chooses the alert that tells the other end of it.
    pub(crate) fn alert(&self) -> rustls::Error {
        use rustls::CertificateError as Fault;
        let fault = match self {
            // TLS has one alert for both ends of a time.
            Self::Expired { .. } | Self::IntermediateNotCurrent { .. } => Fault::Expired,
            Self::NotYetValid { .. } => Fault::NotValidYet,
            Self::Revoked { .. } => Fault::Revoked,
            // It may be current at the other end, which has a file of its own.
            Self::UnknownCa { .. } | Self::CaNotCurrent { .. } => Fault::UnknownIssuer,
            Self::WrongName { .. } => Fault::NotValidForName,
            Self::WrongUsage { .. } => Fault::InvalidPurpose,
            _ => Fault::BadEncoding,
        };
        rustls::Error::InvalidCertificate(fault)
    }

    /// Writes the fault as a difference between the two ends.
    pub(crate) fn unwanted(self) -> Unwanted {
        let trusted = || "one of a CA that is trusted here".to_owned();
        // Whose word it is decides whom an operator goes to.
        let by = match self {
            Self::Refused { .. } => RefusedBy::Them,
            _ => RefusedBy::Us,
        };
        let (field, ours, theirs) = match &self {
            Self::PlainText => ("tls", "required".to_owned(), "off".to_owned()),
            Self::Garbage { .. } => ("tls", "TLS 1.3".to_owned(), "garbage".to_owned()),
            Self::Incompatible { reason } => ("tls", "TLS 1.3".to_owned(), reason.clone()),
            Self::NoProtocol { ours } => ("tls", ours.clone(), "another protocol".to_owned()),
            Self::NoCertificate => ("certificate", trusted(), "none".to_owned()),
            Self::TooMuch { certificates, bytes } => {
                let most = format!("at most {MAX_CERTIFICATES} of {MAX_BYTES} bytes");
                ("certificate", most, format!("{certificates} of {bytes} bytes"))
            }
            Self::Refused { certificate, alert } => {
                ("certificate", certificate.clone(), format!("refused there: {alert}"))
            }
            Self::WrongName { certificate, wanted } => {
                ("certificate", wanted.clone(), certificate.clone())
            }
            Self::Expired { certificate, not_after } => (
                "certificate",
                "a valid one".to_owned(),
                format!("{certificate}, ended {not_after}"),
            ),
            Self::NotYetValid { certificate, not_before } => {
                let theirs = format!("{certificate}, begins {not_before}");
                ("certificate", "a valid one".to_owned(), theirs)
            }
            Self::Revoked { certificate } => {
                ("certificate", "a valid one".to_owned(), format!("{certificate}, revoked"))
            }
            Self::UnknownCa { certificate } => {
                ("certificate", trusted(), format!("{certificate}, of another CA"))
            }
            Self::CaNotCurrent { certificate, ca, not_before, not_after } => {
                let theirs =
                    format!("{certificate}, of the CA {ca}, valid {not_before} to {not_after}");
                ("certificate", "one of a CA that is valid".to_owned(), theirs)
            }
            Self::IntermediateNotCurrent { certificate, intermediate, not_before, not_after } => {
                let between = format!("{intermediate}, valid {not_before} to {not_after}");
                ("certificate", "a valid one".to_owned(), format!("{certificate}, by {between}"))
            }
            Self::WrongUsage { certificate, usage } => {
                ("certificate", format!("one for {usage}"), certificate.clone())
            }
            Self::Invalid { certificate, reason } => {
                ("certificate", "a usable one".to_owned(), format!("{certificate}: {reason}"))
            }
        };
        Unwanted { field, ours, theirs, by, source: Box::new(self) }
    }
}
