//! Certificates of one run, in a folder that goes with it.

use std::path::PathBuf;
use std::{env, fs, io, process};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A CA and a certificate for each member.
#[derive(Debug)]
pub struct Certificates(PathBuf);

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written.
    pub fn make(names: &[&str]) -> io::Result<Self> {
        let dir = env::temp_dir().join(format!("quorate-bench-{}", process::id()));
        fs::create_dir_all(&dir)?;
        let certificates = Self(dir);
        let (params, key) = authority()?;
        let root = params.self_signed(&key).map_err(io::Error::other)?;
        fs::write(certificates.0.join("ca.pem"), root.pem())?;
        let issuer = Issuer::new(params, key);
        for &name in names {
            let key = KeyPair::generate().map_err(io::Error::other)?;
            let params = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
            let certificate = params.signed_by(&key, &issuer).map_err(io::Error::other)?;
            let [_, of_certificate, of_key] = Self::files(&certificates.dir(), name);
            fs::write(of_certificate, certificate.pem())?;
            fs::write(of_key, key.serialize_pem())?;
        }
        Ok(certificates)
    }

    /// Where they are.
    pub fn dir(&self) -> String {
        self.0.display().to_string()
    }

    /// The files of the CA, and of a member's certificate and key.
    pub fn files(dir: &str, name: &str) -> [PathBuf; 3] {
        ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}.key")]
            .map(|file| PathBuf::from(dir).join(file))
    }
}

fn authority() -> io::Result<(CertificateParams, KeyPair)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok((params, KeyPair::generate().map_err(io::Error::other)?))
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // What is left goes with the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
