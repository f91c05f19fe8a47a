//! Lists of revocations, and which certificates each of them counts for.
//!
//! A list of revocations counts for the certificates of the CA that has signed it, which is found
//! out once, when the list is read. One CA can have several keys: it changes them, and signs the
//! new one with the old one or the other way round. A CA that has the same name and shares no
//! signature with it is another one.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::{
    BorrowedCertRevocationList, Cert, CertRevocationList, EndEntityCert, VerifiedPath,
    spki_for_anchor,
};

use crate::certificate::{may_sign_lists, subject};
use crate::error::CredentialsError;
use crate::signed::Signed;
use crate::source::Source;
use crate::wording;

/// The lists of revocations that this peer was given.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    lists: Vec<List>,
    /// Changes of keys among the CAs that are known here.
    rollovers: Vec<Rollover>,
}

/// One list.
#[derive(Debug)]
struct List {
    issuer: Vec<u8>,
    /// The key that has signed it, a `SubjectPublicKeyInfo`.
    key: Vec<u8>,
    /// The serial numbers of revoked certificates, in order.
    serials: Vec<Box<[u8]>>,
}

/// Two keys of one CA.
#[derive(Debug)]
struct Rollover {
    name: Vec<u8>,
    keys: [Vec<u8>; 2],
}

impl Revocations {
    /// Reads lists, each with the number of its place in `source`; `known` are the CAs that
    /// may have signed them.
    pub(crate) fn read(
        source: &Source,
        lists: &[(usize, CertificateRevocationListDer<'_>)],
        known: &[&CertificateDer<'_>],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<Self, CredentialsError> {
        let read = lists.iter().map(|(place, list)| {
            let origin = source.crls[*place].origin();
            List::read(origin, list, source.ca.origin(), known, algorithms)
        });
        let lists: Result<Vec<_>, _> = read.collect();
        Ok(Self { lists: lists?, rollovers: rollovers(known, algorithms) })
    }

    /// Returns true if any list revokes any certificate of this path.
    pub(crate) fn revoke(&self, path: &VerifiedPath<'_>) -> bool {
        if self.lists.is_empty() {
            return false;
        }
        // Each certificate beside the key that has signed it, up to the CA.
        let certificates: Vec<&Cert<'_>> =
            std::iter::once(&**path.end_entity()).chain(path.intermediate_certificates()).collect();
        let above = certificates.iter().skip(1).map(|ca| ca.subject_public_key_info());
        let keys: Vec<_> = above.chain([spki_for_anchor(path.anchor())]).collect();
        let steps = || certificates.iter().zip(&keys);
        // A CA that signs a new key of its own: the list may be signed with either.
        let on_path: Vec<Rollover> =
            steps().filter_map(|(one, key)| Rollover::of(one, key)).collect();
        let rollovers: Vec<&Rollover> = self.rollovers.iter().chain(&on_path).collect();
        steps().any(|(one, key)| {
            let mut lists = self.lists.iter().filter(|list| list.issuer == one.issuer());
            lists.any(|list| list.has(one.serial()) && list.is_by(key, &rollovers))
        })
    }
}

impl List {
    fn read(
        origin: String,
        der: &[u8],
        ca: String,
        known: &[&CertificateDer<'_>],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<Self, CredentialsError> {
        let damaged = |error: webpki::Error| CredentialsError::Damaged {
            origin: origin.clone(),
            source: wording::of_verifier(&error).into(),
        };
        // It sees to the form, and to extensions that change what a list means.
        let list = BorrowedCertRevocationList::from_der(der).map_err(damaged)?;
        let mut serials = Vec::new();
        for revoked in &list {
            serials.push(canonical(revoked.map_err(damaged)?.serial_number).into());
        }
        serials.sort_unstable();
        let issuer = CertRevocationList::Borrowed(list).issuer().to_vec();
        let signed = Signed::read(der).ok_or_else(|| damaged(webpki::Error::BadDer))?;
        // Among CAs of the same name, one that has signed it and may not says more than none.
        let mut forbidden = None;
        for der in known {
            let Ok(certificate) = EndEntityCert::try_from(*der) else { continue };
            let key = certificate.subject_public_key_info().to_vec();
            if certificate.subject() != issuer || !signed.is_by(&key, algorithms) {
                continue;
            }
            if may_sign_lists(der) {
                return Ok(Self { issuer, key, serials });
            }
            forbidden = Some(subject(der));
        }
        Err(match forbidden {
            Some(subject) => CredentialsError::MayNotRevoke { crl: origin, subject },
            None => CredentialsError::ForeignCrl { crl: origin, ca },
        })
    }

    fn has(&self, serial: &[u8]) -> bool {
        self.serials.binary_search_by(|known| (**known).cmp(canonical(serial))).is_ok()
    }

    /// Returns true if it is of the CA that has this key, by one change of keys or several.
    fn is_by(&self, key: &[u8], rollovers: &[&Rollover]) -> bool {
        let mut reached = vec![&self.key[..]];
        let mut next = 0;
        while let Some(at) = reached.get(next).copied() {
            if at == key {
                return true;
            }
            next += 1;
            let of_name = rollovers.iter().filter(|rollover| rollover.name == self.issuer);
            for other in of_name.filter_map(|rollover| rollover.other(at)) {
                if !reached.contains(&other) {
                    reached.push(other);
                }
            }
        }
        false
    }
}

impl Rollover {
    /// Reads the two keys in a certificate that a CA has given itself, signed with `key`.
    fn of(certificate: &Cert<'_>, key: &[u8]) -> Option<Self> {
        let own = certificate.subject_public_key_info();
        let is_one = certificate.subject() == certificate.issuer() && &*own != key;
        let name = certificate.subject().to_vec();
        is_one.then(|| Self { name, keys: [own.to_vec(), key.to_vec()] })
    }

    fn other(&self, key: &[u8]) -> Option<&[u8]> {
        let [one, other] = &self.keys;
        if one == key { Some(other) } else { (other == key).then_some(one) }
    }
}

/// Finds the changes of keys among these CAs.
fn rollovers(
    known: &[&CertificateDer<'_>],
    algorithms: &WebPkiSupportedAlgorithms,
) -> Vec<Rollover> {
    let read: Vec<(EndEntityCert<'_>, Signed<'_>)> = known
        .iter()
        .filter_map(|der| Some((EndEntityCert::try_from(*der).ok()?, Signed::read(der)?)))
        .collect();
    let mut found = Vec::new();
    for (one, signed) in read.iter().filter(|(one, _)| one.subject() == one.issuer()) {
        let namesakes = read.iter().filter(|(ca, _)| ca.subject() == one.issuer());
        let keys = namesakes.map(|(ca, _)| ca.subject_public_key_info());
        let signers = keys.filter(|key| signed.is_by(key, algorithms));
        found.extend(signers.filter_map(|key| Rollover::of(one, &key)));
    }
    found
}

/// Returns the shortest form of a serial number.
fn canonical(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}
