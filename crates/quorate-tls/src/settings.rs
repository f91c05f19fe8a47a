//! Settings of TLS as one value, which serde reads from a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use quorate::Tls;
use quorate::words::{UnknownWord, optional_duration, read};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Provider, TlsConfig};

/// The files and settings of TLS, as a file writes them: made into a [`TlsConfig`] by
/// [`TlsSettings::config`].
///
/// `ca`, `certificate` and `key` are needed, and the rest is as [`TlsConfig`] has it. Unknown names
/// are refused.
///
/// # Examples
///
/// As a part of the settings of a service, beside `quorate::PeerSettings`:
///
/// ```toml
/// [tls]
/// ca = "/etc/quota/ca.pem"
/// certificate = "/etc/quota/a.pem"
/// key = "/etc/quota/a.key"
/// stage = "required"          # or permissive, or off
/// watch = "10s"
/// names = ["{peer}.quota.example"]
/// ```
///
/// ```
/// use std::sync::Arc;
///
/// use quorate::{PeerBuilder, PeerSettings};
/// use quorate_tls::{CredentialsError, TlsSettings};
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     peer: PeerSettings,
///     tls: Option<TlsSettings>,
/// }
///
/// fn over_tls(peer: PeerBuilder, tls: TlsSettings) -> Result<PeerBuilder, CredentialsError> {
///     Ok(peer.transport(Arc::new(tls.config().transport()?)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsSettings {
    /// PEM file with the CAs that are trusted; see [`TlsConfig::from_pem_files`].
    pub ca: PathBuf,
    /// PEM file with this peer's certificate, and those between it and a CA.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// See [`TlsConfig::stage`]. Default [`Tls::Required`].
    #[serde(default)]
    pub stage: Tls,
    /// See [`TlsConfig::names`]; the default, if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// See [`TlsConfig::client_names`]; the default, if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_names: Vec<String>,
    /// See [`TlsConfig::admins`]; the default, if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admins: Vec<String>,
    /// See [`TlsConfig::viewers`]; the default, if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub viewers: Vec<String>,
    /// See [`TlsConfig::crl_file`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crl_files: Vec<PathBuf>,
    /// See [`TlsConfig::watch`].
    #[serde(default, with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub watch: Option<Duration>,
    /// See [`TlsConfig::exposed_key_allowed`].
    #[serde(default)]
    pub exposed_key_allowed: bool,
    /// See [`TlsConfig::provider`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
}

impl TlsSettings {
    /// Names the files, and takes the defaults for the rest.
    pub fn new(
        ca: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        Self {
            ca: ca.into(),
            certificate: certificate.into(),
            key: key.into(),
            stage: Tls::default(),
            names: Vec::new(),
            client_names: Vec::new(),
            admins: Vec::new(),
            viewers: Vec::new(),
            crl_files: Vec::new(),
            watch: None,
            exposed_key_allowed: false,
            provider: None,
        }
    }

    /// Makes a [`TlsConfig`] of these settings, to set on it what no file can say.
    pub fn config(self) -> TlsConfig {
        let Self { ca, certificate, key, stage, names, client_names, .. } = self;
        let bare = TlsConfig::from_pem_files(ca, certificate, key)
            .stage(stage)
            .names(names)
            .client_names(client_names)
            .admins(self.admins)
            .viewers(self.viewers);
        let mut config = self.crl_files.into_iter().fold(bare, TlsConfig::crl_file);
        if let Some(interval) = self.watch {
            config = config.watch(interval);
        }
        if self.exposed_key_allowed {
            config = config.exposed_key_allowed();
        }
        match self.provider {
            Some(provider) => config.provider(provider),
            None => config,
        }
    }
}

impl Provider {
    /// Returns its word, as files and options write it.
    fn word(self) -> &'static str {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => "aws-lc-rs",
            #[cfg(feature = "ring")]
            Self::Ring => "ring",
            #[allow(unreachable_patterns, reason = "without features there is no provider")]
            _ => "none",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Reads the name of a provider whose feature is on: `ring` or `aws-lc-rs`.
impl FromStr for Provider {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let all = Self::all();
        let words: Vec<_> = all.iter().map(|provider| provider.word()).collect();
        let found = all.iter().copied().find(|provider| provider.word() == word);
        found.ok_or_else(|| UnknownWord::of("provider whose feature is on", word, &words))
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = r#""ca": "ca.pem", "certificate": "a.pem", "key": "a.key""#;

    fn read_settings(more: &str) -> Result<TlsSettings, String> {
        serde_json::from_str(&format!("{{{FILES}{more}}}")).map_err(|error| error.to_string())
    }

    #[test]
    fn three_files_are_enough() {
        let settings = read_settings("").expect("usable");
        assert_eq!(settings, TlsSettings::new("ca.pem", "a.pem", "a.key"));
        let config = settings.config();
        let direct = TlsConfig::from_pem_files("ca.pem", "a.pem", "a.key");
        assert_eq!(format!("{config:?}"), format!("{direct:?}"));
        assert!(config.provider.is_none());
    }

    #[test]
    fn every_setting_of_a_file_is_the_configs() {
        let provider = Provider::all()[0];
        let more = format!(
            r#", "stage": "permissive", "names": ["{{peer}}.example"], "watch": "10s",
            "client_names": ["{{peer}}.clients.example"], "crl_files": ["one.crl", "two.crl"],
            "admins": ["{{peer}}.ops.example"], "viewers": ["x:{{peer}}"],
            "exposed_key_allowed": true, "provider": "{provider}""#
        );
        let settings = read_settings(&more).expect("usable");
        let text = serde_json::to_string(&settings).expect("it can be written");
        assert_eq!(serde_json::from_str::<TlsSettings>(&text).expect("the same"), settings);
        let config = settings.config();
        assert_eq!(config.stage, Tls::Permissive);
        assert_eq!(config.names, ["{peer}.example"]);
        assert_eq!(config.client_names, ["{peer}.clients.example"]);
        assert_eq!(
            (&*config.admins, &*config.viewers),
            (&["{peer}.ops.example".to_owned()][..], &["x:{peer}".to_owned()][..])
        );
        assert_eq!(config.watch, Some(Duration::from_secs(10)));
        assert_eq!(config.source.crls.len(), 2);
        assert!(config.source.is_exposed_key_allowed);
        assert!(config.provider.is_some());
    }

    #[test]
    fn a_mistake_is_named() {
        for (more, said) in [
            (r#", "crl": "x""#, "unknown field `crl`, expected one of `ca`, `certificate`"),
            (r#", "stage": "on""#, "\"on\" is no stage of TLS: write off, permissive or required"),
            (r#", "watch": "10""#, "\"10\" is no duration: write a whole number and a unit"),
            (
                r#", "provider": "openssl""#,
                "\"openssl\" is no provider whose feature is on: write ",
            ),
        ] {
            let error = read_settings(more).expect_err("refused");
            assert!(error.starts_with(said), "{error}");
        }
        let error =
            serde_json::from_str::<TlsSettings>(r#"{"ca": "ca.pem"}"#).expect_err("refused");
        assert!(error.to_string().starts_with("missing field `certificate`"), "{error}");
    }
}
