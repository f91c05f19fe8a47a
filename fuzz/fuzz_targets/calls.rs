//! Any body of calls or replies: what is read is written the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate::internal::wire::fuzzing::calls(data));
