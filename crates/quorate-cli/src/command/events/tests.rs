//! Events that are followed over lost connections and restarts.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use quorate::transport::BoxFuture;

use super::*;
use crate::arguments::Arguments;
use crate::arguments::command::Command;
use crate::command::Operator;
use crate::door::paper::{healthy, of_replica};
use crate::door::{Door, DoorError, Doors};
use crate::output::Output;

/// What is answered in turn: by the name of the peer that is there then, or the connection is lost.
#[derive(Clone)]
struct Script(Arc<Mutex<Lines>>);

struct Lines {
    answers: VecDeque<Option<(&'static str, Value)>>,
    asked: Vec<(String, u64)>,
}

impl Script {
    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is there when somebody connects.
    fn next_peer(&self) -> &'static str {
        self.lines().answers.iter().flatten().next().map_or("a", |(name, _)| name)
    }
}

impl Doors for Script {
    fn open<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
        let door = Open { name: self.next_peer(), script: self.clone() };
        Box::pin(async move { Ok(Box::new(door) as Box<dyn Door>) })
    }
}

struct Open {
    name: &'static str,
    script: Script,
}

impl Door for Open {
    fn peer(&self) -> &str {
        self.name
    }

    fn ask<'a>(&'a mut self, ask: &'a Value) -> BoxFuture<'a, Result<Value, DoorError>> {
        let answer = match (&ask["ask"], self.name) {
            (word, "a") if word == "status" => Ok(healthy()),
            (word, other) if word == "status" => Ok(of_replica(other)),
            _ => {
                let since = ask["since"].as_u64().expect("a number");
                let mut lines = self.script.lines();
                lines.asked.push((self.name.to_owned(), since));
                let lost = || DoorError::Unknown { error: "lost".into(), detail: "gone".into() };
                let next = lines.answers.pop_front().flatten();
                next.map(|(_, answer)| answer).ok_or_else(lost)
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Takes so many lines.
struct Reader(Arc<Mutex<Vec<u8>>>, usize);

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read.iter().filter(|byte| **byte == b'\n').count() == self.1 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        read.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Nobody;

impl Operator for Nobody {
    fn is_there(&self) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn events(numbers: &[u64], next: u64, incarnation: &str) -> Value {
    let at: Vec<(u64, u64)> = numbers.iter().map(|number| (*number, 0)).collect();
    events_at(&at, next, incarnation)
}

fn event((number, at_ms): &(u64, u64)) -> Value {
    json!({"number": number, "at_ms": at_ms, "event": "peer_up", "text": "it is up"})
}

/// Events with these numbers, and when they happened. Those of one moment say the same.
fn events_at(at: &[(u64, u64)], next: u64, incarnation: &str) -> Value {
    let events: Vec<Value> = at.iter().map(event).collect();
    json!({"events": events, "next": next, "missed": 0, "incarnation": incarnation})
}

/// Follows until so many lines were printed; returns their numbers and tellers, and what was asked.
async fn follow(
    answers: Vec<Option<(&'static str, Value)>>,
    lines: usize,
) -> (Vec<(String, u64)>, Vec<(String, u64)>) {
    follow_with("events --follow --json", answers, lines).await
}

async fn follow_with(
    line: &str,
    answers: Vec<Option<(&'static str, Value)>>,
    lines: usize,
) -> (Vec<(String, u64)>, Vec<(String, u64)>) {
    let script = Script(Arc::new(Mutex::new(Lines { answers: answers.into(), asked: Vec::new() })));
    let line = ["quorate", "--peer", "x:1"].into_iter().chain(line.split(' '));
    let parsed = Arguments::try_parse_from(line).expect("a command");
    let Arguments { place, manner, command: Command::Events(reading) } = parsed else {
        panic!("another command")
    };
    let read = Arc::new(Mutex::new(Vec::new()));
    let mut output = Output::new(Box::new(Reader(read.clone(), lines)), Style::PLAIN);
    let group = Group::new(Arc::new(script.clone()), place.peers, manner.timeout);
    let mut run =
        Run { group, manner: &manner, output: &mut output, operator: &mut Nobody, now_ms: || 0 };
    assert_eq!(super::run(&mut run, &reading).await, Ok(Exit::Done));
    let read = String::from_utf8(read.lock().expect("nobody has panicked").clone()).expect("text");
    let told = read.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("a document");
        let by = event["told_by"].as_str().expect("a name").to_owned();
        (by, event["number"].as_u64().expect("a number"))
    });
    let told = told.collect();
    let asked = script.lines().asked.clone();
    (told, asked)
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

/// Its numbers begin anew: whoever went on from the old ones was told nothing for so many events.
#[tokio::test(start_paused = true)]
async fn a_peer_that_has_started_anew_is_followed_from_its_first_event() {
    let (told, asked) = follow(
        vec![
            Some(("a", events(&[8, 9], 9, "one"))),
            None,
            Some(("a", events(&[], 2, "two"))),
            Some(("a", events(&[1, 2], 2, "two"))),
            Some(("a", events(&[3], 3, "two"))),
        ],
        4,
    )
    .await;
    assert_eq!(told, named(&[("a", 8), ("a", 9), ("a", 1), ("a", 2)]));
    assert_eq!(asked, named(&[("a", 0), ("a", 9), ("a", 9), ("a", 0), ("a", 2)]));
}

/// It was held against the numbers of the first: what had happened meanwhile was never told.
#[tokio::test(start_paused = true)]
async fn of_another_peer_that_is_told_which_has_happened_since() {
    let (told, asked) = follow(
        vec![
            Some(("a", events_at(&[(8, 50_000), (9, 60_000)], 9, "one"))),
            None,
            // Of the first one it is long ago, the second was told, and the others were not.
            Some((
                "b",
                events_at(&[(1, 58_000), (2, 60_000), (3, 59_500), (4, 70_000)], 4, "of b"),
            )),
            Some(("b", events_at(&[(5, 71_000)], 5, "of b"))),
            Some(("b", events_at(&[(6, 72_000)], 6, "of b"))),
        ],
        5,
    )
    .await;
    assert_eq!(told, named(&[("a", 8), ("a", 9), ("b", 3), ("b", 4), ("b", 5)]));
    let expected = [("a", 0), ("a", 9), ("b", 0), ("b", 4), ("b", 5)];
    assert_eq!(asked, named(&expected));
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_what_is_newer_is_told_nothing_old() {
    let (told, asked) = follow_with(
        "events --follow --json --since 100",
        vec![
            Some(("a", events_at(&[], 99, "one"))),
            Some(("a", events_at(&[(8, 50_000), (9, 50_000)], 9, "one"))),
            Some(("a", events_at(&[], 9, "one"))),
            Some(("a", events_at(&[(10, 60_000)], 10, "one"))),
            Some(("a", events_at(&[(11, 60_001)], 11, "one"))),
        ],
        1,
    )
    .await;
    assert_eq!(told, named(&[("a", 10)]));
    assert_eq!(asked, named(&[("a", 99), ("a", 0), ("a", 9), ("a", 9), ("a", 10)]));
}
