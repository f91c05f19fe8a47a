//! Settings of TLS, and how they become a transport.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate::Tls;
use quorate::transport::{Tcp, Transport};
use rustls::crypto::CryptoProvider;

use crate::error::CredentialsError;
use crate::names::Patterns;
use crate::source::{Place, Source};

/// The library that does the cryptography.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// aws-lc-rs, with the feature of that name.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
    /// ring, with the feature of that name.
    #[cfg(feature = "ring")]
    Ring,
}

impl Provider {
    /// Lists the providers whose features are on, the preferred first.
    pub fn all() -> Vec<Self> {
        vec![
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs,
            #[cfg(feature = "ring")]
            Self::Ring,
        ]
    }

    fn make(self) -> Arc<CryptoProvider> {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            #[cfg(feature = "ring")]
            Self::Ring => Arc::new(rustls::crypto::ring::default_provider()),
        }
    }
}

/// Certificates, key, and how they are used; made into a [`TlsTransport`](crate::TlsTransport) by
/// [`TlsConfig::transport`].
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | `stage` | [`Tls::Required`] | secure unless told otherwise |
/// | `names` | a member's DNS name or `quorate:` URI, a joiner's URI | one CA serves many |
/// | `client_names` | a client's `quorate-client:` URI | who calls need not be able to join |
/// | `crl_file` | none | most private CAs issue short-lived certificates instead |
/// | `watch` | off | an embedder may have a way of its own to notice |
/// | `exposed_key_allowed` | off | who reads the key can be this peer |
/// | `admins` | URI `quorate-admin:{peer}` | who gives orders has a certificate that is for that |
/// | `viewers` | URI `quorate-viewer:{peer}` | and who looks one that is for no more |
/// | `provider` | aws-lc-rs if that feature is on, else ring | |
/// | `over` | [`Tcp`] | |
#[derive(Clone)]
#[must_use = "nothing is read until `transport` is called"]
pub struct TlsConfig {
    pub(crate) source: Source,
    pub(crate) stage: Tls,
    pub(crate) names: Vec<String>,
    pub(crate) client_names: Vec<String>,
    pub(crate) admins: Vec<String>,
    pub(crate) viewers: Vec<String>,
    pub(crate) watch: Option<Duration>,
    pub(crate) provider: Option<Arc<CryptoProvider>>,
    pub(crate) inner: Option<Arc<dyn Transport>>,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, stage, names, client_names, admins, viewers, watch, .. } = self;
        f.debug_struct("TlsConfig")
            .field("source", source)
            .field("stage", stage)
            .field("names", names)
            .field("client_names", client_names)
            .field("admins", admins)
            .field("viewers", viewers)
            .field("watch", watch)
            .finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Takes certificates and a key from PEM files.
    ///
    /// `ca` has the certificates of all CAs that this peer trusts, one or several: while a CA is
    /// being replaced, the old one and the new. Each is trusted as long as its certificate is
    /// valid. `certificate` has this peer's own, followed by those of the CAs between it and `ca`,
    /// if there are any; `key` has its private key.
    pub fn from_pem_files(
        ca: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        Self::from_source(Source {
            ca: Place::File(ca.into()),
            certificate: Place::File(certificate.into()),
            key: Place::File(key.into()),
            crls: Vec::new(),
            is_exposed_key_allowed: false,
        })
    }

    /// Takes certificates and a key from bytes in PEM, for those who keep secrets elsewhere than in
    /// files; each argument holds what the file of [`TlsConfig::from_pem_files`] would. Renew them
    /// by [`TlsTransport::replace`](crate::TlsTransport::replace).
    pub fn from_pem(
        ca: impl Into<Vec<u8>>,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        Self::from_source(Source {
            ca: Place::Bytes("CA", ca.into().into()),
            certificate: Place::Bytes("certificate", certificate.into().into()),
            key: Place::Bytes("key", key.into().into()),
            crls: Vec::new(),
            is_exposed_key_allowed: false,
        })
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            stage: Tls::default(),
            names: Vec::new(),
            client_names: Vec::new(),
            admins: Vec::new(),
            viewers: Vec::new(),
            watch: None,
            provider: None,
            inner: None,
        }
    }

    /// Sets how far TLS is used. Default [`Tls::Required`]; the others are for changing from plain
    /// text to TLS, and back, while the group runs.
    pub fn stage(mut self, stage: Tls) -> Self {
        self.stage = stage;
        self
    }

    /// Sets the names by which certificates name members, in place of the default: DNS names and
    /// URIs with `{peer}` where the peer's name stands, like `{peer}.quota.example` or
    /// `spiffe://example.org/quota/{peer}`. Any of them is enough, for members that are known, for
    /// who joins, and for clients, who may be less: choose patterns that no other service under the
    /// same CA can have. `{peer}` alone lets whoever has a certificate of the CA join under its own
    /// name, and is for a CA of the group's own.
    pub fn names<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.names = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the names by which certificates name clients that are to be nothing else, in place of
    /// the URI `quorate-client:` with the client's name: patterns as those of [`TlsConfig::names`],
    /// which must not be able to make the same name.
    ///
    /// Of a certificate with a name that looks like one of these patterns, of whatever client and
    /// in capitals or not, DNS names count for nothing as a member's. A URI of a member does count,
    /// for nobody has one by chance.
    pub fn client_names<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.client_names = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the names by which certificates name admins, who give peers orders over their admin
    /// lane ([`quorate::admin`]), in place of the URI `quorate-admin:` with the admin's name:
    /// patterns as those of [`TlsConfig::names`], with `{peer}` where that name stands. No other
    /// role may be able to have the same name, and whoever has one is no member by a DNS name, as
    /// of [`TlsConfig::client_names`].
    pub fn admins<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.admins = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the names by which certificates name viewers, who may look at peers over their admin
    /// lane and change nothing, in place of the URI `quorate-viewer:` with the viewer's name;
    /// otherwise as [`TlsConfig::admins`].
    pub fn viewers<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.viewers = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// The patterns of all names.
    pub(crate) fn patterns(&self) -> Patterns<'_> {
        Patterns {
            members: &self.names,
            clients: &self.client_names,
            admins: &self.admins,
            viewers: &self.viewers,
        }
    }

    /// Adds a PEM file with certificates that were revoked (CRLs, of any of the CAs). It is read
    /// again with the others. A CRL counts for the certificates of its CA, on every path that leads
    /// over it, also after its next one is due; certificates of other CAs are not held to it. A CA
    /// that has signed a new key of its own under its name is one CA with both. Who signs a CRL has
    /// the key usage `cRLSign`, if it names any. Open connections are not ended by it:
    /// restart the peer that is to lose one.
    pub fn crl_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source.crls.push(Place::File(path.into()));
        self
    }

    /// Adds certificates that were revoked, as [`TlsConfig::crl_file`] does, from bytes in PEM.
    pub fn crl_pem(mut self, crl: impl Into<Vec<u8>>) -> Self {
        self.source.crls.push(Place::Bytes("CRL", crl.into().into()));
        self
    }

    /// Takes a key from a file that everybody on this machine can read, or others can change.
    /// Without this such a file is refused, on systems where files have modes: a key's has `0600`,
    /// or `0640` with a group of its own.
    pub fn exposed_key_allowed(mut self) -> Self {
        self.source.is_exposed_key_allowed = true;
        self
    }

    /// Looks at the files this often, at least every second, and reads them again when they have
    /// changed and are the same in two looks. A bad one is refused with an event, and the old ones
    /// stay. Default: only [`TlsTransport::reload`](crate::TlsTransport::reload) does.
    pub fn watch(mut self, interval: Duration) -> Self {
        self.watch = Some(interval.max(Duration::from_secs(1)));
        self
    }

    /// Sets the library that does the cryptography.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider.make());
        self
    }

    /// Sets another provider of cryptography, by the type of rustls 0.23: an escape, which changes
    /// with the version of rustls that this crate uses.
    pub fn rustls_0_23_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Sets the transport that carries the encrypted bytes. Default [`Tcp`]; give one with other
    /// time-outs if the group's failure timeout is far from 10 s.
    pub fn over(mut self, transport: Arc<dyn Transport>) -> Self {
        self.inner = Some(transport);
        self
    }

    pub(crate) fn take_provider(&mut self) -> Result<Arc<CryptoProvider>, CredentialsError> {
        let first = || Provider::all().first().map(|provider| provider.make());
        self.provider.take().or_else(first).ok_or(CredentialsError::NoProvider)
    }

    pub(crate) fn take_inner(&mut self) -> Arc<dyn Transport> {
        self.inner.take().unwrap_or_else(|| Arc::new(Tcp::default()))
    }
}
