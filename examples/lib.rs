//! What the examples share. The examples themselves stand beside this file:
//!
//! - `local_group/`: three peers as three processes, one of them killed, and the proof that
//!   nothing was lost: `cargo run --release --example local_group`
//! - `dev_certs.rs`: a CA and certificates for trying TLS: `cargo run --example dev_certs -- DIR a
//!   b c`
//! - `peer/`: one peer as an HTTP service, to copy: `cargo run --release --example peer --
//!   --help`
//! - `from_file.rs`: a peer that a file sets up:
//!   `cargo run --example from_file -- examples/peer.toml a`
//! - `tower_axum.rs`, `tower_hyper.rs`: services whose requests are limited by a layer:
//!   `cargo run --example tower_axum`

pub mod arguments;
pub mod certificates;
pub mod ledger;

use std::error::Error;
use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shows on stderr what is logged: what is to be known of, or what `RUST_LOG` says, like `debug` or
/// `quorate=debug`.
///
/// # Errors
///
/// If that cannot be read, or logs are shown already.
pub fn show_logs() -> Result<(), Box<dyn Error>> {
    let usual = || Targets::new().with_default(LevelFilter::INFO);
    let wanted = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => {
            text.parse::<Targets>().map_err(|error| format!("RUST_LOG={text}: {error}"))?
        }
        _ => usual(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(lines).with(wanted).try_init()?;
    Ok(())
}

/// An error and its causes in one line.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some errors say their cause themselves.
        let said = error.to_string();
        if !text.ends_with(&said) {
            text += &format!(": {said}");
        }
        cause = error.source();
    }
    text
}

/// The code of the README and of those of the crates, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../crates/quorate/README.md")]
#[doc = include_str!("../crates/quorate-ratelimit/README.md")]
#[doc = include_str!("../crates/quorate-tls/README.md")]
pub struct Readme;

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use quorate::transport::InProcess;
    use quorate::{DecideError, NoPrimaryReason, Peer, Storage};
    use quorate_ratelimit::{AcquireError, Limit, Limits, LimitsSpec, RateLimiter};
    use quorate_tls::TlsConfig;
    use quorate_tower::{Network, RateLimitLayer};

    /// A program whose `main` returns an error shows its `Debug`.
    #[tokio::test(start_paused = true)]
    async fn what_a_main_function_shows_is_a_short_sentence() {
        let limits =
            Limits::builder().limit("api", Limit::per_second(100)).build().expect("usable");
        let broken = Limits::builder().limit("api", Limit::per_second(0)).build();
        let network = InProcess::network();
        let builder = |name: &str| {
            let members = [("a", "a"), ("b", "b"), ("c", "c")];
            let builder = Peer::builder(name, limits.model()).members(members);
            builder.transport(network.at(name)).tokio_clock()
        };
        let a = builder("a").start().await.expect("usable");
        let limiter = RateLimiter::new(a.clone(), &limits);
        let second = Duration::from_secs(1);
        let tls = || TlsConfig::from_pem_files("no/ca.pem", "no/a.pem", "no/a.key").transport();
        let file = || Storage::disk(concat!(env!("CARGO_MANIFEST_DIR"), "/lib.rs"));
        let errors: Vec<(Box<dyn Error>, &str)> = vec![
            (broken.expect_err("no rate").into(), "limit api: "),
            (a.wait_ready(second).await.expect_err("alone").into(), "not ready after 1s: fewer"),
            (limiter.acquire("api", "k", 1).await.expect_err("alone").into(), "no primary: "),
            (limiter.acquire("apj", "k", 1).await.expect_err("alone").into(), "no primary: "),
            (builder("d").start().await.expect_err("no member").into(), "the settings are not"),
            (builder("a").start().await.expect_err("in use").into(), "cannot listen on a: "),
            (builder("b").storage(file()).start().await.expect_err("a file").into(), "cannot "),
            (a.switch_primary("b").await.expect_err("alone").into(), "no primary within 30s"),
            (a.change_policy(vec![0; 1 << 20]).await.expect_err("long").into(), "a change of"),
            (a.forget("a").await.expect_err("alive").into(), "a is connected: have it leave"),
            (tls().expect_err("no files").into(), "cannot read "),
            (
                "10.0.0.0/33".parse::<Network>().expect_err("too long").into(),
                "\"10.0.0.0/33\" is no network",
            ),
            (RateLimitLayer::builder(limiter.clone()).build().expect_err("none").into(), ""),
            (
                AcquireError::Undecided(DecideError::NoPrimary {
                    reason: NoPrimaryReason::Electing,
                })
                .into(),
                "no primary: an election has not ended, which takes some seconds",
            ),
        ];
        for (error, begins) in errors {
            let shown = format!("{error:?}");
            assert!(shown.starts_with(begins), "{shown} does not begin with {begins:?}");
            let is_of_code =
                shown.contains(" { ") || shown.contains("Some(") || shown.contains("::");
            assert!(!is_of_code, "for people: {shown}");
            assert!((10..400).contains(&shown.len()), "{} bytes: {shown}", shown.len());
        }
    }

    #[test]
    fn the_example_of_a_limits_file_is_usable_and_has_every_kind() {
        let spec: LimitsSpec = toml::from_str(include_str!("limits.toml")).expect("it is TOML");
        let limits = spec.build().expect("it breaks no rule");
        assert_eq!(limits.iter().count(), spec.limits.len());
        // Written again and read again it is the same.
        let text = toml::to_string(&LimitsSpec::from(&limits)).expect("it is written");
        let again: LimitsSpec = toml::from_str(&text).expect("it is TOML");
        assert_eq!(again.build().expect("usable").to_string(), limits.to_string());
        let kinds = [
            "per 1s",
            "each window",
            "30 in any 1m, sliding",
            "about 100000 in any 1m, sliding",
            "per month",
            "at once",
            "a counter",
        ];
        assert!(kinds.iter().all(|kind| limits.to_string().contains(kind)), "{limits}");
    }
}
