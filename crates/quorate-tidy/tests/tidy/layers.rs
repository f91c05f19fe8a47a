//! Walls: no circle of imports in any crate, no room that uses one above it, no folder that is a
//! heap.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{circle, imports};
use crate::source::{Source, sources};

/// Rooms of a crate from the ground up: each may use those before it. A file at the top is a room.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "crates/quorate",
        &[
            "base",
            "words",
            "config",
            "state",
            "model",
            "record",
            "store",
            "protocol",
            "wire",
            "session",
            "disk",
            "transport",
            "admin",
            "driver",
        ],
    ),
    (
        "crates/quorate-cli",
        &["exit", "text", "output", "arguments", "report", "door", "group", "top", "command"],
    ),
    ("crates/quorate-ratelimit", &["numbers", "limit", "rule", "model", "limiter"]),
];

/// Files that one folder holds at most.
const MAX_FILES: usize = 30;

fn crates(sources: &[Source]) -> BTreeMap<&str, Vec<&Source>> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        if let Some(krate) = source.krate() {
            crates.entry(krate).or_default().push(source);
        }
    }
    assert!(crates.len() >= 5, "the crates have moved: {:?}", crates.keys());
    crates
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn no_crate_has_a_circle_of_imports() {
    for (krate, files) in crates(&sources()) {
        let found = circle(&imports(&files));
        assert_eq!(found, None, "files of {krate} import each other");
    }
}

#[test]
fn no_room_uses_one_above_it() {
    let sources = sources();
    let crates = crates(&sources);
    for (krate, layers) in LAYERS {
        let floor = |file: &str| layers.iter().position(|layer| *layer == room(file));
        let imports = imports(&crates[krate]);
        let rooms: BTreeSet<&str> = imports.keys().map(|file| room(file)).collect();
        for layer in *layers {
            assert!(rooms.contains(layer), "{krate} has no room {layer} any more");
        }
        for (file, from) in &imports {
            for other in from {
                let is_above = floor(file).zip(floor(other)).is_some_and(|(own, its)| its > own);
                assert!(!is_above, "{krate}: {file} uses {other}, which is above it");
            }
        }
    }
}

#[test]
fn no_folder_is_a_heap() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources().iter().filter(|source| source.krate().is_some()) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *counts.entry(folder.to_owned()).or_default() += 1;
    }
    for (folder, count) in counts {
        assert!(count <= MAX_FILES, "{folder} holds {count} files: make rooms");
    }
}
