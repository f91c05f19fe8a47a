//! Sources of certificates and keys: files, which may change, or bytes.

use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::error::CredentialsError;
use crate::wording;

/// Most bytes of a file of certificates or of a key.
const MAX_BYTES: usize = 1024 * 1024;
/// Most bytes of a file of revocations: those can be long.
const MAX_CRL_BYTES: usize = 32 * 1024 * 1024;
/// Marks in the first lines of a private key that is encrypted, in PKCS #8 and in OpenSSL's older
/// form.
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// The bytes that some editors begin a file with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The place of a certificate, a key, or a list of revocations.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file.
    File(PathBuf),
    /// In memory, under the name that errors give it. The bytes may be a key: no copy is left
    /// behind.
    Bytes(&'static str, Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes may be a private key.
        f.write_str(&self.origin())
    }
}

impl Place {
    /// Returns what errors call it.
    pub(crate) fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes(name, _) => format!("the {name} that was given"),
        }
    }

    /// Reads its bytes, if `is_wanted` takes the file and it is no larger than `max_bytes`.
    fn read(
        &self,
        max_bytes: usize,
        is_wanted: impl FnOnce(&File) -> Result<(), CredentialsError>,
    ) -> Result<Zeroizing<Vec<u8>>, CredentialsError> {
        let path = match self {
            Self::File(path) => path,
            Self::Bytes(_, bytes) => return Ok(bytes.clone()),
        };
        let unread = |source| CredentialsError::Read { origin: self.origin(), source };
        let file = File::open(path).map_err(unread)?;
        is_wanted(&file)?;
        let length = file.metadata().map_err(unread)?.len();
        let room = usize::try_from(length).unwrap_or(max_bytes).min(max_bytes) + 1;
        // All at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        let most = max_bytes as u64 + 1;
        let read = file.take(most).read_to_end(&mut bytes).map_err(unread)?;
        if read > max_bytes {
            let origin = self.origin();
            let max_bytes = max_bytes as u64;
            return Err(CredentialsError::TooLarge { origin, max_bytes });
        }
        Ok(bytes)
    }

    /// Reads all items of one kind in it, at least one.
    fn items<T: PemObject>(
        &self,
        what: &'static str,
        max_bytes: usize,
    ) -> Result<Vec<T>, CredentialsError> {
        let bytes = self.read(max_bytes, |_| Ok(()))?;
        self.check_begins(&bytes)?;
        let read: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&bytes).collect();
        let items = read.map_err(|error| self.damaged(&error))?;
        match items.is_empty() {
            true => Err(CredentialsError::Missing { what, origin: self.origin() }),
            false => Ok(items),
        }
    }

    /// Refuses a text of which something would be passed over in silence, and the rest be used: a
    /// CA less, or a list of revocations less.
    fn check_begins(&self, text: &[u8]) -> Result<(), CredentialsError> {
        if !text.split(|byte| *byte == b'\n').any(is_hidden_begin) {
            return Ok(());
        }
        let source =
            "spaces, or a byte order mark, stand before a BEGIN line: take them out".into();
        Err(CredentialsError::Damaged { origin: self.origin(), source })
    }

    fn damaged(&self, error: &pem::Error) -> CredentialsError {
        let source = wording::of_pem(error).into();
        CredentialsError::Damaged { origin: self.origin(), source }
    }
}

/// The places of all that a peer needs.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) ca: Place,
    pub(crate) certificate: Place,
    pub(crate) key: Place,
    pub(crate) crls: Vec<Place>,
    /// True if others may read or change the file of the key.
    pub(crate) is_exposed_key_allowed: bool,
}

/// The content of a source, not yet looked into.
pub(crate) struct Material {
    pub(crate) cas: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Zeroizing<PrivateKeyDer<'static>>,
    /// The lists of revocations, each with the number of its place in the source.
    pub(crate) crls: Vec<(usize, CertificateRevocationListDer<'static>)>,
}

impl Source {
    /// Reads all places. Blocks.
    pub(crate) fn read(&self) -> Result<Material, CredentialsError> {
        let mut crls = Vec::new();
        for (index, place) in self.crls.iter().enumerate() {
            let found = place.items("CRL (X509 CRL)", MAX_CRL_BYTES)?;
            crls.extend(found.into_iter().map(|crl| (index, crl)));
        }
        let key = self.key.read(MAX_BYTES, |file| self.check_mode(file))?;
        if ENCRYPTED.into_iter().any(|mark| key.windows(mark.len()).any(|window| window == mark)) {
            return Err(CredentialsError::EncryptedKey { origin: self.key.origin() });
        }
        self.key.check_begins(&key)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                CredentialsError::Missing { what: "private key", origin: self.key.origin() }
            }
            error => self.key.damaged(&error),
        })?;
        Ok(Material {
            cas: self.ca.items("CA certificate", MAX_BYTES)?,
            chain: self.certificate.items("certificate", MAX_BYTES)?,
            key: Zeroizing::new(key),
            crls,
        })
    }

    /// Refuses a key that everybody on this machine can read, or that others than its owner can
    /// change. A group may read it: that is how a service which is not root is given one.
    #[cfg(unix)]
    fn check_mode(&self, file: &File) -> Result<(), CredentialsError> {
        use std::os::unix::fs::PermissionsExt;
        const BY_OTHERS: u32 = 0o027;
        let origin = || self.key.origin();
        // Of the file that is open: a path may lead to another one by now.
        let metadata = file.metadata();
        let unread = |source| CredentialsError::Read { origin: origin(), source };
        let mode = metadata.map_err(unread)?.permissions().mode() & 0o777;
        if mode & BY_OTHERS != 0 && !self.is_exposed_key_allowed {
            return Err(CredentialsError::KeyExposed { origin: origin(), mode });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _: &File) -> Result<(), CredentialsError> {
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        [&self.ca, &self.certificate, &self.key].into_iter().chain(&self.crls)
    }

    /// Returns true if any of it can change by itself.
    pub(crate) fn has_files(&self) -> bool {
        self.places().any(|place| matches!(place, Place::File(_)))
    }

    /// Returns a number that changes when a file does. A file that cannot be read counts as empty,
    /// for the next look may find it. Blocks.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for place in self.places() {
            let read = place.read(MAX_CRL_BYTES, |_| Ok(()));
            read.unwrap_or_default().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Returns true for a BEGIN line that the reader of PEM would take for text between sections.
fn is_hidden_begin(line: &[u8]) -> bool {
    let bare = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii_start();
    bare.len() < line.len() && bare.starts_with(b"-----BEGIN ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_of_a_key_are_shown() {
        let key = Place::Bytes("key", b"secret".to_vec().into());
        assert_eq!(format!("{key:?}"), "the key that was given");
    }

    #[test]
    fn what_is_missing_or_damaged_is_named_with_its_place() {
        let place = |text: &str| Place::Bytes("CA", text.as_bytes().to_vec().into());
        let items = |place: Place| place.items::<CertificateDer<'_>>("CA certificate", MAX_BYTES);
        let found = |text: &str| items(place(text));
        let error = found("nothing here").expect_err("there is none");
        assert!(matches!(&error, CredentialsError::Missing { .. }), "{error}");
        assert!(
            error.to_string().contains("no CA certificate in the CA that was given"),
            "{error}"
        );
        let error = found("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
        assert!(matches!(error, Err(CredentialsError::Damaged { .. })));
        let absent = Place::File("/nonexistent/ca.pem".into());
        let error = items(absent).expect_err("no file");
        assert!(error.to_string().starts_with("cannot read /nonexistent/ca.pem: "), "{error}");
    }
}
