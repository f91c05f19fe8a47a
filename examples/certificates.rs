//! Certificates to try TLS with: a CA of one's own and a certificate for each peer, in PEM files.
//!
//! ```text
//!   ca.pem  ca.key     the CA; its key is what makes more certificates later
//!   a.pem   a.key      of the peer a: the DNS name a, and the URI quorate:a
//!   w.pem   w.key      of the client w, which can be no member: the URI quorate-client:w
//!   admin.pem   ..     of who gives peers orders: the URI quorate-admin:admin
//!   viewer.pem  ..     of who looks at them: the URI quorate-viewer:viewer
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// How long the CA and the peers' certificates are valid.
const CA_DAYS: i64 = 3650;
const PEER_DAYS: i64 = 365;

/// The files of the CA, and of a peer's certificate and key.
pub fn files(dir: &Path, name: &str) -> [PathBuf; 3] {
    ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}.key")].map(|file| dir.join(file))
}

/// Makes a certificate for each name, and first a CA if there is none in the folder; a peer's older
/// certificate is replaced.
///
/// # Errors
///
/// If the folder cannot be written, or its CA cannot be read.
pub fn make(dir: &Path, names: &[impl AsRef<str>]) -> io::Result<()> {
    make_of(dir, names, peer)
}

/// The same for clients of the group.
///
/// # Errors
///
/// If the folder cannot be written, or its CA cannot be read.
pub fn make_for_clients(dir: &Path, names: &[impl AsRef<str>]) -> io::Result<()> {
    make_of(dir, names, |name| by_uri("quorate-client", name))
}

/// The name of who gives peers orders over their admin lane.
pub const ADMIN: &str = "admin";
/// The name of who looks at them.
pub const VIEWER: &str = "viewer";

/// The same for one admin and one viewer.
///
/// # Errors
///
/// If the folder cannot be written, or its CA cannot be read.
pub fn make_for_operators(dir: &Path) -> io::Result<()> {
    make_of(dir, &[ADMIN], |name| by_uri("quorate-admin", name))?;
    make_of(dir, &[VIEWER], |name| by_uri("quorate-viewer", name))
}

fn make_of(
    dir: &Path,
    names: &[impl AsRef<str>],
    params: impl Fn(&str) -> io::Result<CertificateParams>,
) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let issuer = authority(dir)?;
    for name in names.iter().map(AsRef::as_ref) {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params(name)?.signed_by(&key, &issuer).map_err(io::Error::other)?;
        let [_, of_certificate, of_key] = files(dir, name);
        fs::write(of_certificate, certificate.pem())?;
        write_secret(&of_key, &key.serialize_pem())?;
    }
    Ok(())
}

/// The CA of the folder, made if it has none.
fn authority(dir: &Path) -> io::Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Quorate development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(CA_DAYS);
    let of_key = dir.join("ca.key");
    if of_key.exists() {
        // The name and the key are what others know it by.
        let key = KeyPair::from_pem(&fs::read_to_string(&of_key)?);
        return Ok(Issuer::new(params, key.map_err(io::Error::other)?));
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let root = params.self_signed(&key).map_err(io::Error::other)?;
    fs::write(dir.join("ca.pem"), root.pem())?;
    write_secret(&of_key, &key.serialize_pem())?;
    Ok(Issuer::new(params, key))
}

fn peer(name: &str) -> io::Result<CertificateParams> {
    let dns = SanType::DnsName(name.try_into().map_err(io::Error::other)?);
    named(name, vec![dns, uri(format!("quorate:{name}"))?])
}

fn by_uri(scheme: &str, name: &str) -> io::Result<CertificateParams> {
    named(name, vec![uri(format!("{scheme}:{name}"))?])
}

fn uri(text: String) -> io::Result<SanType> {
    Ok(SanType::URI(text.try_into().map_err(io::Error::other)?))
}

fn named(name: &str, names: Vec<SanType>) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = names;
    // A peer accepts connections and makes them.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = validity(PEER_DAYS);
    Ok(params)
}

/// From an hour ago, for clocks differ.
fn validity(days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::HOUR, now + Duration::days(days))
}

/// Writes what only the owner may read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    // An older file may be readable by others: it goes first.
    if path.exists() {
        fs::remove_file(path)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
