//! Any limits file: built, or refused with a sentence.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(spec) = toml::from_str(text) {
        quorate_ratelimit::fuzzing::limits_file(&spec);
    }
});
