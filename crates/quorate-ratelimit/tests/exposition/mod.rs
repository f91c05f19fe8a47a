//! Prometheus' text format, read as strictly as its description has it.

use std::collections::{BTreeMap, BTreeSet};

/// Values by name and labels.
pub(crate) type Read = BTreeMap<(String, Vec<(String, String)>), f64>;

/// Reads the format as its description says: families whole, in one place, each with its help
/// and type before its values.
pub(crate) fn read(text: &str) -> Read {
    let (mut values, mut seen) = (Read::new(), BTreeSet::new());
    let mut family = None;
    let mut is_histogram = false;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(seen.insert(name.to_owned()), "{name} twice");
            assert!(!help.is_empty());
            family = Some((name.to_owned(), false));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            is_histogram = kind == "histogram";
            assert_eq!(family, Some((name.to_owned(), false)));
            family = Some((name.to_owned(), true));
        } else {
            let (name, labels, value) = sample(line);
            let parts = ["_bucket", "_sum", "_count"];
            let part = parts.iter().find_map(|part| name.strip_suffix(part));
            let of = part.filter(|_| is_histogram).unwrap_or(&name);
            assert_eq!(family, Some((of.to_owned(), true)), "{line}");
            assert_eq!(values.insert((name, labels), value), None, "{line} twice");
        }
    }
    values
}

/// A line as a name, labels and a value.
pub(crate) fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let (name, mut rest) = line.split_at(end.expect("a value follows"));
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a quoted value");
            let (value, after) = quoted(after);
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

/// A text up to its closing quotes, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next().expect("something is escaped").1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quotes in {text}")
}
