//! Any lines in the fields that requests are counted by: one key has one way of being written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate_tower::fuzzing::request_keys(data));
