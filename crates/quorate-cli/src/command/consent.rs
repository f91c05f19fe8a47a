//! Whether it is meant: asked of whoever sits at the terminal.

use std::io::{self, IsTerminal, Write};

use tokio::time::Instant;

use crate::command::Run;
use crate::exit::{Exit, Failure};

/// Whoever has typed the command.
pub(crate) trait Operator {
    /// Returns true if there is somebody who can be asked.
    fn is_there(&self) -> bool;

    /// Shows a question, and reads one line.
    ///
    /// # Errors
    ///
    /// If nothing can be read.
    fn ask(&mut self, question: &str) -> io::Result<String>;
}

/// The terminal that the command runs in.
pub(crate) struct Terminal;

impl Operator for Terminal {
    fn is_there(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        let mut shown = io::stderr();
        write!(shown, "{question} ")?;
        shown.flush()?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(line)
    }
}

impl Run<'_> {
    /// Asks whether it is meant, unless `--yes` says so.
    ///
    /// # Errors
    ///
    /// If it is not, or nobody is there to ask.
    pub(crate) fn consent(&mut self, what: &str) -> Result<(), Failure> {
        if self.manner.yes {
            return Ok(());
        }
        let answer = self.answer(&format!("{what}\nGo on? [y/N]"))?;
        match &*answer.trim().to_ascii_lowercase() {
            "y" | "yes" => Ok(()),
            _ => Err(declined()),
        }
    }

    /// Asks for the name of what is meant to be typed, unless `--yes` says that it is meant.
    ///
    /// # Errors
    ///
    /// If another is typed, or nobody is there to ask.
    pub(crate) fn consent_typed(
        &mut self,
        what: &str,
        kind: &str,
        name: &str,
    ) -> Result<(), Failure> {
        if self.manner.yes {
            return Ok(());
        }
        let answer = self.answer(&format!("{what}\nType the {kind}'s name to go on ({name}):"))?;
        if answer.trim() == name { Ok(()) } else { Err(declined()) }
    }

    fn answer(&mut self, question: &str) -> Result<String, Failure> {
        if !self.operator.is_there() {
            return Err(Failure::usage("needs_yes", NEEDS_YES));
        }
        let unread = |error: io::Error| Failure::usage("needs_yes", error.to_string());
        let start = Instant::now();
        let answer = self.operator.ask(question).map_err(unread);
        // Whoever thinks it over takes no time from those that are asked.
        if let Ok(group) = &mut self.group {
            group.extend(start.elapsed());
        }
        answer
    }
}

const NEEDS_YES: &str = "this cannot be undone, and there is no terminal to ask at: give --yes if \
                         it is meant; nothing was changed";

fn declined() -> Failure {
    Failure::new(Exit::Refused, "declined", "it was not meant; nothing was changed")
}
