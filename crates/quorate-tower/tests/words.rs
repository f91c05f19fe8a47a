//! What is said of settings and keys, with the input that it comes of beside it.

use std::borrow::Cow;

use quorate_tower::{BuildError, Network, NoKey};
#[path = "../../quorate/tests/support/words.rs"]
mod words;

use words::{assert_told, broken};

#[test]
fn networks_and_keys() {
    let network = |text: &str| text.parse::<Network>().expect_err("it is none").to_string();
    let field = || Cow::Borrowed("the field x-api-key");
    assert_told([
        (
            network("localhost"),
            "\"localhost\" is no network: write an address and the length of its prefix, like \
             10.0.0.0/8",
        ),
        (
            network("10.0.0.0/33"),
            "\"10.0.0.0/33\" is no network: a prefix of 33 bits is too long, the address has 32",
        ),
        (
            network("::/129"),
            "\"::/129\" is no network: a prefix of 129 bits is too long, the address has 128",
        ),
        (
            network(&"x".repeat(10_000)),
            &format!(
                "\"{}…\" is no network: write an address and the length of its prefix, like \
                 10.0.0.0/8",
                "x".repeat(64)
            ),
        ),
        (NoKey::NotSent { what: field() }.to_string(), "the request lacks the field x-api-key"),
        (NoKey::NotSupplied { what: field() }.to_string(), "the service lacks the field x-api-key"),
        (
            NoKey::Unreadable { what: "an empty key".into() }.to_string(),
            "the request has an empty key",
        ),
    ]);
}

#[test]
fn layers_that_are_not_built_keep_to_the_rules() {
    let limit = || "mail".into();
    for error in [
        BuildError::Concurrency { limit: limit() },
        BuildError::NeverAdmitted { limit: limit(), cost: 5, max: 3 },
        BuildError::Rules { count: 0, max: 16 },
        BuildError::UnknownLimit { limit: limit() },
    ] {
        assert_eq!(broken(&error.to_string()), None, "{error}");
    }
}
