//! What every sentence that people read has to keep to. Used by the tests of all crates.

use std::collections::BTreeSet;

/// Longest sentence: it stands in one line of a log.
const MAX_CHARS: usize = 400;
/// What is in a sentence only where a value was written as the code has it.
const OF_CODE: [&str; 14] = [
    "  ", "\n", "\t", "Some(", "None", "Ok(", "Err(", "[]", "\"\\\"", "Duration", "PeerName", " ,",
    "u64", "Error::",
];

/// Compares sentences with what they are to be, and all of them with the rules.
///
/// # Panics
///
/// If any differs, or breaks a rule; all that do are told.
pub(crate) fn assert_told<const N: usize>(sentences: [(String, &str); N]) {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (told, wanted) in &sentences {
        if told != wanted {
            wrong.push(format!("is      {told}\n wanted {wanted}"));
        }
        wrong.extend(broken(told).map(|rule| format!("{rule}: {told}")));
        if !seen.insert(told) {
            wrong.push(format!("twice: {told}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The rule that a sentence breaks.
pub(crate) fn broken(told: &str) -> Option<String> {
    if let Some(found) = OF_CODE.into_iter().find(|it| told.contains(it)) {
        return Some(format!("has {found:?}"));
    }
    // The one thing that people write with a brace is the place of a name in a pattern.
    if told.replace("{peer}", "").contains(['{', '}']) {
        return Some("has a brace".to_owned());
    }
    // Bytes, and fields of numbers with as many digits as a float has.
    if told.contains(", 0, ") || told.chars().filter(char::is_ascii_digit).count() > 60 {
        return Some("has numbers that nobody reads".to_owned());
    }
    if told.trim() != told || told.is_empty() {
        return Some("begins or ends with nothing".to_owned());
    }
    if told.ends_with(['.', ':', ';', ',', '!']) {
        return Some("ends with a sign".to_owned());
    }
    (told.chars().count() > MAX_CHARS).then(|| "is too long".to_owned())
}
