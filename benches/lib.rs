//! What the benches share. The benches themselves are the files beside this one:
//!
//! - `catch_up.rs`: calls at a replica while another one starts blank
//! - `check.rs`: a check on the primary, beside governor
//! - `disk.rs`: storage on disk, beside memory
//! - `forward.rs`: a check at another peer, beside a bare round trip and Redis
//! - `full_copy.rs`: the peer that is sent everything, its memory and its turns
//! - `instructions.rs`: the hot paths, counted by `callgrind.sh` and not by a clock
//! - `strangers.rs`: what handshakes of strangers cost
//! - `tls.rs`: a check at another peer over TLS, beside plain TCP
//!
//! `cargo bench -p quorate-benches` runs all; docs/performance.md says what came of it and what
//! is weak about the numbers.

pub mod caller;
#[path = "../examples/certificates.rs"]
pub mod certificates;
pub mod child;
pub mod echo;
pub mod facts;
pub mod group;
pub mod keys;
pub mod redis_window;
pub mod report;
pub mod stopwatch;
