//! What `local_group` shows: on a terminal a table that is redrawn below the story, elsewhere plain
//! lines.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

/// Plain output repeats the state this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(2);

/// How to show it.
enum Manner {
    /// A table in place, with ANSI escapes.
    Terminal,
    /// Lines on standard output.
    Plain,
    /// Lines on standard error; standard output is for the result alone.
    Json,
}

/// The one place that prints.
pub(crate) struct Screen {
    manner: Manner,
    start: Instant,
    /// Lines of the table on the screen.
    drawn: usize,
    last_plain: Instant,
}

impl Screen {
    pub(crate) fn new(is_json: bool, start: Instant) -> Self {
        let manner = match (is_json, io::stdout().is_terminal()) {
            (true, _) => Manner::Json,
            (false, true) => Manner::Terminal,
            (false, false) => Manner::Plain,
        };
        Self { manner, start, drawn: 0, last_plain: start }
    }

    /// Tells the next sentence of the story.
    pub(crate) fn tell(&mut self, sentence: &str) {
        let at = self.start.elapsed().as_secs_f64();
        self.print(&format!("{at:7.2} s  {sentence}"));
    }

    /// Shows how things stand: the whole table on a terminal, else its summary from time to time.
    pub(crate) fn draw(&mut self, table: &[String], summary: &str) {
        if let Manner::Terminal = self.manner {
            let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
            let lines: String = table.iter().map(|line| format!("{line}\x1b[K\n")).collect();
            self.write(&format!("{up}{lines}"));
            self.drawn = table.len();
        } else if self.last_plain.elapsed() >= PLAIN_INTERVAL {
            self.last_plain = Instant::now();
            self.tell(summary);
        }
    }

    /// Prints lines that stay, above the table.
    pub(crate) fn print(&mut self, lines: &str) {
        let erased = match self.drawn {
            0 => String::new(),
            table => format!("\x1b[{table}A\x1b[J"),
        };
        self.write(&format!("{erased}{lines}\n"));
        self.drawn = 0;
    }

    /// Prints the result where a program looks for it.
    pub(crate) fn result(&mut self, lines: &str) {
        writeln!(io::stdout(), "{lines}").unwrap_or_default();
    }

    /// A reader that has gone away does not end the run.
    fn write(&self, text: &str) {
        let mut out: Box<dyn Write> = match self.manner {
            Manner::Json => Box::new(io::stderr()),
            Manner::Terminal | Manner::Plain => Box::new(io::stdout()),
        };
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
    }
}
