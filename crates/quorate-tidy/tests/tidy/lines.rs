//! The width of lines: rustfmt wraps neither comments nor strings.

use crate::source::{pages, sources};

/// Columns of a line, in code and in pages.
const MAX_COLUMNS: usize = 100;

#[test]
fn no_line_of_code_is_wider_than_the_page() {
    let mut wide = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if line.chars().count() > MAX_COLUMNS {
                wide.push(format!("{}:{number}", source.path));
            }
        }
    }
    assert!(wide.is_empty(), "wider than {MAX_COLUMNS} columns:\n{}", wide.join("\n"));
}

/// Rows of tables cannot be broken, nor can programs and their output.
#[test]
fn no_line_of_a_page_is_wider_than_the_page() {
    let mut wide = Vec::new();
    for page in pages() {
        let mut is_verbatim = false;
        for (number, line) in (1..).zip(page.text.lines()) {
            if line.trim_start().starts_with("```") {
                is_verbatim = !is_verbatim;
            }
            let is_free = is_verbatim || line.starts_with('|') || line.contains("](http");
            if !is_free && line.chars().count() > MAX_COLUMNS {
                wide.push(format!("{}:{number}", page.path));
            }
        }
    }
    assert!(wide.is_empty(), "wider than {MAX_COLUMNS} columns:\n{}", wide.join("\n"));
}
