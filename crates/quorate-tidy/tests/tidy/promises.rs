//! Promises: every number that is cited stands in docs/guarantees.md, and whatever holds a promise
//! is where that page says.

use std::collections::BTreeMap;
use std::fs;

use crate::source::{pages, root, sources};

/// The page of numbered promises.
const PAGE: &str = "docs/guarantees.md";

/// The folder of the simulator's checkers.
const CHECKERS: &str = "crates/quorate-sim/src/check/";

/// Rows of the page by their numbers.
type Promises = BTreeMap<u32, String>;

fn promises() -> Promises {
    let pages = pages();
    let page = pages.iter().find(|page| page.path == PAGE).expect("the page of promises");
    let mut promises = Promises::new();
    for row in page.text.lines().filter(|line| line.starts_with("| G")) {
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
    for source in sources() {
        for line in source.text.lines().filter(|line| line.contains(PAGE)) {
            for number in numbers(line) {
                assert!(promises.contains_key(&number), "{} cites G{number}: {line}", source.path);
            }
        }
    }
}

#[test]
fn every_checker_holds_a_promise_that_names_it() {
    let promises = promises();
    let mut count = 0;
    for source in sources() {
        let Some(name) = source.path.strip_prefix(CHECKERS).filter(|name| *name != "mod.rs") else {
            continue;
        };
        count += 1;
        let holds = source.text.lines().filter(|line| line.starts_with("//! Holds "));
        let cited: Vec<u32> = holds.flat_map(numbers).collect();
        assert!(!cited.is_empty(), "{name} cites no promise");
        for number in cited {
            let row = &promises[&number];
            let is_named = quoted(row).any(|word| word == name);
            assert!(is_named, "G{number} of {name} does not name it: {row}");
        }
    }
    assert!(count > 20, "the checkers have moved: {count} are here");
}

#[test]
fn whatever_holds_a_promise_is_there() {
    for (number, row) in promises() {
        let held_by = row.rsplit(" | ").next().expect("a row has columns");
        let mut text = String::new();
        let mut files = 0;
        for word in quoted(held_by) {
            if word.ends_with(".rs") {
                let checker = format!("{CHECKERS}{word}");
                let is_checker = root().join(&checker).is_file();
                let path = if is_checker { checker } else { word.to_owned() };
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
