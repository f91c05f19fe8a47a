//! Declarations as one line each, spaced as rustfmt spaces them.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// Marks that belong together where they stand side by side.
const PAIRS: [&str; 5] = ["::", "->", "=>", "..", "&&"];

/// Words after which a type begins.
const KEYWORDS: [&str; 8] = ["as", "const", "dyn", "for", "impl", "in", "mut", "where"];

/// A piece of syntax as one line.
pub(crate) fn line(syntax: &impl ToTokens) -> String {
    let mut words = Vec::new();
    flatten(syntax.to_token_stream(), &mut words);
    let mut line = String::new();
    let mut last = String::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or("", |next| &**next);
        // A comma that only ends a list of several lines.
        if word == "," && [")", ">", "}"].contains(&next) {
            continue;
        }
        if !line.is_empty() && is_apart(&last, word) {
            line.push(' ');
        }
        line.push_str(word);
        last.clone_from(word);
    }
    // So does one at the end of a list of bounds.
    line.trim_end_matches(',').to_owned()
}

fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    let mut open = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (before, after) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                words.push(before.to_owned());
                flatten(group.stream(), words);
                words.push(after.to_owned());
                open = false;
            }
            TokenTree::Punct(punct) => {
                let mark = punct.as_char();
                let last = words.last_mut().filter(|_| open);
                match last {
                    Some(last) if PAIRS.contains(&&*format!("{last}{mark}")) => last.push(mark),
                    _ => words.push(mark.to_string()),
                }
                open = punct.spacing() == Spacing::Joint;
            }
            // A lifetime is a mark and a word.
            TokenTree::Ident(ident) if open && words.last().is_some_and(|last| last == "'") => {
                words.pop();
                words.push(format!("'{ident}"));
                open = false;
            }
            word => {
                words.push(word.to_string());
                open = false;
            }
        }
    }
    words.retain(|word| !word.is_empty());
}

fn is_apart(last: &str, word: &str) -> bool {
    let is_mark = ["->", ":", "=", ",", "+", ";"].contains(&last) || last.starts_with('\'');
    let begins_type = is_mark || KEYWORDS.contains(&last);
    match (last, word) {
        ("for" | "impl", "<") => false,
        ("(" | "[" | "<" | "&" | "::" | "#" | "!" | "?" | "." | "*", _) => false,
        (_, ")" | "]" | "," | ";" | ":" | ">" | "." | "!") => false,
        (_, "(" | "[" | "<" | "?" | "::") => begins_type,
        _ => true,
    }
}
