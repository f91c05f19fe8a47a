//! The fuzz targets for fields of requests, run with the ordinary compiler: on the corpus, and on
//! lines of what means something in such fields.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use quorate_tower::fuzzing;

type Target = fn(&[u8]);

#[test]
fn every_file_of_the_corpus_runs() {
    let targets: [(&str, Target); 2] =
        [("proxy_fields", fuzzing::proxy_fields), ("request_keys", fuzzing::request_keys)];
    for (target, run) in targets {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut files = 0;
        for file in fs::read_dir(corpus).expect("the corpus is committed") {
            run(&fs::read(file.expect("a readable folder").path()).expect("a readable file"));
            files += 1;
        }
        assert!(files > 3, "the corpus of {target} has seeds");
    }
}

fn lines(meaningful: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let meaningful = proptest::sample::select(meaningful);
    let piece = prop_oneof![
        8 => meaningful.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

const OF_PROXIES: &[&str] = &[
    "for=",
    "For = ",
    "by=",
    "host=\"",
    "\"",
    "\\",
    ",",
    ";",
    "=",
    " ",
    "\t",
    "\n",
    "[",
    "]",
    ":",
    "%eth0",
    "unknown",
    "_hidden",
    "unix:",
    "10.0.0.1",
    "192.0.2.1",
    "6.6.6.6:80",
    "2001:db8::9",
    "::ffff:6.6.6.6",
    "\u{e4}",
];

const OF_KEYS: &[&str] = &[
    "Bearer", "basic", " ", "\t", "\n", "t0Ken", ":", "1:", "@", ".", "..", "/", "//", "%2e",
    "%2F", "%61", "%", "%zz", "Example", "org", "[", "]", "::1", "80", "http://", "?", "#",
    "\u{e4}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_stands_in_the_field_of_a_proxy_the_client_is_told_apart(data in lines(OF_PROXIES)) {
        fuzzing::proxy_fields(&data);
    }

    #[test]
    fn whatever_a_key_is_it_is_written_in_one_way(data in lines(OF_KEYS)) {
        fuzzing::request_keys(&data);
    }
}
