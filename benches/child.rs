//! Child processes: a bench runs itself again, so that servers and replicas have a process, and
//! processor time, of their own.
//!
//! ```text
//!   bench ── spawn(role, arguments) ──▶ child: says one line when it is ready
//!     └────── stdin, kept open ───────▶ ends when stdin does, however the bench ended
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{self, Command, Stdio};
use std::{env, io, thread};

/// First argument of a process that is a child.
const CHILD: &str = "child-of-a-bench";

/// A child process; ends when this is dropped.
#[derive(Debug)]
pub struct Child {
    child: process::Child,
    said: String,
}

impl Child {
    /// Starts this program again as a child and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started or ends before it is ready.
    pub fn spawn(role: &str, arguments: &[String]) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(CHILD)
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        if said.is_empty() {
            child.wait()?;
            return Err(io::Error::other(format!("the child {role} has ended before its start")));
        }
        Ok(Self { child, said: said.trim().to_owned() })
    }

    /// What it said when it was ready.
    pub fn said(&self) -> &str {
        &self.said
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has ended anyway if this fails.
        let _ = self.child.wait();
    }
}

/// The role and arguments of this process, if it is a child.
pub fn role() -> Option<(String, Vec<String>)> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != CHILD {
        return None;
    }
    Some((arguments.next()?, arguments.collect()))
}

/// Says to the parent that this child is ready.
///
/// # Errors
///
/// If the parent is gone.
pub fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Waits until the parent has ended or wants this child to end.
pub fn wait_for_parent() {
    let mut buffer = [0; 64];
    let mut stdin = io::stdin().lock();
    while stdin.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

/// Ends this process when its parent ends, without anything else being done.
pub fn end_with_parent() {
    thread::spawn(|| {
        wait_for_parent();
        process::exit(0);
    });
}
