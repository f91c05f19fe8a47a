//! Any lines in the field that proxies write: a client stays who it is, and is never the proxy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate_tower::fuzzing::proxy_fields(data));
