//! Directories that are sound but for some bytes, as a fuzzer would change them.

use std::path::Path;

use proptest::prelude::*;

use super::super::fuzzing;

/// Seeds of the fuzz target.
fn seed(name: &str) -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/directories");
    std::fs::read(corpus.join(name)).expect("every seed is committed: see fuzz/README.md")
}

/// A change of one place.
#[derive(Clone, Debug)]
enum Change {
    Set { at: usize, to: u8 },
    Fill { at: usize, to: u8 },
    Cut { at: usize, bytes: usize },
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        let length = data.len().max(1);
        match *self {
            Self::Set { at, to } => data.iter_mut().skip(at % length).take(1).for_each(|b| *b = to),
            Self::Fill { at, to } => {
                data.iter_mut().skip(at % length).take(8).for_each(|b| *b = to);
            }
            Self::Cut { at, bytes } => {
                let start = (at % length).min(data.len());
                data.drain(start..(start + bytes).min(data.len()));
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (any::<usize>(), any::<u8>()).prop_map(|(at, to)| Change::Set { at, to }),
        2 => (any::<usize>(), prop_oneof![Just(0), Just(0xff), any::<u8>()])
            .prop_map(|(at, to)| Change::Fill { at, to }),
        1 => (any::<usize>(), 1..40_usize).prop_map(|(at, bytes)| Change::Cut { at, bytes }),
    ]
}

#[test]
fn the_seeds_are_sound_directories() {
    for name in ["golden", "golden_mended"] {
        let storage = fuzzing::recover(&fuzzing::disk_of(&seed(name)));
        let storage = storage.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!storage.position().is_blank(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn changed_directories_are_recovered_or_refused(
        is_mended in any::<bool>(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let mut data = seed(if is_mended { "golden_mended" } else { "golden" });
        changes.iter().for_each(|change| change.apply(&mut data));
        fuzzing::directories(&data);
    }
}
