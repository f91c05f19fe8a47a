//! Signatures: the part that certificates and lists of revocations have in common.

use rustls::crypto::WebPkiSupportedAlgorithms;
use x509_cert::der::asn1::{AnyRef, BitStringRef};
use x509_cert::der::{Decode, Error, Reader, SliceReader};

/// A certificate or a list of revocations, as whoever checks its signature sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    content: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes a certificate or a list apart; `None` if `der` is neither.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(der).ok()?;
        let parts = reader.sequence(|reader| {
            let content = reader.tlv_bytes()?;
            Ok::<_, Error>((content, AnyRef::decode(reader)?, BitStringRef::decode(reader)?))
        });
        let (content, algorithm, signature) = parts.ok()?;
        reader.finish().ok()?;
        Some(Self { content, algorithm: algorithm.value(), signature: signature.as_bytes()? })
    }

    /// Returns true if it was signed with this key, a `SubjectPublicKeyInfo`. That costs one check
    /// of a signature at most, where the algorithms differ from each other.
    pub(crate) fn is_by(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let Some((kind, key)) = public_key(key) else { return false };
        let mut fitting = algorithms.all.iter().filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == kind
        });
        fitting.any(|one| one.verify_signature(key, self.content, self.signature).is_ok())
    }

    /// Returns true if none of the algorithms knows such a signature, or such a key: then it is not
    /// found out whether this key has signed it.
    pub(crate) fn is_beyond(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let Some((kind, _)) = public_key(key) else { return true };
        let known = algorithms.all;
        let has_signature = known.iter().any(|it| it.signature_alg_id().as_ref() == self.algorithm);
        let has_key = known.iter().any(|it| it.public_key_alg_id().as_ref() == kind);
        !has_signature || !has_key
    }
}

/// Returns the kind of a public key, and the key.
fn public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let parts = reader.sequence(|reader| {
        Ok::<_, Error>((AnyRef::decode(reader)?, BitStringRef::decode(reader)?))
    });
    let (kind, key) = parts.ok()?;
    Some((kind.value(), key.as_bytes()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_or_has_something_behind_it_is_not_taken_apart() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("usable");
        let der = certificate.der().to_vec();
        assert!(Signed::read(&der).is_some());
        assert!((0..der.len()).all(|end| Signed::read(&der[..end]).is_none()));
        assert!(Signed::read(&[&der[..], b"x"].concat()).is_none());
        assert!(public_key(&der[..20]).is_none());
    }
}
