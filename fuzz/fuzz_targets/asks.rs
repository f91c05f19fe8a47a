//! Any document of the admin lane: an ask of a peer, or one about limits, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate::admin::fuzzing::asks(data);
    quorate_ratelimit::fuzzing::asks(data);
});
