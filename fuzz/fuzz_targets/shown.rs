//! What an end shows after the first bytes: certificates in any order, whole or not, and any bytes.
//! Whose own one is good, and has beside it what it needs, is let in, and nobody else.
#![no_main]

use std::sync::LazyLock;

use quorate_tls::TlsTransport;
use quorate_tls::fuzzing::{self, Card};

#[path = "../../crates/quorate-tls/tests/support/cards.rs"]
mod cards;

/// Certificates made for this run.
static DECK: LazyLock<(TlsTransport, Vec<Card>)> = LazyLock::new(cards::deck);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (transport, cards) = &*DECK;
    fuzzing::shown(transport, cards, data);
    fuzzing::certificate(data);
});
