//! Any body of a message: what is read is written and read the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::internal::wire::fuzzing::messages(data));
