//! Text that others wrote, made fit for a terminal.

/// Characters of one text that are shown at most.
const MAX_SHOWN: usize = 400;

/// Characters of a reason that are shown at most: it may list addresses.
const MAX_REASON: usize = 4000;

/// The text in one line, without what a terminal would take for a command, and not longer than a
/// screen has room for.
pub(crate) fn clean(text: &str) -> String {
    clean_up_to(text, MAX_SHOWN)
}

/// The same of the reason why something was not done, which may be longer.
pub(crate) fn clean_reason(text: &str) -> String {
    clean_up_to(text, MAX_REASON)
}

fn clean_up_to(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).map(visible).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

fn visible(character: char) -> char {
    // Marks of direction have the rest of a line read the other way round.
    let turns_around = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    if character.is_control() || turns_around { '\u{fffd}' } else { character }
}

/// The first characters of a text, with a mark where there are more.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key may be anything that a stranger has sent.
    #[test]
    fn what_would_move_the_cursor_is_replaced() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(clean("ab\u{202e}c"), "ab\u{fffd}c");
        assert_eq!(clean("Grüße, 東京"), "Grüße, 東京");
    }

    #[test]
    fn a_long_text_ends_in_a_mark() {
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), MAX_SHOWN + 1);
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(shortened("ab", 0), "…");
    }
}
