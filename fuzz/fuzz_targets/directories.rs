//! Any files: a directory is recovered or refused, and read as it was written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::internal::disk::fuzzing::directories(data));
