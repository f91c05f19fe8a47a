//! Any operations on limits of every kind: a denial changes nothing, and no more is taken than
//! asked.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate_ratelimit::fuzzing::operations(data));
