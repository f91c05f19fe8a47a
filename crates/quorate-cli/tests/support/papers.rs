//! Certificates made for one test, and the folder that they are in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::transport::Transport;
use quorate_tls::TlsConfig;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A CA.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("the system has random numbers");
        let pem = params.self_signed(&key).expect("a usable CA").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate with this URI, and its key.
    fn issue(&self, uri: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, uri);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("the system has random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("a usable certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// The transport of a peer of this name.
    pub(crate) fn transport(&self, peer: &str) -> Arc<dyn Transport> {
        let (certificate, key) = self.issue(&format!("quorate:{peer}"));
        let tls = TlsConfig::from_pem(self.pem.clone(), certificate, key).transport();
        Arc::new(tls.expect("usable"))
    }
}

/// A folder of certificates, which goes with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("quorate-cli-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        Self(folder)
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("it is written");
        close(&path);
        path.display().to_string()
    }

    /// Has a certificate with this URI issued; returns the options that show it, to peers of
    /// `trusted`.
    pub(crate) fn options(
        &self,
        name: &str,
        uri: &str,
        by: &Authority,
        trusted: &Authority,
    ) -> Vec<String> {
        let (certificate, key) = by.issue(uri);
        let files = [
            ("--tls-ca", self.write(&format!("{name}-ca.pem"), &trusted.pem)),
            ("--tls-cert", self.write(&format!("{name}.pem"), &certificate)),
            ("--tls-key", self.write(&format!("{name}.key"), &key)),
        ];
        files.into_iter().flat_map(|(option, path)| [option.to_owned(), path]).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("it is ours");
}

#[cfg(not(unix))]
fn close(_: &Path) {}
