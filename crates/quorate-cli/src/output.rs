//! Standard output: lines and documents, until nobody reads them any more.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::text::style::Style;

/// Clears the screen, and goes to its corner.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Says on standard error what is no part of the output. Where nobody hears it nothing else can be
/// done.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "quorate: {text}");
}

/// Where a command prints.
pub(crate) struct Output {
    writer: Box<dyn Write>,
    pub(crate) style: Style,
    /// Whether somebody looks at it, who has no use for what stood there before.
    is_screen: bool,
    error: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(writer: Box<dyn Write>, style: Style) -> Self {
        Self { writer, style, is_screen: false, error: None }
    }

    /// Standard output.
    pub(crate) fn standard() -> Self {
        let stdout = io::stdout();
        let is_screen = stdout.is_terminal();
        Self { is_screen, ..Self::new(Box::new(stdout), Style::of_stdout()) }
    }

    pub(crate) fn is_screen(&self) -> bool {
        self.is_screen
    }

    /// Prints lines.
    pub(crate) fn text(&mut self, text: &str) {
        self.write(text);
        self.write("\n");
        self.flush();
    }

    /// Prints lines.
    pub(crate) fn lines<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) {
        for line in lines {
            self.write(line.as_ref());
            self.write("\n");
        }
        self.flush();
    }

    /// Prints a document in one line.
    pub(crate) fn json(&mut self, document: &Value) {
        self.text(&document.to_string());
    }

    /// Begins a screen anew, where there is one.
    pub(crate) fn clear(&mut self) {
        if self.is_screen {
            self.write(CLEAR);
        }
    }

    /// Returns true if nobody reads what is printed any more, or it cannot be written.
    pub(crate) fn is_closed(&self) -> bool {
        self.error.is_some()
    }

    /// The reason why something was not written. That a reader has gone is none: `head` has all
    /// that it wants.
    pub(crate) fn error(&self) -> Option<&io::Error> {
        self.error.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Bytes that are no text of this program, like a page for `man`.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.error.is_none()
            && let Err(error) = self.writer.write_all(bytes)
        {
            self.error = Some(error);
        }
        self.flush();
    }

    fn write(&mut self, text: &str) {
        if self.error.is_none()
            && let Err(error) = self.writer.write_all(text.as_bytes())
        {
            self.error = Some(error);
        }
    }

    fn flush(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.writer.flush()
        {
            self.error = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let mut output = Output::new(Box::new(Failing(io::ErrorKind::BrokenPipe)), Style::PLAIN);
        output.text("x");
        assert!(output.is_closed());
        assert!(output.error().is_none());
        let mut output = Output::new(Box::new(Failing(io::ErrorKind::StorageFull)), Style::PLAIN);
        output.text("x");
        assert!(output.error().is_some());
    }
}
