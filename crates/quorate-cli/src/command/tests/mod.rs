//! Commands against a group on paper: what they ask, print and return.

mod changing;
mod line;
mod looking;
mod siting;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::arguments::Arguments;
use crate::door::paper::{NOW_MS, Paper, healthy, three, without_quorum};
use crate::exit::Exit;
use crate::text::style::Style;

/// What was printed.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Somebody who answers so, or nobody; and what was asked of them.
#[derive(Default)]
struct Person {
    answer: Option<&'static str>,
    asked: Vec<String>,
}

impl Operator for Person {
    fn is_there(&self) -> bool {
        self.answer.is_some()
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.asked.push(question.to_owned());
        Ok(format!("{}\n", self.answer.unwrap_or_default()))
    }
}

/// What came of a command.
#[derive(Debug)]
struct Outcome {
    done: Result<u8, Failure>,
    printed: String,
    questions: Vec<String>,
}

impl Outcome {
    fn code(&self) -> u8 {
        self.done.as_ref().map_or_else(|failure| failure.exit.code(), |code| *code)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.printed).expect("one document")
    }

    fn error(&self) -> &str {
        self.done.as_ref().expect_err("it fails").error.as_str()
    }
}

/// Runs a command line, as somebody who answers so.
async fn run_as(paper: &Paper, answer: Option<&'static str>, line: &str) -> Outcome {
    let words = ["quorate", "--peer", "127.0.0.1:1"].into_iter().chain(line.split_whitespace());
    let Arguments { place, manner, command } = Arguments::try_parse_from(words).expect("a command");
    let page = Page::default();
    let mut output = Output::new(Box::new(page.clone()), Style::PLAIN);
    let mut person = Person { answer, asked: Vec::new() };
    let group = Group::new(Arc::new(paper.clone()), place.peers, manner.timeout);
    let mut run = Run {
        group,
        manner: &manner,
        output: &mut output,
        operator: &mut person,
        now_ms: || NOW_MS,
    };
    let done = super::run(command, &mut run).await;
    let printed = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let printed = String::from_utf8(printed).expect("text");
    Outcome { done, printed, questions: person.asked }
}

/// The same with nobody there to ask.
async fn run(paper: &Paper, line: &str) -> Outcome {
    run_as(paper, None, line).await
}
