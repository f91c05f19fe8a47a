//! Colours, where somebody looks.

use std::io::IsTerminal;

/// The meaning of a piece of text, which a terminal shows as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
    Strong,
}

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    is_coloured: bool,
}

impl Style {
    pub(crate) const PLAIN: Self = Self { is_coloured: false };
    #[cfg(test)]
    pub(crate) const COLOURED: Self = Self { is_coloured: true };

    /// Colours if standard output is a terminal that shows them, and nobody has asked for none.
    pub(crate) fn of_stdout() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_coloured = std::io::stdout().is_terminal() && !is_dumb && may_colour();
        Self { is_coloured }
    }

    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Good => "32",
            Paint::Warning => "33",
            Paint::Bad => "31",
            Paint::Faint => "2",
            Paint::Strong => "1",
        };
        if self.is_coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Returns false if the environment asks for no colours (<https://no-color.org>).
pub(crate) fn may_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
