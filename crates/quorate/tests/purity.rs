//! The protocol and the store know no clock, no socket, no file, no task, and nothing whose order
//! differs from run to run. The compiler checks part of it (the crate builds without `driver`);
//! this reads the rest.

use std::fs;
use std::path::{Path, PathBuf};

const PURE: [&str; 7] =
    ["src/base", "src/disk", "src/protocol", "src/session", "src/state", "src/store", "src/wire"];

/// Where files really are opened.
const IMPURE: &str = "src/disk/system.rs";

const BANNED: [&str; 11] = [
    "tokio",
    "std::net",
    "std::fs",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
    "Instant::now",
    "rand::",
    "f64",
    "HashSet",
    "for (key, value) in map",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the crate has this folder");
    for entry in entries {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Production code of a file: what stands before its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn pure_modules_use_nothing_impure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in PURE {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "the pure modules have moved: {files:?}");
    let mut faults = Vec::new();
    let is_production = |path: &&PathBuf| {
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        !is_test
            && !path.ends_with(IMPURE)
            && !path.ends_with("tests.rs")
            && !path.ends_with("generated.rs")
    };
    for path in files.iter().filter(is_production) {
        let text = fs::read_to_string(path).expect("a readable source file");
        for (number, line) in production(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = BANNED.iter().find(|word| code.contains(**word)) {
                faults.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "impure code in pure modules:\n{}", faults.join("\n"));
}
