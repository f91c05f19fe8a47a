//! Certificates read: for people, and for the check of names.

use quorate::Certificate;
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::wording;

/// Names that a certificate may have: more than a group has peers, with two for each.
const MAX_NAMES: usize = 128;
/// Longest subject that is told to people.
const MAX_SUBJECT_CHARS: usize = 256;
/// Most names that are told to people.
const MAX_NAMES_TOLD: usize = 16;

/// A certificate that was read, and not verified.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// For status and logs.
    pub(crate) told: Certificate,
    /// Its first moment, in milliseconds since the Unix epoch.
    pub(crate) not_before_ms: u64,
    /// Its DNS names, wildcards included, which name nobody.
    pub(crate) dns_names: Vec<String>,
    pub(crate) uris: Vec<String>,
}

/// The bytes are no certificate.
#[derive(Debug, thiserror::Error)]
#[error("not a usable certificate: {0}")]
pub(crate) struct NotCertificate(String);

impl Description {
    /// Reads one certificate.
    pub(crate) fn of(der: &CertificateDer<'_>) -> Result<Self, NotCertificate> {
        // Names are those that the verifier sees; the rest is for people.
        let verified = EndEntityCert::try_from(der)
            .map_err(|error| NotCertificate(wording::of_verifier(&error)))?;
        // One more than may be there: that says that there are too many.
        let dns_names: Vec<String> =
            verified.valid_dns_names().take(MAX_NAMES + 1).map(str::to_owned).collect();
        let uris: Vec<String> =
            verified.valid_uri_names().take(MAX_NAMES + 1).map(str::to_owned).collect();
        if dns_names.len() + uris.len() > MAX_NAMES {
            return Err(NotCertificate(format!("it has more than {MAX_NAMES} names")));
        }
        let read = decoded(der)?;
        let content = read.tbs_certificate();
        let names = dns_names.iter().chain(&uris).take(MAX_NAMES_TOLD).map(|name| printable(name));
        let subject = printable(&content.subject().to_string());
        let validity = content.validity();
        let told = Certificate::new(subject, names.collect(), millis(&validity.not_after));
        Ok(Self { told, not_before_ms: millis(&validity.not_before), dns_names, uris })
    }

    pub(crate) fn is_current(&self, now_ms: u64) -> bool {
        (self.not_before_ms..=self.told.not_after_ms).contains(&now_ms)
    }
}

/// The certificate of a CA, read.
#[derive(Debug)]
pub(crate) struct Authority {
    /// Its subject, for people.
    pub(crate) subject: String,
    /// Its first moment, in milliseconds since the Unix epoch.
    pub(crate) not_before_ms: u64,
    /// Its last moment.
    pub(crate) not_after_ms: u64,
    /// True if it says that it is a CA's, and may sign certificates.
    pub(crate) may_sign: bool,
}

impl Authority {
    pub(crate) fn is_current(&self, now_ms: u64) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }

    /// Reads the certificate of a CA, or of what is taken for one.
    pub(crate) fn of(der: &CertificateDer<'_>) -> Result<Self, NotCertificate> {
        let read = decoded(der)?;
        let content = read.tbs_certificate();
        let validity = content.validity();
        Ok(Self {
            subject: printable(&content.subject().to_string()),
            not_before_ms: millis(&validity.not_before),
            not_after_ms: millis(&validity.not_after),
            may_sign: may_sign_certificates(der),
        })
    }
}

fn decoded(der: &CertificateDer<'_>) -> Result<x509_cert::Certificate, NotCertificate> {
    // The error would tell a place in bytes, which is of no use to people.
    x509_cert::Certificate::from_der(der).map_err(|_| NotCertificate("it is damaged".to_owned()))
}

/// Returns true if a certificate is one of a CA that may sign others.
pub(crate) fn may_sign_certificates(der: &CertificateDer<'_>) -> bool {
    let Ok(read) = decoded(der) else { return false };
    let constraints = read.tbs_certificate().get_extension::<BasicConstraints>();
    let is_ca = matches!(constraints, Ok(Some((_, constraints))) if constraints.ca);
    is_ca && has_usage(&read, KeyUsage::key_cert_sign)
}

/// Returns true if the holder of a certificate may sign lists of revocations.
pub(crate) fn may_sign_lists(der: &CertificateDer<'_>) -> bool {
    decoded(der).is_ok_and(|read| has_usage(&read, KeyUsage::crl_sign))
}

/// Returns true if a key may be used in this way: one that names no usage may be, in any.
fn has_usage(certificate: &x509_cert::Certificate, usage: fn(&KeyUsage) -> bool) -> bool {
    match certificate.tbs_certificate().get_extension::<KeyUsage>() {
        Ok(Some((_, named))) => usage(&named),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Reads the subject of a certificate, for people; a CA need not be one that a peer could have.
pub(crate) fn subject(der: &CertificateDer<'_>) -> String {
    Authority::of(der).map_or_else(|_| "(unreadable)".to_owned(), |read| read.subject)
}

fn millis(time: &x509_cert::time::Time) -> u64 {
    u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX)
}

/// Writes a moment as RFC 3339 does, in UTC.
pub(crate) fn moment(unix_ms: u64) -> String {
    let since_epoch = std::time::Duration::from_secs(unix_ms / 1000);
    let moment = x509_cert::der::DateTime::from_unix_duration(since_epoch);
    moment.map_or_else(|_| "the far future".to_owned(), |moment| moment.to_string())
}

/// Makes text of a certificate fit for logs and status pages.
fn printable(text: &str) -> String {
    let visible = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
    visible.take(MAX_SUBJECT_CHARS).collect()
}

/// Returns true for a character that cannot be seen, and may change how those beside it are: their
/// order, say.
fn is_hidden(c: char) -> bool {
    let is_mark = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    c.is_control() || is_mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_people_read_it() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_798_761_599_999), "2026-12-31T23:59:59Z");
        assert_eq!(moment(u64::MAX), "the far future");
    }

    #[test]
    fn what_cannot_be_seen_is_not_printed() {
        assert_eq!(printable("CN=a\n\u{202e}b\u{200b}\u{feff}ö"), "CN=a  b  ö");
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        for bytes in [&b""[..], b"nonsense", &[0x30, 0x82, 0xff, 0xff]] {
            assert!(Description::of(&CertificateDer::from(bytes)).is_err());
        }
    }
}
