//! What the examples share. The examples themselves are the files beside this one:
//!
//! - `local_group.rs`: three peers as three processes, one of them killed, and the proof that
//!   nothing was lost: `cargo run --release --example local_group`
//! - `dev_certs.rs`: a CA and certificates for trying TLS: `cargo run --example dev_certs -- DIR a b c`
//! - `peer.rs`: one peer as an HTTP service, to copy: `cargo run --release --example peer -- --help`
//! - `from_file.rs`: a peer that a file sets up: `cargo run --example from_file -- examples/peer.toml a`
//! - `tower_axum.rs`, `tower_hyper.rs`: services whose requests are limited by a layer:
//!   `cargo run --example tower_axum`

pub mod arguments;
pub mod certificates;
pub mod ledger;

use std::error::Error;

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

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

#[cfg(test)]
mod tests {
    use quorate_ratelimit::LimitsSpec;

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
