//! The certificates that the other end shows: a bound on them, and the search for those that stand
//! under a trusted CA.
//!
//! A path from the end's own certificate up to a CA is searched among certificates that whoever
//! shows them has made as it likes, and there may be very many paths. So they are looked at from
//! the other side first: what a trusted CA has signed, what that has signed, and so on. Of the rest
//! nothing is searched, and each certificate costs one check of a signature for each key of the
//! name that it gives as its issuer's.

use std::borrow::Cow;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::anchor::Anchor;
use crate::certificate::may_sign_certificates;
use crate::signed::Signed;
use crate::verify_error::VerifyError;

/// Most certificates that an end may show, its own included: with the CA, one more than the longest
/// path that is verified.
pub(crate) const MAX_CERTIFICATES: usize = 8;
/// Most bytes of them together.
pub(crate) const MAX_BYTES: usize = 16 * 1024;
/// Signatures that are checked at most: each of the certificates against the keys of eight CAs of
/// one name.
const MAX_SIGNATURES: usize = 64;

/// Signatures that may still be checked of what one end shows.
pub(crate) struct Checks {
    left: usize,
}

impl Default for Checks {
    fn default() -> Self {
        Self { left: MAX_SIGNATURES }
    }
}

impl Checks {
    fn take(&mut self) -> Result<(), VerifyError> {
        self.left = self.left.checked_sub(1).ok_or(VerifyError::TooManyChecks)?;
        Ok(())
    }
}

/// Refuses more than anybody needs, before any of it is read.
pub(crate) fn check_size(
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<(), VerifyError> {
    let certificates = others.len() + 1;
    let bytes = others.iter().chain([end_entity]).map(|der| der.len()).sum();
    if certificates > MAX_CERTIFICATES || bytes > MAX_BYTES {
        return Err(VerifyError::TooMuch { certificates, bytes });
    }
    Ok(())
}

/// A certificate that is shown.
struct Shown<'a> {
    der: &'a CertificateDer<'a>,
    certificate: EndEntityCert<'a>,
    signed: Signed<'a>,
    /// True if a trusted CA is known to stand above it.
    is_vouched: bool,
}

impl<'a> Shown<'a> {
    fn read(der: &'a CertificateDer<'a>) -> Option<Self> {
        let certificate = EndEntityCert::try_from(der).ok()?;
        Some(Self { der, certificate, signed: Signed::read(der)?, is_vouched: false })
    }
}

/// A CA that may have signed what is shown.
struct Issuer<'a> {
    name: Cow<'a, [u8]>,
    key: Cow<'a, [u8]>,
}

/// Finds those of the other certificates that are of CAs under the trusted ones, in the order in
/// which they are shown.
///
/// # Errors
///
/// If no trusted CA stands above the end's own certificate, or that is not found out with as many
/// checks as are left.
pub(crate) fn vouched<'a>(
    anchors: &[&Anchor],
    end_entity: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    algorithms: &WebPkiSupportedAlgorithms,
    checks: &mut Checks,
) -> Result<Vec<CertificateDer<'a>>, VerifyError> {
    let unreadable = || VerifyError::Verifier(webpki::Error::BadDer);
    let mut shown = vec![Shown::read(end_entity).ok_or_else(unreadable)?];
    // What cannot be read is of no use to any path.
    shown.extend(others.iter().filter_map(Shown::read));
    let mut issuers: Vec<Issuer<'_>> = anchors.iter().map(|anchor| anchor.issuer()).collect();
    let mut next = 0;
    while let Some(issuer) = issuers.get(next) {
        next += 1;
        let mut found = Vec::new();
        for (index, one) in shown.iter_mut().enumerate() {
            if one.is_vouched || one.certificate.issuer() != &*issuer.name {
                continue;
            }
            // Counted before it is done: at the bound nothing more is checked.
            checks.take()?;
            one.is_vouched = one.signed.is_by(&issuer.key, algorithms);
            // The first is the end's own: it vouches for nobody, even if it is a CA's.
            if one.is_vouched && index > 0 && may_sign_certificates(one.der) {
                found.push(one.as_issuer());
            }
        }
        issuers.extend(found);
    }
    let mut vouched = shown.into_iter().filter(|one| one.is_vouched).map(|one| one.der);
    match vouched.next() {
        Some(first) if std::ptr::eq(first, end_entity) => {
            Ok(vouched.map(|der| CertificateDer::from(&der[..])).collect())
        }
        _ => Err(VerifyError::UnknownCa),
    }
}

/// Returns true if one of these certificates names a CA as its issuer that is trusted, or is shown
/// with it, and is signed in a way that is not known here.
pub(crate) fn is_beyond(
    anchors: &[Anchor],
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let others: Vec<_> = others.iter().filter_map(Shown::read).collect();
    let issuers: Vec<Issuer<'_>> =
        anchors.iter().map(Anchor::issuer).chain(others.iter().map(Shown::as_issuer)).collect();
    Shown::read(end_entity).iter().chain(&others).any(|one| {
        let mut named = issuers.iter().filter(|it| one.certificate.issuer() == &*it.name);
        named.any(|issuer| one.signed.is_beyond(&issuer.key, algorithms))
    })
}

impl Shown<'_> {
    fn as_issuer<'b>(&self) -> Issuer<'b> {
        Issuer {
            name: Cow::Owned(self.certificate.subject().to_vec()),
            key: Cow::Owned(self.certificate.subject_public_key_info().to_vec()),
        }
    }
}

impl Anchor {
    fn issuer(&self) -> Issuer<'_> {
        Issuer { name: Cow::Borrowed(&self.trusted.subject), key: Cow::Borrowed(&self.key) }
    }
}
