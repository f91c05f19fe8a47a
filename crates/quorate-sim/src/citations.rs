//! Tests that whatever the sources cite is there: numbered promises, sections of pages, and what
//! the page of promises says that holds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of docs/guarantees.md: its number, and the whole of it.
type Promises = BTreeMap<u32, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    let path = root().join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every source of the simulator, by its path under `src`.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources is read") {
            let path = entry.expect("an entry of it is read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&src).expect("it is under src").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("a source is text"));
            }
        }
    }
    found
}

fn promises() -> Promises {
    let page = page("guarantees.md");
    let mut promises = Promises::new();
    for row in page.lines().filter(|line| line.starts_with("| G")) {
        let number = numbers(row).next().expect("a row begins with its number");
        let former = promises.insert(number, row.to_owned());
        assert!(former.is_none(), "G{number} stands in docs/guarantees.md twice");
    }
    promises
}

/// Every number with a G before it.
fn numbers(text: &str) -> impl Iterator<Item = u32> + '_ {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter_map(|word| word.strip_prefix('G')?.parse().ok())
}

/// Whatever stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_promise_that_is_cited_stands_in_its_page() {
    let promises = promises();
    for (file, text) in sources() {
        for line in text.lines().filter(|line| line.contains("docs/guarantees.md")) {
            for number in numbers(line) {
                assert!(promises.contains_key(&number), "{file} cites G{number}: {line}");
            }
        }
    }
}

#[test]
fn every_checker_holds_a_promise_that_names_it() {
    let promises = promises();
    let checkers = sources()
        .into_iter()
        .filter(|(file, _)| file.starts_with("check/") && file != "check/mod.rs");
    for (file, text) in checkers {
        let cited: Vec<u32> =
            text.lines().filter(|line| line.starts_with("//! Holds ")).flat_map(numbers).collect();
        assert!(!cited.is_empty(), "{file} cites no promise");
        let name = file.trim_start_matches("check/");
        for number in cited {
            let row = &promises[&number];
            let is_named = quoted(row).any(|word| word == name);
            assert!(is_named, "G{number} of {file} does not name it: {row}");
        }
    }
}

#[test]
fn whatever_holds_a_promise_is_there() {
    for (number, row) in promises() {
        let held_by = row.rsplit(" | ").next().expect("a row has columns");
        let mut text = String::new();
        let mut files = 0;
        for word in quoted(held_by) {
            if word.ends_with(".rs") {
                let checker = format!("crates/quorate-sim/src/check/{word}");
                let path = if word.contains('/') { word.to_owned() } else { checker };
                let read = fs::read_to_string(root().join(&path));
                text = read.unwrap_or_else(|error| panic!("G{number}, {path}: {error}"));
                files += 1;
            } else {
                let is_there =
                    text.contains(&format!("fn {word}(")) || text.contains(&format!("\"{word}\""));
                assert!(is_there, "G{number} names {word}, which is not there");
            }
        }
        assert!(files > 0, "nothing holds G{number}");
    }
}

/// `docs/NAME.md, section N`, and the heading `## N. ..` of that page.
#[test]
fn every_section_that_is_cited_is_in_its_page() {
    for (file, text) in sources().into_iter().filter(|(file, _)| file != "citations.rs") {
        // A citation may go over the end of a line.
        let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!']));
        let text = lines.collect::<Vec<_>>().join("");
        for cited in text.split("docs/").skip(1) {
            let Some((name, rest)) = cited.split_once(".md") else { continue };
            let page = page(&format!("{name}.md"));
            let Some(rest) = rest.strip_prefix(", section ") else { continue };
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let heading = format!("\n## {number}. ");
            assert!(page.contains(&heading), "{file} cites {name}.md, section {number}");
        }
    }
}
