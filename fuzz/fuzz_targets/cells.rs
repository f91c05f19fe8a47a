//! Cells with any content: no decision and no merge is broken by them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate_ratelimit::fuzzing::cells(data));
