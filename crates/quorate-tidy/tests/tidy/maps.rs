//! Maps: every file of production code is named by a page that says what it is.

use crate::source::{pages, sources};

/// Pages that hold the maps.
const MAPS: [&str; 2] = ["docs/architecture.md", "docs/testing.md"];

/// Folders of files of one kind, which stand in a map as a whole.
const WHOLE: [&str; 6] =
    ["check", "disk/simulated", "scenario", "testing", "wire/convert", "world/disk"];

#[test]
fn every_file_stands_in_a_map() {
    let pages = pages();
    let maps: String =
        pages.iter().filter(|page| MAPS.contains(&&*page.path)).map(|page| &*page.text).collect();
    let mut missing = Vec::new();
    for source in sources().iter().filter(|source| source.krate().is_some()) {
        let file = source.file();
        let name = file.rsplit('/').next().unwrap_or_default();
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_root = ["lib.rs", "main.rs", "mod.rs"].contains(&name);
        let is_whole = WHOLE.contains(&folder) && {
            let last = folder.rsplit('/').next().unwrap_or_default();
            maps.contains(&format!("`{last}/`")) || maps.contains(&format!("`{folder}/`"))
        };
        let is_named =
            is_whole || maps.contains(&format!("`{name}`")) || maps.contains(&format!("/{name}`"));
        if !is_root && !is_named {
            missing.push(source.path.clone());
        }
    }
    assert!(missing.is_empty(), "in no map:\n{}", missing.join("\n"));
}
