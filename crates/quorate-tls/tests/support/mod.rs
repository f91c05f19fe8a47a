//! Certificates made for one test, and ends of connections that are no peers.

#![allow(dead_code, reason = "every test file uses its own part of it")]

pub(crate) mod cards;
pub(crate) mod strangers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::Tls;
use quorate::transport::InProcess;
use quorate_tls::{TlsConfig, TlsTransport};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

/// A CA.
pub(crate) struct Authority {
    pub(crate) pem: String,
    params: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate, its key, and what revokes it.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    serial: SerialNumber,
}

impl Issued {
    /// The same, shown with these certificates.
    pub(crate) fn with(&self, others: &[&str]) -> Self {
        let certificate = format!("{}\n{}", self.certificate, others.join("\n"));
        Self { certificate, ..self.clone() }
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::new_with(name, |_| {})
    }

    pub(crate) fn new_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let key = KeyPair::generate().expect("the system has random numbers");
        let pem = params.self_signed(&key).expect("a usable CA").pem();
        Self { pem, params: params.clone(), issuer: Issuer::new(params, key) }
    }

    /// The same CA with a certificate that is valid now.
    pub(crate) fn renewed(&self) -> Self {
        let mut params = self.params.clone();
        let valid = CertificateParams::default();
        (params.not_before, params.not_after) = (valid.not_before, valid.not_after);
        let key = KeyPair::from_pem(&self.issuer.key().serialize_pem()).expect("it was one");
        let pem = params.self_signed(&key).expect("a usable CA").pem();
        Self { pem, params: params.clone(), issuer: Issuer::new(params, key) }
    }

    /// A CA that this one has signed.
    pub(crate) fn below(&self, name: &str) -> Self {
        let mut below = Self::new(name);
        below.pem = self.sign(&below).certificate;
        below
    }

    /// A certificate of another CA, of that one's name and key, signed by this one.
    pub(crate) fn sign(&self, other: &Self) -> Issued {
        self.sign_with(other, |_| {})
    }

    pub(crate) fn sign_with(
        &self,
        other: &Self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let (mut params, serial) = (other.params.clone(), rand_serial());
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let certificate = params.signed_by(other.issuer.key(), &self.issuer);
        let certificate = certificate.expect("a usable certificate").pem();
        Issued { certificate, key: String::new(), serial }
    }

    /// A certificate with these names: URIs where there is a colon, else DNS names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = named(names.first().copied().unwrap_or("nobody"), names);
        let serial: SerialNumber = rand_serial();
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let key = KeyPair::generate().expect("the system has random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("a usable certificate").pem();
        Issued { certificate, key: key.serialize_pem(), serial }
    }

    pub(crate) fn revoke(&self, revoked: &[&Issued]) -> String {
        let revoked = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a usable list").pem().expect("it can be written")
    }
}

fn rand_serial() -> SerialNumber {
    // A serial number is positive: its first bit is 0.
    SerialNumber::from(getrandom::u64().expect("the system has random numbers") >> 1)
}

pub(crate) fn named(name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.contains(':') {
            true => SanType::URI((*name).try_into().expect("ASCII")),
            false => SanType::DnsName((*name).try_into().expect("ASCII")),
        })
        .collect();
    params
}

/// Who has a certificate of this name, as somebody who signs others with it.
pub(crate) fn issuer(issued: &Issued, name: &str) -> Authority {
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::from_pem(&issued.key).expect("it was one");
    Authority { pem: String::new(), params: params.clone(), issuer: Issuer::new(params, key) }
}

/// As it is 35 days after a CA has ended.
pub(crate) fn ended(params: &mut CertificateParams) {
    let now = time::OffsetDateTime::from(std::time::UNIX_EPOCH)
        + std::time::Duration::from_secs(rustls::pki_types::UnixTime::now().as_secs());
    params.not_before = now - time::Duration::days(400);
    params.not_after = now - time::Duration::days(35);
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

pub(crate) fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2999, 1, 1);
    params.not_after = date_time_ymd(3000, 1, 1);
}

pub(crate) fn for_servers_only(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

/// The settings of a peer with this certificate, trusting these CAs.
pub(crate) fn config(cas: &[&Authority], issued: &Issued) -> TlsConfig {
    let cas: Vec<_> = cas.iter().map(|ca| ca.pem.as_str()).collect();
    TlsConfig::from_pem(cas.join("\n"), issued.certificate.clone(), issued.key.clone())
}

/// TLS for `name` at its place of a network, with a certificate that names it.
pub(crate) fn at(network: &InProcess, ca: &Authority, name: &str, stage: Tls) -> TlsTransport {
    let issued = ca.issue(&[name, &format!("quorate:{name}")]);
    let tls = config(&[ca], &issued).stage(stage).over(network.at(name)).transport();
    tls.expect("the certificate is good")
}

/// A folder of this test's own, removed afterwards.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quorate-tls-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("there is room");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("there is room");
        #[cfg(unix)]
        if name.ends_with(".key") {
            use std::os::unix::fs::PermissionsExt;
            let permissions = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, permissions).expect("it is this test's own");
        }
        path
    }

    /// CA, certificate and key, as a peer has them.
    pub(crate) fn write_all(&self, cas: &[&Authority], issued: &Issued) -> [PathBuf; 3] {
        let cas: Vec<_> = cas.iter().map(|ca| ca.pem.as_str()).collect();
        [
            self.write("ca.pem", &cas.join("\n")),
            self.write("peer.pem", &issued.certificate),
            self.write("peer.key", &issued.key),
        ]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

pub(crate) fn shared(tls: &TlsTransport) -> Arc<dyn quorate::transport::Transport> {
    Arc::new(tls.clone())
}
