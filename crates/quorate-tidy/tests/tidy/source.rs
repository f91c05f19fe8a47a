//! Sources of the workspace, and the modules that they are.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the workspace that hold sources.
const FOLDERS: [&str; 4] = ["benches", "crates", "examples", "fuzz"];

/// Files that a program writes.
const GENERATED: &str = "src/wire/generated.rs";

/// One source file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path under the workspace, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// The crate's folder, and the path of the file under its `src`; `None` for tests, benches and
    /// examples.
    fn place(&self) -> Option<(&str, &str)> {
        let (krate, file) = self.path.split_once("/src/")?;
        let is_test = file.contains("tests/") || file.ends_with("tests.rs");
        (krate.starts_with("crates/") && !is_test).then_some((krate, file))
    }

    /// The folder of the crate whose production code it is part of.
    pub(crate) fn krate(&self) -> Option<&str> {
        self.place().map(|(krate, _)| krate)
    }

    /// The file under `src`; empty for tests.
    pub(crate) fn file(&self) -> &str {
        self.place().map_or("", |(_, file)| file)
    }

    /// The path of the module that it is, from the root of its crate.
    pub(crate) fn module(&self) -> Vec<&str> {
        let file = self.file().trim_end_matches(".rs");
        let mut path: Vec<&str> = file.split('/').collect();
        if path.last().is_some_and(|last| ["lib", "main", "mod"].contains(last)) {
            path.pop();
        }
        path
    }

    /// What stands before its tests.
    pub(crate) fn production(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every source that a person writes, in the order of their paths.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        read(&root().join(folder), folder, "rs", &mut found);
    }
    found.retain(|source| !source.path.ends_with(GENERATED));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 400, "the sources have moved: {} are here", found.len());
    found
}

/// Every page for readers.
pub(crate) fn pages() -> Vec<Source> {
    let mut found = Vec::new();
    read(&root().join("docs"), "docs", "md", &mut found);
    for name in ["CONTRIBUTING.md", "README.md", "SECURITY.md"] {
        found.push(Source { path: name.into(), text: text_of(&root().join(name)) });
    }
    assert!(found.len() > 8, "the pages have moved: {} are here", found.len());
    found
}

fn read(folder: &Path, name: &str, kind: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{name}: {error}")) {
        let path = entry.expect("an entry of a folder").path();
        let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path_name = format!("{name}/{last}");
        if path.is_dir() {
            // What is built, and what fuzzing has found, is nobody's writing.
            if !["target", "corpus", "artifacts"].contains(&&*last) {
                read(&path, &path_name, kind, found);
            }
        } else if path.extension().is_some_and(|extension| extension == kind) {
            found.push(Source { path: path_name, text: text_of(&path) });
        }
    }
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
