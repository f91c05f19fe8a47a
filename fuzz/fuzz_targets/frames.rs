//! Any stream of bytes: frames are split off, their bodies read, and written the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::internal::wire::fuzzing::frames(data));
