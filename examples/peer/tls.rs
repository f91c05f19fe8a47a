//! TLS of the example `peer`: its options, and how certificates are renewed while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quorate::Tls;
use quorate::transport::Tcp;
use quorate_examples::{arguments, sentence};
use quorate_tls::{TlsConfig, TlsTransport};

/// How often the files are looked at.
const WATCH: Duration = Duration::from_secs(10);

/// Encrypts what peers say to each other, and proves who they are.
#[derive(Args)]
#[command(next_help_heading = "TLS between peers")]
pub(crate) struct TlsOptions {
    /// PEM file with the CAs that sign peers' certificates; with --tls-cert and --tls-key.
    #[arg(long, value_name = "FILE", requires = "tls_cert", requires = "tls_key")]
    tls_ca: Option<PathBuf>,
    /// PEM file with this peer's certificate, which names it. All these files are read again at
    /// SIGHUP, and when they have changed and are the same in two looks, 10 s apart.
    #[arg(long, value_name = "FILE", requires = "tls_ca")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of that.
    #[arg(long, value_name = "FILE", requires = "tls_ca")]
    tls_key: Option<PathBuf>,
    /// PEM file with certificates that were revoked.
    #[arg(long, value_name = "FILE", requires = "tls_ca")]
    tls_crl: Option<PathBuf>,
    /// Names of peers in certificates, like {peer}.quota.example or
    /// spiffe://example.org/quota/{peer}.
    #[arg(long, value_name = "PATTERN,..", value_delimiter = ',', requires = "tls_ca")]
    tls_names: Vec<String>,
    /// Names of clients that can be no members, in place of the URI quorate-client:{peer}.
    #[arg(long, value_name = "PATTERN,..", value_delimiter = ',', requires = "tls_ca")]
    tls_client_names: Vec<String>,
    /// How far TLS is used: off, permissive (with who can, while the group changes) or required;
    /// required if left out. With the files: without any of these options there is no TLS either.
    #[arg(long, value_name = "STAGE", value_parser = arguments::tls(), requires = "tls_ca")]
    tls: Option<Tls>,
}

impl TlsOptions {
    /// The transport that they ask for, if any.
    pub(crate) fn transport(
        &self,
        failure_timeout: Duration,
    ) -> Result<Option<TlsTransport>, String> {
        let (Some(ca), Some(certificate), Some(key)) =
            (&self.tls_ca, &self.tls_cert, &self.tls_key)
        else {
            return Ok(None);
        };
        let mut config = TlsConfig::from_pem_files(ca, certificate, key)
            .stage(self.tls.unwrap_or_default())
            .names(self.tls_names.iter().map(String::as_str))
            .client_names(self.tls_client_names.iter().map(String::as_str))
            .watch(WATCH)
            .over(Arc::new(Tcp::default().user_timeout(failure_timeout)));
        if let Some(crl) = &self.tls_crl {
            config = config.crl_file(crl);
        }
        config.transport().map(Some).map_err(|error| format!("TLS: {}", sentence(&error)))
    }
}

/// Reads the files again at every SIGHUP; what comes of it is told by an event.
pub(crate) async fn reload_on_signal(tls: TlsTransport, mut hang_up: tokio::signal::unix::Signal) {
    while hang_up.recv().await.is_some() {
        let tls = tls.clone();
        // Whether they were good is told by an event.
        let reloading = tokio::task::spawn_blocking(move || tls.reload().is_ok());
        reloading.await.unwrap_or_default();
    }
}
