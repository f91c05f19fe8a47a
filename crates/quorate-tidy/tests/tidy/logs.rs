//! Log records: each has a target that stays, and fields that are written as people read them; and
//! docs/logging.md has every target and every field.

use std::collections::BTreeSet;

use crate::source::{Source, pages, sources};

/// The crates that log.
const CRATES: [&str; 4] =
    ["crates/quorate", "crates/quorate-ratelimit", "crates/quorate-tls", "crates/quorate-tower"];

/// The macros that make a record, or a span.
const MACROS: [&str; 7] =
    ["trace!(", "debug!(", "info!(", "warn!(", "error!(", "event!(", "debug_span!("];

/// A record in the source, by the arguments of its macro.
struct Record<'a> {
    source: &'a Source,
    arguments: Vec<&'a str>,
}

fn records(source: &Source) -> Vec<Record<'_>> {
    let text = source.production();
    let mut found = Vec::new();
    for name in MACROS {
        for (at, _) in text.match_indices(name) {
            let is_whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if is_whole {
                found.push(Record { source, arguments: arguments(&text[at + name.len()..]) });
            }
        }
    }
    found
}

/// Splits what stands between brackets at its commas, up to the closing one.
fn arguments(text: &str) -> Vec<&str> {
    let mut arguments = Vec::new();
    let (mut depth, mut from) = (0, 0);
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && c == '\\' && !was_escaped;
        match c {
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => {
                arguments.push(text[from..at].trim());
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

impl Record<'_> {
    /// Its target as it is written: a text, or the name of a constant.
    fn target(&self) -> Option<&str> {
        Some(self.arguments.first()?.strip_prefix("target:")?.trim())
    }

    /// Its fields, each with what stands before its value.
    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let rest = self.arguments.iter().skip(1);
        let rest = rest.filter(|argument| !argument.starts_with(['"', '$']));
        rest.map(|argument| {
            let (name, value) = argument.split_once('=').unwrap_or((argument, argument));
            let sign = ["?", "%"].into_iter().find(|sign| value.trim_start().starts_with(sign));
            (name.trim().trim_start_matches(['%', '?']), sign.unwrap_or(""))
        })
    }
}

fn logging() -> Vec<Source> {
    let is_logging = |source: &Source| source.krate().is_some_and(|krate| CRATES.contains(&krate));
    sources().into_iter().filter(is_logging).collect()
}

/// The target that a constant of a crate is.
fn constant<'a>(sources: &'a [Source], krate: &str, name: &str) -> Option<&'a str> {
    let begins = format!("const {name}: &str = \"");
    let of_crate = sources.iter().filter(|source| source.krate() == Some(krate));
    let values = of_crate.filter_map(|source| source.text.split_once(&*begins));
    let mut values = values.filter_map(|(_, rest)| rest.split('"').next());
    values.find(|value| value.starts_with("quorate"))
}

/// The words in backquotes in the first cells of the table of a section.
fn listed(page: &Source, section: &str) -> BTreeSet<String> {
    let from = page.text.split_once(&*format!("\n## {section}\n")).expect("the section is there").1;
    let text = from.split("\n## ").next().unwrap_or_default();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" |").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_record_has_a_target_and_fields_that_the_page_on_logging_has() {
    let pages = pages();
    let page = pages.iter().find(|page| page.path == "docs/logging.md").expect("it is there");
    let (known_targets, known_fields) = (listed(page, "1. Targets"), listed(page, "3. Fields"));
    let sources = logging();
    let mut targets = BTreeSet::new();
    let mut fields = BTreeSet::new();
    let mut faults = Vec::new();
    for record in sources.iter().flat_map(records) {
        let path = &record.source.path;
        let said = record.arguments.join(", ");
        let target = record.target().and_then(|target| match target.strip_prefix('"') {
            Some(text) => text.strip_suffix('"'),
            None => constant(&sources, record.source.krate()?, target),
        });
        match target {
            Some(target) => _ = targets.insert(target.to_owned()),
            None => faults.push(format!("{path}: no target: {said}")),
        }
        for (field, sign) in record.fields() {
            fields.insert(field.to_owned());
            if sign == "?" {
                faults.push(format!("{path}: {field} is written as code has it: {said}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(targets, known_targets, "docs/logging.md, section 1");
    assert_eq!(fields, known_fields, "docs/logging.md, section 3");
}

#[test]
fn records_are_read_to_their_arguments() {
    let text = r#"target: LINKS, %peer, about = to.map(f(1, 2)), ?lane, "a, \"b) {x}", y = %z())"#;
    let source = Source { path: String::new(), text: String::new() };
    let record = Record { source: &source, arguments: arguments(text) };
    assert_eq!(record.target(), Some("LINKS"));
    let fields: Vec<_> = record.fields().collect();
    assert_eq!(fields, [("peer", "%"), ("about", ""), ("lane", "?"), ("y", "%")]);
}
