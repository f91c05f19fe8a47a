//! A peer that is set up by a file, which serde reads: nothing of its settings is mapped by hand.
//!
//! ```text
//! cargo run --release --example from_file -- examples/peer.toml a
//! ```
//!
//! and the same with `b` and with `c`, each in a terminal of its own. Every second each of them
//! takes one unit, and prints which peer decided. `RUST_LOG=quorate=debug` shows more of what the
//! peers do.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use quorate::PeerSettings;
use quorate::transport::Tcp;
use quorate_examples::sentence;
use quorate_ratelimit::{LimitSpec, LimitsSpec, RateLimiter};
use quorate_tls::TlsSettings;
use serde::Deserialize;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    peer: PeerSettings,
    tls: Option<TlsSettings>,
    limits: BTreeMap<String, LimitSpec>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        // What TOML says of a file has several lines.
        Err(error) => {
            eprintln!("from_file: {}", sentence(&*error));
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    quorate_examples::show_logs()?;
    let mut arguments = std::env::args().skip(1);
    let usage = "say which file, and what this peer is called: from_file examples/peer.toml a";
    let mut settings = read(&arguments.next().ok_or(usage)?)?;
    if let Some(name) = arguments.next() {
        settings.peer.name = Some(name.into());
    }
    let limits = LimitsSpec::from(settings.limits).build()?;
    let failure_timeout = settings.peer.failure_timeout;
    let mut peer = settings.peer.builder(limits.model())?;
    if let Some(tls) = settings.tls {
        let tcp = failure_timeout.map_or_else(Tcp::default, |it| Tcp::default().user_timeout(it));
        peer = peer.transport(Arc::new(tls.config().over(Arc::new(tcp)).transport()?));
    }
    let peer = peer.start().await?;
    peer.wait_ready(Duration::from_secs(60)).await?;

    let limiter = RateLimiter::new(peer.clone(), &limits);
    let first = limits.iter().next().map(|(name, _)| name.to_owned()).ok_or("there is no limit")?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let asking = async {
        loop {
            seconds.tick().await;
            match limiter.acquire(&first, "alice", 1).await {
                Ok(decision) => println!(
                    "{first}: {} left, decided by {}",
                    decision.remaining, decision.decided_by
                ),
                Err(error) => println!("{first}: {error}"),
            }
        }
    };
    tokio::select! {
        () = asking => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    peer.shutdown().await;
    Ok(())
}

fn read(file: &str) -> Result<Settings, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_example_of_a_file_starts_a_peer() {
        let settings: Settings = toml::from_str(include_str!("peer.toml")).expect("it is read");
        let limits = LimitsSpec::from(settings.limits).build().expect("usable");
        let peer = quorate::Peer::builder("a", limits.model()).settings(settings.peer);
        let network = quorate::transport::InProcess::network();
        let peer = peer.transport(network.at("a")).start().await.expect("usable");
        assert_eq!(peer.status().members.len(), 3);
        assert_eq!(peer.status().max_cells, 1_000_000);
    }

    #[test]
    fn a_mistake_in_a_file_is_named_with_its_place() {
        let text = include_str!("peer.toml").replace("\"strict\"", "\"strickt\"");
        let error = toml::from_str::<Settings>(&text).err().expect("refused").to_string();
        assert!(error.contains("\"strickt\" is no mode: write strict or relaxed"), "{error}");
        assert!(error.contains("line 10"), "{error}");
        // What stands behind a comment is usable too.
        let text = include_str!("peer.toml").replace("\n# [tls]", "\n[tls]");
        let text = text.replace("\n# ca =", "\nca =").replace("\n# certificate", "\ncertificate");
        let text = text.replace("\n# key", "\nkey").replace("\n# stage", "\nstage");
        let tls = toml::from_str::<Settings>(&text).expect("it is read").tls.expect("it is there");
        assert_eq!(tls.key, std::path::Path::new("certs/a.key"));
    }
}
