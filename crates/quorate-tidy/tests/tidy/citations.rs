//! Citations: `docs/NAME.md, section N` in sources and pages leads to a heading that is there.

use crate::source::{Source, pages, sources};

/// The text with its line ends taken out, for a citation may go over one.
fn joined(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!']).trim());
    lines.collect::<Vec<_>>().join(" ")
}

/// The numbers of the sections that a page is cited by, `3.2, 4 and 13.9`.
fn sections(cited: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    let mut rest = cited;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches('.');
        if number.is_empty() {
            return numbers;
        }
        numbers.push(number.to_owned());
        let after = rest[end..].trim_start_matches([',', ' ']);
        rest = after.strip_prefix("and ").or_else(|| after.strip_prefix("to ")).unwrap_or(after);
    }
}

/// Whether a page has a section, or the rule of that number in one: `3.2` is the item `2.` of the
/// list under `## 3.`
fn has_section(page: &Source, number: &str) -> bool {
    let mut parts = number.split('.');
    let chapter = format!("## {}. ", parts.next().unwrap_or_default());
    let lines = page.text.lines().skip_while(|line| !line.starts_with(&chapter));
    let mut section =
        lines.enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with("## "));
    match parts.next() {
        None => section.next().is_some(),
        Some(rule) => section.any(|(_, line)| line.starts_with(&format!("{rule}. "))),
    }
}

#[test]
fn every_section_that_is_cited_is_there() {
    let pages = pages();
    let mut astray = Vec::new();
    let mut count = 0;
    for source in sources().iter().chain(&pages) {
        // It says how citations are written.
        if source.path.ends_with("tidy/citations.rs") {
            continue;
        }
        let text = joined(&source.text);
        for cited in text.split("docs/").skip(1) {
            let Some((name, rest)) = cited.split_once(".md") else { continue };
            if name.contains(char::is_whitespace) {
                continue;
            }
            let Some(page) = pages.iter().find(|page| page.path == format!("docs/{name}.md"))
            else {
                astray.push(format!("{} cites docs/{name}.md", source.path));
                continue;
            };
            let rest = rest.trim_start_matches([',', ' ', ')']);
            let listed = rest.strip_prefix("section ").or_else(|| rest.strip_prefix("sections "));
            for number in listed.map(sections).unwrap_or_default() {
                count += 1;
                if !has_section(page, &number) {
                    astray.push(format!("{} cites docs/{name}.md, {number}", source.path));
                }
            }
        }
    }
    assert!(count > 100, "citations are written otherwise now: {count} were found");
    assert!(astray.is_empty(), "these lead nowhere:\n{}", astray.join("\n"));
}
