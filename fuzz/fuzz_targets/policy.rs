//! Limits as they are replicated, and changes of them: taken, or refused with a sentence.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quorate_ratelimit::fuzzing::policy(data));
