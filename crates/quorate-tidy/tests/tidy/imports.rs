//! Imports between the files of a crate, read from their `use` items and from paths in their code.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// Which files of one crate each of its files imports from, but for the modules that it is in: a
/// child may use what its parent defines.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// The imports of one crate, by paths under its `src`.
pub(crate) fn imports(sources: &[&Source]) -> Imports {
    let modules: BTreeMap<String, &str> =
        sources.iter().map(|source| (source.module().join("::"), source.file())).collect();
    let mut imports = Imports::new();
    for source in sources {
        let own = source.module();
        let mut from = BTreeSet::new();
        for path in paths(source.production()) {
            let Some(full) = resolve(&path, &own) else { continue };
            let Some((length, file)) = module_of(&full, &modules) else { continue };
            let is_around =
                length <= own.len() && full.iter().zip(&own).take(length).all(|(a, b)| a == b);
            if file != source.file() && !is_around {
                from.insert(file.to_owned());
            }
        }
        imports.insert(source.file().to_owned(), from);
    }
    imports
}

/// Every path that a text imports, or names from the root of the crate.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for item in code.split("use ").skip(1) {
        let tree = item.split(';').next().unwrap_or_default();
        spread(&[], tree, &mut found);
    }
    for named in code.split("crate::").skip(1) {
        let end = named.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let path = named[..end.unwrap_or(named.len())].split("::").filter(|part| !part.is_empty());
        found.push(std::iter::once("crate").chain(path).map(str::to_owned).collect());
    }
    found
}

/// Takes a tree of imports apart.
fn spread(prefix: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some(list) = tree.strip_prefix('{') {
        let list = list.trim_end().trim_end_matches('}');
        let (mut depth, mut start) = (0_usize, 0);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    spread(prefix, &list[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        spread(prefix, &list[start..], found);
        return;
    }
    let mut path = prefix.to_vec();
    match tree.split_once("::") {
        Some((head, rest)) if is_word(head) => {
            path.push(head.trim().to_owned());
            spread(&path, rest, found);
        }
        _ => {
            let leaf = tree.split(" as ").next().unwrap_or_default().trim();
            if is_word(leaf) {
                path.push(leaf.to_owned());
                found.push(path);
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '*')
}

/// A path from the root of the crate; `None` if it leads out of it.
fn resolve(path: &[String], own: &[&str]) -> Option<Vec<String>> {
    let mut base: Vec<String> = own.iter().map(|part| (*part).to_owned()).collect();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The length of the innermost module on a path, and its file.
fn module_of<'a>(path: &[String], modules: &BTreeMap<String, &'a str>) -> Option<(usize, &'a str)> {
    (1..=path.len())
        .rev()
        .find_map(|length| Some((length, *modules.get(&path[..length].join("::"))?)))
}

/// Files that import each other, directly or around corners.
pub(crate) fn circle(imports: &Imports) -> Option<Vec<String>> {
    // Whoever imports nothing that is left is in no circle.
    let mut left = imports.clone();
    loop {
        let outer: Vec<String> = left
            .iter()
            .filter(|(_, from)| !from.iter().any(|file| left.contains_key(file)))
            .map(|(file, _)| file.clone())
            .collect();
        if outer.is_empty() {
            break;
        }
        for file in outer {
            left.remove(&file);
        }
    }
    // What is left leads to a circle: from any of it along whatever is left.
    let mut way = vec![left.keys().next()?.clone()];
    loop {
        let last = way.last()?;
        let next = left[last].iter().find(|file| left.contains_key(*file))?.clone();
        if let Some(start) = way.iter().position(|file| *file == next) {
            return Some(way.split_off(start));
        }
        way.push(next);
    }
}

#[test]
fn trees_of_imports_are_taken_apart() {
    let found = paths("use crate::a::{b, c::{d as e, self}};\nuse super::f;\nlet x = crate::g::H;");
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::a::b",
        "crate::a::c::d",
        "crate::a::c::self",
        "super::f",
        "crate::a",
        "crate::g::H",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_circle_is_found_where_there_is_one() {
    let graph = |edges: &[(&str, &[&str])]| -> Imports {
        let files = |list: &[&str]| list.iter().map(|file| (*file).to_owned()).collect();
        edges.iter().map(|(file, from)| ((*file).to_owned(), files(from))).collect()
    };
    let tree = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circle(&tree), None);
    let round = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b", "d"]), ("d", &[])]);
    assert_eq!(circle(&round), Some(vec!["b".to_owned(), "c".to_owned()]));
}
